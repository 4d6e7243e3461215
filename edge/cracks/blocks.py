"""Which square blocks of a picture are asked for: cracks are a few thousandths of it."""

from __future__ import annotations

import numpy as np

from edge.cracks.lines import Index


class Blocks:
    """The blocks of 2 to the ``bits`` pixels that hold the pixels at ``x`` and ``y`` (any shape), in reading order."""

    __slots__ = ("count", "left", "place", "top")

    def __init__(self, x: Index, y: Index, columns: int, bits: int) -> None:
        """``columns``: of the picture."""
        across = (columns - 1 >> bits) + 1
        number = y >> bits  # a division takes ten times as long
        number *= across
        number += x >> bits
        asked = np.zeros(int(number.max()) + 1, np.bool_)
        asked[number] = True
        named = np.flatnonzero(asked)
        self.count = len(named)
        self.left: Index = named % across << bits
        """(K,): first column of each block."""
        self.top: Index = named // across << bits
        """(K,): first row of each."""
        self.place: Index = (np.cumsum(asked) - 1).take(number)
        """Which of the K blocks each pixel lies in, as ``x``."""
