"""Where the cameras were: from frames.jsonl, or from the photos' own EXIF where that is absent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.ground.report.flight import Json


@dataclass(frozen=True, slots=True)
class Camera:
    """One exposure with a place on the earth."""

    name: str
    lon_deg: float
    lat_deg: float
    alt_ellipsoid_m: float | None
    alt_amsl_m: float | None
    roll_deg: float | None
    pitch_deg: float | None
    """0 looks at the horizon, -90 straight down."""
    yaw_deg: float | None
    h_acc_m: float | None
    v_acc_m: float | None
    seen_at: str | None
    footprint: Sequence[Sequence[float]] | None
    """Ring of [longitude, latitude] that the picture shows of the surface; None where unknown."""


def from_frames(lines: Iterable[Json]) -> list[Camera]:
    """Cameras of those lines that have a place; others had none."""
    return [camera for line in lines if (camera := _from_line(line)) is not None]


def from_photos(photos: Mapping[Path, str]) -> list[Camera]:
    """Cameras as the photos' EXIF and XMP say; pictures without a place, or that do not open, are left out."""
    from edge.frames.geotag import read_pose

    cameras = []
    for path, name in photos.items():
        try:
            pose = read_pose(path, 1, 1)  # the size matters to the focal length alone
        except ValueError:
            continue
        if pose is None or pose.lat_deg is None or pose.lon_deg is None:
            continue
        roll, pitch, yaw = pose.angles_deg if pose.angles_deg is not None else (None, None, None)
        cameras.append(
            Camera(
                name, pose.lon_deg, pose.lat_deg, pose.alt_ellipsoid_m, pose.alt_amsl_m, roll, pitch, yaw,
                pose.h_accuracy_m, pose.v_accuracy_m, None, None,
            )
        )  # fmt: skip
    return cameras


def geo_txt(cameras: Sequence[Camera]) -> str | None:
    """``geo.txt`` as OpenDroneMap reads it: EPSG:4326, then name, longitude, latitude, altitude, yaw, pitch, roll,
    horizontal and vertical accuracy; None without a camera that has an altitude.

    Pitch there is 0 straight down and 90 at the horizon. The angles, and behind them the accuracies, are left
    out of a line where one of them is unknown.
    """
    rows = []
    # The file cannot say which height it means: one kind for all, above the ellipsoid where every camera knows that.
    above_ellipsoid = all(one.alt_ellipsoid_m is not None for one in cameras)
    for one in sorted(cameras, key=lambda camera: camera.name):
        altitude_m = one.alt_ellipsoid_m if above_ellipsoid else one.alt_amsl_m
        if altitude_m is None:
            continue
        row = [f"{one.name} {one.lon_deg:.8f} {one.lat_deg:.8f} {altitude_m:.3f}"]
        if one.yaw_deg is not None and one.pitch_deg is not None and one.roll_deg is not None:
            row.append(f"{one.yaw_deg:.3f} {one.pitch_deg + 90.0:.3f} {one.roll_deg:.3f}")
            if one.h_acc_m is not None and one.v_acc_m is not None:
                row.append(f"{one.h_acc_m:.3f} {one.v_acc_m:.3f}")
        rows.append(" ".join(row))
    return "\n".join(["EPSG:4326", *rows]) + "\n" if rows else None


def _from_line(line: Json) -> Camera | None:
    lat, lon = _number(line.get("lat_deg")), _number(line.get("lon_deg"))
    if lat is None or lon is None or abs(lat) > 90 or abs(lon) > 180:
        return None
    return Camera(
        name=str(line.get("name") or line.get("seq")),
        lon_deg=lon,
        lat_deg=lat,
        alt_ellipsoid_m=_number(line.get("alt_ellipsoid_m")),
        alt_amsl_m=_number(line.get("alt_amsl_m")),
        roll_deg=_number(line.get("roll_deg")),
        pitch_deg=_number(line.get("pitch_deg")),
        yaw_deg=_number(line.get("yaw_deg")),
        h_acc_m=_number(line.get("h_accuracy_m")),
        v_acc_m=_number(line.get("v_accuracy_m")),
        seen_at=None if line.get("exposed_utc") is None else str(line["exposed_utc"]),
        footprint=_ring(line.get("footprint")),
    )


def _number(value: Any) -> float | None:
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else None


def _ring(found: Any) -> list[list[float]] | None:
    if not isinstance(found, list) or len(found) < 3:
        return None
    ring = [one[:2] for one in found if isinstance(one, list) and len(one) >= 2]
    return None if len(ring) < 3 else ring if ring[0] == ring[-1] else [*ring, ring[0]]
