"""Which surface of the structure a view shows, and flat coordinates on each of them.

Each web of a girder, each side of a wall and each face of a pier is a surface of its own, with its own metres along and
up it. A view lies on a surface that it looks at from the same side and nearly squarely, at the distance from the axes'
plane at which the surface was seen nearby: a wall whose stated direction is ten degrees off, or that bends, is 2 m
from that plane after 12 m and still the same wall, and the other web of its girder is not.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edge.surface.homography import Matrix
from edge.surface.registration import Prediction

Points = npt.NDArray[np.float64]

MAX_TURN = 0.8
"""A view whose surface turns away from the axes by more than this (cosine) does not lie on them."""
APART_M = 0.5
"""A view is of another surface where it lies so far before or behind the nearest place of one, ..."""
APART_SIGMAS = 3.0
"""... and so many standard uncertainties of its position, ..."""
SLOPE = 0.2
"""... and this share of the way to that place: the surface may run on turned by 11 degrees."""
CELL_M = 1.0
"""Where a surface lies is kept once for each square of this side."""
MOST_CELLS = 4096
MOST_SURFACES = 256
"""A view of one more has no place and no prediction."""


class Axes:
    """Flat coordinates: metres along and up a surface, from the view that showed it first."""

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

    def distance(self, point_m: Points) -> float:
        """Of a point (3,) from the plane of the axes, metres, positive behind it."""
        return float((point_m - self.origin) @ self._normal)

    def faces(self, corners_m: Points) -> bool:
        """Whether a view's surface is nearly parallel to these axes, and looked at from the same side."""
        (ax, ay, az), (bx, by, bz) = (corners_m[[1, 3]] - corners_m[0]).tolist()
        normal = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        size = math.hypot(*normal)
        along = sum(one * other for one, other in zip(normal, self._normal.tolist(), strict=True))
        return size > 0 and along / size >= MAX_TURN


class _Seen(NamedTuple):
    """A view on one surface."""

    at: Points
    """float64 (3,): its middle along and up the axes, and its distance from their plane."""
    off: float
    """How far before or behind the nearest place of the surface it lies, metres."""
    gap: float
    """How far away along the surface that place is."""


class _Surface:
    """One surface: its axes, and where it was seen."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.places = np.zeros((0, 3))
        """float64 (N, 3), as ``_Seen.at``."""
        self._cells: dict[tuple[int, int], int] = {}

    def look(self, corners_m: Points) -> _Seen:
        middle = corners_m.mean(axis=0)
        at = np.array([*self.axes.flat(middle[None])[0], self.axes.distance(middle)])
        if not len(self.places):
            return _Seen(at, 0.0, 0.0)
        square = (self.places[:, 0] - at[0]) ** 2 + (self.places[:, 1] - at[1]) ** 2
        nearest = int(square.argmin())
        return _Seen(at, abs(at[2] - float(self.places[nearest, 2])), math.sqrt(square[nearest]))

    def put(self, at: Points) -> None:
        """Remember a place, or draw the one that is known there halfway to it."""
        cell = math.floor(at[0] / CELL_M), math.floor(at[1] / CELL_M)
        known = self._cells.get(cell)
        if known is not None:
            self.places[known] = (self.places[known] + at) / 2
        elif len(self._cells) < MOST_CELLS:
            self._cells[cell] = len(self.places)
            self.places = np.vstack([self.places, at])


class Surfaces:
    """The surfaces of one flight; used by one thread. Memory is bounded by MOST_SURFACES and MOST_CELLS."""

    def __init__(self) -> None:
        self._all: list[_Surface] = []
        self._last = 0

    def of(self, corners_m: Points, sigma_m: float) -> int | None:
        """The number of the surface that a view shows, from 0; a new one where it is none of those known.

        ``corners_m`` (4, 3): the frame's corners on the surface, from the top left clockwise; ``sigma_m``: standard
        uncertainty of its position. None: there are too many surfaces, or the corners span none.
        """
        room = max(APART_M, APART_SIGMAS * sigma_m)
        here = self._held(self._last, corners_m, room) if self._all else None
        if here is None:
            others = ((number, self._held(number, corners_m, room)) for number in range(len(self._all)))
            holding = {number: seen for number, seen in others if seen is not None}
            nearest = min(holding, key=lambda number: holding[number].off + holding[number].gap, default=None)
            if nearest is None:
                spanned = np.cross(corners_m[1] - corners_m[0], corners_m[3] - corners_m[0])
                if len(self._all) >= MOST_SURFACES or not float(np.linalg.norm(spanned)) > 0:
                    return None
                nearest = len(self._all)
                self._all.append(_Surface(Axes(corners_m)))
            self._last = nearest
            here = holding.get(nearest) or self._all[nearest].look(corners_m)
        self._all[self._last].put(here.at)
        return self._last

    def _held(self, number: int, corners_m: Points, room_m: float) -> _Seen | None:
        """The view on a surface; None where it is of another one."""
        surface = self._all[number]
        if not surface.axes.faces(corners_m):
            return None
        seen = surface.look(corners_m)
        return seen if seen.off <= room_m + SLOPE * seen.gap else None

    def prediction(self, surface: int, pixels: Points, points_m: Points, sigma_m: float) -> Prediction:
        """Where a view's pose has it on its surface, from corners ``pixels`` (4, 2) and ``points_m`` (4, 3)."""
        flat = self._all[surface].axes.flat(points_m)
        return Prediction(_homography(pixels, flat), sigma_m, surface)

    @property
    def last(self) -> int:
        """The number of the surface that the last view showed; it is asked first about the next one."""
        return self._last

    def rows(self) -> tuple[Points, Points]:
        """Axes (N, 4, 3), and places (M, 4) with the surface's number before each: for ``of_rows``, with ``last``."""
        places = [np.insert(one.places, 0, number, axis=1) for number, one in enumerate(self._all)]
        return (
            np.array([one.axes.rows() for one in self._all]).reshape(-1, 4, 3),
            np.concatenate([np.zeros((0, 4)), *places]),
        )

    @classmethod
    def of_rows(cls, axes: Points, places: Points, last: int) -> Surfaces:
        """The surfaces whose ``rows`` these are. Raises ValueError or IndexError for others."""
        surfaces = cls()
        surfaces._all = [_Surface(Axes.of(rows)) for rows in axes]
        for number, *at in np.asarray(places, np.float64).reshape(-1, 4).tolist():
            surfaces._all[int(number)].put(np.array(at))
        if not 0 <= last < max(1, len(surfaces._all)):
            raise ValueError(f"the last surface is one of {len(surfaces._all)}, got {last}")
        surfaces._last = last
        return surfaces


def _homography(source: Points, target: Points) -> Matrix:
    """The homography (3, 3) through four pairs of points, by the direct linear transform with its last element 1."""
    rows, right = [], []
    for (x, y), (u, v) in zip(source.tolist(), target.tolist(), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    solved = np.linalg.solve(np.array(rows, np.float64), np.array(right, np.float64))
    return np.append(solved, 1.0).reshape(3, 3)
