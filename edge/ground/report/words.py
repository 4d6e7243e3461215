"""Words: counted things, and texts from outside made safe for files (XML, UTF-8 and spreadsheets refuse some)."""

from __future__ import annotations

import re

# What XML 1.0 (section 2.2) does not allow, and lone surrogates, which UTF-8 cannot hold.
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def count(number: int, what: str) -> str:
    """``1 finding``, ``2 findings``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def clean(text: str) -> str:
    """The text with a replacement sign for each character that XML or UTF-8 cannot hold."""
    return _FORBIDDEN.sub("\ufffd", text)


def cell(text: str) -> str:
    """The text for a spreadsheet: one that would be taken for a formula gets an apostrophe before it."""
    return "'" + clean(text) if text.startswith(_FORMULA) else clean(text)
