"""What a flight saw and what it did not, as bytes: ``spanhawk/coverage/1``, and one line for each frame.

The JSON Schemas are ``coverage-1.json`` and ``frame-1.json`` in ``edge/detections/schema``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from importlib import resources
from typing import Any

import numpy as np

from edge.detections.wire import rfc3339, to_bytes
from edge.frames import Frame, Moment
from edge.navigation import NavState
from edge.surface.anchor import Anchor
from edge.surface.coverage import Coverage, Patch
from edge.surface.geodetic import to_wgs84
from edge.surface.inventory import Inventory
from edge.surface.visibility import PROBABILITY, WIDTHS_MM, Seen

SCHEMA = "spanhawk/coverage/1"
FRAME_SCHEMA = "spanhawk/frame/1"
MOST_NUMBERS = 256
"""So many charts, those of most frames, are named beside polygons: of a message of 64 KiB they take 2 kB in each
patch."""

_SEEN = dict.fromkeys(("far", "oblique", "blurred", "dark", "bright"), "poor")
_BYTES_PER_CORNER = 100
"""A corner stands there three times: on its chart, on the surface, on the earth."""
_REASONS = {
    "unscaled": "millimetres unknown: no range or no lens",
    "far": "too far",
    "oblique": "too oblique",
    "blurred": "blurred",
    "dark": "too dark",
    "bright": "too bright",
    "unknown": "nothing in the picture tells how sharp it is",
}


def schema(name: str = "coverage-1") -> dict[str, Any]:
    """The JSON Schema (2020-12) of ``coverage-1`` or ``frame-1``."""
    text = resources.files("edge.detections").joinpath(f"schema/{name}.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def charts_of(properties: Mapping[str, Any]) -> tuple[int, ...]:
    """All charts that a patch holds, the one that its polygons are drawn under first; empty where it does not say.

    ``properties``: of a Feature of coverage, also one of another program or of a flight that names one chart only.
    """
    chart = properties.get("chart")
    if not isinstance(chart, Mapping):
        return ()
    numbers = chart.get("numbers")
    named = [chart.get("number"), *(numbers if isinstance(numbers, list) else ())]
    return tuple(dict.fromkeys(one for one in named if type(one) is int))


def coverage_document(
    vehicle: str,
    flight_id: str,
    at: datetime,
    coverage: Coverage,
    inventory: Inventory,
) -> dict[str, Any]:
    """A FeatureCollection, a Feature for each chart and class; ``geometry`` is null without a place on the earth."""
    places = _Places(inventory)
    features = [_feature(patch, places) for patch in coverage.patches()]
    return {**_head(vehicle, flight_id, at, coverage), "features": features}


def coverage_payload(
    vehicle: str, flight_id: str, at: datetime, coverage: Coverage, inventory: Inventory, most_bytes: int
) -> bytes:
    """The same for the wire, at most ``most_bytes``: with larger cells, and at last without its smallest patches.

    ``left_out_features`` says how many patches were left out.
    """
    patches = sorted(coverage.patches(max(16, most_bytes // _BYTES_PER_CORNER)), key=lambda patch: -patch.share)
    head, places = _head(vehicle, flight_id, at, coverage), _Places(inventory)
    size = len(to_bytes({**head, "features": [], "left_out_features": len(patches)}))
    if size > most_bytes:
        raise ValueError(f"coverage without any patch is {size} bytes, more than {most_bytes}")
    features: list[dict[str, Any]] = []
    for patch in patches:
        feature = _feature(patch, places)
        size += len(to_bytes(feature)) + 1  # and a comma
        if size > most_bytes:
            break
        features.append(feature)
    return to_bytes({**head, "features": features, "left_out_features": len(patches) - len(features)})


def _head(vehicle: str, flight_id: str, at: datetime, coverage: Coverage) -> dict[str, Any]:
    return {
        "type": "FeatureCollection",
        "schema": SCHEMA,
        "vehicle": vehicle,
        "flight_id": flight_id,
        "at": rfc3339(at),
        "probability": PROBABILITY,
        "left_out_frames": coverage.left_out,
    }


class _Places:
    """Where the charts of a flight lie, asked once for all patches of one."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._known: dict[tuple[int, ...], Anchor] = {}

    @property
    def frame(self) -> str | None:
        """The frame that ``of`` leads to; None before the first place."""
        return self._inventory.frame_name

    def of(self, patch: Patch) -> Anchor:
        """What all views of the patch's charts say together."""
        if patch.charts not in self._known:
            anchors = self._inventory.anchors
            known = (anchors[chart] for chart in patch.charts if chart in anchors)
            self._known[patch.charts] = Anchor.of_all(known)
        return self._known[patch.charts]


