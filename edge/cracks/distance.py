"""How far the pixels of a mask are from its outside: in one pass over a small window, block by block in a large one."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge.cracks.lines import Index
from edge.cracks.skeleton import Bits

WHOLE_PX = 2_000_000
"""A window of so many pixels or fewer is one pass; as float32, 12 megapixels are 48 MB."""
BLOCK_PX = 128
"""Rows and columns of a block; those without a pixel that is asked for cost nothing."""
RIM_PX = 48
"""So much around a block is looked at as well: a distance up to this is not changed by what lies beyond."""

Reals = npt.NDArray[np.float32]


class Distances:
    """Distances to the nearest pixel that is 0 in ``bits`` or lies outside it.

    Chamfer 3x3, within 4 % of the Euclidean distance: enough to tell a spur from a branch, at a sixth of the time.
    """

    def __init__(self, bits: Bits, whole_px: int = WHOLE_PX) -> None:
        """``bits`` uint8 (H, W); it is not changed and must not change. ``whole_px``: see ``WHOLE_PX``."""
        self._bits = bits
        self._whole = _distances(bits, (0, 0), bits.shape) if bits.size <= whole_px else None

    def at(self, x: Index, y: Index) -> Reals:
        """Distances of the pixels at ``x`` and ``y`` (N,): float32 (N,)."""
        if self._whole is not None:
            return np.asarray(self._whole[y, x])
        across = -(-self._bits.shape[1] // BLOCK_PX)
        block = y // BLOCK_PX * across + x // BLOCK_PX
        order = np.argsort(block, kind="stable")
        found = np.empty(len(x), np.float32)
        for own in np.split(order, np.flatnonzero(np.diff(block[order])) + 1) if len(x) else ():
            row, column = (int(v) * BLOCK_PX for v in divmod(block[own[0]], across))
            begin = max(0, row - RIM_PX), max(0, column - RIM_PX)
            end = row + BLOCK_PX + RIM_PX, column + BLOCK_PX + RIM_PX
            distance = _distances(self._bits, begin, end)[y[own] - begin[0], x[own] - begin[1]]
            if distance.max() > RIM_PX:  # so large a mark may end beyond the rim
                self._whole = _distances(self._bits, (0, 0), self._bits.shape)
                return self.at(x, y)
            found[own] = distance
        return found


def _distances(bits: Bits, begin: tuple[int, int], end: tuple[int, int]) -> Reals:
    """Of the rows and columns from ``begin`` to ``end``; beyond them is the outside only where ``bits`` ends."""
    top, left = (int(first == 0) for first in begin)
    bottom, right = (int(last >= size) for last, size in zip(end, bits.shape, strict=True))
    part = bits[begin[0] : end[0], begin[1] : end[1]]
    framed = cv2.copyMakeBorder(part, top, bottom, left, right, cv2.BORDER_CONSTANT, value=0)
    distance = cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_3)
    return np.asarray(distance[top : top + part.shape[0], left : left + part.shape[1]], np.float32)
