"""A flight folder made by hand: a wall of cracks whose places, sizes and photos are known."""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.detections.cracks import crack_id
from edge.surface.geodetic import to_wgs84

FRAME = "enu@51.0536013,3.7203318,52.30ell"
FLIGHT = "flight-made-1"
HEADING_DEG = 312.0
"""The camera looks north-west, so the wall faces south-east and runs to the north-east."""
CORNERS = ((0.0, 0.0), (1e-5, 0.0), (1e-5, 1e-5), (0.0, 1e-5))
ALONG = np.array([np.cos(np.radians(HEADING_DEG)), -np.sin(np.radians(HEADING_DEG)), 0.0])


def name(number: int) -> str:
    return crack_id("made", FLIGHT, number)


def write(
    folder: Path, cracks: int = 6, *, frames: int = 30, size: tuple[int, int] = (640, 480), views: int = 1
) -> Path:
    """Write the folder; crack ``n`` (from 1) is upright, at n - 0.5 m along, 0.5 to 1.5 m up, 0.1 * n mm wide."""
    (folder / "photos").mkdir(parents=True)
    random = np.random.default_rng(7)
    photo_bytes: list[bytes] = []
    features, lines = [], []
    for number in range(1, cracks + 1):
        photo = f"{FLIGHT}-{number:08d}.jpg"
        if len(photo_bytes) < _PHOTOS:
            photo_bytes.append(_photo(size, random))
        # A byte behind the end makes each file its own, at no price for a large flight.
        data = photo_bytes[number % len(photo_bytes)] + number.to_bytes(4, "big")
        (folder / "photos" / photo).write_bytes(data)
        sha = hashlib.sha256(data).hexdigest()
        features.append(feature(number, sha))
        lines += [detection(number, photo, sha, size, frame_seq=number + view) for view in range(views)]
    frame_lines = [
        {
            "schema": "spanhawk/frame/1", "seq": seq, "name": None,
            "exposed_utc": f"2026-06-01T12:{seq // 60 % 60:02d}:{seq % 60:02d}.000Z",
            "lat_deg": 51.0536 + seq * 1e-6, "lon_deg": 3.7203 + seq * 1e-6, "alt_amsl_m": 12.0,
            "roll_deg": 0.0, "pitch_deg": -1.0, "yaw_deg": HEADING_DEG,
            "footprint": [[3.7203 + seq * 1e-6 + east, 51.0537 + north] for east, north in CORNERS],
        }
        for seq in range(frames)
    ]  # fmt: skip
    summary = {"schema": "spanhawk/flight/1", "flight_id": FLIGHT, "vehicle": "made", "frames": frames, "dropped": 3}
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "cracks.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    (folder / "detections.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "frames.jsonl").write_text("".join(json.dumps(line) + "\n" for line in frame_lines))
    return folder


def feature(number: int, sha: str | None, **changes: Any) -> dict[str, Any]:
    start = (number - 0.5) * ALONG
    path = np.array([start + np.array([0.0, 0.0, up]) for up in np.linspace(0.5, 1.5, 21)])
    path += 0.002 * np.sin(np.arange(21))[:, None] * ALONG
    width = round(0.1 * number, 2)
    return {
        "type": "Feature",
        "id": name(number),
        "geometry": {"type": "LineString", "coordinates": to_wgs84(FRAME, path)},
        "properties": {
            "schema": "spanhawk/crack/1", "crack_id": name(number), "number": number, "revision": 2,
            "state": "confirmed", "merged_into": None, "vehicle": "made", "flight_id": FLIGHT, "kind": "crack",
            "views": 4, "missed": 1, "first_seen": "2026-06-01T12:00:00.000Z", "last_seen": "2026-06-01T12:00:09.000Z",
            "score": 0.93, "place": {"frame": FRAME, "path_m": path.tolist()},
            "chart": {"number": 1, "path": path[:, :2].tolist()},
            "length_mm": {"value": 1000.0, "sigma": 12.0, "low": 976.0, "high": 1024.0}, "length_px": 400.0,
            "width_mm": {"value": width, "sigma": 0.02, "low": round(width - 0.04, 2), "high": round(width + 0.04, 2)},
            "width_at_most_mm": None, "width_px": None,
            "best": {"frame_seq": number, "frame_name": None, "evidence_sha256": sha, "gsd_mm_per_px": 0.25},
            "historical": False, **changes,
        },
    }  # fmt: skip


def detection(number: int, photo: str, sha: str, size: tuple[int, int], frame_seq: int) -> dict[str, Any]:
    x = size[0] / 2
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))),
        "geometry": None,
        "properties": {
            "schema": "spanhawk/detection/2", "id": f"d{number}", "vehicle": "made", "flight_id": FLIGHT, "seq": number,
            "seen_at": "2026-06-01T12:00:00.000Z", "clock_synced": True, "frame_seq": frame_seq, "frame_name": None,
            "frame_width_px": size[0], "frame_height_px": size[1], "kind": "crack", "crack_id": name(number),
            "score": 0.93,
            "crack": {"path_px": [[x, y] for y in np.linspace(10, size[1] - 10, 200).tolist()], "length_px": 400.0,
                      "width_px": {"mean": 4.0, "p95": 6.0}},
            "size": {"gsd_mm_per_px": 0.25, "length_mm": 1000.0, "width_mm": 0.1 * number, "width_sigma_mm": 0.02,
                     "width_at_most_mm": None},
            "area": None, "place": {"method": "surface"},
            "nav": {"h_accuracy_m": 0.02, "attitude": {"roll_deg": 0.0, "pitch_deg": -1.0, "yaw_deg": HEADING_DEG}},
            "model": {"name": "m", "sha256": "ab" * 32}, "evidence": {"file": photo, "sha256": sha},
            "historical": False,
        },
    }  # fmt: skip


_PHOTOS = 8
"""So many are drawn; further cracks get one of them again."""


def _photo(size: tuple[int, int], random: np.random.Generator) -> bytes:
    grey = random.integers(90, 160, (size[1] // 4, size[0] // 4), dtype=np.uint8)
    picture = cv2.cvtColor(cv2.resize(grey, size), cv2.COLOR_GRAY2BGR)
    cv2.line(picture, (size[0] // 2, 10), (size[0] // 2, size[1] - 10), (20, 20, 20), 3)
    return bytes(cv2.imencode(".jpg", picture)[1].tobytes())


def patch(kind: str, left_m: float, right_m: float) -> dict[str, Any]:
    """A patch of coverage on the wall, 2 m high."""
    corners = ((left_m, 0.0), (right_m, 0.0), (right_m, 2.0), (left_m, 2.0), (left_m, 0.0))
    ring = np.array([along * ALONG + np.array([0.0, 0.0, up]) for along, up in corners])
    area_m2 = 2.0 * (right_m - left_m)
    return {
        "type": "Feature",
        "geometry": {"type": "MultiPolygon", "coordinates": [[to_wgs84(FRAME, ring)]]},
        "properties": {
            "class": kind,
            "narrowest_crack_mm": None,
            "area_m2": area_m2,
            "place": {"frame": FRAME, "polygons_m": [[ring.tolist()]]},
            "chart": {"number": 1, "polygons": [], "area": area_m2},
        },
    }
