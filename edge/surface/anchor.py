"""From a chart to the structure: what all views of a chart say together of where it lies.

How large the chart's units are along each direction is the mean of what the views' own range, lens and tilt say; where
it lies follows from the positions, how it is turned and how large it is as a whole from both, each by how well it is
known. Positions that are good to half a metre shift a chart of some metres and do not stretch it (an affine map fitted
to them had lengths 18 % off); those that are good to centimetres lay a chart of forty metres better than any range.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from edge.surface.homography import Matrix, project
from edge.surface.lines import lengths
from edge.surface.registration import Prediction, Registered

Points = npt.NDArray[np.float64]

_LEAST_VIEWS = 2
OWN_SHARE = 0.05
"""Standard uncertainty of what one view says itself, as a share of its size: 3 degrees of heading, or of the surface's
stated direction; range and lens are as good. What positions say of turn and size is weighed against that."""
_SUMS = 1 + 4 + 6 + 1 + 2 + 3 + 4 + 6
"""Of the views with a place: their number; squares of chart coordinates around each view's middle, and products of
them and the structure's, weighed by OWN_SHARE; then, weighed by the position's uncertainty: ones, the views' middles on
the chart and on the structure, squares and products of these."""
_FLAT = 1e-9
"""Points whose spread on the chart has less than this of its area lie on a line: a frame seen along its surface."""
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
        self._metric = np.zeros(3)
        """Sums over views with a scale: squared metres per chart unit along x, along both, along y, ..."""
        self._scaled = 0
        """... and how many they are."""
        self._place = np.zeros(_SUMS)
        self._fit: tuple[Points, Points] | None = None  # of all views so far; None: not asked for yet

    @property
    def views(self) -> int:
        """How many views had a place."""
        return int(self._place[0])

    def sums(self) -> Points:
        """All that was added, for ``of``."""
        return np.array([*self._metric, self._scaled, *self._place])

    @classmethod
    def of(cls, sums: Points) -> Anchor:
        """The anchor whose ``sums`` these are. Raises ValueError for others."""
        anchor = cls()
        values = np.asarray(sums, np.float64).reshape(4 + _SUMS)
        anchor._metric, anchor._scaled, anchor._place = values[:3].copy(), int(values[3]), values[4:].copy()
        return anchor

    @classmethod
    def of_all(cls, anchors: Iterable[Anchor]) -> Anchor:
        """What the views of several charts say together that share their coordinates, as charts in metres do."""
        return cls.of(np.sum([np.zeros(4 + _SUMS), *(one.sums() for one in anchors)], axis=0))

    def add(self, placed: Registered, pixels: Points, points_m: Points, sigma_m: float = 1.0) -> None:
        """One view: its pixels (N, 2) and the same points in the structure's frame, metres (N, 3).

        ``sigma_m``: standard uncertainty of its position along each axis. The points count as its scale too.
        """
        flat = project(placed.to_chart, pixels)
        if not self._scale(flat, points_m):
            return
        at, middle = flat.mean(axis=0), points_m.mean(axis=0)
        around, on = flat - at, points_m - middle
        inner, weight = 1 / (float((on**2).sum()) * OWN_SHARE**2), sigma_m**-2
        within = inner * np.concatenate([(around.T @ around).ravel(), (around.T @ on).ravel()])
        between = weight * np.concatenate([[1.0], at, middle, np.outer(at, at).ravel(), np.outer(at, middle).ravel()])
        self._place += np.concatenate([[1.0], within, between])

    def scale(self, placed: Registered, pixels: Points, points_m: Points) -> None:
        """One view whose scale is known and its place is not: as ``add``, but the points lie in any axes."""
        self._scale(project(placed.to_chart, pixels), points_m)

    def _scale(self, flat: Points, points_m: Points) -> bool:
        """Weigh in one view's metres per chart unit; False, and nothing is done, where its points lie on one line."""
        from_middle = flat - flat.mean(axis=0)
        (xx, xy), (_, yy) = (from_middle.T @ from_middle).tolist()
        area = xx * yy - xy * xy
        if not area > _FLAT * (xx + yy) ** 2:
            return False
        both = np.asarray(from_middle.T @ (points_m - points_m.mean(axis=0)), np.float64)
        linear = np.array([[yy, -xy], [-xy, xx]]) @ both / area
        metric = linear @ linear.T
        self._metric += np.array([metric[0, 0], metric[0, 1], metric[1, 1]])
        self._scaled += 1
        self._fit = None
        return True

    @property
    def unknown(self) -> bool:
        """Whether no view said anything of it."""
        return not self._scaled

    @property
    def mm_per_unit(self) -> float | None:
        """Millimetres per chart unit, of which the square is that of areas; None where no view knew its scale."""
        return None if not self._scaled else 1000 * math.sqrt(float(np.linalg.det(self._shape())))

    def length_mm(self, chart: Points) -> float | None:
        """The length of a line (N, 2) of the chart; None where no view knew its scale."""
        return None if not self._scaled else 1000 * float(lengths(chart @ self._shape())[-1])

    def _shape(self) -> Points:
        """(2, 2): from the chart to metres, but for turn and shift: the root of the views' mean metric.

        The metric of a view, unlike its map, does not depend on how it is turned, so that views from different
        sides do not shrink each other.
        """
        xx, xy, yy = (self._metric / self._scaled).tolist()
        root = math.sqrt(max(0.0, xx * yy - xy * xy))
        return np.array([[xx + root, xy], [xy, yy + root]]) / math.sqrt(xx + yy + 2 * root)

    def to_structure(self, chart: Points) -> Points | None:
        """Points (N, 2) of the chart in the structure's frame, metres (N, 3); None before two views had a place."""
        if self.views < _LEAST_VIEWS:
            return None
        if self._fit is None:
            self._fit = self._fitted()
        linear, shift = self._fit
        return np.asarray(chart @ linear + shift, np.float64)

    def _fitted(self) -> tuple[Points, Points]:
        """(2, 3) and (3,): the similarity after ``_shape`` that fits best to the views themselves and their positions.

        By S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns" (1991).
        """
        own, turned, (weight, *middles) = self._place[1:5], self._place[5:11], self._place[11:17]
        at, middle = np.array(middles[:2]) / weight, np.array(middles[2:]) / weight
        spread = (own + self._place[17:21]).reshape(2, 2) - weight * np.outer(at, at)
        both = (turned + self._place[21:]).reshape(2, 3) - weight * np.outer(at, middle)
        shape = self._shape()
        left, sizes, right = np.linalg.svd(shape @ both, full_matrices=False)
        size = sizes.sum() / np.trace(shape @ spread @ shape)
        linear = size * shape @ left @ right
        return linear, middle - at @ linear


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
