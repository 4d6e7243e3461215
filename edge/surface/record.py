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
from edge.surface.anchor import Anchor
from edge.surface.best import Best
from edge.surface.judgement import Judgement, State
from edge.surface.lines import Line, lengths

Points = npt.NDArray[np.float64]

SHIFT_M = 0.02
"""A crack whose place shifted by less since it was told is not told again for that."""
ONE_SIDED = 1.645
"""A normal value lies below its mean plus so many standard uncertainties in 19 of 20 cases."""
UNIFORM_SIGMA = 1 / math.sqrt(12)
"""Standard deviation of what may be anything between 0 and 1, whose mean is a half."""
SCALE_SHARE = 0.1
"""A view whose scale is as unsure as this, as a share, counts half of one whose scale is known."""


@dataclass(slots=True)
class Widths:
    """What the views of one crack say of its mean width, each for the length of it that it shows.

    Views that measured it are weighed by length, and by how well their picture is read and their scale is known. The
    weight must not depend on the width itself: the uncertainties of range and lens are shares of it, so that weights by
    the whole variance would lean to the narrow parts. A wide rim that proved to belong to a crack says little of the
    rest, so that length counts everywhere.
    """

    weight: float = 0.0
    """Sum of the weights, ..."""
    total: float = 0.0
    """... of that times the width, ..."""
    doubt: float = 0.0
    """... and of that times the standard uncertainty."""
    spread: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Sum of the weights' squares, times the width, times its square: how far views lie from each other."""
    upper_weight: float = 0.0
    """Sum of pixels over the area of one on the surface, of views that measured, ..."""
    upper_total: float = 0.0
    """... and of that times the width's upper end."""
    bound_weight: float = 0.0
    """The same of views that gave an upper bound, ..."""
    bound_total: float = 0.0
    """... and of that times the bound."""
    stated: float = 0.0
    """Length on the surface that views measured the width of, all added up, in the unit of the widths."""
    bounded: float = 0.0
    """The same of views that gave an upper bound."""

    def add(
        self, value: float, sigma: float, length_px: float, reading: float | None = None, per_px: float = 1.0
    ) -> None:
        """One view's value and standard uncertainty; ``length_px`` is more than 0.

        ``reading``: the standard uncertainty of reading it off the picture alone, None: all of it; ``per_px``: how many
        of the value's units a pixel is.
        """
        read = max(sigma if reading is None else min(reading, sigma), 1e-6)
        scale = math.sqrt(max(0.0, sigma**2 - read**2)) / max(value, 1e-6)
        weight = length_px / read**2 / (1 + (scale / SCALE_SHARE) ** 2)
        self.weight, self.total = self.weight + weight, self.total + weight * value
        self.doubt += weight * sigma
        self.spread = _sum(self.spread, (weight**2, weight**2 * value, (weight * value) ** 2))
        extent = length_px / per_px**2
        self.upper_weight, self.upper_total = (
            self.upper_weight + extent, self.upper_total + extent * (value + ONE_SIDED * sigma),
        )  # fmt: skip
        self.stated += length_px * per_px

    def bound(self, value: float, length_px: float, per_px: float = 1.0) -> None:
        """One view's upper bound."""
        extent = length_px / per_px**2
        self.bound_weight, self.bound_total = self.bound_weight + extent, self.bound_total + extent * value
        self.bounded += length_px * per_px

    def take(self, other: Widths) -> None:
        """Add what the views of another line said, that proved to be a part of this crack."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.spread = _sum(self.spread, other.spread)

    @property
    def mean(self) -> tuple[float, float] | None:
        """Value and standard uncertainty; None where no view measured one, or where most of what was seen of the crack
        was too narrow to be measured: then the bound is what is known.

        Views of one crack share the lens, the light, the network and what the crack looks like, so that all of them
        together are no surer than they are on average; what they lie apart from each other, because a crack is not as
        wide everywhere, comes on top. Stretches that were only bounded are narrower than those that were measured: left
        out they would make every crack too wide. They count as anything between nothing and their bound.
        """
        if not self.weight or self.bounded > self.stated:
            return None
        mean, (ones, values, squares) = self.total / self.weight, self.spread
        apart = max(0.0, squares - 2 * mean * values + mean**2 * ones)
        sigma = math.hypot(math.sqrt(apart), self.doubt) / self.weight
        if not self.bound_weight:
            return mean, sigma
        share, bound = self.bounded / (self.bounded + self.stated), self.bound_total / self.bound_weight
        sigma = math.hypot((1 - share) * sigma, share * UNIFORM_SIGMA * bound)
        return (1 - share) * mean + share * bound / 2, sigma

    @property
    def at_most(self) -> float | None:
        """Upper bound of the mean width; None where no view gave one.

        The mean of the views' bounds, near views first, and of the upper ends of what was measured, each for its length
        on the surface. The least of them would be that of the part or the view that happens to have the lowest: of 20
        that each hold in 19 of 20 cases it holds in one of three.
        """
        if not self.bound_weight:
            return None
        share, bound = self.bounded / (self.bounded + self.stated), self.bound_total / self.bound_weight
        return share * bound + (1 - share) * self.upper_total / self.upper_weight if self.upper_weight else bound


_SUMS = (
    "weight", "total", "doubt", "upper_weight", "upper_total", "bound_weight", "bound_total", "stated", "bounded",
)  # fmt: skip


def _sum(a: tuple[float, float, float], b: tuple[float, float, float]) -> tuple[float, float, float]:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


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
    """float64 (N, 3): on the surface, in the frame's metres; None where no view had a place."""
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
    mm: Widths = field(default_factory=Widths)
    px: Widths = field(default_factory=Widths)
    revision: int = 0
    told: Told | None = None
    """None: nobody was told of it."""


