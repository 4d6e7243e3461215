"""A small tile laid over a wall of any size in cells, each of them a piece from a place of the tile of its own.

A tile that is only repeated makes places alike that have nothing in common, and pictures of them can be laid on each
other rightly. Here the place from which a cell's piece comes is random, and so is whether it is turned or flipped;
neighbours are faded into each other. As the tile is small, a piece comes back elsewhere on the wall, but pictures show
a dozen cells and more, and at any one shift two of them have hardly more than one of those in common.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

NEUTRAL = 128.0
"""Mean of a tile; it leaves the tone as it is, and a tile multiplies by value / NEUTRAL."""
_BIAS = 1 << 30
"""Added to the number of a cell, which is negative above and to the left of the wall, because a seed must not be."""


@dataclass(frozen=True, slots=True)
class Cells:
    """How a tile is cut into pieces: (rows, columns) of its finest level, multiples of 2 ** its coarsest level."""

    stream: int
    """Part of the seed, so that two tiles of one scene are not cut at the same places."""
    size: tuple[int, int]
    fade: tuple[int, int]
    """Over so many rows and columns a cell passes into the next one; 0: it ends there, as a board does."""
    step: tuple[int, int]
    """A piece begins at a multiple of so many rows and columns of the tile."""
    turned: bool
    """True: pieces are turned and flipped in all eight ways, which asks for square cells; False: some are mirrored."""

    def lay(self, tile: UInt8, level: int, seed: int, low: tuple[int, int], high: tuple[int, int]) -> Float32:
        """Return the wall from row and column ``low`` to before ``high``, as float32 differences from NEUTRAL.

        ``tile`` is level ``level`` of it, each pixel 2**level times as large as one of the finest; ``low`` and ``high``
        count such pixels from the wall's upper left corner.
        """
        out = np.zeros((high[0] - low[0], high[1] - low[1]), np.float32)
        size, fade = [side >> level for side in self.size], [side >> level for side in self.fade]
        down, across = (_weights(size[i], fade[i]) for i in (0, 1))
        weight = down[:, None] * across
        for row in range((low[0] - fade[0]) // size[0], (high[0] - 1) // size[0] + 1):
            for column in range((low[1] - fade[1]) // size[1], (high[1] - 1) // size[1] + 1):
                piece = self._piece(tile, level, seed, row, column)
                top, left = row * size[0] - low[0], column * size[1] - low[1]
                rows = slice(max(0, -top), max(0, min(len(down), len(out) - top)))
                columns = slice(max(0, -left), max(0, min(len(across), out.shape[1] - left)))
                part = out[max(0, top) : top + rows.stop, max(0, left) : left + columns.stop]
                part += weight[rows, columns] * (piece[rows, columns] - np.float32(NEUTRAL))
        return out

    def _piece(self, tile: UInt8, level: int, seed: int, row: int, column: int) -> UInt8:
        """What lies in a cell and in the fading behind it."""
        draw = np.random.default_rng([seed, self.stream, row + _BIAS, column + _BIAS])
        places = [(tile.shape[i] << level) // self.step[i] for i in (0, 1)]
        start = [int(draw.integers(places[i])) * self.step[i] >> level for i in (0, 1)]
        mirrored, upended, swapped = draw.integers(2, size=3).tolist()
        window = [
            np.arange(start[i], start[i] + (self.size[i] + self.fade[i] >> level)) for i in (0, 1)
        ]  # fmt: skip
        piece = tile.take(window[0], 0, mode="wrap").take(window[1], 1, mode="wrap")
        piece = piece[:, ::-1] if mirrored else piece
        if self.turned:
            piece = piece[::-1] if upended else piece
            piece = piece.T if swapped else piece
        return piece


def _weights(size: int, fade: int) -> Float32:
    """Weights (size + fade,) of a cell along one axis: it and the next one together keep the grain's deviation.

    The squares of two that overlap add up to 1, as the variances of pictures that do not depend on each other do.
    """
    rise = np.sin(0.5 * math.pi * (np.arange(fade) + 0.5) / max(1, fade))
    return np.concatenate([rise, np.ones(size - fade), rise[::-1]]).astype(np.float32)
