"""A look at half size: a frame is shown to the network once more, shrunk, and the surer answer counts.

Two reasons for it. ``blurred``: a crack that motion smears is at half size as sharp as the network's training had it;
only frames whose measured blur is ``BLURRED_PX`` or more are looked at again. ``wide``: a crack of 30 px is an area,
not a line, to a network that learned from lines of a few pixels, and it sees parts of it; frames in which the first
look sees a piece of ``SEEN_PX`` are looked at again, and of what half size sees only pieces count that are ``WIDE_PX``
wide or more, because thin lines are seen better at full size. What was measured before these numbers were chosen stands
in docs/experiments.md. The same frame always gets the same mask.
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
SEEN_PX = 11
"""So wide, in pixels of the frame, is what asks for the look ``wide``."""
_SEEN_DISC = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (SEEN_PX, SEEN_PX))
WIDE_PX = 14
"""So wide is what counts of it; twice an odd number, so that the disc that tells it at half size has a middle."""
_DISC = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (WIDE_PX // 2, WIDE_PX // 2))


class HalfLook:
    """Looks at frames again; used by one thread."""

    def __init__(self, reason: Reason, table: UInt8, scale: float, levels: Sequence[int | None]) -> None:
        """``reason``: which frames are looked at, and what counts of it.

        ``table`` (256): the score of each logit code; ``scale``: logits of one code; ``levels``: the least score that
        is damage, of each class, None for those that are not measured as lines: they keep their answer.
        """
        self._wide = reason == "wide"
        self._margin = np.uint8(min(255, round(MARGIN / scale)))
        self._edges = {
            index: int(np.searchsorted(table, level)) for index, level in enumerate(levels) if level is not None
        }
        """The lowest code that is damage, for each class of lines."""
        self._mosaics: list[tiles.Mosaic] = []
        self._planned: tuple[int, ...] = ()

    def improve(self, rgb: RGB, codes: Sequence[UInt8], look: Look, tile_px: tuple[int, int], overlap_px: int) -> int:
        """Raise ``codes``, uint8 (H, W) of each class, in place, where half size sees more; ``rgb`` (H, W, 3) is sRGB.

        ``tile_px``: height and width of what ``look`` takes; tiles overlap by ``overlap_px``. Returns how many runs of
        the network it took; 0 for a frame that gives no reason, as one whose blur is unknown.
        """
        if not self._edges or not (self._sees_wide(codes) if self._wide else _blurred(rgb)):
            return 0
        height_px, width_px = (max(1, round(size / 2)) for size in rgb.shape[:2])
        small = np.asarray(cv2.resize(rgb, (width_px, height_px), interpolation=cv2.INTER_AREA), np.uint8)
        for index, joined in zip(self._edges, self._answers(small, look, tile_px, overlap_px), strict=True):
            seen = upsample(_wide_parts(joined) if self._wide else joined, *rgb.shape[:2])
            np.maximum(seen, self._margin, out=seen)
            seen -= self._margin
            np.maximum(codes[index], seen, out=codes[index])
        return len(self._mosaics[0].tiles)

    def _sees_wide(self, codes: Sequence[UInt8]) -> bool:
        return any(_holds_disc(codes[index], edge) for index, edge in self._edges.items())

    def _answers(self, small: RGB, look: Look, tile_px: tuple[int, int], overlap_px: int) -> list[UInt8]:
        """Codes of ``small`` (h, w, 3), for each class of lines."""
        height_px, width_px = small.shape[:2]
        wanted = (height_px, width_px, *tile_px)
        if wanted != self._planned:
            plan, self._planned = tiles.plan(height_px, width_px, *tile_px, overlap_px), wanted
            self._mosaics = [tiles.Mosaic(plan) for _ in self._edges]
        found = [np.empty((height_px, width_px), np.uint8) for _ in self._edges]
        for tile in self._mosaics[0].tiles:
            rows, columns = tile.rows, tile.columns
            answer = look(small[rows.start_px :, columns.start_px :][: rows.size_px, : columns.size_px])
            for index, mosaic, joined in zip(self._edges, self._mosaics, found, strict=True):
                mosaic.add(tile, answer[index], joined)
        return found


def _blurred(rgb: RGB) -> bool:
    blur_px = sharpness.measure(rgb, "srgb").blur_px
    return blur_px is not None and blur_px >= BLURRED_PX


def _holds_disc(codes: UInt8, edge: int) -> bool:
    """Whether a disc of ``SEEN_PX`` fits where ``codes`` (h, w) reach ``edge``; the picture's rim does not bound it."""
    return bool(codes.max() >= edge) and bool(cv2.erode(codes, _SEEN_DISC).max() >= edge)


def _wide_parts(codes: UInt8) -> UInt8:
    """Lower ``codes`` (h, w), at half size, wherever they belong to no wide piece.

    Opening by a disc keeps what the disc fits into and rounds off the corners of it; growing by the same disc restores
    the corners, and where branches begin. On grey values both hold for every threshold at once.
    """
    core = cv2.dilate(cv2.morphologyEx(codes, cv2.MORPH_OPEN, _DISC), _DISC)
    return np.asarray(np.minimum(codes, core), np.uint8)
