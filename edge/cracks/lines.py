"""Lines of different lengths in one array: which rows belong to which line.

A frame's cracks are measured together, their points one after the other in one array, because a call on a short array
costs as much as one on a long array, and a crack takes hundreds of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Index = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


class Lines:
    """How N rows are shared out among L lines, each of at least one row, in order."""

    __slots__ = ("_at", "_turned", "count", "first", "last", "owner")

    def __init__(self, count: Index) -> None:
        """``count`` (L,): rows of each line."""
        self.count = count
        ends = count.cumsum()
        self.first: Index = ends - count
        """(L,): each line's first row."""
        self.last: Index = ends - 1
        """(L,): each line's last row."""
        self.owner: Index = np.zeros(int(ends[0]), np.intp) if len(count) == 1 else np.arange(len(count)).repeat(count)
        """(N,): the line of each row."""
        self._at: Index | None = None
        self._turned: dict[tuple[int, bool], Index] = {}

    @property
    def at(self) -> Index:
        """(N,): the place of each row in its line, from 0."""
        if self._at is None:
            at = np.arange(len(self.owner))
            self._at = at if len(self.count) == 1 else at - self.first.take(self.owner)
        return self._at

    def sums(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Each line's sum over its rows of ``values`` (N,) or (N, K); flags are counted."""
        kind = np.intp if values.dtype == np.bool_ else None
        return np.asarray(np.add.reduceat(values, self.first, axis=0, dtype=kind))

    def longer(self, by: int) -> tuple[Index, Index]:
        """Line, and place in it, of its rows and of ``by`` more at either end, line by line: (N + 2 * by * L,) each."""
        wider = Lines(self.count + 2 * by)
        return wider.owner, wider.at - by

    def held(self, by: int) -> Index:
        """Rows with ``by`` more at either end of each line, which are its first and its last: (N + 2 * by * L,)."""
        known = self._turned.get((by, False))
        if known is None:
            owner, place = self.longer(by)
            place = np.minimum(np.maximum(place, 0), (self.count - 1).take(owner))
            known = self._turned[by, False] = self.first.take(owner) + place
        return known

    def reflected(self, by: int) -> Index:
        """Rows with ``by`` more at either end of each line, reflected about its end: (N + 2 * by * L,)."""
        known = self._turned.get((by, True))
        if known is None:
            owner, place = self.longer(by)
            period = np.maximum(2 * (self.count - 1), 1).take(owner)
            place = np.abs(place) % period
            known = self._turned[by, True] = self.first.take(owner) + np.minimum(place, period - place)
        return known

    def without(self, values: npt.NDArray[Any], by: int) -> npt.NDArray[Any]:
        """Of ``values`` (N + 2 * by * (L - 1), ...), the lines with ``2 * by`` rows between two of them, the lines."""
        return values if len(self.count) == 1 else values.take(np.arange(len(self.owner)) + 2 * by * self.owner, axis=0)

    def only(self, lines: Flags) -> tuple[Lines, Flags]:
        """The rows of some ``lines`` (L,), and flags (N,) of which these are."""
        return Lines(self.count[lines]), lines[self.owner]


def filled(values: Floats, known: Flags, rows: Lines) -> Floats:
    """Interpolate along each line over the points that are not ``known``; over all that are no number where none is."""
    if known.all():
        return values
    none = rows.sums(known) == 0
    if none.any():
        known = np.where(none[rows.owner], np.isfinite(values), known)
    good, bad = np.flatnonzero(known), np.flatnonzero(~known)
    number = good.searchsorted(bad)
    before, after = good.take(number - 1, mode="wrap"), good.take(number, mode="clip")
    line = rows.owner.take(bad)
    before = np.where((number == 0) | (before < rows.first.take(line)), after, before)
    after = np.where((number == len(good)) | (after > rows.last.take(line)), before, after)
    share = np.divide(bad - before, after - before, out=np.zeros(len(bad)), where=after > before)
    out = values.copy()
    out[bad] = values.take(before) + share * (values.take(after) - values.take(before))
    return out
