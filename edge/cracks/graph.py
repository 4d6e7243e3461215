"""A skeleton's lines and the junctions they meet in, cleaned into the lines a person would draw.

Three artefacts of thinning are undone: spurs (short side lines that do not stick out of the crack), bridges (two wide
cracks that cross come out as two junctions with a short line between them), and cuts (two lines that continue each
other through a junction are one).
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from edge.cracks.distance import Distances
from edge.cracks.skeleton import Points, Skeleton

OPEN = -1
"""In place of a node: the line ends here without meeting another."""

COURSE_PX = 28
"""A line's direction out of a node is read over at least this length: cracks zigzag over shorter ones, and a pair that
is chosen by its next zigzag leads from one crack into another where they cross."""
STUB_POINTS = 10
"""A line of fewer points has no course to speak of, and is paired only after those that have one."""

End = tuple[int, int]
"""Number of a line, and its side: 0 its first point, 1 its last."""


@dataclass(frozen=True, slots=True)
class Node:
    """A junction: where three or more lines of the skeleton meet."""

    x: float
    y: float
    half_width_px: float
    """Distance from here to the nearest pixel outside the mask."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A run of skeleton pixels."""

    xy: Points
    """float64 (N, 2), x right and y down; a closed line repeats its first point at the end."""
    ends: tuple[int, int]
    """Node at the first and at the last point, or OPEN."""
    length_px: float
    """From pixel to pixel."""
    closed: bool = False
    nodes: tuple[int, ...] = ()
    """Nodes that this line runs through or ends in."""

    @classmethod
    def of(cls, xy: Points, ends: tuple[int, int], closed: bool = False, through: tuple[int, ...] = ()) -> Line:
        """Make a line, adding up its length and its nodes."""
        steps = xy[1:] - xy[:-1]
        nodes = tuple(sorted({*through, *ends} - {OPEN}))
        return cls(xy, ends, float(np.sqrt((steps * steps).sum(axis=1)).sum()), closed, nodes)


class Graph:
    """Lines and nodes. The methods change them in place, each leaving them valid."""

    def __init__(self, skeleton: Skeleton, distance: Distances) -> None:
        """``distance``: of the mask's pixels to its outside."""
        self.nodes = _nodes(skeleton, distance)
        self.lines: list[Line] = []
        for pixels, closed in skeleton.lines():
            a, b = (int(skeleton.cluster[p]) if skeleton.degree[p] > 2 else OPEN for p in (pixels[0], pixels[-1]))
            self.lines.append(self._line(skeleton.xy[pixels], (a, b), closed))

    def prune(self, spur_half_widths: float) -> None:
        """Remove spurs: open-ended lines shorter than ``spur_half_widths`` times the half-width where they begin.

        A node of nothing but spurs (a blot) keeps its longest two. Repeats until nothing is a spur.
        """
        while spurs := self._spurs(spur_half_widths):
            self.lines = [line for i, line in enumerate(self.lines) if i not in spurs]
            self._open_lone_ends()
            self._link([(m[0], m[1]) for m in self._meetings().values() if len(m) == 2], through=False)

    def contract_bridges(self) -> None:
        """Make one node of two whose inscribed circles reach each other along the line between them, shortest first."""
        bridges = sorted((i for i, line in enumerate(self.lines) if self._is_bridge(line)), key=self._length)
        into: dict[int, int] = {}
        gone: set[int] = set()
        for i in bridges:
            a, b = self.lines[i].ends
            if not {a, b} & {*into, *into.values()}:
                into[b], self.nodes[a] = a, _between(self.nodes[a], self.nodes.pop(b))
                gone.add(i)
        moved = self.lines
        if gone:
            kept = [line for i, line in enumerate(self.lines) if i not in gone]
            moved = [
                self._line(x.xy, (into.get(x.ends[0], x.ends[0]), into.get(x.ends[1], x.ends[1])), x.closed)
                for x in kept
            ]
        self.lines = [line for line in moved if not self._is_coil(line)]

    def join_straight(self, max_turn_deg: float) -> None:
        """In every node join the two lines that continue each other best, then the next two, while they turn little."""
        pairs: list[tuple[End, End]] = []
        for node, meeting in self._meetings().items():
            pairs += _straightest(self.lines, meeting, self.nodes[node].half_width_px, max_turn_deg)
        self._link(pairs, through=True)

    def _length(self, line: int) -> float:
        return self.lines[line].length_px

    def _line(self, xy: Points, ends: tuple[int, int], closed: bool) -> Line:
        """A line whose ends lie in the middle of their nodes."""
        for at, node in zip((0, -1), ends, strict=True):
            if node != OPEN:
                xy[at] = self.nodes[node].x, self.nodes[node].y
        return Line.of(xy, ends, closed)

    def _is_bridge(self, line: Line) -> bool:
        a, b = line.ends
        if a == b or OPEN in line.ends:
            return False
        return line.length_px < self.nodes[a].half_width_px + self.nodes[b].half_width_px

    def _is_coil(self, line: Line) -> bool:
        """True for the second of two bridges between the same nodes, once these are one."""
        a, b = line.ends
        return a == b != OPEN and line.length_px < 4 * self.nodes[a].half_width_px

    def _spurs(self, spur_half_widths: float) -> set[int]:
        spurs: set[int] = set()
        for node, meeting in self._meetings().items():
            limit = spur_half_widths * self.nodes[node].half_width_px + 1
            short = [i for i, _ in meeting if OPEN in self.lines[i].ends and self.lines[i].length_px < limit]
            if len(short) == len(meeting):
                short = sorted(short, key=self._length)[:-2]
            spurs.update(short)
        return spurs

    def _meetings(self) -> dict[int, list[End]]:
        """The line ends that meet in each node."""
        meetings: dict[int, list[End]] = defaultdict(list)
        for i, line in enumerate(self.lines):
            for side, node in enumerate(line.ends):
                if node != OPEN:
                    meetings[node].append((i, side))
        return meetings

    def _open_lone_ends(self) -> None:
        """A node with one line left is no node."""
        for meeting in self._meetings().values():
            if len(meeting) == 1:
                i, side = meeting[0]
                line = self.lines[i]
                ends = (OPEN, line.ends[1]) if side == 0 else (line.ends[0], OPEN)
                self.lines[i] = Line.of(line.xy, ends, line.closed)

    def _link(self, pairs: list[tuple[End, End]], *, through: bool) -> None:
        """Make one line of each chain of lines whose ends are paired; with ``through`` it remembers the nodes."""
        partner = dict(pairs) | {b: a for a, b in pairs}
        if not partner:
            return
        used: set[int] = set()
        joined: list[Line] = []
        free = [(i, side) for i in range(len(self.lines)) for side in (0, 1) if (i, side) not in partner]
        for start in free + [(i, 0) for i in range(len(self.lines))]:  # chains first, then what is left: rings
            if start[0] not in used:
                chain = _chain(start, partner)
                used.update(i for i, _ in chain)
                joined.append(_concatenate(self.lines, chain, closed=start in partner, through=through))
        self.lines = joined


