"""MCAP with Foxglove's message schemas as JSON, which Foxglove and Lichtblick play.

https://docs.foxglove.dev/docs/sdk/schemas

=================== =========================== ==========================================================
topic               schema                      what
=================== =========================== ==========================================================
/camera             foxglove.CompressedImage    the kept pictures
/camera/findings    foxglove.ImageAnnotations   what was found in each, at the picture's time
/position           foxglove.LocationFix        where the camera was; altitude above the ellipsoid
/pose               foxglove.PoseInFrame        its way of looking (x right, y down, z forward) in east, north, up
/attitude           spanhawk.Attitude           the same as roll, pitch, yaw, and the range, for plots
/cracks             foxglove.GeoJSON            the flight's cracks, without the withdrawn and the rejected ones
/coverage           foxglove.GeoJSON            what was seen and what was not
/log                foxglove.Log                one sentence for each finding of a kept picture
=================== =========================== ==========================================================
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.detections.cracks import collection
from edge.flights.reader import FlightFolder
from edge.navigation import Attitude
from edge.surface.plane import camera_to_ned
from edge.tools.export import Picture, Shape
from edge.tools.export.foxglove import SCHEMAS, Json

_FILE = "flight.mcap"
_INFO = 2
_LINE_LOOP, _LINE_STRIP = 2, 3
_UNKNOWN, _DIAGONAL_KNOWN = 0, 2
_NED_TO_ENU = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
_CONFIRMED, _UNREVIEWED = (0.18, 0.75, 0.35), (1.0, 0.88, 0.3)


def write(pictures: Iterator[Picture], flight: FlightFolder, out: Path) -> str:
    """Write ``out/flight.mcap``, whole or not at all. Raises OSError."""
    part = out / f".{_FILE}.part"
    try:
        told = _write(pictures, flight, part)
        part.replace(out / _FILE)
    finally:
        part.unlink(missing_ok=True)
    return told


def _write(pictures: Iterator[Picture], flight: FlightFolder, path: Path) -> str:
    from mcap.writer import Writer

    counts = dict.fromkeys(("pictures", "positions", "without a time"), 0)
    with path.open("wb") as file:
        writer: Any = Writer(file)
        writer.start(profile="", library="spanhawk")
        tracks = _Tracks(writer)
        for picture in pictures:
            at_ns = _ns(picture.seen_at)
            counts["without a time" if at_ns is None else "pictures"] += 1
            if at_ns is not None:
                _picture(tracks, picture, at_ns)
        for frame in flight.frames():
            at_ns = _ns(frame.get("exposed_utc"))
            if at_ns is None:
                counts["without a time"] += 1
            else:
                counts["positions"] += _frame(tracks, frame, at_ns)
        # At the beginning, so that a map shows them all along.
        for topic, document in (("/cracks", _cracks(flight)), ("/coverage", flight.coverage())):
            if tracks.first_ns is not None and document is not None:
                message = {"geojson": json.dumps(document, ensure_ascii=False, allow_nan=False)}
                tracks.say(topic, "foxglove.GeoJSON", tracks.first_ns, message)
        writer.finish()
    lost = counts.pop("without a time")
    told = ", ".join(f"{count} {what}" for what, count in counts.items())
    return f"{told} in {_FILE}" + (f"; {lost} without a time are left out" if lost else "")


def _cracks(flight: FlightFolder) -> Json | None:
    """What stands of the flight's cracks and nobody rejected; None where none was noted."""
    if not (found := flight.cracks()):
        return None
    rejected = {name for name, review in flight.reviews().items() if review.get("verdict") == "rejected"}
    shown = [one for one in found if one["properties"].get("state") != "withdrawn"]
    return collection([one for one in shown if str(one["properties"].get("crack_id")) not in rejected])


