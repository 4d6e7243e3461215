"""The columns that the files of a report have, but for the DXF, which has lines; and a finding as a row of them."""

from __future__ import annotations

from typing import Any

from edge.ground.report.bands import Bands
from edge.ground.report.findings import Finding
from edge.ground.report.flight import value
from edge.ground.report.review import Review

FIELDS = (
    "crack_id", "number", "state", "kind", "element", "face", "station_m", "offset_m", "height_m", "length_mm",
    "width_mean_mm", "width_p95_mm", "width_sigma_mm", "width_at_most_mm", "band", "band_source", "orientation_deg",
    "score", "n_views", "first_seen", "last_seen", "gsd_mm_px", "pos_method", "h_acc_m", "photo", "photo_sha256",
    "model_sha256", "review", "remark", "area_cm2", "area_sigma_cm2", "extent_mm", "frame_name",
)  # fmt: skip
"""The columns of cracks.gpkg, .geojson, .csv and .kml, in this order. None is unknown."""
NUMBERS = frozenset(
    ("station_m", "offset_m", "height_m", "length_mm", "width_mean_mm", "width_p95_mm", "width_sigma_mm",
     "width_at_most_mm", "orientation_deg", "score", "gsd_mm_px", "h_acc_m", "area_cm2", "area_sigma_cm2", "extent_mm")
)  # fmt: skip


def row(finding: Finding, bands: Bands) -> dict[str, Any]:
    """The finding as the files have it: the keys of FIELDS."""
    review, view = finding.review, finding.view
    station_m, offset_m, height_m = finding.middle_m
    return {
        "crack_id": finding.crack_id,
        "number": finding.number,
        "state": finding.state,
        "kind": finding.kind,
        "element": finding.element,
        "face": finding.face,
        "station_m": _rounded(station_m, 3),
        "offset_m": _rounded(offset_m, 3),
        "height_m": _rounded(height_m, 3),
        "length_mm": value(finding.length),
        "width_mean_mm": value(finding.width),
        "width_p95_mm": None if view is None or finding.width is None else view.width_p95_mm,
        "width_sigma_mm": None if finding.width is None else finding.width.get("sigma"),
        "width_at_most_mm": finding.at_most_mm,
        "band": finding.band_words,
        "band_source": None if finding.band is None else bands.source,
        "orientation_deg": _rounded(finding.orientation_deg, 1),
        "score": finding.score,
        "n_views": finding.views,
        "first_seen": finding.first_seen,
        "last_seen": finding.last_seen,
        "gsd_mm_px": finding.best.get("gsd_mm_per_px") or (None if view is None else view.gsd_mm_px),
        "pos_method": "surface" if finding.path_m is not None else None if view is None else view.pos_method,
        "h_acc_m": None if view is None else view.h_acc_m,
        "photo": None if finding.photo is None else f"photos/{finding.photo}",
        "photo_sha256": finding.photo_sha256,
        "model_sha256": None if view is None else view.model_sha256,
        "review": "unreviewed" if review is None else review.verdict,
        "remark": None if review is None else _remark(review),
        "area_cm2": value(finding.area_cm2),
        "area_sigma_cm2": None if finding.area_cm2 is None else finding.area_cm2.get("sigma"),
        "extent_mm": value(finding.extent_mm),
        "frame_name": finding.frame_name,
    }


def _remark(review: Review) -> str | None:
    """The grade has no column of its own: it stands before the remark."""
    said = [f"grade {review.grade}"] if review.grade else []
    return "; ".join([*said, *([review.remark] if review.remark else [])]) or None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
