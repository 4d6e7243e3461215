"""Histories of a few fixes."""

from __future__ import annotations

from edge.navigation import Fix
from edge.navigation.history import History
from edge.navigation.track import Limits

S = 1_000_000_000


def history(**limits: float) -> History:
    return History(Limits(**limits))  # type: ignore[arg-type]


def two(first: Fix | None, second: Fix | None, apart_s: float = 1.0) -> History:
    h = history()
    h.hear_fix(0, first)
    h.hear_fix(round(apart_s * S), second)
    return h