class _Tracks:
    """Topics of the file, each made when it is first written to."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}
        self.first_ns: int | None = None

    def say(self, topic: str, schema: str, at_ns: int, message: Json) -> None:
        self.first_ns = at_ns if self.first_ns is None else min(self.first_ns, at_ns)
        if topic not in self._channels:
            if schema not in self._schemas:
                text = json.dumps({"title": schema, **SCHEMAS[schema]}).encode()
                self._schemas[schema] = self._writer.register_schema(schema, "jsonschema", text)
            self._channels[topic] = self._writer.register_channel(topic, "json", self._schemas[schema])
        data = json.dumps(message, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
        self._writer.add_message(self._channels[topic], at_ns, data, at_ns)


def _picture(tracks: _Tracks, picture: Picture, at_ns: int) -> None:
    time = _time(at_ns)
    image = {
        "timestamp": time,
        "frame_id": "camera",
        "format": "jpeg",
        "data": base64.b64encode(picture.path.read_bytes()).decode("ascii"),
    }
    tracks.say("/camera", "foxglove.CompressedImage", at_ns, image)
    shapes = picture.kept
    findings = {
        "timestamp": time,
        "circles": [],
        "points": [_outline(shape, time) for shape in shapes],
        "texts": [_label(shape, time) for shape in shapes],
    }
    tracks.say("/camera/findings", "foxglove.ImageAnnotations", at_ns, findings)
    for shape in shapes:
        width = "" if shape.closed else f", {shape.width_px:.1f} px wide"
        words = f"{shape.kind}{width}, score {shape.score:.2f}, {shape.verdict}, {shape.crack_id or 'no name'}"
        line = {"timestamp": time, "level": _INFO, "message": words, "name": "spanhawk", "file": "", "line": 0}
        tracks.say("/log", "foxglove.Log", at_ns, line)


def _outline(shape: Shape, time: Json) -> Json:
    return {
        "timestamp": time,
        "type": _LINE_LOOP if shape.closed else _LINE_STRIP,
        # Foxglove counts from the corner of the first pixel, not from its centre.
        "points": [{"x": round(float(x), 2), "y": round(float(y), 2)} for x, y in shape.points_px + 0.5],
        "outline_color": _colour(shape, 1.0),
        "outline_colors": [],
        "fill_color": _colour(shape, 0.2 if shape.closed else 0.0),
        "thickness": 2.0,
    }


def _label(shape: Shape, time: Json) -> Json:
    x, y = shape.points_px[0] + 0.5
    return {
        "timestamp": time,
        "position": {"x": float(x), "y": float(y)},
        "text": f"{shape.kind} {shape.score:.2f}",
        "font_size": 14.0,
        "text_color": _colour(shape, 1.0),
        "background_color": {"r": 0.0, "g": 0.0, "b": 0.0, "a": 0.6},
    }


def _colour(shape: Shape, alpha: float) -> Json:
    red, green, blue = _CONFIRMED if shape.verdict == "confirmed" else _UNREVIEWED
    return {"r": red, "g": green, "b": blue, "a": alpha}


def _frame(tracks: _Tracks, frame: Json, at_ns: int) -> bool:
    """Write what is known of a frame's position and attitude; True where it has a position."""
    time = _time(at_ns)
    roll, pitch, yaw = (frame.get(f"{axis}_deg") for axis in ("roll", "pitch", "yaw"))
    if roll is not None and pitch is not None and yaw is not None:
        angles = {"timestamp": time, "roll_deg": roll, "pitch_deg": pitch, "yaw_deg": yaw}
        angles |= {"range_m": frame["range_m"]} if frame.get("range_m") is not None else {}
        tracks.say("/attitude", "spanhawk.Attitude", at_ns, angles)
        pose = {"position": {"x": 0.0, "y": 0.0, "z": 0.0}, "orientation": _quaternion(Attitude(roll, pitch, yaw))}
        tracks.say("/pose", "foxglove.PoseInFrame", at_ns, {"timestamp": time, "frame_id": "camera_enu", "pose": pose})
    if frame.get("lat_deg") is None or frame.get("lon_deg") is None:
        return False
    sigmas = [frame.get("h_accuracy_m"), frame.get("h_accuracy_m"), frame.get("v_accuracy_m")]
    known = None not in sigmas
    fix = {
        "timestamp": time,
        "frame_id": "camera",
        "latitude": frame["lat_deg"],
        "longitude": frame["lon_deg"],
        "position_covariance": np.diag([float(one) ** 2 if known and one else 0.0 for one in sigmas]).ravel().tolist(),
        "position_covariance_type": _DIAGONAL_KNOWN if known else _UNKNOWN,
    }
    if frame.get("alt_ellipsoid_m") is not None:
        fix["altitude"] = frame["alt_ellipsoid_m"]
    tracks.say("/position", "foxglove.LocationFix", at_ns, fix)
    return True


def _quaternion(attitude: Attitude) -> Json:
    """From camera axes (x right, y down, z forward) to east, north, up."""
    vector = cv2.Rodrigues(_NED_TO_ENU @ camera_to_ned(attitude))[0].ravel()
    angle = float(np.linalg.norm(vector))
    x, y, z = (math.sin(angle / 2) / angle * vector).tolist() if angle > 0 else (0.0, 0.0, 0.0)
    return {"x": x, "y": y, "z": z, "w": math.cos(angle / 2)}


def _ns(moment: Any) -> int | None:
    """Nanoseconds since 1970 of an RFC 3339 time; None for what is none."""
    try:
        at = datetime.fromisoformat(str(moment).replace("Z", "+00:00"))
    except ValueError:
        return None
    if at.tzinfo is None or at.timestamp() < 0:
        return None
    return round(at.timestamp() * 1_000_000) * 1000


def _time(at_ns: int) -> Json:
    return {"sec": at_ns // 1_000_000_000, "nsec": at_ns % 1_000_000_000}