def _feature(patch: Patch, places: _Places) -> dict[str, Any]:
    anchor, frame = places.of(patch), places.frame
    placed = frame is not None and anchor.to_structure(np.zeros((1, 2))) is not None
    on_surface: list[Any] | None = None
    on_earth: list[Any] | None = None
    if placed and frame is not None:
        on_surface, on_earth = [], []
        for polygon in patch.polygons:
            rings = [np.asarray(anchor.to_structure(ring)) for ring in polygon]
            on_surface.append([np.round(ring, 3).tolist() for ring in rings])
            on_earth.append([to_wgs84(frame, ring) for ring in rings])
    known = on_earth is not None and all(ring is not None for rings in on_earth for ring in rings)
    area_m2 = None if anchor.mm_per_unit is None else patch.area * (anchor.mm_per_unit / 1000) ** 2
    narrowest = next((width for width in WIDTHS_MM if str(width) == patch.kind), None)
    return {
        "type": "Feature",
        "geometry": {"type": "MultiPolygon", "coordinates": on_earth} if known else None,
        "properties": {
            "class": patch.kind,
            "seen": "seen" if narrowest is not None else _SEEN.get(patch.kind, "unknown"),
            "reason": _REASONS.get(patch.kind),
            "narrowest_crack_mm": narrowest,
            "area_m2": None if area_m2 is None else round(area_m2, 4),
            "place": {"frame": frame if placed else None, "polygons_m": on_surface},
            "chart": {
                "number": patch.chart,
                **({"numbers": list(patch.charts[:MOST_NUMBERS])} if len(patch.charts) > 1 else {}),
                "polygons": [[np.round(ring, 3).tolist() for ring in polygon] for polygon in patch.polygons],
                "area": round(patch.area, 4),
            },
        },
    }


def frame_record(frame: Frame, nav: NavState, moment: Moment, seen: Seen) -> dict[str, Any]:
    """One line of ``frames.jsonl``: where the frame was taken from, and how narrow a crack it would have shown."""
    corners = None
    if seen.footprint_m is not None and seen.frame is not None:
        corners = to_wgs84(seen.frame, seen.footprint_m)
    fix, attitude = nav.fix, nav.attitude
    return {
        "schema": FRAME_SCHEMA,
        "seq": frame.seq,
        "name": frame.name,
        "exposed_utc": rfc3339(moment.at),
        "lat_deg": None if fix is None else round(fix.lat_deg, 8),
        "lon_deg": None if fix is None else round(fix.lon_deg, 8),
        "alt_amsl_m": None if fix is None else _rounded(fix.alt_amsl_m, 3),
        "local_m": None
        if nav.local is None
        else [round(v, 3) for v in (nav.local.north_m, nav.local.east_m, nav.local.down_m)],
        "alt_ellipsoid_m": None if fix is None else _rounded(fix.alt_ellipsoid_m, 3),
        "h_accuracy_m": None if fix is None else _rounded(fix.h_accuracy_m, 3),
        "v_accuracy_m": None if fix is None else _rounded(fix.v_accuracy_m, 3),
        "roll_deg": None if attitude is None else _rounded(attitude.roll_deg, 2),
        "pitch_deg": None if attitude is None else _rounded(attitude.pitch_deg, 2),
        "yaw_deg": None if attitude is None else _rounded(attitude.yaw_deg, 2),
        "range_m": _rounded(nav.range_m, 3),
        "exposure_us": frame.exposure_us,
        "blur_px": _rounded(seen.looks.blur_px, 2),
        "smear_px": _rounded(seen.smear_px, 2),
        "light": round(seen.looks.light, 4),
        "dark_share": round(seen.looks.dark_share, 4),
        "bright_share": round(seen.looks.bright_share, 4),
        "gsd_mm_px": _rounded(seen.gsd_mm_px, 4),
        "incidence_deg": _rounded(seen.incidence_deg, 1),
        "narrowest_crack_px": _rounded(seen.narrowest_px, 2),
        "narrowest_crack_mm": _rounded(seen.narrowest_mm, 3),
        "class": seen.kind,
        "why": seen.why,
        "frame": seen.frame,
        "footprint_m": None if seen.footprint_m is None else np.round(seen.footprint_m, 3).tolist(),
        "footprint": None if corners is None else [corner[:2] for corner in corners],
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), digits)
