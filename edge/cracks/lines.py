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

    __slots__ = ("_longer", "at", "count", "first", "last", "owner")

    def __init__(self, count: Index) -> None:
        """``count`` (L,): rows of each line."""
        self.count = count
        ends = np.cumsum(count)
        self.first: Index = ends - count
        """(L,): each line's first row."""
        self.last: Index = ends - 1
        """(L,): each line's last row."""
        self.owner: Index = np.repeat(np.arange(len(count)), count)
        """(N,): the line of each row."""
        self.at: Index = np.arange(len(self.owner)) - self.first[self.owner]
        """(N,): the place of each row in its line, from 0."""
        self._longer: dict[int, tuple[Index, Index]] = {}

    def sums(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Each line's sum over its rows of ``values`` (N,) or (N, K); flags are counted."""
        values = values.astype(np.intp) if values.dtype == np.bool_ else values
        return np.asarray(np.add.reduceat(values, self.first, axis=0))

    def longer(self, by: int) -> tuple[Index, Index]:
        """Line, and place in it, of its rows and of ``by`` more at either end, line by line: (N + 2 * by * L,) each."""
        known = self._longer.get(by)
        if known is None:
            wider = Lines(self.count + 2 * by)
            known = self._longer[by] = wider.owner, wider.at - by
        return known

    def only(self, lines: Flags) -> tuple[Lines, Flags]:
        """The rows of some ``lines`` (L,), and flags (N,) of which these are."""
        return Lines(self.count[lines]), lines[self.owner]


def filled(values: Floats, known: Flags, rows: Lines) -> Floats:
    """Interpolate along each line over the points that are not ``known``; over all that are no number where none is."""
    if known.all():
        return values
    none = rows.sums(known) == 0
    known = np.where(none[rows.owner], np.isfinite(values), known)
    index = np.arange(len(values))
    before = np.maximum.accumulate(np.where(known, index, -1))
    after = np.minimum.accumulate(np.where(known, index, len(index))[::-1])[::-1]
    before = np.where(before < rows.first[rows.owner], after, before)
    after = np.where(after > rows.last[rows.owner], before, after)
    share = np.divide(index - before, after - before, out=np.zeros(len(index)), where=after > before)
    return np.asarray(values[before] + share * (values[after] - values[before]))
