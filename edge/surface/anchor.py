"""From a chart to the structure: what all views of a chart say together of where it lies.

How large the chart's units are along each direction is the mean of what the views' own range, lens and tilt say; where
it lies follows from the positions, how it is turned and how large it is as a whole from both, each by how well it is
known. Positions that are good to half a metre shift a chart of some metres and do not stretch it (an affine map fitted
to them had lengths 18 % off); those that are good to centimetres lay a chart of forty metres better than any range.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from edge.surface.homography import project
from edge.surface.lines import lengths
from edge.surface.registration import Registered

Points = npt.NDArray[np.float64]

_LEAST_VIEWS = 2
ONE_SURFACE = 0.5
"""A chart, or a crack, lies on the surface that more than this share of its views shows; else it runs around the
structure, and no plane says where it is."""
OWN_SHARE = 0.05
"""Standard uncertainty of what one view says itself, as a share of its size: 3 degrees of heading, or of the surface's
stated direction; range and lens are as good. What positions say of turn and size is weighed against that."""
_SUMS = 1 + 4 + 6 + 1 + 2 + 3 + 4 + 6
"""Of the views with a place: their number; squares of chart coordinates around each view's middle, and products of
them and the structure's, weighed by OWN_SHARE; then, weighed by the position's uncertainty: ones, the views' middles on
the chart and on the structure, squares and products of these."""
_FLAT = 1e-9
"""Points whose spread on the chart has less than this of its area lie on a line: a frame seen along its surface."""


class Anchor:
    """Where one chart lies on the structure: on each of the surfaces (`surfaces`) that its views show."""

    def __init__(self) -> None:
        self._metric = np.zeros(3)
        """Sums over views with a scale: squared metres per chart unit along x, along both, along y, ..."""
        self._scaled = 0
        """... and how many they are, ..."""
        self._doubt = 0.0
        """... and of the relative standard uncertainties of their scales."""
        self._places: dict[int, Points] = {}
        """By surface: float64 (_SUMS,)."""
        self._fits: dict[int, tuple[Points, Points]] = {}
        """By surface: those of all views so far that were asked for."""

    @property
    def views(self) -> int:
        """How many views had a place."""
        return sum(int(place[0]) for place in self._places.values())

    def sums(self) -> Points:
        """All that was added, for ``of``."""
        places = [np.array([surface, *place]) for surface, place in self._places.items()]
        return np.concatenate([self._metric, [self._scaled, self._doubt], *places])

    @classmethod
    def of(cls, sums: Points) -> Anchor:
        """The anchor whose ``sums`` these are. Raises ValueError for others."""
        anchor = cls()
        values = np.asarray(sums, np.float64)
        xx, xy, yy, scaled, anchor._doubt = values[:5].tolist()
        anchor._metric, anchor._scaled = np.array([xx, xy, yy]), int(scaled)
        for surface, *place in values[5:].reshape(-1, 1 + _SUMS).tolist():
            anchor._places[int(surface)] = np.array(place)
        return anchor

    @classmethod
    def of_all(cls, anchors: Iterable[Anchor]) -> Anchor:
        """What the views of several charts say together that share coordinates: those in metres of one surface."""
        whole = cls()
        for one in anchors:
            whole._metric = whole._metric + one._metric
            whole._scaled, whole._doubt = whole._scaled + one._scaled, whole._doubt + one._doubt
            for surface, place in one._places.items():
                whole._places[surface] = whole._places.get(surface, 0.0) + place
        return whole

    def add(
        self,
        placed: Registered,
        pixels: Points,
        points_m: Points,
        sigma_m: float = 1.0,
        surface: int = 0,
        relative: float = 0.0,
    ) -> None:
        """One view: its pixels (N, 2) and the same points in the structure's frame, metres (N, 3).

        ``sigma_m``: standard uncertainty of its position along each axis; ``surface``: the one that it shows;
        ``relative``: as of ``scale``, for which the points count too.
        """
        flat = project(placed.to_chart, pixels)
        if not self._scale(flat, points_m, relative):
            return
        at, middle = flat.mean(axis=0), points_m.mean(axis=0)
        around, on = flat - at, points_m - middle
        inner, weight = 1 / (float((on**2).sum()) * OWN_SHARE**2), sigma_m**-2
        within = inner * np.concatenate([(around.T @ around).ravel(), (around.T @ on).ravel()])
        between = weight * np.concatenate([[1.0], at, middle, np.outer(at, at).ravel(), np.outer(at, middle).ravel()])
        place = np.concatenate([[1.0], within, between])
        self._places[surface] = self._places.get(surface, 0.0) + place

    def scale(self, placed: Registered, pixels: Points, points_m: Points, relative: float) -> None:
        """One view whose scale is known and its place is not: as ``add``, but the points lie in any axes.

        ``relative``: the scale's relative standard uncertainty.
        """
        self._scale(project(placed.to_chart, pixels), points_m, relative)

    def _scale(self, flat: Points, points_m: Points, relative: float) -> bool:
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
        self._scaled, self._doubt = self._scaled + 1, self._doubt + relative
        self._fits = {}
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

    @property
    def relative(self) -> float:
        """The relative standard uncertainty of lengths and of ``mm_per_unit``; 0 where no view knew its scale.

        Views share lens and range sensor: together they know it no better than they do on average.
        """
        return self._doubt / self._scaled if self._scaled else 0.0

    def _shape(self) -> Points:
        """(2, 2): from the chart to metres, but for turn and shift: the root of the views' mean metric.

        The metric of a view, unlike its map, does not depend on how it is turned, so that views from different
        sides do not shrink each other.
        """
        xx, xy, yy = (self._metric / self._scaled).tolist()
        root = math.sqrt(max(0.0, xx * yy - xy * xy))
        return np.array([[xx + root, xy], [xy, yy + root]]) / math.sqrt(xx + yy + 2 * root)

    def to_structure(self, chart: Points, surface: int | None = None) -> Points | None:
        """Points (N, 2) of the chart in the structure's frame, metres (N, 3), on ``surface``.

        ``surface`` None: the one that ONE_SURFACE of the views shows. None before two views of that surface had a
        place, and where the chart runs around the structure.
        """
        if surface is None:
            surface = most_of({number: int(place[0]) for number, place in self._places.items()})
        place = None if surface is None else self._places.get(surface)
        if surface is None or place is None or place[0] < _LEAST_VIEWS:
            return None
        if surface not in self._fits:
            self._fits[surface] = self._fitted(place)
        linear, shift = self._fits[surface]
        return np.asarray(chart @ linear + shift, np.float64)

    def _fitted(self, place: Points) -> tuple[Points, Points]:
        """(2, 3) and (3,): the similarity after ``_shape`` that fits best to the views themselves and their positions.

        By S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns" (1991).
        """
        own, turned, (weight, *middles) = place[1:5], place[5:11], place[11:17]
        at, middle = np.array(middles[:2]) / weight, np.array(middles[2:]) / weight
        spread = (own + place[17:21]).reshape(2, 2) - weight * np.outer(at, at)
        both = (turned + place[21:]).reshape(2, 3) - weight * np.outer(at, middle)
        shape = self._shape()
        left, sizes, right = np.linalg.svd(shape @ both, full_matrices=False)
        size = sizes.sum() / np.trace(shape @ spread @ shape)
        linear = size * shape @ left @ right
        return linear, middle - at @ linear


def most_of(views: Mapping[int, int]) -> int | None:
    """The surface that more than ONE_SURFACE of the views shows, by their number on each; None where none does."""
    surface = max(views, key=lambda number: views[number], default=None)
    return None if surface is None or views[surface] <= ONE_SURFACE * sum(views.values()) else surface
