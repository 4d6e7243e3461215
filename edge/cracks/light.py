"""A picture in linear light, made where it is read and nowhere else.

Cracks are a few thousandths of a large still. As float32 all of 12 megapixels is 48 MB, and most of the time would go
into pixels that nobody asks for; so the blocks around what is asked for are put side by side, and read there.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge.cracks.blocks import Blocks
from edge.cracks.path import Reals, sample
from edge.frames import RGB, Tone
from edge.frames.tone import light_of

WHOLE_PX = 2_000_000
"""A picture of so many pixels or fewer is made as a whole: then the blocks would cost more than they save."""

_BLOCK_BITS = 5
_BLOCK_PX = 2**_BLOCK_BITS
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
        x, y = (np.minimum(np.maximum(v, 0), size - 1) for v, size in ((x, self.shape[1]), (y, self.shape[0])))
        blocks = Blocks(x.astype(np.int32), y.astype(np.int32), self.shape[1], _BLOCK_BITS)
        light = self._of(self._side_by_side(blocks))
        number = np.arange(blocks.count)
        x += (number % _PER_ROW * _SIDE_PX - blocks.left).astype(np.float32).take(blocks.place)
        y += (number // _PER_ROW * _SIDE_PX - blocks.top).astype(np.float32).take(blocks.place)
        return sample(light, x, y, cv2.BORDER_REPLICATE)

    def _side_by_side(self, blocks: Blocks) -> npt.NDArray[np.uint8]:
        """Luma codes of blocks, ``_PER_ROW`` in a row, each with the first pixels of its neighbours."""
        rows, columns = -(-blocks.count // _PER_ROW), min(blocks.count, _PER_ROW)
        codes = np.zeros((rows * columns, _SIDE_PX, _SIDE_PX), np.uint8)
        for into, x, y in zip(codes, blocks.left.tolist(), blocks.top.tolist(), strict=False):
            own = cv2.cvtColor(self._rgb[y : y + _SIDE_PX, x : x + _SIDE_PX], cv2.COLOR_RGB2GRAY)
            into[: own.shape[0], : own.shape[1]] = own
        side_by_side = codes.reshape(rows, columns, _SIDE_PX, _SIDE_PX).transpose(0, 2, 1, 3)
        return side_by_side.reshape(rows * _SIDE_PX, columns * _SIDE_PX)

    def _of(self, codes: cv2.typing.MatLike) -> Reals:
        return np.asarray(cv2.LUT(codes, self._curve), np.float32)
