"""How the picture moves over the surface, from where registration laid the frames, and what that smears.

Frames tell where the camera was, not how fast it is at the middle of an exposure. Between the last two frames it had
some mean speed, between the two before them another; from both the speed now is carried on along a straight line, and
what speeds changed lately by says how far that may be off: the camera's sway and what registration is unsure of alike.
Where poses are known, registration starts from them and keeps to them where pictures fail (`registration`).
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edge.cracks.smear import Smear
from edge.surface.homography import Matrix, project
from edge.surface.registration import Registered

LONGEST_NS = 700_000_000
"""Of frames farther apart than this nothing is concluded: at one picture a second no motion is known."""
UNSURE = 0.7
"""The speed now is uncertain along each axis by so much of what speeds changed by lately, ..."""
LEAST_SHARE, LEAST_PX = 0.03, 0.05
"""... and by this share of it and so many pixels of smear at least: no exposure is quite even."""
FIRST_SHARE = 0.25
"""The same share while only two frames are known."""

JUMP = 3.0
"""A change of speed that is so many times those before it counts alone."""

_Velocity = npt.NDArray[np.float64]
"""(3, 2): pixels per second of three points."""


class _Past(NamedTuple):
    at_ns: int
    placed: Registered
    size: tuple[int, int]


class Motion:
    """Fed with every frame, in order; used by one thread."""

    def __init__(self) -> None:
        self._past: deque[_Past] = deque(maxlen=2)
        self._changes: deque[float] = deque(maxlen=4)

    def smear(
        self, placed: Registered | None, at_ns: int, exposure_us: int | None, size: tuple[int, int]
    ) -> Smear | None:
        """How a frame of ``size`` (height, width), exposed around ``at_ns``, moved during its exposure.

        None without an exposure time, or without an earlier frame of that size beside it on the same chart; also for
        an exposure longer than the time since that frame, because one of both is wrong.
        """
        moving = self._velocity(placed, at_ns, size)
        if moving is None or exposure_us is None:
            return None
        velocity, unsure, since_s = moving
        if exposure_us > 1e6 * since_s:
            return None
        points = _points(size)
        ways = velocity * exposure_us / 1e6
        way = np.asarray(np.linalg.solve(np.column_stack([points, np.ones(3)]), ways).T, np.float64)
        long = math.hypot(*ways[0])
        share = FIRST_SHARE if unsure is None else LEAST_SHARE
        sigma_px = math.hypot(LEAST_PX, share * long, (unsure or 0.0) * exposure_us / 1e6)
        return Smear(way, sigma_px)

    def _velocity(
        self, placed: Registered | None, at_ns: int, size: tuple[int, int]
    ) -> tuple[_Velocity, float | None, float] | None:
        """Pixels per second of what the middle and two more points show (3, 2), its standard uncertainty (None while
        only two frames are known), and the seconds since the frame before."""
        if placed is None or placed.method == "predicted" or placed.rebased is not None or placed.bent is not None:
            self._forget()
        if placed is None or placed.method == "predicted":  # of a pose alone: its noise is no motion
            return None
        past = list(self._past)
        if past and not (
            past[-1].placed.chart == placed.chart and past[-1].size == size and 0 < at_ns - past[-1].at_ns <= LONGEST_NS
        ):
            self._forget()
            past = []
        self._past.append(_Past(at_ns, placed, size))
        if not past:
            return None
        points = _points(size)
        chart = project(placed.to_chart, points)
        before = _seen_at(chart, past[-1].placed.to_chart)
        since_s = (at_ns - past[-1].at_ns) / 1e9
        velocity = (points - before) / since_s
        if len(past) == 1:
            return velocity, None, since_s
        earlier_s = (past[-1].at_ns - past[0].at_ns) / 1e9
        change = velocity - (before - _seen_at(chart, past[0].placed.to_chart)) / earlier_s
        now = velocity + change * since_s / (since_s + earlier_s)
        latest, earlier = float((change[0] ** 2).sum()), list(self._changes)
        self._changes.append(latest)
        square = sum(self._changes) / len(self._changes)
        # A place that registration corrects (a recognised one, or by the pose) jumps once, which the mean would hide.
        if earlier and latest > JUMP**2 * sum(earlier) / len(earlier):
            square = latest
        return now, UNSURE * math.sqrt(square), since_s

    def _forget(self) -> None:
        self._past.clear()
        self._changes.clear()


def _points(size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """The middle of a picture, a point beside it and one below it, (3, 2): pixels."""
    height, width = size
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    return np.asarray(middle + np.array([[0.0, 0.0], [width / 4, 0.0], [0.0, height / 4]]), np.float64)


def _seen_at(chart: npt.NDArray[np.float64], to_chart: Matrix) -> npt.NDArray[np.float64]:
    """Where a frame that lies at ``to_chart`` shows points (N, 2) of the chart."""
    return project(np.asarray(np.linalg.inv(to_chart), np.float64), chart)