def _nodes(skeleton: Skeleton, distance: Distances) -> dict[int, Node]:
    junction = np.flatnonzero(skeleton.degree > 2)
    names, member = np.unique(skeleton.cluster[junction], return_inverse=True)
    if not names.size:
        return {}
    xy = skeleton.xy[junction]
    count = np.bincount(member)
    x, y = (np.bincount(member, xy[:, k]) / count for k in (0, 1))
    half_width = np.zeros(names.size)
    np.maximum.at(half_width, member, distance.at(*xy.astype(np.intp).T))
    columns = (names.tolist(), x.tolist(), y.tolist(), half_width.tolist())
    return {name: Node(*rest) for name, *rest in zip(*columns, strict=True)}


def _between(a: Node, b: Node) -> Node:
    half_width = max(a.half_width_px, b.half_width_px)
    return Node((a.x + b.x) / 2, (a.y + b.y) / 2, half_width)


def _straightest(
    lines: list[Line], meeting: list[End], half_width: float, max_turn_deg: float
) -> list[tuple[End, End]]:
    """Pairs of ends to join, straightest first; every end at most once."""
    directions = {end: _direction(lines[end[0]].xy, end[1], half_width) for end in meeting}
    turns = []
    for a, b in combinations(meeting, 2):
        (ax, ay), (bx, by) = directions[a], directions[b]
        stub = min(len(lines[a[0]].xy), len(lines[b[0]].xy)) < STUB_POINTS
        turns.append((stub, math.pi - math.acos(max(-1.0, min(1.0, ax * bx + ay * by))), a, b))
    pairs: list[tuple[End, End]] = []
    taken: set[End] = set()
    for _, turn, a, b in sorted(turns):
        if turn <= math.radians(max_turn_deg) and not {a, b} & taken:
            taken |= {a, b}
            pairs.append((a, b))
    return pairs


def _direction(xy: Points, side: int, half_width: float) -> tuple[float, float]:
    """Unit vector out of a node along a line, read outside the node's inscribed circle where thinning bends lines."""
    away = xy if side == 0 else xy[::-1]
    far = min(len(away) - 1, max(round(3 * half_width) + 8, COURSE_PX))
    near = min(round(half_width), far // 2)
    dx, dy = away[far] - away[near]
    size = math.hypot(dx, dy) or 1.0
    return dx / size, dy / size


def _chain(start: End, partner: dict[End, End]) -> list[End]:
    """The lines from ``start`` on, each with the side it is entered by."""
    chain = [start]
    here = start
    while (leave := (here[0], 1 - here[1])) in partner and partner[leave] != start:
        here = partner[leave]
        chain.append(here)
    return chain


def _concatenate(lines: list[Line], chain: list[End], *, closed: bool, through: bool) -> Line:
    if len(chain) == 1 and not closed:
        return lines[chain[0][0]]
    pieces = [lines[i].xy if side == 0 else lines[i].xy[::-1] for i, side in chain]
    xy = np.concatenate([pieces[0], *(piece[1:] for piece in pieces[1:])])
    (first, first_side), (last, last_side) = chain[0], chain[-1]
    ends = (OPEN, OPEN) if closed else (lines[first].ends[first_side], lines[last].ends[1 - last_side])
    nodes = {node for i, _ in chain for node in (lines[i].nodes if through else ())}
    return Line.of(xy, ends, closed, tuple(nodes))
