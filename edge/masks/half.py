"""A look at half size: a frame is shown to the network once more, shrunk, and the surer answer counts.

Two reasons for it. ``blurred``: a crack that motion smears is at half size as sharp as the network's training had it;
only frames whose measured blur is ``BLURRED_PX`` or more are looked at again. ``wide``: a crack of 30 px is an area,
not a line, to a network that learned from lines of a few pixels; every frame is looked at again, and of what half size
sees only pieces count that are ``WIDE_PX`` wide or more, because thin lines are seen better at full size. What was
measured before these numbers were chosen stands in docs/experiments.md. The same frame always gets the same mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

from edge.frames import RGB, sharpness
from edge.masks import tiles
from edge.masks.preprocess import UInt8, upsample
from edge.masks.second import Look

Reason = Literal["blurred", "wide"]

BLURRED_PX = 1.5
"""Gaussian sigma of the blur in the worse direction, as edge/frames/sharpness.py measures it."""
MARGIN = 2.0
"""So many logits are subtracted from the answer at half size, because it more often reports a crack where none is."""
WIDE_PX = 14
"""In pixels of the frame; twice an odd number, so that the disc that tells it at half size has a middle."""
_DISC = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (WIDE_PX // 2, WIDE_PX // 2))


class HalfLook:
    """Looks at frames again; used by one thread."""

    def __init__(
        self, reason: Reason, height_px: int, width_px: int, overlap_px: int, scale: float, lines: Sequence[bool]
    ) -> None:
        """``height_px`` and ``width_px``: of the network's input; tiles overlap by ``overlap_px``.

        ``reason``: which frames are looked at, and what counts of it. ``scale``: logits of one code; ``lines``: for
        each class whether it is measured as lines, others keep their answer.
        """
        self._wide = reason == "wide"
        self._input = (height_px, width_px)
        self._overlap_px = overlap_px
        self._margin = round(MARGIN / scale)
        self._lines = [index for index, line in enumerate(lines) if line]
        self._mosaics: list[tiles.Mosaic] = []

    def improve(self, rgb: RGB, codes: Sequence[UInt8], look: Look) -> int:
        """Raise ``codes``, uint8 (H, W) of each class, in place, where half size sees more; ``rgb`` (H, W, 3) is sRGB.

        Returns how many runs of the network it took; with the reason ``blurred`` 0 for a frame that is sharp, or whose
        blur is unknown.
        """
        if not self._lines or not (self._wide or _blurred(rgb)):
            return 0
        height_px, width_px = (max(1, round(size / 2)) for size in rgb.shape[:2])
        small = np.asarray(cv2.resize(rgb, (width_px, height_px), interpolation=cv2.INTER_AREA), np.uint8)
        for index, joined in zip(self._lines, self._answers(small, look), strict=True):
            seen = upsample(_wide_parts(joined) if self._wide else joined, *rgb.shape[:2])
            np.maximum(codes[index], cv2.subtract(seen, np.full_like(seen, self._margin)), out=codes[index])
        return len(self._mosaics[0].tiles)

    def _answers(self, small: RGB, look: Look) -> list[UInt8]:
        """Codes of ``small`` (h, w, 3), for each class of lines."""
        height_px, width_px = small.shape[:2]
        if not self._mosaics or (self._mosaics[0].height_px, self._mosaics[0].width_px) != (height_px, width_px):
            plan = tiles.plan(height_px, width_px, *self._input, self._overlap_px)
            self._mosaics = [tiles.Mosaic(plan) for _ in self._lines]
        found = [np.empty((height_px, width_px), np.uint8) for _ in self._lines]
        for tile in self._mosaics[0].tiles:
            rows, columns = tile.rows, tile.columns
            answer = look(small[rows.start_px :, columns.start_px :][: rows.size_px, : columns.size_px])
            for index, mosaic, joined in zip(self._lines, self._mosaics, found, strict=True):
                mosaic.add(tile, answer[index], joined)
        return found


def _blurred(rgb: RGB) -> bool:
    blur_px = sharpness.measure(rgb, "srgb").blur_px
    return blur_px is not None and blur_px >= BLURRED_PX


def _wide_parts(codes: UInt8) -> UInt8:
    """``codes`` (h, w) at half size, 0 away from what is wide.

    Opening by a disc keeps, at every level, what the disc fits into; grown by the disc once more it gives back the
    edges and the beginnings of thinner parts. Done on grey values it holds for every threshold at once. Outside of the
    picture nothing is known, and a piece that ends there is as wide as what is seen of it.
    """
    core = cv2.dilate(cv2.morphologyEx(codes, cv2.MORPH_OPEN, _DISC), _DISC)
    return np.asarray(np.minimum(codes, core), np.uint8)
