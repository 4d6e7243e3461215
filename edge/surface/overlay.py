"""The lines that are known, drawn into one frame: which of them a centreline of that frame runs along."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.surface.homography import Matrix, project
from edge.surface.lines import Line, Points, directions
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
EDGE_PX = 12.0
"""Points nearer to the frame's edge than this were not fairly looked at."""


class View:
    """Where one frame lies on its chart."""

    def __init__(self, placed: Registered, shape: tuple[int, int]) -> None:
        self.placed, self.shape = placed, shape
        self.to_frame: Matrix = np.asarray(np.linalg.inv(placed.to_chart), np.float64)
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
        for place, line in enumerate(lines):
            xy = project(view.to_frame, line.xy)
            inside = np.asarray(((xy >= EDGE_PX) & (xy < np.array([width, height]) - EDGE_PX)).all(axis=1), np.bool_)
            step_px = line.step / view.placed.unit_per_px
            self._in_frame[line.number] = xy, inside, step_px
            drawn = np.round(xy.clip(-1e4, 1e5) / self.SHRINK).astype(np.int32)
            cv2.polylines(self._labels, [drawn], False, place + 1, thickness)

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
        found = []
        heading = directions(seen)
        for place in np.unique(label[label > 0]).tolist():
            line = self._lines[place - 1]
            shared = self._shared(line, seen, heading)
            if shared is not None:
                found.append(shared)
        return sorted(found, key=lambda run: -len(run.samples))

    def _shared(self, line: Line, seen: Points, heading: Points) -> Shared | None:
        xy, inside, step_px = self._in_frame[line.number]
        near = np.flatnonzero(_close_to(xy, seen, self._view.buffer_px))
        if near.size < 2:
            return None
        # Squared distances as |a|² + |b|² - 2 ab: one product of matrices; of what has another direction, infinite.
        middle = seen.mean(axis=0)
        here, there = (seen - middle).astype(np.float32), (xy[near] - middle).astype(np.float32)
        square = here @ (-2 * there.T)
        square += (here**2).sum(axis=1)[:, None]
        square += (there**2).sum(axis=1)
        limit = np.float32(self._view.buffer_px**2)
        if np.count_nonzero(square.min(axis=1) <= limit) * SPACING_PX < MIN_SHARED_PX:
            return None
        along = heading.astype(np.float32) @ directions(xy, at=near).astype(np.float32).T
        square[np.abs(along) < _LEAST_COSINE] = np.inf
        closest, nearest = square.argmin(axis=1), square.argmin(axis=0)
        samples = np.flatnonzero(square[np.arange(len(seen)), closest] <= limit)
        lies = square[nearest, np.arange(len(near))] <= limit
        node_of, nodes, nearest = near[closest], near[lies], nearest[lies]
        shorter = min(len(seen) * SPACING_PX, float(inside.sum()) * step_px)
        if len(samples) * SPACING_PX < max(MIN_SHARED_PX, MIN_SHARE * shorter) or len(nodes) < 2:
            return None
        return Shared(line, samples, node_of[samples], nodes, nearest)


def _close_to(xy: Points, seen: Points, buffer_px: float) -> npt.NDArray[np.bool_]:
    low, high = seen.min(axis=0) - buffer_px, seen.max(axis=0) + buffer_px
    return np.asarray(((xy >= low) & (xy <= high)).all(axis=1))
