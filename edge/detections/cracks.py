"""One crack of a flight as bytes: an RFC 7946 Feature for each revision, schema ``spanhawk/crack/1``.

The JSON Schema is ``edge/detections/schema/crack-1.json``; every payload made here validates against it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.detections.wire import rfc3339, rounded_up
from edge.surface.geodetic import to_wgs84
from edge.surface.record import CrackState

SCHEMA = "spanhawk/crack/1"
# Ids are UUIDs of version 5 under this namespace, so that the same crack of a flight always gets the same id.
_NAMESPACE = uuid.UUID("0d8b1f0a-8f0e-5a53-b7a4-2c5a1e9d7f10")
_COVER_95 = 1.96
"""Half a 95 % interval in standard uncertainties."""
_TOLERANCE = 0.25
"""The published path stays this close to the kept one, in parts of the distance between its points."""


def crack_id(vehicle: str, flight_id: str, number: int) -> str:
    """The id of crack ``number`` of a flight: a UUID (version 5, RFC 9562), the same each time it is asked."""
    return str(uuid.uuid5(_NAMESPACE, f"{vehicle}/{flight_id}/crack/{number}"))


def revision_id(crack: str, revision: int) -> str:
    """The id of one message about a crack, the same on every repeat."""
    return str(uuid.uuid5(_NAMESPACE, f"{crack}/{revision}"))


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) every payload validates against."""
    text = resources.files("edge.detections").joinpath("schema/crack-1.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def crack_feature(vehicle: str, flight_id: str, kind: str, state: CrackState) -> dict[str, Any]:
    """The Feature as a dict; geometry is null where the crack has no place on the earth."""
    name = crack_id(vehicle, flight_id, state.number)
    path_m = None if state.path_m is None else _thinned(state.path_m)
    coordinates = None if path_m is None or state.frame is None else to_wgs84(state.frame, path_m)
    return {
        "type": "Feature",
        "id": name,
        "geometry": None if coordinates is None else {"type": "LineString", "coordinates": coordinates},
        "properties": {
            "schema": SCHEMA,
            "crack_id": name,
            "number": state.number,
            "revision": state.revision,
            "state": state.state,
            "merged_into": None if state.into is None else crack_id(vehicle, flight_id, state.into),
            "vehicle": vehicle,
            "flight_id": flight_id,
            "kind": kind,
            "views": state.views,
            "missed": state.missed,
            "first_seen": rfc3339(state.first_seen),
            "last_seen": rfc3339(state.last_seen),
            "score": round(state.score, 4),
            "place": {
                "frame": state.frame,
                "path_m": None if path_m is None else np.round(path_m, 3).tolist(),
            },
            "chart": {
                "number": state.chart,
                "path": np.round(_thinned(state.path_chart), 3).tolist() if len(state.path_chart) else [],
            },
            "length_mm": _interval(state.length_mm, state.length_sigma_mm, 0),
            "length_px": round(state.length_px, 1),
            "width_mm": None if state.width_mm is None else _interval(*state.width_mm, 2),
            "width_at_most_mm": rounded_up(state.width_at_most_mm, 2),
            "width_px": None if state.width_px is None else _interval(*state.width_px, 2),
            "best": {
                "frame_seq": state.best.frame_seq,
                "frame_name": state.best.frame_name,
                "evidence_sha256": state.best.evidence_sha256,
                "gsd_mm_per_px": None if state.best.gsd_mm_per_px is None else round(state.best.gsd_mm_per_px, 4),
            },
            "historical": False,
        },
    }


def collection(features: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Features as one RFC 7946 FeatureCollection, for a file."""
    return {"type": "FeatureCollection", "features": list(features)}


def _interval(value: float | None, sigma: float | None, digits: int) -> dict[str, float | None] | None:
    """A value with its standard uncertainty and 95 % interval."""
    if value is None:
        return None
    if sigma is None:
        return {"value": round(value, digits), "sigma": None, "low": None, "high": None}
    return {
        "value": round(value, digits),
        "sigma": round(sigma, digits + 1),
        "low": round(max(0.0, value - _COVER_95 * sigma), digits),
        "high": round(value + _COVER_95 * sigma, digits),
    }


def _thinned(path: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The path without points that its neighbours tell of (Douglas and Peucker 1973)."""
    if len(path) < 3:
        return path
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    tolerance = _TOLERANCE * float(np.median(steps))
    kept = np.zeros(len(path), np.bool_)
    kept[[0, -1]] = True
    stack = [(0, len(path) - 1)]
    while stack:
        first, last = stack.pop()
        if last - first < 2:
            continue
        along = path[last] - path[first]
        size = float(np.linalg.norm(along))
        between = path[first + 1 : last] - path[first]
        across = between - np.outer(between @ along / size**2, along) if size > 0 else between
        distance = np.linalg.norm(across, axis=1)
        worst = int(distance.argmax())
        if distance[worst] > tolerance:
            middle = first + 1 + worst
            kept[middle] = True
            stack += [(first, middle), (middle, last)]
    return path[kept]
