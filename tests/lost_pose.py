"""Flights that lose their pose on the way, so that their frames lie on two charts in metres: charts 1 and 3.

A camera 3 m before a surface flies along it; its pictures are windows of painted grain with one dark line on either
stretch. What is truly where follows from the places that the flight is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from types import TracebackType
from typing import Any, Literal

import cv2
import numpy as np

from edge.frames import Frame
from edge.masks import dark
from edge.measurers import Measures
from edge.navigation import Attitude, Fix, FixKind, NavState, nowhere
from edge.outbox import memory
from edge.outcome import Flight
from edge.pipeline import Pipeline
from edge.support.clock import ManualClock
from edge.surface.scale import ScaleOptions
from edge.tools.replay.mosaic import Mosaic
from tests.surface.wall import HEIGHT, WIDTH, wall, window

RANGE_M = 3.0
M_PER_PX = RANGE_M * float(np.tan(np.radians(30))) / (WIDTH / 2)
THICK_M = 2.0
"""Of the pier."""
FIRST, LOST, LEAD, SECOND = range(0, 320, 80), (100, 180), (0, 40), range(0, 480, 80)
"""Left edges of the windows of either stretch, of what is seen between them without a pose, and of the second one while
there is no pose yet, so that it has a chart of its own, px."""
FACE_M2 = tuple((lefts[-1] + WIDTH) * HEIGHT * M_PER_PX**2 for lefts in (FIRST, SECOND))
"""How much of the surface each stretch shows."""
Surface = Literal["pier", "soffit"]
LINES = ((330, 190), (520, 260)), ((330, 300), (520, 230))
"""On the first stretch it falls to the right, on the second it rises."""
TOP, _SIZE = 100, (560, 1200)
_NORTH_M, _EAST_M = 111_257.3, 70_050.0  # of a degree at 51.05 degrees


@dataclass
class _Told:
    """A navigator that knows each frame's state beforehand."""

    states: dict[int, NavState]
    live: bool = False

    def at(self, exposed_ns: int) -> NavState:
        return self.states[exposed_ns]

    def utc_at(self, exposed_ns: int) -> datetime | None:
        return None

    def health(self) -> str | None:
        return None

    def warnings(self) -> Sequence[str]:
        return ()

    def __enter__(self) -> _Told:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Flown:
    """What a flight leaves."""

    cracks: list[dict[str, Any]]
    coverage: dict[str, Any]
    mosaic: Mosaic
    charts: tuple[int, ...]
    """Of each frame."""


@cache
def fly(surface: Surface) -> Flown:
    """``pier``: both faces of one, 2 m thick; ``soffit``: two stretches of one soffit, 4 m from each other."""
    second = _painted(9, *LINES[1])
    pictures = [_painted(4, *LINES[0]), _painted(7), second, second]
    stretches = zip(pictures, (FIRST, LOST, LEAD, SECOND), (0, None, None, 1), strict=True)
    flown = [(picture, left, stretch) for picture, lefts, stretch in stretches for left in lefts]
    states = {
        number: nowhere(number) if stretch is None else _at(surface, stretch, left * M_PER_PX)
        for number, (_, left, stretch) in enumerate(flown)
    }
    clock = ManualClock(datetime(2026, 6, 1, 12, tzinfo=timezone.utc), synced=True)
    measures = Measures(scale=ScaleOptions(hfov_deg=60.0))
    eyes = dark.open_segmenter(dark.Options(surround_px=61, full_contrast=80), clock)
    outbox = memory.open_outbox(memory.Options(), clock)
    pipeline = Pipeline(eyes, _Told(states), outbox, Flight.of("drone", "lost"), measures, clock)
    mosaic, charts = Mosaic(), []
    for number, (picture, left, _) in enumerate(flown):
        outcome = pipeline.process(Frame(number, number, 500, window(picture, left, TOP)))
        mosaic.see(outcome)
        assert outcome.placed is not None
        charts.append(outcome.placed.chart)
    pipeline.finish()
    return Flown(pipeline.map.cracks(), pipeline.map.coverage(), mosaic, tuple(charts))


def _painted(seed: int, *line: tuple[int, int]) -> np.ndarray:
    """Faint grain, of which nothing is dark but the line from one point to the other, if there is one."""
    picture = np.asarray(150 + (wall(seed, _SIZE).astype(np.float32) - 128) / 2, np.uint8)
    return cv2.polylines(picture, [np.array(line, np.int32).reshape(-1, 1, 2)], False, (20, 20, 20), 5, cv2.LINE_AA)


def _at(surface: Surface, stretch: int, along_m: float) -> NavState:
    """Where the camera is, and where it looks, ``along_m`` after the beginning of a stretch."""
    if surface == "soffit":  # north at the top of nothing: it looks up, and flies east
        north_m, east_m, attitude = 0.0, along_m + 8.0 * stretch, Attitude(0.0, 90.0, 0.0)
    elif stretch == 0:  # west of the pier, looking east, flying south
        north_m, east_m, attitude = -along_m, -RANGE_M, Attitude(0.0, 0.0, 90.0)
    else:  # east of it, looking west, flying north
        north_m, east_m, attitude = along_m - 3.0, THICK_M + RANGE_M, Attitude(0.0, 0.0, 270.0)
    fix = Fix(FixKind.RTK_FIXED, 51.05 + north_m / _NORTH_M, 3.72 + east_m / _EAST_M, 11.0, 0.02, 0.03, 0, 55.0)
    return NavState(0, fix, attitude, RANGE_M)
