"""What is learned late straightens what was laid early: keyframes move to where all that was measured of them fits.

A chain of keyframes drifts, and only when a later lane or pass meets an earlier one is it known by how much. Each
measured placement of one keyframe beside another is a link; the places at which all links together fit best follow by
least squares. A similarity is z -> s z + t of complex numbers, so that the problem is linear and needs two unknowns a
keyframe. Links that do not fit to the others lose their weight: Geman and McClure's, with a limit that begins wide and
is halved each round (graduated non-convexity), so that one gross error is found before it has bent all the others.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.surface.homography import Matrix, Points, frame_corners, middle_of, project, scale_at

Complex = npt.NDArray[np.complex128]

MISFIT_PX = 1.0
"""A link that is off by so much, pixels of the small picture, has a quarter of its weight."""
MOST_ROUNDS = 12
HELD = 1e-6
"""Weight of a keyframe's present place beside that of a link: what no link says anything of stays where it is."""
FIXED = 1e3
"""The same of the oldest keyframe of each chart: the chart's coordinates are its own."""
BLEND = 0.2
"""A keyframe moves what lies around it, weighed by a Gaussian of this share of its diagonal."""


@dataclass(frozen=True, slots=True, eq=False)
class Bend:
    """How one chart was straightened: a place moves as the keyframes around it did."""

    chart: int
    middles: Points
    """float64 (K, 2): where the middles of the keyframes lay."""
    moves: npt.NDArray[np.float64]
    """float64 (K, 3, 3): from earlier to new chart coordinates, by keyframe."""
    reach: float
    """Standard deviation of the weights, chart units."""

    def __call__(self, points: Points) -> Points:
        """Points (N, 2) of the earlier chart in its new coordinates."""
        out = np.empty((len(points), 2))
        flat = np.column_stack([points, np.ones(len(points))])
        for first in range(0, len(points), 512):
            part = slice(first, first + 512)
            out[part] = np.einsum("nij,nj->ni", self._moves_at(points[part]), flat[part])
        return out

    def matrix(self, to_chart: Matrix, shape: tuple[int, ...]) -> Matrix:
        """A frame's placement in the new coordinates: it moves as the keyframes around its middle did.

        ``shape`` (H, W, ...) of the frame, in the pixels that ``to_chart`` begins with.
        """
        move = self._moves_at(np.array([middle_of(to_chart, shape)]))[0]
        return np.vstack([move, [0.0, 0.0, 1.0]]) @ to_chart

    def _moves_at(self, points: Points) -> npt.NDArray[np.float64]:
        """(N, 2, 3): what moves each of the points (N, 2)."""
        square = (points[:, :1] - self.middles[:, 0]) ** 2 + (points[:, 1:] - self.middles[:, 1]) ** 2
        weight = np.exp((square.min(axis=1)[:, None] - square) / (2 * self.reach**2))
        weight /= weight.sum(axis=1)[:, None]
        return np.asarray(weight @ self.moves[:, :2].reshape(-1, 6), np.float64).reshape(-1, 2, 3)


@dataclass(frozen=True, slots=True, eq=False)
class _Link:
    one: int
    other: int
    at_one: Complex
    """(4,): corners of what both show, in the first one's pixels from its middle."""
    at_other: Complex
    """(4,): the same in the other one's."""
    weight: float


