"""Findings: the cracks and damaged areas of a flight, each with its wall, place, band and best view, by severity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.ground.report import walls
from edge.ground.report.bands import Bands
from edge.ground.report.coverage import outlines
from edge.ground.report.flight import Flight, Json, Past, View, value
from edge.ground.report.review import Review
from edge.ground.report.walls import Float64, Wall

_STRUCTURE = "structure:"


@dataclass(slots=True, eq=False)
class Finding:
    """One crack (or other damage) of the flight."""

    number: int
    crack_id: str
    kind: str
    state: str
    views: int | None
    missed: int | None
    first_seen: str | None
    last_seen: str | None
    score: float | None
    lonlat: list[list[float]] | None
    """Course as [longitude, latitude] or [.., height above the ellipsoid]; one point where only that is known."""
    path_m: Float64 | None
    """(N, 3): its course in its local frame."""
    chart: int | None
    chart_path: Float64 | None
    """(N, 2): its course in the map that the pictures alone make."""
    element: str | None
    """Name of the structure's part, where the flight had one configured."""
    wall: int | None
    flat_m: Float64 | None
    """(N, 2): metres along and up its wall."""
    face: str | None
    middle_m: tuple[float | None, float | None, float | None]
    """Station, offset and height."""
    length: Json | None
    length_px: float | None
    """Stands in where millimetres are unknown."""
    width: Json | None
    at_most_mm: float | None
    width_px: Json | None
    """Stands in where millimetres are unknown."""
    is_area: bool
    """True: spalling and the like, which has an area and no width."""
    area_cm2: Json | None
    extent_mm: Json | None
    """Largest distance across the area."""
    cut_by_frame: bool
    """True: the area goes on beyond its best picture, so that its sizes are lower bounds."""
    band: int | None
    """By the mean width; None where no width is known, or only an upper bound above the narrowest band."""
    band_words: str | None
    orientation_deg: float | None
    """In the plane of its wall, 0 lying and 90 upright, anticlockwise as one looks at it; below 180."""
    view: View | None
    best: Json
    review: Review | None
    history: Sequence[Past]
    photo: str | None = None
    """Name in the report's photos folder; None while no picture was found."""
    photo_is_view: bool = False
    """True: it is the picture of ``view``, so that the crack may be drawn on it."""
    photo_sha256: str | None = None
    photo_doubt: str | None = None
    """One sentence on a picture that is gone or was changed."""

    @property
    def several(self) -> bool:
        """True where more than one view shows it."""
        return self.state in ("confirmed", "several views")

    @property
    def frame_name(self) -> str | None:
        """What its best picture is called where it came from, as in a replayed folder; None: it has no name."""
        name = self.best.get("frame_name")
        return name if isinstance(name, str) else None if self.view is None else self.view.frame_name

    @property
    def worst_mm(self) -> float | None:
        """Its mean width, or the bound above it."""
        return value(self.width) if self.width is not None else self.at_most_mm


def gather(
    flight: Flight, bands: Bands, reviews: Mapping[str, Review]
) -> tuple[list[Finding], list[Finding], list[Wall]]:
    """Findings by severity, withdrawn ones apart, and the walls that they lie on."""
    shown = [one for one in flight.cracks if one["properties"].get("state") != "withdrawn"]
    shown.sort(key=_numbered)  # the first crack's wall is wall 1, in whatever order revisions arrived
    gone = [one for one in flight.cracks if one["properties"].get("state") == "withdrawn"]
    paths = [_path(_part(one, "place").get("path_m"), 3, 1 if "area_cm2" in one["properties"] else 2) for one in shown]
    views = [flight.views.get(str(one["properties"]["crack_id"])) for one in shown]
    found, of = walls.find(
        paths,
        [_part(one, "place").get("frame") for one in shown],
        [_part(one, "chart").get("number") for one in shown],
        [None if view is None else view.yaw_deg for view in views],
        [(one.frame, one.charts, one.ring_m) for one in outlines(flight.coverage)],
    )
    findings = [
        _finding(number, one, path, None if at is None else found[at], at, view, bands, reviews, flight.history)
        for number, (one, path, at, view) in enumerate(zip(shown, paths, of, views, strict=True), 1)
    ]
    findings.sort(key=_severity)
    withdrawn = [
        _finding(number, one, None, None, None, None, bands, reviews, {}) for number, one in enumerate(gone, 1)
    ]
    return findings, withdrawn, found


