"""Map and elevations as numbers for SVG: what is drawn, in which units, and with which ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edge.ground.report.coverage import ORDER, rank
from edge.ground.report.findings import Finding
from edge.ground.report.source import Json
from edge.ground.report.walls import Float64, Wall
from edge.surface import earth

_WIDE = 1000.0
_MOST_TALL = 560.0
_LEAST_TALL = 120.0
_TICKS = 8


@dataclass(frozen=True, slots=True)
class Line:
    """One crack in a drawing."""

    number: int
    crack_id: str
    band: int | None
    points: str
    label_x: float
    label_y: float
    dot: bool
    """True: too short to be seen as a line, or known as one point; drawn as a dot at its label."""


@dataclass(frozen=True, slots=True)
class Area:
    """One patch of coverage."""

    points: str
    seen: str
    """``good`` (cracks of 0.3 mm and narrower are found), ``fair`` (cracks of 0.5 to 2 mm), or ``poor``."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid."""

    at: float
    text: str


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


def overview(findings: Sequence[Finding], coverage: Sequence[Json], track: Sequence[Sequence[float]]) -> Drawing | None:
    """The map, north up, metres east and north of its corner; None where nothing has a place on the earth.

    ``track``: [longitude, latitude] of the cameras in the order of time.
    """
    placed = [one for one in findings if one.lonlat is not None]
    rings = [(ring, _seen(one)) for one in coverage for ring in _rings(one.get("geometry"))]
    everything = [point for one in placed for point in one.lonlat or ()] + list(track)
    everything += [point for ring, _ in rings for point in ring]
    if not everything:
        return None
    middle = np.mean([[float(point[0]), float(point[1])] for point in everything], axis=0)
    scale = _metres_per_degree(float(middle[1]))
    sheet = _Sheet([_flat(point, middle, scale) for point in everything], "Map, north up", "m")
    for ring, word in rings:
        sheet.area([_flat(point, middle, scale) for point in ring], word)
    if track:
        sheet.track([_flat(point, middle, scale) for point in track])
    for one in placed:
        sheet.line(one, [_flat(point, middle, scale) for point in one.lonlat or ()])
    return sheet.drawing


def elevation(wall: Wall, number: int, findings: Sequence[Finding], coverage: Sequence[Json]) -> Drawing | None:
    """One wall as one looks at it: metres along and up, with the coverage that lies on it; None without a crack."""
    on_it = [one for one in findings if one.wall == number and one.flat_m is not None]
    if not on_it:
        return None
    points = [point for one in on_it if one.flat_m is not None for point in one.flat_m.tolist()]
    rings = [
        (flat, _seen(one)) for one in coverage for ring in _placed(one, wall) if (flat := wall.on(ring)) is not None
    ]
    sheet = _Sheet([*points, *(point for ring, _ in rings for point in ring.tolist())], wall.name, "m")
    for ring, word in rings:
        sheet.area(ring.tolist(), word)
    for one in on_it:
        assert one.flat_m is not None, "chosen for having one"
        sheet.line(one, one.flat_m.tolist())
    return sheet.drawing


def charts(findings: Sequence[Finding]) -> Iterator[Drawing]:
    """Cracks without a place, as the pictures alone join them: no scale is claimed."""
    groups: dict[int | None, list[Finding]] = {}
    for one in findings:
        if one.wall is None and one.chart_path is not None:
            groups.setdefault(one.chart, []).append(one)
    for number, group in groups.items():
        # Pictures count downwards.
        paths = [(one, [[x, -y] for x, y in one.chart_path.tolist()]) for one in group if one.chart_path is not None]
        sheet = _Sheet([point for _, path in paths for point in path], f"Joined pictures, part {number}", "")
        for one, path in paths:
            sheet.line(one, path)
        yield sheet.drawing


def _seen(feature: Json) -> str:
    at = rank(feature)
    return "good" if at <= ORDER.index("0.3") else "fair" if at <= ORDER.index("2.0") else "poor"