class Links:
    """What was measured between keyframes; used by one thread."""

    def __init__(self) -> None:
        self._links: list[_Link] = []
        self._beside: defaultdict[int, set[int]] = defaultdict(set)

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._links)

    def add(self, one: int, other: int, to_one: Matrix, shape: tuple[int, ...], weight: float = 1.0) -> None:
        """Keyframe ``other`` lies beside ``one`` as the similarity ``to_one`` says, in pixels of ``shape``."""
        middle = np.array([shape[1] / 2, shape[0] / 2])
        theirs = project(np.asarray(np.linalg.inv(to_one), np.float64), frame_corners(shape)).astype(np.float32)
        _, common = cv2.intersectConvexConvex(theirs, frame_corners(shape).astype(np.float32))
        if common is None or len(common) < 3:
            return
        (left, top), (right, bottom) = common.reshape(-1, 2).min(axis=0), common.reshape(-1, 2).max(axis=0)
        corners: Points = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)
        self._links.append(
            _Link(one, other, _complex(project(to_one, corners) - middle), _complex(corners - middle), weight)
        )
        if weight == 1.0:
            self._beside[one].add(other)
            self._beside[other].add(one)

    def keep(self, numbers: set[int]) -> None:
        """Forget links of keyframes that are not kept."""
        self._links = [link for link in self._links if link.one in numbers and link.other in numbers]
        kept = {one: others & numbers for one, others in self._beside.items() if one in numbers}
        self._beside = defaultdict(set, kept)

    def hops(self, one: int, other: int, most: int) -> int | None:
        """How many sure links lead from one keyframe to another; None where it is more than ``most``."""
        reached, rim = {one}, {one}
        for count in range(most + 1):
            if other in reached:
                return count
            rim = {far for near in rim for far in self._beside.get(near, ())} - reached
            reached |= rim
        return None

    def misfit(self, places: Mapping[int, Matrix], shape: tuple[int, ...]) -> float:
        """How far off the worst link between ``places`` is, pixels of the small picture; 0.0 without links."""
        links = [link for link in self._links if link.one in places and link.other in places]
        if not links:
            return 0.0
        return float(_off(*_problem(links, places, shape)).max())

    def settle(self, places: Mapping[int, Matrix], shape: tuple[int, ...]) -> dict[int, Matrix] | None:
        """Where the keyframes of one chart lie by all links: by number, as ``places`` (``to_chart`` of ``shape``).

        ``places``: oldest first; it does not move. None where nothing is linked.
        """
        links = [link for link in self._links if link.one in places and link.other in places]
        if not links or len(places) < 3:
            return None
        rows, ends, before = _problem(links, places, shape)
        normal = np.einsum("lpi,lpj->lij", rows.conj(), rows)
        held = np.full(len(before), HELD * (shape[0] ** 2 + shape[1] ** 2) / 3)
        held[1::2] = 4 * HELD
        held[:2] *= FIXED / HELD
        sure = np.array([link.weight for link in links])
        now, weight, limit = before, sure, np.inf
        for _ in range(MOST_ROUNDS):
            matrix = np.diag(held).astype(np.complex128)
            np.add.at(matrix, (ends[:, :, None], ends[:, None, :]), weight[:, None, None] * normal)
            now = np.asarray(np.linalg.solve(matrix, held * before), np.complex128)
            if limit <= MISFIT_PX:
                break
            off = _off(rows, ends, now)
            limit = max(MISFIT_PX, min(limit, float(off.max())) / 2)
            weight = sure / (1 + (off / limit) ** 2) ** 2
        return {number: _matrix(complex(now[2 * i]), complex(now[2 * i + 1]), shape) for i, number in enumerate(places)}


def bend_of(chart: int, before: Mapping[int, Matrix], after: Mapping[int, Matrix], shape: tuple[int, ...]) -> Bend:
    """How places of a chart move with its keyframes, ``before`` and ``after`` by number."""
    middle = np.array([[shape[1] / 2, shape[0] / 2]])
    middles = np.concatenate([project(before[number], middle) for number in after])
    moves = np.array([after[number] @ np.linalg.inv(before[number]) for number in after])
    units = float(np.median([scale_at(before[number], shape) for number in after]))
    return Bend(chart, middles, moves, BLEND * units * math.hypot(shape[0], shape[1]))


def _problem(
    links: list[_Link], places: Mapping[int, Matrix], shape: tuple[int, ...]
) -> tuple[Complex, npt.NDArray[np.intp], Complex]:
    """Rows (L, 4, 4) of the equations, the unknowns (L, 4) that they are about, and the unknowns' present values."""
    index = {number: i for i, number in enumerate(places)}
    one = np.array([index[link.one] for link in links])
    other = np.array([index[link.other] for link in links])
    rows = np.ones((len(links), 4, 4), np.complex128)
    rows[:, :, 0] = [link.at_one for link in links]
    rows[:, :, 2] = [-link.at_other for link in links]
    rows[:, :, 3] = -1
    ends = np.stack([2 * one, 2 * one + 1, 2 * other, 2 * other + 1], axis=1)
    x, y = shape[1] / 2, shape[0] / 2
    now = np.empty(2 * len(index), np.complex128)
    for number, i in index.items():
        (a, b, c), (d, e, f) = places[number][:2]
        now[2 * i] = complex((a + e) / 2, (d - b) / 2)
        now[2 * i + 1] = complex(a * x + b * y + c, d * x + e * y + f)
    return rows, ends, now


def _off(rows: Complex, ends: npt.NDArray[np.intp], now: Complex) -> npt.NDArray[np.float64]:
    """(L,): by how much each link is off at its worst corner, pixels of the small picture."""
    apart = np.abs(np.einsum("lpi,li->lp", rows, now[ends])).max(axis=1)
    return np.asarray(apart / np.abs(now[ends[:, 0]]), np.float64)


def _complex(points: Points) -> Complex:
    return np.asarray(points[:, 0] + 1j * points[:, 1], np.complex128)


def _matrix(scale: complex, shift: complex, shape: tuple[int, ...]) -> Matrix:
    x, y, a, b = shape[1] / 2, shape[0] / 2, scale.real, scale.imag
    return np.array([[a, -b, shift.real - a * x + b * y], [b, a, shift.imag - b * x - a * y], [0.0, 0.0, 1.0]])
