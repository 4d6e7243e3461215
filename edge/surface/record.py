"""What is known of one crack: how wide its views say it is, which of them shows it best, and what was told of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edge.cracks import Crack
from edge.surface import CrackSize
from edge.surface.anchor import Anchor, most_of
from edge.surface.best import Best
from edge.surface.homography import Matrix, project
from edge.surface.judgement import Judgement, State
from edge.surface.lines import Line, lengths
from edge.surface.widths import Across, along

Points = npt.NDArray[np.float64]

SHIFT_M = 0.02
"""A crack whose place shifted by less since it was told is not told again for that."""
MEASURED = 0.5
"""A crack has a width where so much of what was read of it was measured; else a bound of it is told."""
CHART_DRIFT = 0.02
"""Relative standard uncertainty of a length on a chart whose units are known."""


@dataclass(frozen=True, slots=True, eq=False)
class CrackState:
    """One crack as it is known now: what ``spanhawk/crack/1`` tells."""

    number: int
    """Its name within the flight, from 1; never used again."""
    revision: int
    """From 1; rises by one each time it is told."""
    state: State
    into: int | None
    """The crack that it proved to be a part of, when it was withdrawn for that; else None."""
    views: int
    missed: int
    first_seen: datetime
    last_seen: datetime
    path_m: Points | None
    """float64 (N, 3): on the surface, in the frame's metres; None before two views of its surface had a place, and
    where no surface is in most of its views."""
    frame: str | None
    """The name of that frame (``Place.frame``)."""
    path_chart: Points
    """float64 (N, 2): on its chart."""
    chart: int
    length_mm: float | None
    length_sigma_mm: float | None
    length_px: float
    """In pixels of the chart's views."""
    width_mm: tuple[float, float] | None
    """Mean width and standard uncertainty; None where no view could measure it in millimetres."""
    width_at_most_mm: float | None
    width_px: tuple[float, float] | None
    score: float
    best: Best


class Told(NamedTuple):
    """What was told of a crack last, as far as it takes to see whether that still holds."""

    state: State
    length: float
    """Chart units, unrounded: no line moves and keeps it."""
    views: int
    rest: tuple[Any, ...] | None
    """All else that is no place, compared as a whole; None: an earlier run told it, and what it said is lost."""
    ends_m: Points | None
    """float64 (2, 3): where its ends were; None where it had no place."""

    @classmethod
    def of(cls, state: CrackState, length: float) -> Told:
        """What telling ``state`` tells; ``length`` of its line, chart units."""
        rest = (
            state.missed, state.first_seen, state.last_seen, state.score, state.width_mm, state.width_at_most_mm,
            state.width_px, state.best, state.chart, state.frame,
        )  # fmt: skip
        return cls(state.state, length, state.views, rest, None if state.path_m is None else state.path_m[[0, -1]])

    def holds(self, now: Told) -> bool:
        """Whether all of it is so ``now``. A place may have shifted by SHIFT_M: every view moves every crack a little.

        A line is moved as a whole by an affine map, so that no point of it goes farther than one of its ends.
        """
        if self[:4] != now[:4] or (self.ends_m is None) != (now.ends_m is None):
            return False
        if self.ends_m is None or now.ends_m is None:
            return True
        return float(np.linalg.norm(self.ends_m - now.ends_m, axis=1).max()) <= SHIFT_M


@dataclass(slots=True)
class Scale:
    """What the views of one crack say of the chart's units where it runs, each for the length of it that it shows."""

    units: float = 0.0
    """Chart units of what all views showed, ..."""
    mm: float = 0.0
    """... that in millimetres, ..."""
    doubt_mm: float = 0.0
    """... and that times the relative standard uncertainty of the view's scale."""

    def add(self, units: float, mm: float, relative: float) -> None:
        """One view."""
        self.units, self.mm, self.doubt_mm = self.units + units, self.mm + mm, self.doubt_mm + relative * mm

    def take(self, other: Scale) -> None:
        """Add what the views of another line said, that proved to be a part of this crack."""
        self.units, self.mm, self.doubt_mm = (
            self.units + other.units, self.mm + other.mm, self.doubt_mm + other.doubt_mm,
        )  # fmt: skip

    @property
    def mm_per_unit(self) -> float | None:
        """None where no view had a size."""
        return self.mm / self.units if self.units > 0 else None

    @property
    def relative(self) -> float:
        """Relative standard uncertainty of that, 0 where it is None."""
        return self.doubt_mm / self.mm if self.mm > 0 else 0.0


