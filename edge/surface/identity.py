"""One crack, one name: the detections of all frames as lines on a chart, each with one number that is never reused.

Each frame's centrelines are laid over the lines that earlier frames left: where a centreline runs within a buffer of a
line and in its direction, it is that line seen again. What runs on beyond a line's end makes it longer; what leaves it
sideways is a branch and a line of its own; two lines that one centreline runs through, end to end and in at least two
views, are one crack in fragments, and the younger one's number is given up. What many looks say together is kept as a
log-likelihood ratio (see `judgement`): a mark seen in one of ten views is no crack.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence, Set
from dataclasses import dataclass

import numpy as np

from edge.cracks import Crack
from edge.surface import CrackSize
from edge.surface.forks import ROUNDS, straighten
from edge.surface.homography import Matrix, project
from edge.surface.joining import GAP_PX as WIDEST_PX
from edge.surface.joining import doubled, fragments
from edge.surface.lines import Line, Points, Readings, evenly, mark
from edge.surface.merging import append, gaps
from edge.surface.nearby import Nearby
from edge.surface.overlay import SPACING_PX, Overlay, Shared, View
from edge.surface.registration import Registered
from edge.surface.straightening import Bend
from edge.surface.votes import GAP_PX, JOIN_VOTES, Votes
from edge.surface.widths import readings, rescaled

REBASED_PX = 1280.0
"""Side of the cells in which lines are looked for, pixels of a frame, where no frame has said how large it is."""
NEW_PX = 24.0
"""A piece of a centreline that lies on no line becomes one from this length on."""


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


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """A part of a centreline: points (N, 2), chart units, and how wide the crack is there (N, 5)."""

    xy: Points
    read: Readings


class CrackMap:
    """The lines of one flight; used by one thread. Its memory grows with the length of cracks, never with frames."""

    def __init__(self) -> None:
        self.lines: dict[int, Line] = {}
        self.next_number = 1
        """The number of the next line."""
        self._frames = 0
        self._votes = Votes()
        self._near: dict[int, Nearby] = {}

    def add(
        self,
        cracks: Sequence[Crack],
        placed: Registered,
        shape: tuple[int, int],
        sizes: Sequence[CrackSize | None] | None = None,
    ) -> Matched:
        """Name the cracks of a frame of ``shape`` (H, W), and keep what it adds to the lines.

        ``sizes``: one for each of ``cracks``; None: of no crack of this frame it is known.
        """
        self._frames += 1
        view = View(placed, shape)
        known = [self.lines[number] for number in self._nearby(placed.chart, view).within(view.box)]
        overlay = Overlay(known, view)
        numbers: list[int | None] = []
        covered: Counter[int] = Counter()
        best: dict[int, tuple[float, int]] = {}
        begun: list[tuple[int, float, int]] = []
        grown: dict[tuple[int, int], _Piece] = {}
        for index, crack in enumerate(cracks):
            seen = evenly(crack.path_px, SPACING_PX)
            shared = overlay.match(seen)
            read = readings(crack, None if sizes is None else sizes[index], len(seen), placed.unit_per_px)
            name = self._absorb(seen, read, shared, view, begun, grown, index)
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
            self.lines[number].extend(side, piece.xy, read=piece.read)
        for line in known:
            if covered[line.number]:
                line.tidy()
                self._mend(line)
        sightings += [Sighting(number, length, length, index) for number, length, index in begun]
        new = [self.lines[number] for number, _, _ in begun]
        near = self._nearby(placed.chart, view)
        for line in (*(line for line in known if covered[line.number]), *new):
            near.put(line.number, line.box)
        seen_lines = [*(line for line in known if covered[line.number]), *new]
        self._votes.facing(seen_lines, [*known, *new], placed.unit_per_px)
        given_up = self._join()
        into = dict(given_up)
        return Matched(
            tuple(_follow(number, into) for number in numbers),
            tuple(sighting for sighting in sightings if sighting.number not in into),
            tuple(given_up),
        )

    def rebase(self, chart: int, onto: Matrix, unit_per_px: float) -> None:
        """Bring the lines of a chart into its new coordinates (`Registered.rebased`)."""
        before = self._near.pop(chart, None)
        near = self._near[chart] = Nearby(REBASED_PX * unit_per_px)
        for line in self.lines.values() if before is not None else ():
            if line.chart == chart:
                _move(line, project(onto, line.xy))
                line.step = SPACING_PX * unit_per_px
                line.tidy()
                near.put(line.number, line.box)

    def bend(self, bend: Bend) -> None:
        """Move the lines of a chart that was straightened."""
        for line in self.lines.values():
            if line.chart == bend.chart:
                _move(line, bend(line.xy))
                line.tidy()
                self._near[line.chart].put(line.number, line.box)

    def put(self, line: Line) -> None:
        """Take in a line of an earlier run, under its number."""
        self.lines[line.number] = line
        if line.chart not in self._near:
            self._near[line.chart] = Nearby(REBASED_PX * line.step / SPACING_PX)
        self._near[line.chart].put(line.number, line.box)

    def leave_charts(self, kept: Container[int]) -> None:
        """Charts other than ``kept`` hold no line, and none will come."""
        self._near = {chart: near for chart, near in self._near.items() if chart in kept}

    def forget_votes(self) -> None:
        """Drop what was counted of lines that are not kept."""
        self._votes.keep(self.lines)

    def forget(self, number: int) -> None:
        """Drop a line for good, as one that was withdrawn long ago."""
        line = self.lines.pop(number, None)
        if line is not None:
            self._near[line.chart].drop(number)

    def _mend(self, line: Line) -> None:
        """Part a line that proved to be two cracks; the shorter part gets a new name."""
        place = line.broken()
        if place is None:
            return
        part = line.cut(place, self.next_number)
        self.next_number += 1
        self.lines[part.number] = part
        self._near[part.chart].put(part.number, part.box)

    def _nearby(self, chart: int, view: View) -> Nearby:
        """The chart's index of lines, in cells as large as its first view."""
        if chart not in self._near:
            left, top, right, bottom = view.box
            self._near[chart] = Nearby(max(right - left, bottom - top))
        return self._near[chart]

    def _absorb(
        self,
        seen: Points,
        read: Readings,
        shared: list[Shared],
        view: View,
        begun: list[tuple[int, float, int]],
        grown: dict[tuple[int, int], _Piece],
        index: int,
    ) -> int | None:
        """Give one centreline to the lines that it runs along, and make lines of what is left of it."""
        on_chart = project(view.placed.to_chart, seen)
        taken = np.zeros(len(seen), np.bool_)
        for run in shared:
            run.line.see(run.nodes, on_chart[run.nearest], mark(self._frames, index), read[run.nearest])
            taken[run.samples] = True
        self._votes.chain(shared)
        name = max(shared, key=lambda run: len(run.samples)).line.number if shared else None
        for first, last in gaps(taken):
            length = (last - first) * SPACING_PX
            piece = _Piece(on_chart[first:last], read[first:last])
            if _goes_on(shared, first, last, len(seen), piece, grown) or length < NEW_PX:
                continue
            line = self._begin(piece, view, mark(self._frames, index))
            begun.append((line.number, length, index))
            name = name or line.number
        return name

    def _begin(self, piece: _Piece, view: View, shown_by: int) -> Line:
        ones = np.ones(len(piece.xy), np.int32)
        step = SPACING_PX * view.placed.unit_per_px
        last = np.full(len(piece.xy), shown_by, np.int64)
        line = Line(
            self.next_number, view.placed.chart, step, piece.xy.copy(), ones, ones.copy(), ones.copy(), last,
            piece.read.copy(),
        )  # fmt: skip
        self.lines[line.number] = line
        self.next_number += 1
        return line

    def finish(
        self, apart: Set[int] = frozenset(), charts: Set[int] | None = None, unsure: Set[int] = frozenset()
    ) -> list[tuple[int, int]]:
        """At the end of the flight one view is enough: no other will come. Returns (younger, older) numbers joined.

        Lines ``apart`` are no cracks by the judgement of all views, and are joined to none. Lines ``unsure`` may be
        none: a rim of a tie hole must not take the end of a crack that goes on behind it, so that the others are joined
        first. ``charts``: those that no frame comes to any more; None: all.
        """
        given_up: list[tuple[int, int]] = []
        for left_out in (apart | unsure, apart):
            among = {line.number for line in self._candidates(left_out, charts)}
            given_up += self._join(1, among)
            self._settle(left_out, charts, given_up)
            for _ in range(ROUNDS):
                lines = self._candidates(left_out, charts)
                changed = straighten(lines, {line.number: line.step / SPACING_PX for line in lines})
                for number in changed:
                    line = self.lines[number]
                    line.tidy()
                    self._near[line.chart].put(number, line.box)
                if not changed:
                    break
                self._settle(left_out, charts, given_up)
        return given_up

    def _candidates(self, apart: Set[int], charts: Set[int] | None) -> list[Line]:
        return [
            line for line in self.lines.values()
            if line.number not in apart and len(line.xy) >= 3 and (charts is None or line.chart in charts)
        ]  # fmt: skip

    def _settle(self, apart: Set[int], charts: Set[int] | None, given_up: list[tuple[int, int]]) -> None:
        """Join what is one crack until nothing is left to join."""
        refused: set[tuple[int, int]] = set()
        while True:
            lines = self._candidates(apart, charts)
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
        if not append(older, younger, gap_px):
            return False
        self.forget(younger.number)
        self._near[older.chart].put(older.number, older.box)
        given_up.append((younger.number, older.number))
        return True

    def _join(self, enough: int = JOIN_VOTES, among: Set[int] | None = None) -> list[tuple[int, int]]:
        """Join the pairs that enough views voted for; the younger number is given up. ``among`` None: all lines."""
        given_up: list[tuple[int, int]] = []
        for pair in self._votes.take(enough, among):
            older, younger = (self.lines.get(number) for number in pair)
            if older is None or younger is None or not self._merge(older, younger, given_up, GAP_PX):
                continue
            self._votes.joined(younger.number, older.number)
        return given_up


