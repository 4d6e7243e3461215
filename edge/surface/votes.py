"""Which lines the views of a flight show as one: a join cannot be undone, so that more than one view decides it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from itertools import pairwise

import numpy as np

from edge.surface.lines import Line, Points
from edge.surface.overlay import MAX_TURN_DEG, Shared

JOIN_VOTES = 2
"""So many views must show two lines as one before they are joined: a join cannot be undone."""
GAP_PX = 36.0
"""Two lines whose ends are no farther apart, and that continue each other, are one crack with a faint stretch."""
TOUCHING_PX = 14.0
TOUCHING_OPPOSED = 0.3
_LEAST_COSINE = math.cos(math.radians(MAX_TURN_DEG))
MIN_BEYOND = 4
"""Of two lines that one centreline runs through, each holds at least so many of its points that the other does not."""


class Votes:
    """Counts the views that show two lines as one; used by one thread."""

    def __init__(self) -> None:
        self._count: Counter[tuple[int, int]] = Counter()

    def take(self, enough: int, among: Set[int] | None = None) -> list[tuple[int, int]]:
        """The pairs (older, younger) with so many votes; they are counted anew from here on. ``among`` None: of all."""
        found = [
            pair for pair, votes in self._count.items()
            if votes >= enough and (among is None or (pair[0] in among and pair[1] in among))
        ]  # fmt: skip
        for pair in found:
            del self._count[pair]
        return found

    def joined(self, younger: int, older: int) -> None:
        """What was said of ``younger`` is said of ``older`` now."""
        for pair in [one for one in self._count if younger in one]:
            moved = sorted(older if number == younger else number for number in pair)
            votes = self._count.pop(pair)
            if moved[0] != moved[1]:
                self._count[moved[0], moved[1]] += votes

    def keep(self, numbers: Iterable[int]) -> None:
        """Drop what was said of other lines than these."""
        kept = set(numbers)
        self._count = Counter({pair: votes for pair, votes in self._count.items() if kept.issuperset(pair)})

    def chain(self, shared: list[Shared]) -> None:
        """Two lines that one centreline runs through, one after the other or both at once, may be one crack."""
        order = sorted(shared, key=lambda run: int(run.samples[0]))
        for a, b in pairwise(order):
            if a.line is b.line:
                continue
            both = len(set(a.samples.tolist()).intersection(b.samples.tolist()))
            beyond = min(len(a.samples), len(b.samples)) - both
            end_to_end = _near_end(a) and _near_end(b) and beyond >= MIN_BEYOND
            doubled = both >= 0.6 * min(len(a.samples), len(b.samples))
            if end_to_end or doubled:
                self._count[_pair(a.line, b.line)] += 1

    def facing(self, seen: Sequence[Line], shown: Sequence[Line], unit: float) -> None:
        """Lines ``seen`` in one frame whose ends face each other across a short gap may be one crack.

        ``shown``: all lines in the frame; ``unit``: chart units per pixel.
        """
        live = [line for line in seen if len(line.xy) >= 4]
        if len(live) < 2:
            return
        ends = np.array([end for line in live for end in (line.xy[0], line.xy[-1])])
        gap = ends[None] - ends[:, None]
        distance = np.hypot(gap[..., 0], gap[..., 1])
        for i, j in np.argwhere(distance <= GAP_PX * unit).tolist():
            one, other = live[i // 2], live[j // 2]
            if i // 2 >= j // 2:  # each pair once
                continue
            away, back = _outward(one, i % 2), _outward(other, j % 2)
            opposed = -float((away * back).sum())
            # Ends that touch are one crack even at a bend; across a gap only a straight course says so.
            straight, touching = opposed > _LEAST_COSINE, bool(distance[i, j] <= TOUCHING_PX * unit)
            if not straight and not (touching and opposed > TOUCHING_OPPOSED):
                continue
            if not touching:
                course = gap[i, j] / distance[i, j]
                if (course * away).sum() <= _LEAST_COSINE or (-course * back).sum() <= _LEAST_COSINE:
                    continue
            if straight or not _crossed(shown, ends[i], one, other, TOUCHING_PX * unit):
                self._count[_pair(one, other)] += 1


def _crossed(lines: Sequence[Line], at: Points, one: Line, other: Line, reach: float) -> bool:
    """Whether a third line runs through a place: then a bend there leads from one crack into another."""
    return any(
        float(np.hypot(*(line.xy - at).T).min()) <= reach
        for line in lines
        if line is not one and line is not other and _holds(line.box, at, reach)
    )


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


def _holds(box: tuple[float, float, float, float], at: Points, reach: float) -> bool:
    return bool(box[0] - reach <= at[0] <= box[2] + reach and box[1] - reach <= at[1] <= box[3] + reach)
