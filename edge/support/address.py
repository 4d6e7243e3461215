"""An address as it may be shown, logged and kept: without what lets a stranger in."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]+:/+", re.IGNORECASE)
_USER = re.compile(r"(:/+).*@", re.DOTALL)
_QUERY = re.compile(r"[?#].*", re.DOTALL)
# Cameras of several makers take user and password in the path: rtsp://cam:554/user=admin&password=word&channel=1.
_IN_PATH = re.compile(
    r"(:/+[^/]+/(?:(?![^/]*(?:=|%3d))[^/]*/)*)[^/]*(?:=|%3d).*", re.DOTALL | re.IGNORECASE
)  # up to the first part between slashes that holds a "=", also one written as %3D


def masked(text: str) -> str:
    """``text`` with ``***`` in place of user and password, query, and ``name=value`` in the path of its addresses.

    Passwords may hold every letter, also an ``@``, ``/``, ``?`` or ``#`` that nobody escaped: so everything from the
    first ``://`` to the last ``@`` is hidden, rather too much than too little. A ``text`` without an address is
    returned as it is.
    """
    found = _ADDRESS.search(text)
    if found is None:
        return text
    before, address = text[: found.start()], text[found.start() :]
    address = _QUERY.sub("?***", _USER.sub(r"\1***@", address))
    return before + _IN_PATH.sub(r"\1***", address)
