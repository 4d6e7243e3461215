"""A second look: where the first leaves doubt, the same network sees the frame again, enlarged, and both answers count.

Hairlines are lost by scale more than by contrast: a line of two pixels is half a cell of the network's finest map, and
three are one. So the frame is laid out in windows that fill the network's input when they are enlarged by ``SCALE``;
those with most pixels in doubt are looked at, as many as the budget has. What the first look called damage stays so,
for its edges are drawn at native scale, and both say how sure it is (``SURER``); what it did not becomes damage where
the mean of both logits says so. Nothing depends on the time that it takes: the same frame always gets the same mask.
What was measured before these numbers were chosen stands in docs/experiments.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from edge.frames import RGB
from edge.masks import Area, tiles
from edge.masks.preprocess import UInt8
from edge.masks.schedule import cells

Look = Callable[[RGB], list[UInt8]]
"""Logit codes (H, W) of one picture of the network's input size or less, per class; overwritten by the next call."""

SCALE = 1.5
SURER = 0.85
"""Weight of the surer of both logits where the first look sees damage; the other one has the rest."""
OVERLAP_PART = 5
"""Neighbouring windows overlap by their side divided by this."""
FADE_PART = 4
"""On either side of its area a window fades out over the overlap divided by this."""
DOUBT = (0.10, 0.95)
"""A pixel is in doubt from the first of these scores to below the second."""
LEAST_PX = 20
"""Windows with fewer pixels in doubt are not looked at again: the shortest crack that is traced is as long."""


class SecondLook:
    """Spends ``budget`` runs of a network on each frame; used by one thread."""

    def __init__(self, height_px: int, width_px: int, table: UInt8, levels: Sequence[int | None], budget: int) -> None:
        """``height_px`` and ``width_px``: of the network's input; ``table``, uint8 (256,): the score of each code.

        ``levels``: for each class the lowest score, 0 to 255, that is damage; None where it is not measured as lines:
        only lines are looked at again.
        """
        self._side = (round(height_px / SCALE), round(width_px / SCALE))
        self._input = (height_px, width_px)
        self._edges = {
            index: int(np.searchsorted(table, level)) for index, level in enumerate(levels) if level is not None
        }
        """The lowest code that is damage, for each class of lines."""
        self._doubt = _codes_in_doubt(table)
        self._budget = budget
        self._plan: list[tiles.Tile] = []
        self._areas: list[Area] = []
        self._size = (0, 0)

    def improve(self, rgb: RGB, codes: Sequence[UInt8], look: Look) -> int:
        """Put a second answer into ``codes``, uint8 (H, W) of each class of ``rgb`` (H, W, 3), in place.

        Returns how many windows were looked at, 0 to the budget.
        """
        self._lay_out(*rgb.shape[:2])
        chosen = self._in_doubt(codes)
        first = {index: codes[index].copy() for index in self._edges} if chosen else {}
        for at in chosen:
            answers = look(self._enlarged(rgb, self._plan[at]))
            for index, edge in self._edges.items():
                self._blend(codes[index], first[index], answers[index], edge, at)
        return len(chosen)

    def _lay_out(self, height_px: int, width_px: int) -> None:
        if self._size == (height_px, width_px):
            return
        self._size = (height_px, width_px)
        self._plan = tiles.plan(height_px, width_px, *self._side, min(self._side) // OVERLAP_PART)
        self._areas = cells(self._plan)

    def _in_doubt(self, codes: Sequence[UInt8]) -> list[int]:
        """The windows to look at, those with most pixels in doubt first; of equal ones the first in the plan."""
        count = np.zeros(len(self._areas), np.intp)
        for index in self._edges:
            found = np.asarray(cv2.inRange(codes[index], *self._doubt))
            for at, area in enumerate(self._areas):
                inside = found[area.top_px : area.bottom_px, area.left_px : area.right_px]
                count[at] += cv2.countNonZero(inside)
        order = np.argsort(-count, kind="stable")[: self._budget]
        return [int(at) for at in order if count[at] >= LEAST_PX]

    def _enlarged(self, rgb: RGB, tile: tiles.Tile) -> RGB:
        rows, columns = tile.rows, tile.columns
        seen = rgb[rows.start_px :, columns.start_px :][: rows.size_px, : columns.size_px]
        size = self._enlarged_px(columns, 1), self._enlarged_px(rows, 0)
        return np.asarray(cv2.resize(seen, size, interpolation=cv2.INTER_CUBIC), np.uint8)

    def _blend(self, codes: UInt8, first: UInt8, answer: UInt8, edge: int, at: int) -> None:
        tile, area = self._plan[at], self._areas[at]
        fade = min(self._side) // OVERLAP_PART // FADE_PART
        height_px, width_px = self._size
        down, top, bottom = _fading(area.top_px, area.bottom_px, height_px, fade)
        across, left, right = _fading(area.left_px, area.right_px, width_px, fade)
        big = answer[: self._enlarged_px(tile.rows, 0), : self._enlarged_px(tile.columns, 1)]
        small = cv2.resize(big, (tile.columns.size_px, tile.rows.size_px), interpolation=cv2.INTER_AREA)
        seen = np.asarray(small, np.float32)[
            top - tile.rows.start_px : bottom - tile.rows.start_px,
            left - tile.columns.start_px : right - tile.columns.start_px,
        ]
        old = first[top:bottom, left:right].astype(np.float32)
        surer = SURER * np.maximum(old, seen) + (1 - SURER) * np.minimum(old, seen)
        both = np.where(old >= edge, np.maximum(surer, edge), np.maximum(old, (old + seen) / 2))
        weight = down[:, None] * across[None, :]
        # Neighbours' weights add up to 1: together they change what both look at once, and one alone fades out.
        adds = np.rint(weight * (both - old))
        into = codes[top:bottom, left:right]
        into[:] = np.clip(into + adds, np.where(old >= edge, edge, 0), 255)  # rounding takes no damage away

    def _enlarged_px(self, span: tiles.Span, axis: int) -> int:
        return max(1, round(span.size_px * self._input[axis] / self._side[axis]))


def _codes_in_doubt(table: UInt8) -> tuple[int, int]:
    """The lowest and the highest code whose score is in doubt: scores rise with the code."""
    low, high = (255 * level for level in DOUBT)
    found = np.flatnonzero((table >= low) & (table < high))
    return (int(found[0]), int(found[-1])) if len(found) else (255, 0)


def _fading(first: int, stop: int, size: int, fade: int) -> tuple[npt.NDArray[np.float32], int, int]:
    """Weights along one axis, 1 inside of [first, stop) and falling over ``fade`` px on either side of an inner border;
    with the first pixel that they are for, and one past the last."""
    low = first - fade if first > 0 else 0
    high = stop + fade if stop < size else size
    at = np.arange(low, high, dtype=np.float32) + 0.5
    rising = (at - low) / max(2 * fade, 1) if first > 0 else np.ones_like(at)
    falling = (high - at) / max(2 * fade, 1) if stop < size else np.ones_like(at)
    return np.clip(np.minimum(rising, falling), 0, 1), low, high