def _move(line: Line, xy: Points) -> None:
    """Bring a line to new coordinates, in whose units its widths are then."""
    before = line.length
    line.xy = xy
    if before > 0:
        line.read = rescaled(line.read, line.length / before)


def _goes_on(
    shared: list[Shared], first: int, last: int, count: int, piece: _Piece, grown: dict[tuple[int, int], _Piece]
) -> bool:
    """Whether points first to last of a centreline of ``count`` lead on from a line's end; then ``grown`` gets them."""
    for run in shared:
        if last == count and first > 0 and run.samples[-1] == first - 1:
            node, outward = int(run.node_of[-1]), piece
        elif first == 0 and run.samples[0] == last:
            node, outward = int(run.node_of[0]), _Piece(piece.xy[::-1], piece.read[::-1])
        else:
            continue
        from_end = len(run.line.xy) - 1 - node
        if min(node, from_end) <= 3:
            end = run.line.number, 0 if node < from_end else 1
            if end not in grown or len(piece.xy) > len(grown[end].xy):
                grown[end] = outward
            return True
    return False


def _second(pair: tuple[float, int] | None) -> int | None:
    return None if pair is None else pair[1]


def _follow(number: int | None, into: dict[int, int]) -> int | None:
    while number in into:
        number = into[number]
    return number