class _Sheet:
    """Puts metres onto a sheet of fixed width, with y upwards."""

    def __init__(self, points: Iterable[Sequence[float]], title: str, unit: str) -> None:
        box = np.array([[float(point[0]), float(point[1])] for point in points])
        low, high = box.min(axis=0), box.max(axis=0)
        size = np.maximum(high - low, 0.5 if unit else 1.0)
        pad = 0.06 * float(size.max())
        middle = (low + high) / 2
        size = size + 2 * pad
        size[1] = max(size[1], size[0] * _LEAST_TALL / _WIDE)
        size[0] = max(size[0], size[1] * _WIDE / _MOST_TALL)
        self._low = middle - size / 2
        self._high = middle + size / 2
        self._scale = _WIDE / float(size[0])
        self.drawing = Drawing(title, unit, _WIDE, round(float(size[1]) * self._scale, 1))
        if unit:
            self._grid()

    def line(self, finding: Finding, path: Sequence[Sequence[float]]) -> None:
        at = [self._at(point) for point in path]
        middle = at[len(at) // 2]
        long = max(math.dist(at[0], point) for point in at) if len(at) > 1 else 0.0
        self.drawing.lines.append(
            Line(finding.number, finding.crack_id, finding.band, _points(at), middle[0], middle[1], long < 5.0)
        )

    def area(self, ring: Sequence[Sequence[float]], word: str) -> None:
        self.drawing.areas.append(Area(_points([self._at(point) for point in ring]), word))

    def track(self, path: Sequence[Sequence[float]]) -> None:
        self.drawing.track.append(_points([self._at(point) for point in path]))

    def _at(self, point: Sequence[float]) -> tuple[float, float]:
        x = (float(point[0]) - self._low[0]) * self._scale
        y = self.drawing.height - (float(point[1]) - self._low[1]) * self._scale
        return round(float(x), 1), round(float(y), 1)

    def _grid(self) -> None:
        step = _step((self._high[0] - self._low[0]) / _TICKS)
        digits = max(0, -math.floor(math.log10(step)))
        for at in _multiples(self._low[0], self._high[0], step):
            self.drawing.across.append(Tick(self._at((at, 0.0))[0], f"{at:.{digits}f}"))
        for at in _multiples(self._low[1], self._high[1], step):
            self.drawing.upward.append(Tick(self._at((0.0, at))[1], f"{at:.{digits}f}"))


def _step(least: float) -> float:
    """1, 2 or 5 times a power of ten, at least ``least``."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= least * 0.999)


def _multiples(low: float, high: float, step: float) -> Iterator[float]:
    for number in range(math.ceil(low / step), math.floor(high / step) + 1):
        yield number * step


def _points(path: Sequence[Sequence[float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in path)


def _metres_per_degree(lat_deg: float) -> tuple[float, float]:
    """East and north, on WGS 84 at that latitude: good to a millimetre in a bridge's size."""
    step = 1e-4
    here = earth.to_ecef(lat_deg, 0.0, 0.0)
    east = float(np.linalg.norm(earth.to_ecef(lat_deg, step, 0.0) - here)) / step
    other = lat_deg + (step if lat_deg < 89 else -step)
    return east, float(np.linalg.norm(earth.to_ecef(other, 0.0, 0.0) - here)) / step


def _flat(point: Sequence[float], middle: Any, scale: tuple[float, float]) -> list[float]:
    return [(float(point[0]) - middle[0]) * scale[0], (float(point[1]) - middle[1]) * scale[1]]


def _placed(feature: Json, wall: Wall) -> Iterator[Float64]:
    """Outer rings (N, 3) of a patch in the wall's own frame."""
    place = feature["properties"].get("place")
    if not isinstance(place, dict) or place.get("frame") != wall.frame:
        return
    for polygon in place.get("polygons_m") or ():
        try:
            ring = np.asarray(polygon[0], np.float64)
        except (TypeError, ValueError, IndexError):
            continue
        if ring.ndim == 2 and ring.shape[1] == 3 and len(ring) >= 3 and bool(np.isfinite(ring).all()):
            yield ring


def _rings(geometry: Any) -> list[list[list[float]]]:
    """Outer and inner rings of a polygon or of several; empty for anything else."""
    if not isinstance(geometry, Mapping):
        return []
    coordinates = geometry.get("coordinates")
    if geometry.get("type") == "Polygon" and isinstance(coordinates, list):
        return [ring for ring in coordinates[:1] if _ring(ring)]
    if geometry.get("type") == "MultiPolygon" and isinstance(coordinates, list):
        return [ring for polygon in coordinates for ring in polygon[:1] if _ring(ring)]
    return []


def _ring(ring: Any) -> bool:
    return isinstance(ring, list) and len(ring) >= 4 and all(isinstance(one, list) and len(one) >= 2 for one in ring)
