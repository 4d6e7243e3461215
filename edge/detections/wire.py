"""A detection as bytes: one RFC 7946 GeoJSON Feature, schema ``spanhawk/detection/2``.

The JSON Schema is ``edge/detections/schema/detection-2.json``; every payload made here validates against it.
"""

from __future__ import annotations

import json
import math
import uuid
from datetime import datetime, timezone
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.areas import DamagedArea
from edge.cracks import Crack
from edge.detections import Detection
from edge.navigation import NavState
from edge.surface import AreaSize, CrackSize, Place

SCHEMA = "spanhawk/detection/2"

# Ids are UUIDs of version 5 under this namespace, so that the same detection always gets the same id.
_NAMESPACE = uuid.UUID("6f0c4b0e-5d2c-5b0e-9a53-0c7c5f6d1e42")


_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)  # json.dumps makes one a call


def detection_id(vehicle: str, flight_id: str, seq: int) -> str:
    """The id of detection ``seq`` of a flight: a UUID (version 5, RFC 9562), the same each time it is asked."""
    return str(uuid.uuid5(_NAMESPACE, f"{vehicle}/{flight_id}/{seq}"))


def to_bytes(document: dict[str, Any]) -> bytes:
    """Compact UTF-8 JSON; the same document always gives the same bytes. Raises ValueError for NaN and infinity."""
    return _ENCODER.encode(document).encode()


def mark_historical(payload: bytes) -> bytes:
    """The same Feature with ``historical`` true: for what is delivered late. Raises ValueError for anything else."""
    document = json.loads(payload)
    if not isinstance(document, dict) or not isinstance(document.get("properties"), dict):
        raise ValueError("it is no GeoJSON Feature")
    document["properties"]["historical"] = True
    return to_bytes(document)


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) every payload validates against."""
    text = resources.files("edge.detections").joinpath("schema/detection-2.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def feature(detection: Detection) -> dict[str, Any]:
    """The Feature as a dict; geometry is null where no place is known, never 0,0."""
    damage, size = detection.damage, detection.size
    return {
        "type": "Feature",
        "id": detection.id,
        "geometry": _geometry(detection.place),
        "properties": {
            "schema": SCHEMA,
            "id": detection.id,
            "vehicle": detection.vehicle,
            "flight_id": detection.flight_id,
            "seq": detection.seq,
            "seen_at": rfc3339(detection.seen_at),
            "clock_synced": detection.clock_synced,
            "frame_seq": detection.frame_seq,
            "frame_name": detection.frame_name,
            "frame_width_px": detection.frame_width_px,
            "frame_height_px": detection.frame_height_px,
            "kind": detection.kind,
            "crack_id": detection.crack_id,
            "score": round(damage.score, 4),
            "crack": _crack(damage) if isinstance(damage, Crack) else None,
            "size": _size(size) if isinstance(size, CrackSize) else None,
            "area": _area(damage, size) if isinstance(damage, DamagedArea) else None,
            "place": _place(detection.place),
            "nav": _nav(detection.nav),
            "model": {"name": detection.model, "sha256": detection.model_sha256},
            "evidence": _evidence(detection),
            "historical": detection.historical,
        },
    }


def rfc3339(moment: datetime) -> str:
    """UTC as RFC 3339 with milliseconds and a Z."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _geometry(place: Place) -> dict[str, Any] | None:
    if place.lat_deg is None or place.lon_deg is None:
        return None
    # 7 decimals of a degree are 1 cm.
    point = [round(place.lon_deg, 7), round(place.lat_deg, 7)]
    if place.alt_ellipsoid_m is not None:  # RFC 7946, section 4: no other height belongs here
        point.append(round(place.alt_ellipsoid_m, 2))
    return {"type": "Point", "coordinates": point}


def _place(place: Place) -> dict[str, Any]:
    sigma = place.sigma_m
    return {
        "method": place.method,
        "east_m": _rounded(place.east_m, 3),
        "north_m": _rounded(place.north_m, 3),
        "up_m": _rounded(place.up_m, 3),
        "sigma_m": None if sigma is None else [_rounded(one, 3) for one in sigma],
        "frame": place.frame,
    }


