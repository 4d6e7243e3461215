"""Which lines lie near a place: of ten thousand, asking each one with every frame takes longer than the frame."""

from __future__ import annotations

import math

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, chart units."""
Cell = tuple[int, int]

_MOST_CELLS = 4096
"""A box over more cells than this is compared with every line."""


class Nearby:
    """The boxes of one chart's lines, in square cells; used by one thread."""

    def __init__(self, cell: float) -> None:
        """``cell``: side of a cell, chart units; about as large as what is asked for."""
        self._cell = cell
        self._boxes: dict[int, Box] = {}
        self._cells: dict[Cell, set[int]] = {}
        self._in: dict[int, tuple[int, int, int, int] | None] = {}
        self._everywhere: set[int] = set()

    def put(self, number: int, box: Box) -> None:
        """Line ``number`` lies in ``box`` now."""
        self._boxes[number] = box
        span = self._span(box)
        if number in self._in and self._in[number] == span:
            return
        self._leave(number)
        self._in[number] = span
        if span is None:
            self._everywhere.add(number)
            return
        for cell in _cells(span):
            self._cells.setdefault(cell, set()).add(number)

    def drop(self, number: int) -> None:
        """Forget a line; nothing happens where it is not known."""
        self._leave(number)
        self._boxes.pop(number, None)

    def within(self, box: Box) -> list[int]:
        """Numbers of the lines whose boxes touch ``box``, in the order of their numbers."""
        span = self._span(box)
        if span is None:
            numbers = set(self._boxes)
        else:
            numbers = self._everywhere.union(*(self._cells.get(cell, ()) for cell in _cells(span)))
        left, top, right, bottom = box
        return sorted(
            number for number in numbers
            if (one := self._boxes[number])[0] <= right and one[2] >= left and one[1] <= bottom and one[3] >= top
        )  # fmt: skip

    def _leave(self, number: int) -> None:
        span = self._in.pop(number, None)
        self._everywhere.discard(number)
        for cell in () if span is None else _cells(span):
            inside = self._cells[cell]
            inside.discard(number)
            if not inside:
                del self._cells[cell]

    def _span(self, box: Box) -> tuple[int, int, int, int] | None:
        if not all(map(math.isfinite, box)):
            return None
        left, top, right, bottom = (math.floor(side / self._cell) for side in box)
        return None if (right - left + 1) * (bottom - top + 1) > _MOST_CELLS else (left, top, right, bottom)


def _cells(span: tuple[int, int, int, int]) -> list[Cell]:
    left, top, right, bottom = span
    return [(column, row) for column in range(left, right + 1) for row in range(top, bottom + 1)]
