"""Detections for tests."""

from __future__ import annotations

from datetime import datetime, timezone

import numpy as np

from edge.areas import DamagedArea
from edge.cracks import Crack
from edge.detections import Detection
from edge.detections.wire import detection_id
from edge.evidence import Evidence
from edge.navigation import Attitude, Fix, FixKind, NavState, nowhere
from edge.surface import AreaSize, CrackSize, Place

SEEN_AT = datetime(2026, 6, 1, 12, 0, 0, 123456, tzinfo=timezone.utc)
FIX = Fix(FixKind.RTK_FIXED, 51.0543, 3.7174, 12.34, 0.02, None, 12, 55.94)
PLACE = Place("surface", 1.25, -0.5, 3.0, (0.02, 0.03, None), "enu@51,3.7,5ell", 51.0543, 3.7174, alt_ellipsoid_m=55.94)
NAV = NavState(0, FIX, Attitude(1.0, -2.0, 275.0), 2.5)
UNPLACED = Place("none", reason="no source of position is connected")


def crack(width_px: float = 4.0, sigma_px: float | None = 0.1) -> Crack:
    path = np.array([[10, 10], [20, 10], [30, 10]], np.float32)
    return Crack(path, 20.0, np.full(3, width_px, np.float32), sigma_px, "profile", 0.9, 0)


def detection(**changes: object) -> Detection:
    fields: dict[str, object] = {
        "id": detection_id("drone1", "flight", 1),
        "vehicle": "drone1",
        "flight_id": "flight",
        "seq": 1,
        "seen_at": SEEN_AT,
        "clock_synced": True,
        "frame_seq": 7,
        "frame_name": None,
        "frame_width_px": 640,
        "frame_height_px": 480,
        "kind": "crack",
        "damage": crack(),
        "nav": NAV,
        "size": CrackSize(0.5, 10.0, 2.0, 0.1, None, None, 0.5, 0.01, 0.01),
        "place": PLACE,
        "model": "fast-unet-12345678",
        "model_sha256": "a" * 64,
        "evidence": Evidence("a.jpg", "b" * 64),
    }
    return Detection(**(fields | changes))  # type: ignore[arg-type]


def area() -> DamagedArea:
    outline = np.array([[9.5, 19.5], [49.5, 19.5], [49.5, 49.5], [9.5, 49.5]], np.float32)
    return DamagedArea(outline, np.array([29.5, 34.5], np.float32), 1190, 50.0, 140.0, 0.8, 0, cut_by_frame=False)


def spalling(**changes: object) -> Detection:
    """Area damage with a size."""
    size = AreaSize(0.5, 2.98, 0.2, 25.0, 0.8, None)
    return detection(**({"kind": "spalling", "damage": area(), "size": size} | changes))


def bare() -> Detection:
    """Nothing is known but the crack itself."""
    return detection(nav=nowhere(0), place=UNPLACED, size=None, model_sha256=None, evidence=None, clock_synced=False)
