"""Stored rows as GeoJSON Features with flat columns, which GIS programs style and filter by.

The names are those of ``spanhawk report``'s files (``edge.ground.report.findings``), so that one style fits both. The
message as it came is served whole elsewhere (``/messages/ID``).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edge.detections.wire import rfc3339
from edge.ground import CoverageRow, CrackRow, DetectionRow, ReviewRow
from edge.ground.report.bands import Bands

Feature = dict[str, Any]
_COVERAGE = uuid.UUID("5e8a3f0c-9d1f-5b7e-8c11-d1f6c2f3a901")

CRACK = {
    "crack_id": "string", "vehicle": "string", "flight_id": "string", "number": "integer", "revision": "integer",
    "state": "string", "kind": "string", "n_views": "integer", "score": "number", "first_seen": "date-time",
    "last_seen": "date-time", "length_mm": "number", "length_sigma_mm": "number", "width_mean_mm": "number",
    "width_sigma_mm": "number", "width_at_most_mm": "number", "band": "string", "gsd_mm_px": "number",
    "photo_sha256": "string", "review": "string", "grade": "string", "remark": "string", "reviewed_by": "string",
    "reviewed_at": "date-time", "frame_name": "string",
}  # fmt: skip
DETECTION = {
    "id": "string", "vehicle": "string", "flight_id": "string", "seq": "integer", "seen_at": "date-time",
    "kind": "string", "crack_id": "string", "score": "number", "length_mm": "number", "width_mean_mm": "number",
    "width_sigma_mm": "number", "width_at_most_mm": "number", "area_cm2": "number", "gsd_mm_px": "number",
    "range_m": "number", "h_acc_m": "number", "pos_method": "string", "frame_seq": "integer", "photo_sha256": "string",
}  # fmt: skip
COVERAGE = {
    "vehicle": "string", "flight_id": "string", "class": "string", "seen": "string", "reason": "string",
    "narrowest_crack_mm": "number", "area_m2": "number",
}  # fmt: skip
"""Name and type of each column."""


def band_of(width_mm: float | None, at_most_mm: float | None, bands: Bands) -> int | None:
    """By the mean width; None where that is not known, or only a bound above the narrowest band."""
    if width_mm is not None:
        return bands.of(width_mm)
    return 0 if at_most_mm is not None and at_most_mm <= bands.edges_mm[0] else None


def crack(row: CrackRow, bands: Bands, said: ReviewRow | None) -> Feature:
    """One Feature of the collection ``cracks``, with what a person said of it; None: nobody did."""
    document = json.loads(row.payload)
    properties = document["properties"]
    band = band_of(row.width_mm, row.width_at_most_mm, bands)
    return _feature(
        row.crack_id, document.get("geometry"),
        {
            "crack_id": row.crack_id, "vehicle": row.vehicle, "flight_id": row.flight_id, "number": row.number,
            "revision": row.revision, "state": row.state, "kind": row.kind, "n_views": row.views,
            "score": _number(properties.get("score")), "first_seen": rfc3339(row.first_seen),
            "last_seen": rfc3339(row.last_seen), "length_mm": row.length_mm,
            "length_sigma_mm": _number(_part(properties, "length_mm").get("sigma")), "width_mean_mm": row.width_mm,
            "width_sigma_mm": _number(_part(properties, "width_mm").get("sigma")),
            "width_at_most_mm": row.width_at_most_mm, "band": None if band is None else bands.names[band],
            "gsd_mm_px": _number(_part(properties, "best").get("gsd_mm_per_px")), "photo_sha256": row.best_sha256,
            "review": "unreviewed" if said is None else said.verdict, "grade": said and said.grade,
            "remark": said and said.remark, "reviewed_by": said and said.by, "reviewed_at": said and rfc3339(said.at),
            "frame_name": _text(_part(properties, "best").get("frame_name")),
        },
    )  # fmt: skip


def detection(row: DetectionRow) -> Feature:
    """One Feature of the collection ``detections``."""
    document = json.loads(row.payload)
    properties = document["properties"]
    size, area, nav = (_part(properties, name) for name in ("size", "area", "nav"))
    return _feature(
        row.id, document.get("geometry"),
        {
            "id": row.id, "vehicle": row.vehicle, "flight_id": row.flight_id, "seq": row.seq,
            "seen_at": rfc3339(row.seen_at), "kind": row.kind, "crack_id": row.crack_id, "score": row.score,
            "length_mm": _number(size.get("length_mm")), "width_mean_mm": _number(size.get("width_mm")),
            "width_sigma_mm": _number(size.get("width_sigma_mm")),
            "width_at_most_mm": _number(size.get("width_at_most_mm")), "area_cm2": _number(area.get("area_cm2")),
            "gsd_mm_px": _number(size.get("gsd_mm_per_px", area.get("gsd_mm_per_px"))),
            "range_m": _number(nav.get("range_m")), "h_acc_m": _number(nav.get("h_accuracy_m")),
            "pos_method": _text(_part(properties, "place").get("method")),
            "frame_seq": _number(properties.get("frame_seq")),
            "photo_sha256": _text(_part(properties, "evidence").get("sha256")),
        },
    )  # fmt: skip


def coverage(rows: Sequence[CoverageRow]) -> Iterator[Feature]:
    """The Features of the collection ``coverage``: one for each patch of each flight."""
    for row in rows:
        document = json.loads(row.payload)
        features = document.get("features") if document.get("type") == "FeatureCollection" else [document]
        for number, one in enumerate(features if isinstance(features, list) else []):
            properties = _part(one, "properties") if isinstance(one, dict) else None
            if properties is None:
                continue
            yield _feature(
                str(uuid.uuid5(_COVERAGE, f"{row.vehicle}/{row.flight_id}/{number}")), _area(one.get("geometry")),
                {
                    "vehicle": row.vehicle, "flight_id": row.flight_id, "class": _text(properties.get("class")),
                    "seen": _text(properties.get("seen")), "reason": _text(properties.get("reason")),
                    "narrowest_crack_mm": _number(properties.get("narrowest_crack_mm")),
                    "area_m2": _number(properties.get("area_m2")),
                },
            )  # fmt: skip


def _feature(id: str, geometry: Any, properties: dict[str, Any]) -> Feature:
    return {"type": "Feature", "id": id, "geometry": geometry, "properties": properties}


def _area(geometry: Any) -> dict[str, Any] | None:
    """Coverage is kept as it came: only what has the shape of polygons goes out again."""
    if not isinstance(geometry, dict) or geometry.get("type") not in ("Polygon", "MultiPolygon"):
        return None
    polygons = [geometry.get("coordinates")] if geometry["type"] == "Polygon" else geometry.get("coordinates")
    if not isinstance(polygons, list) or not all(map(_is_polygon, polygons)):
        return None
    return {"type": "MultiPolygon", "coordinates": polygons}


def _is_polygon(rings: Any) -> bool:
    return isinstance(rings, list) and all(
        isinstance(ring, list) and len(ring) >= 4 and all(map(_is_place, ring)) for ring in rings
    )


def _is_place(at: Any) -> bool:
    return (
        isinstance(at, list)
        and len(at) in (2, 3)
        and all(map(_is_number, at))
        and abs(at[0]) <= 180
        and abs(at[1]) <= 90
    )


def _part(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = table.get(key)
    return value if isinstance(value, dict) else {}


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _number(value: Any) -> Any:
    return value if _is_number(value) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
