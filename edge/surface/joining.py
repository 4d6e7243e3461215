"""After all views: fragments of one crack are joined end to end, and a line that runs along another one is taken up.

Two ends are one crack where they face each other along both lines' courses across a short gap, or where they run past
each other side by side, and where neither has a better partner. A gap may be wider than one that a single frame shows,
because now no view is left that would fill it; how wide depends on how long the fragments are that lead up to it.
Ends in one place, at which no third line passes by, are one crack that bends there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.surface.lines import Line, Points, Widths, directions, seen_apart
from edge.surface.nearest import nearest_points

GAP_PX = 90.0
"""The widest gap between two fragments, pixels of the frame."""
GAP_SHARE = 0.6
"""A gap is not wider than this share of the shorter fragment."""
TURN_DEG = 40.0
"""The course before and after a gap, and across it, differ by no more."""
COURSE_POINTS = 12
"""The course at an end is read over so many points: cracks zigzag."""
BESIDE_PX = 24.0
"""Ends that pass each other do so within this distance."""
ASIDE_PX = 45.0
"""The same where the courses agree well and no frame showed both: registration laid one crack beside itself."""
ASIDE_COSINE = 0.8
PASSING_SHARE = 0.6
"""So much of the shorter line at most runs along the other one."""
DOUBLED = 0.7
"""A line is a part of another one that it runs along with this share of its points."""
INNER_POINTS = 10
"""A third line that runs between two ends does so more than so many points before its own ends."""
THROUGH_TURN_DEG = 25.0
THROUGH_WIDER = 1.5
"""What goes through a third line turns by no more there, and its widths on both sides differ by no greater factor."""
TOUCHING_PX = 24.0
"""Ends so near to each other are in one place. Two cracks seldom end in one place, one that bends there often does."""
BEND_DEG = 60.0
"""Ends in one place are one crack up to this turn, read over the arms' whole reach: a bend has no course near it."""
ARM_POINTS = 40
"""An arm's course and width are read over so many points,"""
NEAR_POINTS = 8
"""the width from so many on: nearer to a fork a detection on one arm lies on the other arms too."""
LEVEL_PX = 10.0
"""Ends that pass each other no farther aside are one crack also where a frame showed both: it broke off there."""
CROSSED_POINTS = 6
"""Whether a third line runs between two ends is asked so many points before them."""

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """What leads away from a fork or a gap."""

    course: Points
    """Unit vector out along it."""
    wide: float | None
    """Its median width, chart units; None where no view measured one."""

    @classmethod
    def of(cls, xy: Points, wide: Widths, here: Points | None = None) -> Arm:
        """The arm whose points (N, 2) with widths (N,) lead away from ``here``; None: from the first of them."""
        along = xy[1 : ARM_POINTS + 1].mean(axis=0) - (xy[0] if here is None else here)
        apart = wide[NEAR_POINTS : NEAR_POINTS + ARM_POINTS] if len(wide) >= 3 * NEAR_POINTS else wide
        known = apart[apart > 0]
        course = np.asarray(along / (np.hypot(*along) or 1.0), np.float64)
        return cls(course, float(np.median(known)) if known.size else None)

    def as_wide(self, other: Arm) -> bool:
        """Whether both widths are known and alike."""
        if self.wide is None or other.wide is None:
            return False
        return max(self.wide, other.wide) <= THROUGH_WIDER * min(self.wide, other.wide)


class Boxes:
    """Which lines may touch: of ten thousand, comparing each with each point by point takes hours."""

    def __init__(self, lines: list[Line]) -> None:
        self._boxes = np.array([line.box for line in lines], np.float64).reshape(-1, 4)
        self._charts = np.array([line.chart for line in lines], np.intp)

    def moved(self, index: int, line: Line) -> None:
        """The line at ``index`` has another course now."""
        self._boxes[index] = line.box

    def around(self, index: int, reach: float, begin: int = 0) -> list[int]:
        """Indices from ``begin`` on, in order, of the other lines of its chart whose boxes are within ``reach``."""
        left, top, right, bottom = self._boxes[index]
        west, north, east, south = self._boxes[begin:].T
        near = (left - reach <= east) & (west <= right + reach) & (top - reach <= south) & (north <= bottom + reach)
        near &= self._charts[begin:] == self._charts[index]
        return [int(one) + begin for one in np.flatnonzero(near) if one + begin != index]


