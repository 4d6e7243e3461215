"""Detections, cracks and the clock that tests of the ground share; Features in the shape that drones publish."""

import json
from datetime import datetime, timedelta

from edge.detections.cracks import crack_id
from edge.detections.wire import detection_id
from edge.support.clock import UTC, ManualClock

BEGIN = datetime(2026, 5, 1, 12, tzinfo=UTC)


def clock():
    return ManualClock(BEGIN, 10**9)


def detection(seq, vehicle="drone1", flight="f1", lon=7.0, lat=50.0, kind="crack", **more):
    """The Feature as a dict, with what the ground reads of it."""
    id = detection_id(vehicle, flight, seq)
    return {
        "type": "Feature",
        "id": id,
        "geometry": None if lon is None else {"type": "Point", "coordinates": [lon, lat, 80.5]},
        "properties": {
            "schema": "spanhawk/detection/2", "id": id, "vehicle": vehicle, "flight_id": flight, "seq": seq,
            "seen_at": (BEGIN + timedelta(seconds=seq)).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "kind": kind, "crack_id": None, "score": 0.9, "historical": False, **more,
        },
    }  # fmt: skip


def crack(number, revision, vehicle="drone1", flight="f1", path=((7.0, 50.0), (7.001, 50.002)), state="confirmed"):
    """The Feature of one revision."""
    id = crack_id(vehicle, flight, number)
    return {
        "type": "Feature",
        "id": id,
        "geometry": None if path is None else {"type": "LineString", "coordinates": [list(one) for one in path]},
        "properties": {
            "schema": "spanhawk/crack/1", "crack_id": id, "number": number, "revision": revision, "state": state,
            "vehicle": vehicle, "flight_id": flight, "kind": "crack", "views": revision + 1,
            "first_seen": "2026-05-01T12:00:00.000Z", "last_seen": f"2026-05-01T12:{revision:02}:00.000Z",
            "score": 0.9, "length_mm": {"value": 812, "sigma": None, "low": None, "high": None}, "width_mm": None,
            "width_at_most_mm": 0.4, "best": {"evidence_sha256": "ab" * 32}, "historical": False,
        },
    }  # fmt: skip


def as_bytes(document):
    return json.dumps(document, separators=(",", ":")).encode()
