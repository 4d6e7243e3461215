"""Which tiles of a large frame are looked at when there is no time for all: a frame budget that is kept.

Every tile is looked at within a stated number of frames, whatever it shows. In between, time goes first to tiles that
look like a surface; those that look like sky, water or a blur wait. A frame reports which part of it was looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from edge.frames import RGB
from edge.masks import Area
from edge.masks.tiles import Tile
from edge.support.clock import stopwatch_ns

# One row in so many is looked at to rank tiles: under a millisecond for 12 megapixels, a fiftieth of one tile's run.
_ROW_STEP = 8
# Sky and clear water are bluer than they are red by more than this; concrete, steel and masonry are not.
_BLUER_BY = 12
# The cost of a tile follows what was measured, a quarter of the way at each run.
_LEARNING = 0.25


class Schedule:
    """Orders ``count`` tiles for frame after frame, so that none waits ``revisit_frames`` frames or more."""

    def __init__(self, count: int, revisit_frames: int) -> None:
        self.least = -(-count // revisit_frames)
        """Tiles per frame that the promise takes on average."""
        self._revisit = revisit_frames
        self._due = np.full(count, revisit_frames)
        """In how many frames, this one included, each tile has to be looked at."""

    def order(self, worth: npt.NDArray[np.float64]) -> tuple[list[int], int]:
        """All tiles, those that must be looked at in this frame first, then by ``worth``; and how many must."""
        waiting = np.lexsort((-worth, self._due))
        within = np.searchsorted(self._due[waiting], np.arange(1, self._revisit + 1), side="right")
        # Later frames take at least ``least`` each, so what is due within d frames and does not fit the d - 1 others
        # belongs into this one.
        must = max(0, int((within - self.least * np.arange(self._revisit)).max()))
        rest = waiting[must:]
        return [*waiting[:must].tolist(), *rest[np.argsort(-worth[rest], kind="stable")].tolist()], must

    def looked(self, tiles: Sequence[int]) -> None:
        """A frame is done, these of its tiles were looked at."""
        self._due -= 1
        self._due[list(tiles)] = self._revisit


class Rounds:
    """Spends a budget on the tiles of one plan; used by one thread."""

    def __init__(self, plan: list[Tile], budget_ms: float, revisit_frames: int) -> None:
        self.areas = cells(plan)
        """What each tile answers for when its neighbours may be missing: disjoint, together the whole frame."""
        self._budget_ms = budget_ms
        self._schedule = Schedule(len(plan), revisit_frames)
        self._revisit = revisit_frames
        self._tile_ms: float | None = None

    @property
    def all_fit(self) -> bool:
        """Whether there is time for every tile; True while it is unknown what a tile costs."""
        return self._tile_ms is None or len(self.areas) * self._tile_ms <= self._budget_ms

    def every(self) -> Iterator[int]:
        """All tiles in the plan's order; its use tells what a tile costs."""
        for index in range(len(self.areas)):
            yield from self._timed(index)
        self._schedule.looked(range(len(self.areas)))

    def chosen(self, rgb: RGB, begun_ns: int) -> Iterator[int]:
        """The tiles of this frame, until those due are done and the budget, counted from ``begun_ns``, is spent."""
        order, must = self._schedule.order(worth(rgb, self.areas))
        looked: list[int] = []
        for index in order:
            used_ms = (stopwatch_ns() - begun_ns) / 1e6
            if len(looked) >= must and used_ms + (self._tile_ms or 0.0) > self._budget_ms:
                break
            looked.append(index)
            yield from self._timed(index)
        self._schedule.looked(looked)

    def trouble(self) -> str | None:
        """That the budget cannot hold what was promised; None while it can."""
        needed_ms = self._schedule.least * (self._tile_ms or 0.0)
        if needed_ms <= self._budget_ms:
            return None
        return (
            f"masks.budget_ms = {self._budget_ms:g} is too little: to look at every tile within {self._revisit} frames "
            f"takes {self._schedule.least} of {self._tile_ms:.0f} ms in each; raise budget_ms or revisit_frames"
        )

    def _timed(self, index: int) -> Iterator[int]:
        begun_ns = stopwatch_ns()
        yield index
        took_ms = (stopwatch_ns() - begun_ns) / 1e6
        self._tile_ms = took_ms if self._tile_ms is None else self._tile_ms + _LEARNING * (took_ms - self._tile_ms)


def cells(plan: list[Tile]) -> list[Area]:
    """The part of the frame each tile is nearest to, in the plan's order: borders lie in the middle of the overlaps."""
    rows = sorted({(tile.rows.from_px, tile.rows.alone_px, tile.rows.stop_px) for tile in plan})
    columns = sorted({(tile.columns.from_px, tile.columns.alone_px, tile.columns.stop_px) for tile in plan})
    return [Area(*x, *y) for y in _halved(rows) for x in _halved(columns)]


def _halved(spans: list[tuple[int, int, int]]) -> list[tuple[int, int]]:
    borders = [(first + alone) // 2 for first, alone, _ in spans] + [spans[-1][2]]
    return list(pairwise(borders))


def worth(rgb: RGB, areas: Sequence[Area]) -> npt.NDArray[np.float64]:
    """How much each area of ``rgb`` (H, W, 3) looks like a surface with fine detail, 0 and up, float64 (len(areas),).

    The mean step in green from pixel to pixel along sampled rows, times the share of pixels that are not blue: a clear
    sky and a blur have no steps, water is blue or smooth. Rippled brown water passes for a surface, it is only ranked.
    """
    sampled = np.ascontiguousarray(rgb[::_ROW_STEP])
    red, green, blue = cv2.split(sampled)
    steps = cv2.absdiff(green[:, 1:], green[:, :-1]) if rgb.shape[1] > 1 else np.zeros_like(green)
    bluish = np.asarray(cv2.subtract(blue, red)) > _BLUER_BY
    found = np.zeros(len(areas))
    for i, area in enumerate(areas):
        rows = slice(area.top_px // _ROW_STEP, -(-area.bottom_px // _ROW_STEP))
        detail = float(cv2.mean(np.asarray(steps)[rows, area.left_px : area.right_px])[0])
        found[i] = detail * (1 - float(bluish[rows, area.left_px : area.right_px].mean()))
    return found
