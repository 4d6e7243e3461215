"""The lines that are known, drawn into one frame: which of them a centreline of that frame runs along."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.surface.homography import Matrix, inverse, project
from edge.surface.lines import REACH, Line, Points, directions
from edge.surface.registration import Registered

SPACING_PX = 5.0
"""Centrelines are compared at points this far apart, pixels of the frame."""
BUFFER_PX = 7.0
"""A centreline within this distance of a line may be the same crack; the registration's uncertainty is added."""
MAX_BUFFER_PX = 16.0
MAX_TURN_DEG = 35.0
_LEAST_COSINE = float(np.cos(np.radians(MAX_TURN_DEG)))
MIN_SHARED_PX = 24.0
MIN_SHARE = 0.4
"""A centreline is a line seen again when they share at least MIN_SHARED_PX and this share of the shorter one's part in
the frame."""
DRAWN = 4
"""Of a line so many points go to one stroke where it is drawn into a frame."""
EDGE_PX = 12.0
"""Points nearer to the frame's edge than this were not fairly looked at."""


class View:
    """Where one frame lies on its chart."""

    def __init__(self, placed: Registered, shape: tuple[int, int]) -> None:
        self.placed, self.shape = placed, shape
        self.to_frame: Matrix = inverse(placed.to_chart)
        height, width = shape
        corners = project(placed.to_chart, np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64))
        low, high = corners.min(axis=0), corners.max(axis=0)
        self.box = float(low[0]), float(low[1]), float(high[0]), float(high[1])
        self.buffer_px = min(MAX_BUFFER_PX, BUFFER_PX + 2 * placed.sigma_px)


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """A centreline and a line that run along each other."""

    line: Line
    samples: npt.NDArray[np.intp]
    """Points of the centreline that lie on the line, in order."""
    node_of: npt.NDArray[np.intp]
    """The line's point nearest to each of ``samples``."""
    nodes: npt.NDArray[np.intp]
    """Points of the line that lie on the centreline, each once."""
    nearest: npt.NDArray[np.intp]
    """The centreline's point nearest to each of ``nodes``."""


class Overlay:
    """The known lines drawn into one frame, so that a centreline finds those it may lie on by looking at pixels."""

    SHRINK = 4

    def __init__(self, lines: list[Line], view: View) -> None:
        self._view = view
        height, width = view.shape
        self._lines = lines
        self._in_frame: dict[int, tuple[Points, npt.NDArray[np.bool_], float]] = {}
        self._labels = np.zeros((height // self.SHRINK + 1, width // self.SHRINK + 1), np.int32)
        thickness = max(1, round(2 * view.buffer_px / self.SHRINK))
        # All lines at once: a line alone takes about as long as all of them.
        xy = project(view.to_frame, np.concatenate([line.xy for line in lines] or [np.zeros((0, 2))]))
        x, y = xy[:, 0], xy[:, 1]
        inside = (x >= EDGE_PX) & (x < width - EDGE_PX) & (y >= EDGE_PX) & (y < height - EDGE_PX)
        drawn = np.round(xy.clip(-1e4, 1e5) / self.SHRINK).astype(np.int32)
        begin = 0
        for place, line in enumerate(lines):
            part = slice(begin, begin + len(line.xy))
            begin = part.stop
            self._in_frame[line.number] = xy[part], inside[part], line.step / view.placed.unit_per_px
            # Every DRAWN_th point and the last one: what is drawn only tells which lines are worth a closer look.
            course = np.concatenate([drawn[part][::DRAWN], drawn[part][-1:]])
            cv2.polylines(self._labels, [course], False, place + 1, thickness)

    def visible(self, line: Line) -> npt.NDArray[np.bool_]:
        """Which of the line's points the frame shows."""
        return self._in_frame[line.number][1]

    def step_px(self, line: Line) -> float:
        """Distance between the line's points in this frame, pixels."""
        return self._in_frame[line.number][2]

    def match(self, seen: Points) -> list[Shared]:
        """The lines that a centreline (N, 2) of the frame runs along, longest shared length first."""
        if not self._lines:
            return []
        rows, columns = self._labels.shape
        at = (seen / self.SHRINK).round().astype(np.intp)
        label = self._labels[at[:, 1].clip(0, rows - 1), at[:, 0].clip(0, columns - 1)]
        places = sorted(set(label.tolist()) - {0})
        if not places:
            return []
        one = _Seen(seen, self._view.buffer_px)
        found = [shared for place in places if (shared := self._shared(self._lines[place - 1], one)) is not None]
        return sorted(found, key=lambda run: -len(run.samples))

    def _shared(self, line: Line, seen: _Seen) -> Shared | None:
        xy, inside, step_px = self._in_frame[line.number]
        near = seen.near(xy)
        if near.size < 2:
            return None
        first, last = int(near[0]), int(near[-1]) + 1
        there = np.empty((len(near), 4), np.float32)
        there[:, :2] = xy[near] - seen.middle
        there[:, 3] = (there[:, :2] ** 2).sum(axis=1)
        there[:, :2] *= -2
        there[:, 2] = 1
        square = seen.terms @ there.T
        limit = np.float32(self._view.buffer_px**2)
        if np.count_nonzero((square <= limit).any(axis=1)) * SPACING_PX < MIN_SHARED_PX:
            return None
        course = directions(xy[max(0, first - REACH) : last + REACH])[near - max(0, first - REACH)]
        along = seen.heading @ course.astype(np.float32).T
        np.copyto(square, np.inf, where=np.abs(along) < _LEAST_COSINE)
        closest, nearest = square.argmin(axis=1), square.argmin(axis=0)
        # What lies at a place found is read there: looking for the least once more takes longer.
        samples = (square[seen.places, closest] <= limit).nonzero()[0]
        lies = square[nearest, np.arange(len(near))] <= limit
        nodes, nearest = near[lies], nearest[lies]
        shorter = min(seen.count * SPACING_PX, float(np.count_nonzero(inside)) * step_px)
        if len(samples) * SPACING_PX < max(MIN_SHARED_PX, MIN_SHARE * shorter) or len(nodes) < 2:
            return None
        return Shared(line, samples, near[closest[samples]], nodes, nearest)


class _Seen:
    """What each line is asked of one centreline."""

    def __init__(self, seen: Points, buffer_px: float) -> None:
        self.count = len(seen)
        low, high = seen.min(axis=0), seen.max(axis=0)
        self.middle = (low + high) / 2
        self._reach_x, self._reach_y = ((high - low) / 2 + buffer_px).tolist()
        self.heading = directions(seen).astype(np.float32)
        self.places = np.arange(self.count)
        # Squared distances as |a|² + |b|² - 2 ab in one product of matrices: (x, y, |a|², 1) with (-2x, -2y, 1, |b|²).
        self.terms = np.empty((self.count, 4), np.float32)
        self.terms[:, :2] = seen - self.middle
        self.terms[:, 2] = (self.terms[:, :2] ** 2).sum(axis=1)
        self.terms[:, 3] = 1

    def near(self, xy: Points) -> npt.NDArray[np.intp]:
        """Which of a line's points (M, 2) lie within the centreline's box and the buffer around it."""
        x, y = self.middle.tolist()
        inside = np.abs(xy[:, 0] - x) <= self._reach_x
        inside &= np.abs(xy[:, 1] - y) <= self._reach_y
        return np.asarray(inside.nonzero()[0], np.intp)
