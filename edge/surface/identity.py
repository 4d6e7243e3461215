"""One crack, one name: the detections of all frames as lines on a chart, each with one number that is never reused.

Each frame's centrelines are laid over the lines that earlier frames left: where a centreline runs within a buffer of a
line and in its direction, it is that line seen again. What runs on beyond a line's end makes it longer; what leaves it
sideways is a branch and a line of its own; two lines that one centreline runs through, end to end and in at least two
views, are one crack in fragments, and the younger one's number is given up. What many looks say together is kept as a
log-likelihood ratio (see `judgement`): a mark seen in one of ten views is no crack.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from edge.cracks import Crack
from edge.surface.joining import GAP_PX as WIDEST_PX
from edge.surface.joining import doubled, fragments, straighten
from edge.surface.lines import UNMARKED, Line, Points, directions, evenly, mark
from edge.surface.matching import Matrix, project
from edge.surface.overlay import MAX_TURN_DEG, SPACING_PX, Overlay, Shared, View
from edge.surface.registration import Registered

NEW_PX = 24.0
"""A piece of a centreline that lies on no line becomes one from this length on."""
TOUCHING_PX = 14.0
TOUCHING_OPPOSED = 0.3
GAP_PX = 36.0
"""Two lines whose ends are no farther apart, and that continue each other, are one crack with a faint stretch."""
JOIN_VOTES = 2
"""So many views must show two lines as one before they are joined: a join cannot be undone."""
ALONG_COSINE = 0.8
BESIDE_PX = 45.0
"""Of a line that is joined to another, what runs along that one no farther off is dropped."""
DROPPED_PX, DROPPED_SHARE = 60.0, 0.35
"""Two lines are not joined where more than so many pixels, and more than this share, of the younger would be lost."""
MIN_BEYOND = 4
"""Of two lines that one centreline runs through, each holds at least so many of its points that the other does not."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one frame showed of one line."""

    number: int
    visible_px: float
    """Length of the line in this frame."""
    seen_px: float
    """Of that, what a centreline of this frame covers."""
    crack: int | None
    """Place of the centreline that covers most of it among the frame's cracks; None where it was missed."""


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """The cracks of one frame by name."""

    numbers: tuple[int | None, ...]
    """The line's number for each crack of the frame, in order; None for one too short to begin a line."""
    sightings: tuple[Sighting, ...]
    """Every line that this frame shows, seen or missed."""
    given_up: tuple[tuple[int, int], ...]
    """(younger, older): numbers that are given up because the two lines proved to be one crack."""