def fragments(lines: list[Line], px: dict[int, float]) -> list[Pair]:
    """The pairs (older, younger) that are one crack, best first; each end has at most one partner.

    ``px`` is chart units per pixel of the frame by line number. Lines of different charts are never a pair.
    """
    found: list[tuple[float, tuple[int, int], tuple[int, int]]] = []
    boxes = Boxes(lines)
    for i, a in enumerate(lines):
        near = boxes.around(i, GAP_PX * px[a.number])
        for b in (lines[j] for j in near if j > i):
            for side in (0, 1):
                for other in (0, 1):
                    cost = _cost(a, side, b, other, px[a.number])
                    if cost is not None and (
                        not _across(lines, near, a, side, b, other) or _goes_through(a, side, b, other)
                    ):
                        found.append((cost, (a.number, side), (b.number, other)))
                        continue
                    cost = _bend(lines, near, a, side, b, other, px[a.number])
                    if cost is not None:
                        found.append((cost, (a.number, side), (b.number, other)))
    taken: set[tuple[int, int]] = set()
    pairs: list[Pair] = []
    for _, one, two in sorted(found):
        if one in taken or two in taken:
            continue
        taken |= {one, two}
        pair = min(one[0], two[0]), max(one[0], two[0])
        if pair not in pairs:
            pairs.append(pair)
    return pairs


def doubled(lines: list[Line], px: dict[int, float]) -> list[Pair]:
    """Pairs (kept, taken up): the second runs along the first for most of its length."""
    pairs: list[Pair] = []
    gone: set[int] = set()
    by_length = sorted(lines, key=lambda line: -len(line.xy))
    boxes = Boxes(by_length)
    for i, longer in enumerate(by_length):
        if longer.number in gone:
            continue
        reach = ASIDE_PX * px[longer.number]
        for shorter in (by_length[j] for j in boxes.around(i, reach, i + 1)):
            if shorter.number in gone:
                continue
            distance, at = nearest_points(shorter.xy, longer.xy)
            turned = np.abs((directions(shorter.xy) * directions(longer.xy)[at]).sum(axis=1)) < ASIDE_COSINE
            near, close = distance <= reach, distance <= BESIDE_PX * px[longer.number]
            if (near & (close | ~turned)).mean() >= DOUBLED and not seen_apart(longer, shorter, reach):
                gone.add(shorter.number)
                pairs.append((longer.number, shorter.number))
    return pairs


def _cost(a: Line, side: int, b: Line, other: int, px: float) -> float | None:
    """How far two ends are from one course, in pixels of gap and turn; None where they are two cracks."""
    end_a, end_b = a.xy[-side], b.xy[-other]
    away_a, away_b = course(a, side), course(b, other)
    opposed = -float(away_a @ away_b)
    least = float(np.cos(np.radians(TURN_DEG)))
    if opposed < least:
        return None
    gap = end_b - end_a
    distance = float(np.hypot(*gap))
    ahead = float(gap @ away_a), float(-gap @ away_b)
    across = abs(float(gap @ np.array([-away_a[1], away_a[0]])))
    aside = (ASIDE_PX if opposed >= ASIDE_COSINE else BESIDE_PX) * px
    if min(ahead) >= 0:
        shorter = min(a.length, b.length)
        if distance > min(GAP_PX * px, max(GAP_SHARE * shorter, 36.0 * px)):
            return None
        if distance > BESIDE_PX * px and min(ahead) < least * distance and across > aside:
            return None
        return distance / px + 40 * (1 - opposed)
    # They pass each other: side by side over the stretch that both have.
    overlap = -min(ahead)
    if overlap > PASSING_SHARE * min(a.length, b.length):
        return None
    if overlap > ASIDE_PX * px:  # a long stretch is judged point by point: a course does not say where it bends
        across = float(np.percentile(_apart(a, side, b, overlap), 80))
    if across > aside or (across > LEVEL_PX * px and seen_apart(a, b, aside)):
        return None
    return across / px + 40 * (1 - opposed)


