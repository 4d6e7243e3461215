"""How far the pixels of a mask are from its outside: in one pass over a small window, band by band over a large one."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge.cracks.lines import Index
from edge.cracks.skeleton import Bits

WHOLE_PX = 2_000_000
"""A window of so many pixels or fewer is one pass; as float32, 12 megapixels are 48 MB."""
BAND_PX = 256
"""Rows of a band."""
RIM_PX = 64
"""So many rows on either side are looked at as well: a distance up to this is not changed by what lies beyond."""

Reals = npt.NDArray[np.float32]


class Distances:
    """Distances to the nearest pixel that is 0 in ``bits`` or lies outside it.

    Chamfer 3x3, within 4 % of the Euclidean distance: enough to tell a spur from a branch, at a sixth of the time.
    """

    def __init__(self, bits: Bits, whole_px: int = WHOLE_PX) -> None:
        self._bits = bits
        self._whole = _distances(bits, True, True) if bits.size <= whole_px else None

    def at(self, x: Index, y: Index) -> Reals:
        """Distances of the pixels at ``x`` and ``y`` (N,): float32 (N,)."""
        if self._whole is not None:
            return np.asarray(self._whole[y, x])
        found, rows = np.empty(len(x), np.float32), len(self._bits)
        for top in range(0, rows, BAND_PX):
            own = (y >= top) & (y < top + BAND_PX)
            if not own.any():
                continue
            begin, end = max(0, top - RIM_PX), min(rows, top + BAND_PX + RIM_PX)
            distance = _distances(self._bits[begin:end], begin == 0, end == rows)[y[own] - begin, x[own]]
            if distance.max() > RIM_PX:  # so large a mark may end beyond the rim
                self._whole = _distances(self._bits, True, True)
                return self.at(x, y)
            found[own] = distance
        return found


def _distances(bits: Bits, top_ends: bool, bottom_ends: bool) -> Reals:
    """float32 (H, W); left and right the window ends, above and below only where it is said to."""
    framed = cv2.copyMakeBorder(bits, int(top_ends), int(bottom_ends), 1, 1, cv2.BORDER_CONSTANT, value=0)
    distance = cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_3)
    return np.asarray(distance[int(top_ends) : int(top_ends) + len(bits), 1:-1], np.float32)
