"""A sheet of paper in numbers: metres become an SVG's units, with a grid and numbers that do not touch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from edge.ground.report.findings import Finding

WIDE, NARROW = 1000.0, 480.0
"""Of a sheet as wide as the page, and of one that has another beside it: so figures are as large on both."""
_MOST_TALL, _LEAST_TALL = 0.56, 0.12
"""By the width."""
_TICKS = 8
_TEXT = 13.0
"""Height of a figure, and below it how wide one is, of the drawing's 15 px type: bold, of the widest common font."""
_DIGIT = 10.5
_BETWEEN = 3.0
"""Kept free on either side: two numbers that touch are read as one."""


@dataclass(slots=True)
class Line:
    """One crack in a drawing."""

    number: int
    crack_id: str
    band: int | None
    points: str
    x: float
    """Of its middle."""
    y: float
    dot: bool
    """True: too short to be seen as a line, or known as one point; drawn as a dot in its middle."""
    area: bool
    """True: a damaged area, drawn as a square."""
    label: tuple[float, float] | None = None
    """Where its number stands without touching another; None where there is no room."""


@dataclass(frozen=True, slots=True)
class Area:
    """One patch of coverage."""

    course: str
    """Of an SVG path: the edge, then its holes."""
    seen: str
    """As ``coverage.grade``."""


@dataclass(slots=True)
class Tick:
    """A line of the grid."""

    at: float
    text: str
    """Empty where a figure would not stand whole on the sheet."""


@dataclass(slots=True)
class Drawing:
    """An SVG's contents; the view box is ``0 0 width height``."""

    title: str
    unit: str
    width: float
    height: float
    lines: list[Line] = field(default_factory=list)
    areas: list[Area] = field(default_factory=list)
    track: list[str] = field(default_factory=list)
    across: list[Tick] = field(default_factory=list)
    upward: list[Tick] = field(default_factory=list)

    @property
    def unnamed(self) -> int:
        """How many findings have no room for their number."""
        return sum(line.label is None for line in self.lines)


class Sheet:
    """Puts metres onto a sheet of fixed width, with y upwards."""

    def __init__(self, points: Iterable[Sequence[float]], title: str, unit: str, wide: float = WIDE) -> None:
        box = np.array([[float(point[0]), float(point[1])] for point in points])
        low, high = box.min(axis=0), box.max(axis=0)
        size = np.maximum(high - low, 0.5 if unit else 1.0)
        pad = 0.06 * float(size.max())
        middle = (low + high) / 2
        size = size + 2 * pad
        size[1] = max(size[1], size[0] * _LEAST_TALL)
        size[0] = max(size[0], size[1] / _MOST_TALL)
        self._low = middle - size / 2
        self._high = middle + size / 2
        self._scale = wide / float(size[0])
        self.drawing = Drawing(title, unit, wide, round(float(size[1]) * self._scale, 1))
        self._courses: list[list[tuple[float, float]]] = []
        if unit:
            self._grid()

    def line(self, finding: Finding, path: Sequence[Sequence[float]]) -> None:
        """Draw one finding, ``path`` in the sheet's metres."""
        at = [self._at(point) for point in path]
        middle = at[len(at) // 2]
        long = max(math.dist(at[0], point) for point in at) if len(at) > 1 else 0.0
        self.drawing.lines.append(
            Line(finding.number, finding.crack_id, finding.band, _points(at), *middle, long < 5.0, finding.is_area)
        )
        self._courses.append(at)

    def area(self, rings: Sequence[Sequence[Sequence[float]]], word: str) -> None:
        """Draw one patch of coverage, the outer ring first; ``word`` as ``Area.seen``."""
        course = "".join(f"M{_points([self._at(point) for point in ring])}Z" for ring in rings)
        self.drawing.areas.append(Area(course, word))

    def track(self, path: Sequence[Sequence[float]]) -> None:
        """Draw the camera's way."""
        self.drawing.track.append(_points([self._at(point) for point in path]))

    def done(self) -> Drawing:
        """The drawing, with a number at each finding that has room for one; the worst, which come first, choose."""
        taken: list[tuple[float, float, float, float]] = []
        for line, course in zip(self.drawing.lines, self._courses, strict=True):
            wide = _DIGIT * len(str(line.number))
            for share in (0.5, 0.25, 0.75, 0.0, 1.0):
                x, y = course[round(share * (len(course) - 1))]
                for left, base in ((x + 8, y - 6), (x + 8, y + 16), (x - 8 - wide, y - 6), (x - 8 - wide, y + 16)):
                    box = (left - _BETWEEN, base - _TEXT, left + wide + _BETWEEN, base + 3)
                    if line.label is None and self._inside(box) and not any(_touch(box, other) for other in taken):
                        line.label = (round(left, 1), round(base, 1))
                        taken.append(box)
        return self.drawing

    def _inside(self, box: tuple[float, float, float, float]) -> bool:
        return box[0] >= 0 and box[1] >= 0 and box[2] <= self.drawing.width and box[3] <= self.drawing.height

    def _at(self, point: Sequence[float]) -> tuple[float, float]:
        x = (float(point[0]) - self._low[0]) * self._scale
        y = self.drawing.height - (float(point[1]) - self._low[1]) * self._scale
        return round(float(x), 1), round(float(y), 1)

    def _grid(self) -> None:
        step = _step((self._high[0] - self._low[0]) / _TICKS)
        digits = max(0, -math.floor(math.log10(step)))
        wide = self.drawing.width
        for at in _multiples(self._low[0], self._high[0], step):
            x, text = self._at((at, 0.0))[0], f"{at:.{digits}f}"
            room = x + 4 + _DIGIT * len(f"{text} {self.drawing.unit}") <= wide
            self.drawing.across.append(Tick(x, text if room else ""))
        for at in _multiples(self._low[1], self._high[1], step):
            y = self._at((0.0, at))[1]
            self.drawing.upward.append(Tick(y, f"{at:.{digits}f}" if y - 4 >= _TEXT else ""))
        for ticks in (self.drawing.across, self.drawing.upward):  # the last figure has the unit
            for tick in [one for one in ticks if one.text][-1:]:
                tick.text += f" {self.drawing.unit}"


def _touch(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _step(least: float) -> float:
    """1, 2 or 5 times a power of ten, at least ``least``."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= least * 0.999)


def _multiples(low: float, high: float, step: float) -> Iterator[float]:
    for number in range(math.ceil(low / step), math.floor(high / step) + 1):
        yield number * step


def _points(path: Sequence[Sequence[float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in path)