def _finding(
    number: int,
    feature: Json,
    path_m: Float64 | None,
    wall: Wall | None,
    wall_number: int | None,
    view: View | None,
    bands: Bands,
    reviews: Mapping[str, Review],
    history: Mapping[str, Sequence[Past]],
) -> Finding:
    found = feature["properties"]
    name = str(found["crack_id"])
    place, chart = _part(feature, "place"), _part(feature, "chart")
    frame = place.get("frame")
    structure = frame[len(_STRUCTURE) :] if isinstance(frame, str) and frame.startswith(_STRUCTURE) else None
    flat = None if wall is None or path_m is None else wall.flat(path_m)
    width = found.get("width_mm") if isinstance(found.get("width_mm"), dict) else None
    at_most = found.get("width_at_most_mm")
    band = _band(width, at_most, bands)
    return Finding(
        number=found["number"] if isinstance(found.get("number"), int) else number,
        crack_id=name,
        kind=str(found.get("kind") or "damage"),
        state=str(found.get("state") or "unknown"),
        views=found.get("views"),
        missed=found.get("missed"),
        first_seen=found.get("first_seen"),
        last_seen=found.get("last_seen"),
        score=found.get("score"),
        lonlat=_lonlat(feature.get("geometry")),
        path_m=path_m,
        chart=chart.get("number"),
        chart_path=_path(chart.get("path"), 2, 2),
        element=structure,
        wall=wall_number,
        flat_m=flat,
        face=None if wall is None else wall.name,
        middle_m=_middle(path_m, flat, structure is not None, wall),
        length=found.get("length_mm") if isinstance(found.get("length_mm"), dict) else None,
        length_px=length_px if isinstance(length_px := found.get("length_px"), int | float) and length_px > 0 else None,
        width=width,
        at_most_mm=at_most,
        width_px=found.get("width_px") if isinstance(found.get("width_px"), dict) else None,
        is_area="area_cm2" in found,
        area_cm2=found.get("area_cm2"),
        extent_mm=found.get("extent_mm"),
        cut_by_frame=bool(found.get("cut_by_frame")),
        band=band,
        band_words=_band_words(band, width, bands),
        orientation_deg=None if flat is None or len(flat) < 2 else _orientation(flat),
        view=view,
        best=_part(feature, "best"),
        review=reviews.get(name),
        history=history.get(name, ()),
    )


def _numbered(feature: Json) -> float:
    number = feature["properties"].get("number")
    return number if isinstance(number, int) else math.inf


def _part(feature: Json, name: str) -> Json:
    part = feature["properties"].get(name)
    return part if isinstance(part, dict) else {}


def _path(points: Any, columns: int, least: int) -> Float64 | None:
    """(N, columns) with N >= least and finite, or None."""
    try:
        path = np.asarray(points, np.float64)
    except (TypeError, ValueError):
        return None
    good = path.ndim == 2 and path.shape[1] == columns and len(path) >= least and bool(np.isfinite(path).all())
    return path if good else None


def _lonlat(geometry: Any) -> list[list[float]] | None:
    if not isinstance(geometry, dict):
        return None
    points = geometry.get("coordinates")
    if geometry.get("type") == "Point":
        points = [points]
    elif geometry.get("type") != "LineString":
        return None
    try:
        good = [[float(value) for value in point] for point in points or ()]
    except (TypeError, ValueError):
        return None
    whole = all(len(point) >= 2 and all(map(math.isfinite, point)) for point in good)
    return good if good and whole else None


def _middle(
    path_m: Float64 | None, flat: Float64 | None, structure: bool, wall: Wall | None
) -> tuple[float | None, float | None, float | None]:
    """Station, offset and height half way along: a structure's own, else metres along the wall, and the height."""
    if path_m is None:
        return None, None, None
    station_m, offset_m, height_m = (float(value) for value in _halfway(path_m))
    if structure:
        return station_m, offset_m, height_m
    if flat is None or wall is None:
        return None, None, height_m
    return float(_halfway(flat)[0]), None, height_m


def _halfway(path: Float64) -> Float64:
    steps = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    return np.array([np.interp(steps[-1] / 2, steps, column) for column in path.T])


def _orientation(flat: Float64) -> float:
    _, _, axes = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    return math.degrees(math.atan2(axes[0][1], axes[0][0])) % 180.0


def _band(width: Json | None, at_most_mm: float | None, bands: Bands) -> int | None:
    """By the mean width. An upper bound tells a band only where nothing is narrower than that band."""
    if (mean := value(width)) is not None:
        return bands.of(mean)
    return 0 if at_most_mm is not None and bands.of(at_most_mm) == 0 else None


def _band_words(band: int | None, width: Json | None, bands: Bands) -> str | None:
    """The band's name, and how far the interval reaches where it crosses an edge."""
    if band is None or width is None:
        return None if band is None else bands.names[band]
    ends = [bands.of(end) for name in ("low", "high") if (end := width.get(name)) is not None]
    reach = [bands.names[end] for end in sorted({*ends} - {band})]
    return bands.names[band] + (
        f" (the interval reaches {reach[0]}{' to ' + reach[-1] if reach[1:] else ''})" if reach else ""
    )


def _severity(finding: Finding) -> tuple[bool, bool, bool, int, float, float, float, float]:
    """Rejected last, confirmed first, areas behind cracks, mere bounds behind measured widths and unknown ones behind
    both, wide before narrow, long before short; of areas the large before the small. Pixels stand in for mm."""
    rejected = finding.review is not None and finding.review.verdict == "rejected"
    worst = finding.worst_mm
    sure = finding.several or (finding.review is not None and finding.review.verdict == "confirmed")
    size = value(finding.area_cm2) if finding.is_area else value(finding.length)
    px = value(finding.width_px) or 0.0
    vague = 0 if finding.width is not None else 1 if worst is not None else 2
    return rejected, not sure, finding.is_area, vague, -(worst or 0.0), -(size or 0.0), -px, -(finding.length_px or 0.0)