def _bend(lines: list[Line], around: list[int], a: Line, side: int, b: Line, other: int, px: float) -> float | None:
    """The cost of two ends in one place, as ``_cost`` has it; None where they are not, or are two branches."""
    end = a.xy[-side]
    distance = float(np.hypot(*(b.xy[-other] - end)))
    if distance > TOUCHING_PX * px:
        return None
    one, two = (Arm.of(line.xy[::way], line.wide[::way]) for line, way in ((a, 1 - 2 * side), (b, 1 - 2 * other)))
    opposed = -float(one.course @ two.course)
    across = _across(lines, around, a, side, b, other)
    if opposed < float(np.cos(np.radians(BEND_DEG))) or (across and not one.as_wide(two)):
        return None
    if not across and any(_leads_by(lines[j], end, TOUCHING_PX * px) for j in around if lines[j] is not b):
        return None  # both end at a third line, and on one side of it: its branches
    return distance / px + 40 * (1 - opposed)


def _leads_by(line: Line, place: Points, reach: float) -> bool:
    """Whether the middle of a line runs within ``reach`` of a place."""
    inner = line.xy[INNER_POINTS:-INNER_POINTS]
    return bool(len(inner)) and float(np.hypot(*(inner - place).T).min()) <= reach


def _goes_through(a: Line, side: int, b: Line, other: int) -> bool:
    """Whether two lines that end at a third one from both sides go on as one: straight, and as wide as before."""
    one, two = (Arm.of(line.xy[::way], line.wide[::way]) for line, way in ((a, 1 - 2 * side), (b, 1 - 2 * other)))
    straight = -float(one.course @ two.course) >= float(np.cos(np.radians(THROUGH_TURN_DEG)))
    return straight and one.as_wide(two)


def _across(lines: list[Line], around: list[int], a: Line, side: int, b: Line, other: int) -> bool:
    """Whether a third line runs between two ends: each ends at it, and what goes on behind it is another crack."""
    start, end = (
        line.xy[min(CROSSED_POINTS, len(line.xy) - 1)]
        if at == 0
        else line.xy[-1 - min(CROSSED_POINTS, len(line.xy) - 1)]
        for line, at in ((a, side), (b, other))
    )
    for third in (lines[j] for j in around):
        if third is a or third is b or len(third.xy) <= 2 * INNER_POINTS:
            continue
        inner = third.xy[INNER_POINTS:-INNER_POINTS]
        beyond = _side(start, end, inner) > 0
        for at in np.flatnonzero(beyond[:-1] != beyond[1:]):
            if _side(inner[at], inner[at + 1], start) * _side(inner[at], inner[at + 1], end) < 0:
                return True
    return False


def _side(start: Points, end: Points, of: Points) -> Points:
    """On which side of the way from ``start`` to ``end`` points lie, by sign; each (2,) or (N, 2)."""
    way, to = end - start, of - start
    return np.asarray(way[..., 0] * to[..., 1] - way[..., 1] * to[..., 0], np.float64)


def _apart(a: Line, side: int, b: Line, overlap: float) -> Points:
    """How far the last stretch of ``a`` before its end ``side`` lies from ``b``, by point."""
    count = max(2, round(overlap / a.step))
    stretch = a.xy[:count] if side == 0 else a.xy[-count:]
    return nearest_points(stretch, b.xy)[0]


def course(line: Line, side: int) -> Points:
    """Unit vector out of a line at its start (0) or end (1)."""
    reach = min(COURSE_POINTS, len(line.xy) - 1)
    along = line.xy[0] - line.xy[reach] if side == 0 else line.xy[-1] - line.xy[-1 - reach]
    return np.asarray(along / (np.hypot(*along) or 1.0), np.float64)
