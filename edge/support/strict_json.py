"""Hooks for ``json`` that refuse what RFC 8259 does not allow and Python's reader lets pass; each raises ValueError."""

from __future__ import annotations

import math
from typing import Any


def no_constant(name: str) -> None:
    """For ``parse_constant``: NaN and Infinity are no JSON."""
    raise ValueError(f"{name} is not JSON")


def single_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For ``object_pairs_hook``: a key that appears twice has two meanings."""
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key appears twice")
    return table


def whole(text: str) -> int:
    """For ``parse_int``: one that no float holds is no number to anybody who reads JSON as most programs do."""
    finite(text)
    return int(text)


def finite(text: str) -> float:
    """For ``parse_float``: 1e999 would be infinite."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value