class CrackMap:
    """The lines of one flight; used by one thread. Its memory grows with the length of cracks, never with frames."""

    def __init__(self) -> None:
        self.lines: dict[int, Line] = {}
        self.next_number = 1
        """The number of the next line."""
        self._frames = 0
        self._votes: Counter[tuple[int, int]] = Counter()
        self._boxes: dict[int, dict[int, tuple[float, float, float, float]]] = {}

    def add(self, cracks: Sequence[Crack], placed: Registered, shape: tuple[int, int]) -> Matched:
        """Name the cracks of a frame of ``shape`` (H, W), and keep what it adds to the lines."""
        self._frames += 1
        view = View(placed, shape)
        known = [self.lines[number] for number in self._near(view)]
        overlay = Overlay(known, view)
        numbers: list[int | None] = []
        covered: Counter[int] = Counter()
        best: dict[int, tuple[float, int]] = {}
        begun: list[tuple[int, float, int]] = []
        grown: dict[tuple[int, int], Points] = {}
        for index, crack in enumerate(cracks):
            seen = evenly(crack.path_px, SPACING_PX)
            shared = overlay.match(seen)
            name = self._absorb(seen, shared, view, begun, grown, index)
            for run in shared:
                length = len(run.samples) * SPACING_PX
                covered[run.line.number] += round(length)
                if length > best.get(run.line.number, (0.0, 0))[0]:
                    best[run.line.number] = length, index
            numbers.append(name)
        for line in known:
            line.looks[overlay.visible(line)] += 1
            np.maximum(line.looks, line.hits, out=line.looks)
        sightings = [
            Sighting(line.number, visible, min(visible, float(covered[line.number])), _second(best.get(line.number)))
            for line in known
            if (visible := float(overlay.visible(line).sum()) * overlay.step_px(line)) > 0
        ]
        for (number, side), piece in grown.items():
            self.lines[number].extend(side, piece)
        for line in known:
            if covered[line.number]:
                line.tidy()
                self._mend(line)
        sightings += [Sighting(number, length, length, index) for number, length, index in begun]
        for line in (*known, *(self.lines[number] for number, _, _ in begun)):
            self._boxes.setdefault(line.chart, {})[line.number] = line.box
        self._vote_for_gaps([line for line in known if covered[line.number]], view, begun)
        given_up = self._join()
        into = dict(given_up)
        return Matched(
            tuple(_follow(number, into) for number in numbers),
            tuple(sighting for sighting in sightings if sighting.number not in into),
            tuple(given_up),
        )

    def rebase(self, chart: int, onto: Matrix, unit_per_px: float) -> None:
        """Bring the lines of a chart into its new coordinates (`Registered.rebased`)."""
        for line in self.lines.values():
            if line.chart == chart:
                line.xy = project(onto, line.xy)
                line.step = SPACING_PX * unit_per_px
                line.tidy()
                self._boxes[chart][line.number] = line.box

    def put(self, line: Line) -> None:
        """Take in a line of an earlier run, under its number."""
        self.lines[line.number] = line
        self._boxes.setdefault(line.chart, {})[line.number] = line.box

    def forget(self, number: int) -> None:
        """Drop a line for good, as one that was withdrawn long ago."""
        line = self.lines.pop(number, None)
        if line is not None:
            self._boxes[line.chart].pop(number, None)

    def _mend(self, line: Line) -> None:
        """Part a line that proved to be two cracks; the shorter part gets a new name."""
        place = line.broken()
        if place is None:
            return
        part = line.cut(place, self.next_number)
        self.next_number += 1
        self.lines[part.number] = part
        self._boxes.setdefault(part.chart, {})[part.number] = part.box

    def _near(self, view: View) -> list[int]:
        left, top, right, bottom = view.box
        boxes = self._boxes.get(view.placed.chart, {})
        return [
            number for number, box in boxes.items()
            if box[0] <= right and box[2] >= left and box[1] <= bottom and box[3] >= top
        ]  # fmt: skip

    def _absorb(
        self,
        seen: Points,
        shared: list[Shared],
        view: View,
        begun: list[tuple[int, float, int]],
        grown: dict[tuple[int, int], Points],
        index: int,
    ) -> int | None:
        """Give one centreline to the lines that it runs along, and make lines of what is left of it."""
        on_chart = project(view.placed.to_chart, seen)
        taken = np.zeros(len(seen), np.bool_)
        for run in shared:
            run.line.see(run.nodes, on_chart[run.nearest], mark(self._frames, index))
            taken[run.samples] = True
        self._vote_for_chain(shared)
        name = max(shared, key=lambda run: len(run.samples)).line.number if shared else None
        for first, last in _gaps(taken):
            length = (last - first) * SPACING_PX
            if _goes_on(shared, first, last, on_chart, grown) or length < NEW_PX:
                continue
            line = self._begin(on_chart[first:last], view, mark(self._frames, index))
            begun.append((line.number, length, index))
            name = name or line.number
        return name

    def _begin(self, xy: Points, view: View, shown_by: int) -> Line:
        ones = np.ones(len(xy), np.int32)
        step = SPACING_PX * view.placed.unit_per_px
        last = np.full(len(xy), shown_by, np.int64)
        line = Line(self.next_number, view.placed.chart, step, xy.copy(), ones, ones.copy(), ones.copy(), last)
        self.lines[line.number] = line
        self.next_number += 1
        return line

    def _vote_for_chain(self, shared: list[Shared]) -> None:
        """Two lines that one centreline runs through, one after the other or both at once, may be one crack."""
        order = sorted(shared, key=lambda run: int(run.samples[0]))
        for a, b in pairwise(order):
            if a.line is b.line:
                continue
            both = len(np.intersect1d(a.samples, b.samples))
            beyond = min(len(a.samples), len(b.samples)) - both
            end_to_end = _near_end(a) and _near_end(b) and beyond >= MIN_BEYOND
            doubled = both >= 0.6 * min(len(a.samples), len(b.samples))
            if end_to_end or doubled:
                self._votes[_pair(a.line, b.line)] += 1

    def _vote_for_gaps(self, lines: list[Line], view: View, begun: list[tuple[int, float, int]]) -> None:
        """Lines of this frame whose ends face each other across a short gap may be one crack."""
        live = [line for line in (*lines, *(self.lines[number] for number, _, _ in begun)) if len(line.xy) >= 4]
        if len(live) < 2:
            return
        unit = view.placed.unit_per_px
        ends = np.array([end for line in live for end in (line.xy[0], line.xy[-1])])
        away = np.array([_outward(line, side) for line in live for side in (0, 1)])
        gap = ends[None] - ends[:, None]
        distance = np.hypot(*np.moveaxis(gap, 2, 0))
        unit_gap = gap / np.where(distance > 0, distance, 1)[..., None]
        turn = np.cos(np.radians(MAX_TURN_DEG))
        opposed = -(away[:, None] * away[None]).sum(axis=2)
        # Ends that touch are one crack even at a bend; across a gap only a straight course says so.
        touching = distance <= TOUCHING_PX * unit
        facing = (opposed > turn) | (touching & (opposed > TOUCHING_OPPOSED))
        ahead = ((unit_gap * away[:, None]).sum(axis=2) > turn) | touching
        close = distance <= GAP_PX * unit
        for i, j in np.argwhere(close & facing & ahead & ahead.T):
            if i >= j or i // 2 == j // 2:
                continue
            straight = opposed[i, j] > turn
            if straight or not self._crossed(ends[i], live[i // 2], live[j // 2], TOUCHING_PX * unit):
                self._votes[_pair(live[i // 2], live[j // 2])] += 1

    def _crossed(self, at: Points, one: Line, other: Line, reach: float) -> bool:
        """Whether a third line runs through a place: then a bend there leads from one crack into another."""
        return any(
            float(np.hypot(*(line.xy - at).T).min()) <= reach
            for line in self.lines.values()
            if line is not one and line is not other and line.chart == one.chart and _holds(line.box, at, reach)
        )

    def finish(self, apart: Set[int] = frozenset()) -> list[tuple[int, int]]:
        """At the end of the flight one view is enough: no other will come. Returns (younger, older) numbers joined.

        Lines ``apart`` are no cracks by the judgement of all views, and are joined to none.
        """
        given_up = self._join(1)
        self._settle(apart, given_up)
        lines = self._candidates(apart)
        changed = straighten(lines, {line.number: line.step / SPACING_PX for line in lines})
        for number in changed:
            line = self.lines[number]
            line.tidy()
            self._boxes[line.chart][number] = line.box
        if changed:
            self._settle(apart, given_up)
        return given_up

    def _candidates(self, apart: Set[int]) -> list[Line]:
        return [line for line in self.lines.values() if line.number not in apart and len(line.xy) >= 3]

    def _settle(self, apart: Set[int], given_up: list[tuple[int, int]]) -> None:
        """Join what is one crack until nothing is left to join."""
        refused: set[tuple[int, int]] = set()
        while True:
            lines = self._candidates(apart)
            px = {line.number: line.step / SPACING_PX for line in lines}
            for kept, taken in doubled(lines, px):
                self._merge(self.lines[kept], self.lines[taken], given_up)
            pairs = [
                pair for pair in fragments([line for line in lines if line.number in self.lines], px)
                if pair not in refused
            ]  # fmt: skip
            for pair in pairs:
                older, younger = (self.lines.get(number) for number in pair)
                if older is not None and younger is not None and not self._merge(older, younger, given_up):
                    refused.add(pair)
            if not pairs:
                return

    def _merge(self, older: Line, younger: Line, given_up: list[tuple[int, int]], gap_px: float = WIDEST_PX) -> bool:
        """Give what ``younger`` has to ``older``, over a gap of at most ``gap_px`` pixels of the frame.

        False: it stays a line of its own, because much of it belongs to neither end of the older one.
        """
        if not _append(older, younger, gap_px):
            return False
        self.forget(younger.number)
        self._boxes[older.chart][older.number] = older.box
        given_up.append((younger.number, older.number))
        return True

    def _join(self, enough: int = JOIN_VOTES) -> list[tuple[int, int]]:
        """Join the pairs that enough views voted for; the younger number is given up."""
        given_up: list[tuple[int, int]] = []
        for pair in [pair for pair, votes in self._votes.items() if votes >= enough]:
            del self._votes[pair]
            older, younger = (self.lines.get(number) for number in pair)
            if older is None or younger is None:
                continue
            if not self._merge(older, younger, given_up, GAP_PX):
                continue
            for other in [one for one in self._votes if younger.number in one]:
                moved = tuple(sorted(older.number if n == younger.number else n for n in other))
                votes = self._votes.pop(other)
                if moved[0] != moved[1]:
                    self._votes[moved[0], moved[1]] += votes
        return given_up


def _gaps(taken: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of False as (first, one past the last)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[1], taken.astype(np.int8), [1]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _goes_on(
    shared: list[Shared], first: int, last: int, on_chart: Points, grown: dict[tuple[int, int], Points]
) -> bool:
    """Whether the points first to last of a centreline lead on from a line's end; then ``grown`` gets them."""
    for run in shared:
        if last == len(on_chart) and first > 0 and run.samples[-1] == first - 1:
            node, piece = int(run.node_of[-1]), on_chart[first:last]
        elif first == 0 and run.samples[0] == last:
            node, piece = int(run.node_of[0]), on_chart[first:last][::-1]
        else:
            continue
        from_end = len(run.line.xy) - 1 - node
        if min(node, from_end) <= 3:
            end = run.line.number, 0 if node < from_end else 1
            if len(piece) > len(grown.get(end, ())):
                grown[end] = piece
            return True
    return False


def _near_end(run: Shared) -> bool:
    """Whether the shared stretch reaches an end of the line."""
    low, high = int(run.nodes.min()), int(run.nodes.max())
    return low <= 4 or high >= len(run.line.xy) - 5


def _pair(a: Line, b: Line) -> tuple[int, int]:
    return (a.number, b.number) if a.number < b.number else (b.number, a.number)


def _outward(line: Line, side: int) -> Points:
    """Unit vector out of a line at its start (0) or end (1), read over its last six points."""
    reach = min(6, len(line.xy) - 1)
    along = line.xy[0] - line.xy[reach] if side == 0 else line.xy[-1] - line.xy[-1 - reach]
    return np.asarray(along / (np.hypot(*along) or 1.0), np.float64)


def _append(older: Line, younger: Line, gap_px: float) -> bool:
    """Put what the younger line has beyond the older one's ends to it; what lies beside it is dropped.

    False, and nothing is changed: what belongs to neither end is too much to be dropped.
    """
    gaps = [
        (float(np.hypot(*(older.xy[0 if a == 0 else -1] - younger.xy[0 if b == 0 else -1]))), a, b)
        for a in (0, 1) for b in (0, 1)
    ]  # fmt: skip
    _, side, other = min(gaps)
    away = younger.xy if other == 0 else younger.xy[::-1]
    marks = younger.last if other == 0 else younger.last[::-1]
    apart = np.hypot(*np.moveaxis(away[:, None] - older.xy[None], 2, 0))
    distance, nearest = apart.min(axis=1), apart.argmin(axis=1)
    # What runs along the older line is it once more, and would fold it back on itself; its ends' points run past it.
    along = np.abs((directions(away) * directions(older.xy)[nearest]).sum(axis=1)) >= ALONG_COSINE
    inner = (nearest > 0) & (nearest < len(older.xy) - 1)
    beside = inner & along & (distance <= BESIDE_PX * older.step / SPACING_PX)
    runs = _gaps((distance <= 2 * older.step) | beside)
    left = sum(last - first for first, last in runs)
    most = max(DROPPED_PX / SPACING_PX, DROPPED_SHARE * len(away))
    if not runs:
        return True
    first, last = max(runs, key=lambda run: run[1] - run[0])
    piece, end = away[first:last], older.xy[0 if side == 0 else -1]
    far = float(np.hypot(*(piece[0] - end)))
    if far > gap_px * older.step / SPACING_PX + 3 * older.step:
        return left <= most  # it leaves the older line somewhere in the middle: nothing that belongs to its end
    if left - (last - first) > most:
        return False
    marks = marks[first:last]
    if far > 1.5 * older.step:  # a faint stretch between the two: a straight line over it
        bridge = evenly(np.array([end, piece[0]]), older.step)[1:-1]
        piece = np.concatenate([bridge, piece])
        marks = np.concatenate([np.full(len(bridge), UNMARKED), marks])
    older.extend(side, piece, marks)
    older.tidy()
    return True


def _holds(box: tuple[float, float, float, float], at: Points, reach: float) -> bool:
    return bool(box[0] - reach <= at[0] <= box[2] + reach and box[1] - reach <= at[1] <= box[3] + reach)


def _second(pair: tuple[float, int] | None) -> int | None:
    return None if pair is None else pair[1]


def _follow(number: int | None, into: dict[int, int]) -> int | None:
    while number in into:
        number = into[number]
    return number
