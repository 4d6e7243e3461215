"""Centrelines that many views add up to: evenly spaced points on a chart, each with how often it was seen."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edge.surface.nearest import nearest_points

Points = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int32]
Marks = npt.NDArray[np.int64]
Widths = npt.NDArray[np.float32]
Readings = npt.NDArray[np.float32]
"""(N, 5) float32: how wide a crack is at N places, chart units; `widths` makes and reads them. Columns:
the width that one view or the running mean of several has there, 0 where none is known; the sum of the views' weights;
of that times the width; of that times its upper end; of that, where the width was measured and not only bounded."""
READING = 5
"""Columns of readings."""

UNMARKED = -1
_PER_FRAME = 1 << 16

BRIDGED = 8
"""Between two matched points so far apart a detection ran on."""
MIN_PART = 8
"""A line is not cut into parts of fewer points."""
MIN_HITS = 3
SKIP = 3
"""A place is judged by the points so far before and behind it: at a crossing the nearest ones belong to both cracks."""
SEEN_APART = 0.25
"""Two lines are two cracks where the last view of this share of their neighbouring points showed both."""
REACH = 4
"""The course of a line at a point is read over so many points on either side."""
SETTLED = 12
"""From so many hits on a point moves only slowly: a running mean over about so many views."""


@dataclass(slots=True, eq=False)
class Line:
    """One crack line on its chart."""

    number: int
    """Its name within the flight; never used again."""
    chart: int
    step: float
    """Distance between points, chart units."""
    xy: Points
    """float64 (M, 2), chart units."""
    hits: Counts = field(default_factory=lambda: np.zeros(0, np.int32))
    """(M,): views in which a detection lay on the point."""
    looks: Counts = field(default_factory=lambda: np.zeros(0, np.int32))
    """(M,): views that showed the point."""
    passes: Counts = field(default_factory=lambda: np.zeros(0, np.int32))
    """(M,): views in which one detection ran from the point to the next; the last one's is of no meaning."""
    last: Marks = field(default_factory=lambda: np.zeros(0, np.int64))
    """(M,): the detection that lay on the point last, as ``mark`` writes it; UNMARKED where none is known."""
    read: Readings = field(default_factory=lambda: np.zeros((0, READING), np.float32))
    """(M, 5): how wide the views have the crack at the point. It goes where the point goes: when a fork gives an arm to
    another crack, the arm's widths go with it."""

    def __post_init__(self) -> None:
        if len(self.last) != len(self.xy):
            self.last = np.full(len(self.xy), UNMARKED, np.int64)
        if len(self.read) != len(self.xy):
            self.read = np.zeros((len(self.xy), READING), np.float32)

    @property
    def wide(self) -> Widths:
        """(M,): running mean of the widths of the detections that lay on the point, chart units; 0: none is known.

        It tells a trunk from its branch.
        """
        return self.read[:, 0]

    @property
    def length(self) -> float:
        """Along its points, chart units."""
        return float(lengths(self.xy)[-1])

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom, chart units."""
        low, high = self.xy.min(axis=0), self.xy.max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    def see(self, nodes: npt.NDArray[np.intp], at: Points, mark: int = UNMARKED, read: Readings | None = None) -> None:
        """Draw the points ``nodes`` towards where this view has them, ``at`` (len(nodes), 2) in chart units.

        ``read`` (len(nodes), 5): how wide this view has them; None: it does not say.
        """
        self.hits[nodes] += 1
        self.last[nodes] = mark
        # Where a crack bends sharply a few points agree in place but not in direction; that is no end.
        bridged = nodes[1:] - nodes[:-1] <= BRIDGED
        begins = np.zeros(len(self.passes), np.int32)
        begins[nodes[:-1][bridged]] += 1
        begins[nodes[1:][bridged]] -= 1
        self.passes += begins.cumsum(dtype=np.int32)
        weight = 1.0 / np.minimum(self.hits[nodes], SETTLED)
        self.xy[nodes] += (at - self.xy[nodes]) * weight[:, None]
        if read is not None:
            before, wide = self.read[nodes, 0], read[:, 0]
            self.read[nodes] += read
            self.read[nodes, 0] = np.where(before > 0, before + (wide - before) * weight, wide)

    def extend(self, side: int, xy: Points, last: Marks | None = None, read: Readings | None = None) -> None:
        """Add points (N, 2) beyond its start (``side`` 0, nearest to the start first) or beyond its end (1)."""
        if not len(xy):
            return
        ones = np.ones(len(xy), np.int32)
        last = np.full(len(xy), UNMARKED, np.int64) if last is None else last
        self.last = np.concatenate([last[::-1], self.last] if side == 0 else [self.last, last])
        read = np.zeros((len(xy), READING), np.float32) if read is None else read
        self.read = np.concatenate([read[::-1], self.read] if side == 0 else [self.read, read])
        if side == 0:
            self.xy = np.concatenate([xy[::-1], self.xy])
            self.hits, self.looks = np.concatenate([ones, self.hits]), np.concatenate([ones, self.looks])
            self.passes = np.concatenate([ones, self.passes])
        else:
            self.xy = np.concatenate([self.xy, xy])
            self.hits, self.looks = np.concatenate([self.hits, ones]), np.concatenate([self.looks, ones])
            self.passes[-1:] = 1
            self.passes = np.concatenate([self.passes, ones])

    def tidy(self) -> None:
        """Space its points evenly again, and take out the zigzag that points drawn singly leave behind."""
        if len(self.xy) < 3:
            return
        xy = self.xy.copy()
        xy[1:-1] = 0.25 * self.xy[:-2] + 0.5 * self.xy[1:-1] + 0.25 * self.xy[2:]
        along = lengths(xy)
        if along[-1] <= 0:
            return
        count = max(2, round(along[-1] / self.step) + 1)
        where = even_places(float(along[-1]), count)
        # The nearest point, not the next one: what is known of points would creep along the line with every view.
        nearest = np.rint(np.interp(where, along, np.arange(len(xy)))).astype(np.intp)
        self.xy = _between(where, along, xy)
        self.hits, self.looks, self.passes = self.hits[nearest], self.looks[nearest], self.passes[nearest]
        self.last, self.read = self.last[nearest], self.read[nearest]

    def broken(self) -> int | None:
        """Where the line is none: the point after which no detection goes on, though both sides were seen often.

        One view may lead from one crack into another where they cross; the views after it do not. None: nowhere.
        """
        count = len(self.xy)
        if count < 2 * MIN_PART:
            return None
        before = np.minimum(self.hits[: -2 * SKIP], self.hits[2 * SKIP :])
        inner = self.passes[SKIP:-SKIP]
        weak = (before >= MIN_HITS) & (3 * inner <= before)
        weak[: MIN_PART - SKIP] = weak[len(weak) - MIN_PART + SKIP :] = False
        places = np.flatnonzero(weak)
        return None if not places.size else int(places[inner[places].argmin()]) + SKIP

    def cut(self, at: int, number: int) -> Line:
        """Keep the longer part of the line, and return the other one as a line of its own under ``number``."""
        first, second = slice(0, at + 1), slice(at + 1, len(self.xy))
        longer, shorter = (first, second) if at + 1 >= len(self.xy) / 2 else (second, first)
        other = self.part(shorter, number)
        self.take(self.part(longer, self.number))
        return other

    def part(self, which: slice, number: int) -> Line:
        """A copy of some of its points, as a line under ``number``."""
        return Line(
            number, self.chart, self.step, self.xy[which].copy(), self.hits[which].copy(),
            self.looks[which].copy(), self.passes[which].copy(), self.last[which].copy(),
            self.read[which].copy(),
        )  # fmt: skip

    def take(self, other: Line) -> None:
        """Be where ``other`` is, under the own number."""
        self.xy, self.hits, self.looks, self.passes = other.xy, other.hits, other.looks, other.passes
        self.last, self.read = other.last, other.read

    def append(self, other: Line, side: int, others: int) -> None:
        """Put all of ``other`` beyond the start (``side`` 0) or end (1), its own end ``others`` first."""
        turned = other if (side == 1) == (others == 0) else other.reversed()
        a, b = (self, turned) if side == 1 else (turned, self)
        self.xy = np.concatenate([a.xy, b.xy])
        self.hits = np.concatenate([a.hits, b.hits])
        self.looks = np.concatenate([a.looks, b.looks])
        joint = np.array([min(a.hits[-1], b.hits[0])], np.int32)
        self.passes = np.concatenate([a.passes[:-1], joint, b.passes])
        self.last, self.read = np.concatenate([a.last, b.last]), np.concatenate([a.read, b.read])

    def reversed(self) -> Line:
        """The same line from its other end."""
        passes = np.concatenate([self.passes[:-1][::-1], self.passes[-1:]])
        turned = self.xy[::-1], self.hits[::-1], self.looks[::-1]
        return Line(self.number, self.chart, self.step, *turned, passes, self.last[::-1], self.read[::-1])


def mark(frame: int, place: int) -> int:
    """The detection at ``place`` among those of a frame, in one number."""
    return frame * _PER_FRAME + min(place, _PER_FRAME - 1)


def seen_apart(one: Line, other: Line, reach: float) -> bool:
    """Whether one frame showed both, side by side: then they are two cracks, however near they lie.

    Two lines that are one crack, which a poor registration laid beside itself, were never shown by one frame as two.
    Only the last view of each point is known; what lies side by side leaves a frame together.
    """
    if len(one.xy) > len(other.xy):
        one, other = other, one
    distance, at = nearest_points(one.xy, other.xy)
    beside = distance <= reach
    mine, theirs = one.last[beside], other.last[at[beside]]
    known = (mine != UNMARKED) & (theirs != UNMARKED)
    together = known & (mine // _PER_FRAME == theirs // _PER_FRAME) & (mine != theirs)
    return bool(together.sum() >= max(3.0, SEEN_APART * known.sum()))


def lengths(xy: Points) -> npt.NDArray[np.float64]:
    """Distance along a line (N, 2) or (N, 3) from its first point to each point, (N,)."""
    along = np.zeros(len(xy))
    steps = xy[1:] - xy[:-1]
    np.cumsum(np.hypot(steps[:, 0], steps[:, 1]) if xy.shape[1] == 2 else np.linalg.norm(steps, axis=1), out=along[1:])
    return along


def evenly(xy: npt.NDArray[np.floating], step: float) -> Points:
    """The line (N, 2) through points ``step`` apart, as near as its length allows; both ends kept."""
    points = np.asarray(xy, np.float64)
    along = lengths(points)
    return _between(even_places(float(along[-1]), max(2, round(along[-1] / step) + 1)), along, points)


def even_places(length: float, count: int) -> npt.NDArray[np.float64]:
    """As ``np.linspace`` from 0 to ``length``, (count,), in half its time: it is asked several times with every frame.

    ``count`` is 2 or more.
    """
    places = np.arange(count, dtype=np.float64)
    places *= length / (count - 1)
    places[-1] = length
    return places


def _between(where: npt.NDArray[np.float64], along: npt.NDArray[np.float64], xy: Points) -> Points:
    """The points of a line (N, 2), at ``along`` (N,) of it, where it is so long: (len(where), 2)."""
    # As complex numbers both coordinates go at once.
    return np.interp(where, along, np.ascontiguousarray(xy).view(np.complex128)[:, 0]).view(np.float64).reshape(-1, 2)


def directions(xy: Points) -> Points:
    """Unit tangents (N, 2), read over REACH points on either side: cracks zigzag, and their course does not."""
    if len(xy) > 2 * REACH:
        along = np.empty(xy.shape)
        along[:REACH] = xy[REACH : 2 * REACH] - xy[0]
        np.subtract(xy[2 * REACH :], xy[: -2 * REACH], out=along[REACH:-REACH])
        along[-REACH:] = xy[-1] - xy[-2 * REACH : -REACH]
    else:
        at = np.arange(len(xy))
        along = xy[np.minimum(at + REACH, len(xy) - 1)] - xy[np.maximum(at - REACH, 0)]
    size = np.hypot(along[:, 0], along[:, 1])
    size[size == 0] = 1
    along /= size[:, None]
    return along
