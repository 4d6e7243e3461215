"""A picture in linear light, made where it is read and nowhere else.

Cracks are a few thousandths of a large still. As float32 all of 12 megapixels is 48 MB, and most of the time would go
into pixels that nobody asks for; so the blocks around what is asked for are put side by side, and read there.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge.cracks.path import Reals, sample
from edge.frames import RGB, Tone
from edge.frames.tone import light_of

WHOLE_PX = 2_000_000
"""A picture of so many pixels or fewer is made as a whole: then the blocks would cost more than they save."""

_BLOCK_PX = 64
_SIDE_PX = _BLOCK_PX + 1  # reading between pixels takes the first of the next block
_PER_ROW = 64


class Light:
    """Luma of a picture in linear light, 0 to 1."""

    def __init__(self, rgb: RGB, tone: Tone, whole_px: int = WHOLE_PX) -> None:
        """``rgb`` (H, W, 3): the picture, in codes that ``tone`` says."""
        self.shape: tuple[int, int] = rgb.shape[0], rgb.shape[1]
        self._rgb = rgb
        self._curve = light_of(tone)
        self._whole: Reals | None = None
        if rgb.shape[0] * rgb.shape[1] <= whole_px:
            self._whole = self._of(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))

    def sample(self, x: Reals, y: Reals) -> Reals:
        """Read linearly between pixels at ``x`` and ``y`` (N, M); outside, the picture goes on as it ends."""
        if self._whole is not None:
            return sample(self._whole, x, y, cv2.BORDER_REPLICATE)
        x, y = (np.clip(v, 0, size - 1) for v, size in ((x, self.shape[1]), (y, self.shape[0])))
        across = -(-self.shape[1] // _BLOCK_PX)
        block = (y.astype(np.int32) // _BLOCK_PX) * across + x.astype(np.int32) // _BLOCK_PX
        asked = np.zeros(across * -(-self.shape[0] // _BLOCK_PX), np.bool_)
        asked[block] = True
        blocks = np.flatnonzero(asked)
        left, top = blocks % across * _BLOCK_PX, blocks // across * _BLOCK_PX
        column, row = (np.arange(len(blocks)) % _PER_ROW * _SIDE_PX, np.arange(len(blocks)) // _PER_ROW * _SIDE_PX)
        place = np.cumsum(asked)[block] - 1
        light = self._of(self._side_by_side(left.tolist(), top.tolist(), column.tolist(), row.tolist()))
        shift_x, shift_y = (column - left).astype(np.float32), (row - top).astype(np.float32)
        return sample(light, x + shift_x[place], y + shift_y[place], cv2.BORDER_REPLICATE)

    def _side_by_side(
        self, left: list[int], top: list[int], column: list[int], row: list[int]
    ) -> npt.NDArray[np.uint8]:
        """Luma codes of the blocks at ``left``, ``top`` of the picture, put at ``column``, ``row``."""
        grey = np.zeros((row[-1] + _SIDE_PX, max(column) + _SIDE_PX), np.uint8)
        for x, y, to_x, to_y in zip(left, top, column, row, strict=True):
            codes = cv2.cvtColor(self._rgb[y : y + _SIDE_PX, x : x + _SIDE_PX], cv2.COLOR_RGB2GRAY)
            grey[to_y : to_y + codes.shape[0], to_x : to_x + codes.shape[1]] = codes
        return grey

    def _of(self, codes: cv2.typing.MatLike) -> Reals:
        return np.asarray(cv2.LUT(codes, self._curve), np.float32)
