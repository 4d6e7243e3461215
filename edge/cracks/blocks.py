"""Which square blocks of a picture are asked for: cracks are a few thousandths of it, and the rest costs as much to make."""

from __future__ import annotations

import numpy as np

from edge.cracks.lines import Index


class Blocks:
    """The blocks of ``side`` pixels that hold the pixels at ``x`` and ``y`` (any shape), in reading order."""

    __slots__ = ("count", "left", "place", "top")

    def __init__(self, x: Index, y: Index, columns: int, side: int) -> None:
        """``columns``: of the picture."""
        across = -(-columns // side)
        number = y // side * across
        number += x // side
        table = np.full(int(number.max()) + 1, -1, np.intp)
        table[number] = 0
        named = np.flatnonzero(table == 0)
        table[named] = np.arange(len(named))
        self.count = len(named)
        self.left: Index = named % across * side
        """(K,): first column of each block."""
        self.top: Index = named // across * side
        """(K,): first row of each."""
        self.place: Index = table.take(number)
        """Which of the K blocks each pixel lies in, as ``x``."""
