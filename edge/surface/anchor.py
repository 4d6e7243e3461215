"""From a chart to the structure: what all views of a chart say together of where it lies.

Each view that has a place on the surface gives some points in both coordinates; an affine map is fitted to all of them
by least squares, so that the noise of single positions averages out while the chart keeps its own, finer shape.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from edge.surface.homography import Matrix, project
from edge.surface.registration import Prediction, Registered

Points = npt.NDArray[np.float64]

_LEAST_VIEWS = 2
_MAX_TURN = 0.8
"""A view whose surface turns away from the chart's by more than this (cosine) does not predict where it lies on it."""


class Axes:
    """The flat coordinates of a chart that has poses: metres along and up the first surface that was seen."""

    def __init__(self, corners_m: Points) -> None:
        """``corners_m`` (4, 3): a frame's corners on the surface, from the top left clockwise."""
        across, down = corners_m[1] - corners_m[0], corners_m[3] - corners_m[0]
        self.origin = corners_m.mean(axis=0)
        self._x = across / np.linalg.norm(across)
        normal = np.cross(across, down)
        self._normal = normal / np.linalg.norm(normal)
        self._y = np.cross(self._normal, self._x)

    def rows(self) -> Points:
        """(4, 3): all that they are, for ``of``."""
        return np.array([self.origin, self._x, self._normal, self._y])

    @classmethod
    def of(cls, rows: Points) -> Axes:
        """The axes whose ``rows`` these are. Raises ValueError for others."""
        axes = cls.__new__(cls)
        axes.origin, axes._x, axes._normal, axes._y = np.asarray(rows, np.float64).reshape(4, 3)
        return axes

    def flat(self, points_m: Points) -> Points:
        """Points (N, 3) of the structure as metres (N, 2) along the axes; their distance from the plane is dropped."""
        return np.asarray((points_m - self.origin) @ np.array([self._x, self._y]).T, np.float64)

    def faces(self, corners_m: Points) -> bool:
        """Whether a view's surface lies nearly in the plane of these axes."""
        (ax, ay, az), (bx, by, bz) = (corners_m[[1, 3]] - corners_m[0]).tolist()
        normal = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        size = math.hypot(*normal)
        along = sum(one * other for one, other in zip(normal, self._normal.tolist(), strict=True))
        return size > 0 and abs(along) / size >= _MAX_TURN


class Anchor:
    """Where one chart lies on the structure."""

    def __init__(self) -> None:
        self._normal = np.zeros((3, 3))
        self._right = np.zeros((3, 3))
        self.views = 0
        """How many views had a place."""
        self._mm: list[float] = [0.0, 0.0]
        self._fit: Points | None = None  # (3, 3), of all views so far; None: not asked for yet

    def sums(self) -> Points:
        """(21,): all that was added, for ``of``."""
        return np.array([*self._normal.ravel(), *self._right.ravel(), self.views, *self._mm])

    @classmethod
    def of(cls, sums: Points) -> Anchor:
        """The anchor whose ``sums`` these are. Raises ValueError for others."""
        anchor = cls()
        values = np.asarray(sums, np.float64).reshape(21)
        anchor._normal, anchor._right = values[:9].reshape(3, 3).copy(), values[9:18].reshape(3, 3).copy()
        anchor.views, anchor._mm = int(values[18]), values[19:].tolist()
        return anchor

    @classmethod
    def of_all(cls, anchors: Iterable[Anchor]) -> Anchor:
        """What the views of several charts say together that share their coordinates, as charts in metres do."""
        return cls.of(np.sum([np.zeros(21), *(one.sums() for one in anchors)], axis=0))

    def add(self, placed: Registered, pixels: Points, points_m: Points) -> None:
        """One view: its pixels (N, 2) and the same points in the structure's frame, metres (N, 3)."""
        flat = np.column_stack([project(placed.to_chart, pixels), np.ones(len(pixels))])
        self._normal += flat.T @ flat
        self._right += flat.T @ points_m
        self._fit = None
        self.views += 1

    def scale(self, placed: Registered, gsd_mm_per_px: float) -> None:
        """One view whose millimetres per pixel are known."""
        self._mm[0] += gsd_mm_per_px / placed.unit_per_px
        self._mm[1] += 1

    @property
    def unknown(self) -> bool:
        """Whether no view said anything of it."""
        return not self.views and not self._mm[1]

    @property
    def mm_per_unit(self) -> float | None:
        """Millimetres per chart unit; None where no view knew its scale."""
        return None if not self._mm[1] else self._mm[0] / self._mm[1]

    def to_structure(self, chart: Points) -> Points | None:
        """Points (N, 2) of the chart in the structure's frame, metres (N, 3); None before two views had a place."""
        if self.views < _LEAST_VIEWS:
            return None
        if self._fit is None:
            self._fit = np.asarray(np.linalg.lstsq(self._normal, self._right, rcond=1e-9)[0], np.float64)
        return np.asarray(np.column_stack([chart, np.ones(len(chart))]) @ self._fit, np.float64)


def prediction(axes: Axes, pixels: Points, points_m: Points, sigma_m: float) -> Prediction | None:
    """Where a view's pose has it on the chart, from four corners ``pixels`` (4, 2) and their ``points_m`` (4, 3)."""
    if not axes.faces(points_m):
        return None
    return Prediction(_homography(pixels, axes.flat(points_m)), sigma_m)


def _homography(source: Points, target: Points) -> Matrix:
    """The homography (3, 3) through four pairs of points, by the direct linear transform with its last element 1."""
    rows, right = [], []
    for (x, y), (u, v) in zip(source.tolist(), target.tolist(), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    solved = np.linalg.solve(np.array(rows, np.float64), np.array(right, np.float64))
    return np.append(solved, 1.0).reshape(3, 3)