def _crack(crack: Crack) -> dict[str, Any]:
    low, high = crack.path_px.min(axis=0), crack.path_px.max(axis=0)
    width = np.sort(crack.width_px.astype(np.float64))
    return {
        "path_px": np.round(crack.path_px.astype(np.float64), 1).tolist(),
        "length_px": round(crack.length_px, 1),
        "width_px": {
            "mean": round(float(width.mean()), 2),
            "p95": round(_percentile(width, 0.95), 2),
            "max": round(float(width[-1]), 2),
            "sigma": _rounded(crack.width_sigma_px, 2),
            "at_most": rounded_up(crack.width_at_most_px, 2),
            "method": crack.width_method,
        },
        "bbox_px": np.round(np.array([*low, *high], np.float64), 1).tolist(),
        "component": crack.component,
    }


def _area(area: DamagedArea, size: CrackSize | AreaSize | None) -> dict[str, Any]:
    low, high = area.outline_px.min(axis=0), area.outline_px.max(axis=0)
    known = size if isinstance(size, AreaSize) else None
    return {
        "outline_px": np.round(area.outline_px.astype(np.float64), 1).tolist(),
        "area_px": area.area_px,
        "extent_px": round(area.extent_px, 1),
        "bbox_px": np.round(np.array([*low, *high], np.float64), 1).tolist(),
        "cut_by_frame": area.cut_by_frame,
        "gsd_mm_per_px": None if known is None else round(known.gsd_mm_per_px, 4),
        "area_cm2": None if known is None else round(known.area_cm2, 2),
        "area_sigma_cm2": None if known is None else round(known.area_sigma_cm2, 2),
        "extent_mm": None if known is None else round(known.extent_mm, 1),
        "extent_sigma_mm": None if known is None else round(known.extent_sigma_mm, 1),
        "incidence_deg": None if known is None else _rounded(known.incidence_deg, 1),
    }


def _percentile(rising: npt.NDArray[np.float64], share: float) -> float:
    """The value below which ``share`` of ``rising`` (N,) lies, between neighbours: np.percentile without its cost."""
    return float(np.interp(share * (len(rising) - 1), np.arange(len(rising)), rising))


def _size(size: CrackSize) -> dict[str, Any]:
    return {
        "gsd_mm_per_px": round(size.gsd_mm_per_px, 4),
        "length_mm": round(size.length_mm, 1),
        "width_mm": _rounded(size.width_mm, 3),
        "width_sigma_mm": _rounded(size.width_sigma_mm, 3),
        "width_at_most_mm": rounded_up(size.width_at_most_mm, 3),
        "incidence_deg": _rounded(size.incidence_deg, 1),
    }


def _nav(nav: NavState) -> dict[str, Any]:
    fix, attitude = nav.fix, nav.attitude
    return {
        "fix": "NONE" if fix is None else fix.kind.name,
        "alt_amsl_m": None if fix is None else _rounded(fix.alt_amsl_m, 2),
        "h_accuracy_m": None if fix is None else _rounded(fix.h_accuracy_m, 3),
        "v_accuracy_m": None if fix is None else _rounded(fix.v_accuracy_m, 3),
        "age_ms": None if fix is None else fix.age_ms,
        "attitude": None
        if attitude is None
        else {
            "roll_deg": round(attitude.roll_deg, 2),
            "pitch_deg": round(attitude.pitch_deg, 2),
            "yaw_deg": round(attitude.yaw_deg, 2),
        },
        # Below half a millimetre a range is none.
        "range_m": _rounded(nav.range_m, 3) or None,
    }


def _evidence(detection: Detection) -> dict[str, Any] | None:
    if detection.evidence is None:
        return None
    return {"file": detection.evidence.file, "sha256": detection.evidence.sha256}


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def rounded_up(value: float | None, digits: int) -> float | None:
    """An upper bound to so many decimals, never below what it was; None stays None."""
    return None if value is None else round(math.ceil(round(value * 10**digits, 6)) / 10**digits, digits)