@dataclass(slots=True, eq=False)
class Entry:
    """One crack of the flight, beside its line."""

    judgement: Judgement
    first_seen: datetime
    last_seen: datetime
    last_frame: int
    best: Best
    score: float
    unit_per_px: float
    across: Across = field(default_factory=Across)
    revision: int = 0
    told: Told | None = None
    """None: nobody was told of it."""
    surfaces: dict[int, int] = field(default_factory=dict)
    """Views that found it and had a place, by the surface that they show."""
    scale: Scale = field(default_factory=Scale)


def weigh_length(entry: Entry, crack: Crack, size: CrackSize, to_chart: Matrix) -> None:
    """Weigh in what one view says of the chart's units where the crack runs.

    ``to_chart`` (3, 3): from the view's pixels.
    """
    path = crack.path_px.astype(np.float64)
    steps_px = float(lengths(path)[-1])
    if steps_px > 0:  # as the view's own length: the polyline only carries the local scale
        units = crack.length_px * float(lengths(project(to_chart, path))[-1]) / steps_px
        entry.scale.add(units, size.length_mm, size.length_relative)


def length_mm(entry: Entry, line: Line, anchor: Anchor) -> tuple[float, float] | None:
    """A crack's length and its standard uncertainty; None where no view knew its scale.

    By the views' own sizes of it, which know the tilt and where in the picture it runs; where no view has any, by the
    chart's mean units. Two percent are drift of the chart, and one point is open at either end. Views share lens and
    range sensor, so that all together know the scale no better than they do on average.
    """
    scale, relative = entry.scale.mm_per_unit, entry.scale.relative
    whole = anchor.length_mm(line.xy) if scale is None else line.length * scale
    if whole is None:
        return None
    relative = anchor.relative if scale is None else relative
    ends = math.sqrt(2) * line.step / max(line.length, line.step)
    return whole, whole * math.hypot(relative, CHART_DRIFT, ends)


def state_of(number: int, revision: int, entry: Entry, line: Line, anchor: Anchor, frame: str | None) -> CrackState:
    """One crack as it is known now; ``frame`` is the name of the frame that ``anchor`` leads to."""
    on = most_of(entry.surfaces)
    path_m = None if entry.surfaces and on is None else anchor.to_structure(line.xy, on)
    length = length_mm(entry, line, anchor)
    width_mm, bound_mm, width_px = _widths(entry, line)
    return CrackState(
        number=number,
        revision=revision,
        state=entry.judgement.state,
        into=None,
        views=entry.judgement.views,
        missed=entry.judgement.missed,
        first_seen=entry.first_seen,
        last_seen=entry.last_seen,
        path_m=path_m,
        frame=None if path_m is None else frame,
        path_chart=line.xy.copy(),  # the line goes on to move
        chart=line.chart,
        length_mm=None if length is None else length[0],
        length_sigma_mm=None if length is None else length[1],
        length_px=line.length / entry.unit_per_px,
        width_mm=width_mm,
        width_at_most_mm=bound_mm,
        width_px=width_px,
        score=entry.score,
        best=entry.best,
    )


def _widths(entry: Entry, line: Line) -> tuple[tuple[float, float] | None, float | None, tuple[float, float] | None]:
    """Mean width and its uncertainty in millimetres, else its bound; and the same width in pixels of its last view."""
    found = along(line)
    if found is None:
        return None, None, None
    mm, stated = entry.across.millimetres(found), found.measured >= MEASURED
    width_px = (found.mean / entry.unit_per_px, found.sigma / entry.unit_per_px) if stated else None
    if mm is None:
        return None, None, width_px
    return (mm[:2], None, width_px) if stated else (None, mm[2], None)


def gone(number: int, into: int, entry: Entry) -> CrackState:
    """The last word on a number that was given up, because its crack proved to be a part of ``into``."""
    return CrackState(
        number=number, revision=entry.revision + 1, state="withdrawn", into=into, views=entry.judgement.views,
        missed=entry.judgement.missed, first_seen=entry.first_seen, last_seen=entry.last_seen, path_m=None, frame=None,
        path_chart=np.zeros((0, 2)), chart=0, length_mm=None, length_sigma_mm=None, length_px=0.0, width_mm=None,
        width_at_most_mm=None, width_px=None, score=entry.score, best=entry.best,
    )  # fmt: skip