def measure(entry: Entry, crack: Crack, size: CrackSize | None) -> None:
    """Weigh in what one view measured of the crack's width."""
    sigma_px, length_px = crack.width_sigma_px if crack.width_sigma_px is not None else 1.0, max(1.0, crack.length_px)
    if crack.width_at_most_px is None:
        entry.px.add(float(crack.width_px.mean()), sigma_px, length_px)
    else:
        entry.px.bound(crack.width_at_most_px, length_px)
    if size is None:
        return
    if size.width_mm is not None and size.width_sigma_mm is not None:
        gsd = size.gsd_mm_per_px
        entry.mm.add(size.width_mm, size.width_sigma_mm, length_px, gsd * sigma_px, gsd)
    elif size.width_at_most_mm is not None:
        entry.mm.bound(size.width_at_most_mm, length_px, size.gsd_mm_per_px)


def length_sigma_mm(line: Line, length_mm: float) -> float:
    """Two percent for scale and drift of the chart, and one point at either end."""
    return math.hypot(0.02 * length_mm, math.sqrt(2) * length_mm * line.step / max(line.length, line.step))


def state_of(number: int, revision: int, entry: Entry, line: Line, anchor: Anchor, frame: str | None) -> CrackState:
    """One crack as it is known now; ``frame`` is the name of the frame that ``anchor`` leads to."""
    path_m = anchor.to_structure(line.xy)
    length_mm = None
    if path_m is not None:
        length_mm = 1000 * float(lengths(path_m)[-1])
    elif anchor.mm_per_unit is not None:
        length_mm = line.length * anchor.mm_per_unit
    mm, bound = entry.mm.mean, entry.mm.at_most
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
        length_mm=length_mm,
        length_sigma_mm=None if length_mm is None else length_sigma_mm(line, length_mm),
        length_px=line.length / entry.unit_per_px,
        width_mm=mm,
        width_at_most_mm=bound if mm is None else None,
        width_px=entry.px.mean,
        score=entry.score,
        best=entry.best,
    )


def gone(number: int, into: int, entry: Entry) -> CrackState:
    """The last word on a number that was given up, because its crack proved to be a part of ``into``."""
    return CrackState(
        number=number, revision=entry.revision + 1, state="withdrawn", into=into, views=entry.judgement.views,
        missed=entry.judgement.missed, first_seen=entry.first_seen, last_seen=entry.last_seen, path_m=None, frame=None,
        path_chart=np.zeros((0, 2)), chart=0, length_mm=None, length_sigma_mm=None, length_px=0.0, width_mm=None,
        width_at_most_mm=None, width_px=None, score=entry.score, best=entry.best,
    )  # fmt: skip
