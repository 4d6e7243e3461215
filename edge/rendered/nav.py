"""What an autopilot would have logged during a rendered flight: the truth with the noise of a good RTK receiver."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from edge.rendered.flightpath import FlightPath, Pose

RATE_HZ = 10
_WGS84_A_M = 6378137.0
_WGS84_E2 = 6.69437999014e-3
_H_ACCURACY_M = 0.014
_SETTLE = 0.9
"""Share of an error that is still there one row later: receiver and compass errors wander, they do not jump."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where the surface stands in the world."""

    lat_deg: float = 51.0536
    """WGS 84 latitude of the surface's top left corner (a quay in Ghent)."""
    lon_deg: float = 3.7203
    alt_amsl_m: float = 11.4
    """Of the top edge, above mean sea level."""
    heading_deg: float = 312.0
    """True heading of a camera that looks square at the surface."""


@dataclass(frozen=True, slots=True)
class NavRow:
    """One row of the log; None is an empty cell: unknown."""

    t_s: float
    """From the middle of the first frame's exposure."""
    lat_deg: float | None
    lon_deg: float | None
    alt_amsl_m: float | None
    roll_deg: float
    pitch_deg: float
    yaw_deg: float
    range_m: float
    h_accuracy_m: float | None


_DECIMALS = {"t_s": 3, "lat_deg": 9, "lon_deg": 9}


def position(site: Site, pose: Pose) -> tuple[float, float, float]:
    """True WGS 84 latitude, longitude (degrees) and altitude (m) of the lens; local tangent plane, radii of WGS 84."""
    heading = math.radians(site.heading_deg)
    right_m, ahead_m = pose.x_mm / 1000, -pose.distance_mm / 1000
    north = ahead_m * math.cos(heading) - right_m * math.sin(heading)
    east = ahead_m * math.sin(heading) + right_m * math.cos(heading)
    alt_m = site.alt_amsl_m - pose.y_mm / 1000
    lat = math.radians(site.lat_deg)
    curve = 1 - _WGS84_E2 * math.sin(lat) ** 2
    meridian, normal = _WGS84_A_M * (1 - _WGS84_E2) / curve**1.5, _WGS84_A_M / math.sqrt(curve)
    d_lat, d_lon = north / (meridian + alt_m), east / ((normal + alt_m) * math.cos(lat))
    return site.lat_deg + math.degrees(d_lat), site.lon_deg + math.degrees(d_lon), alt_m


def nav_rows(
    track: FlightPath, seconds: float, *, seed: int, site: Site | None = None, no_fix_s: float = 1.2
) -> Iterator[NavRow]:
    """Yield the log of the first ``seconds`` of a flight at RATE_HZ.

    The fix comes after ``no_fix_s``, as in real logs. The attitude is the camera's. Errors, 1 sigma: position
    14 mm, altitude 20 mm, angles 0.15 degree, range 8 mm.
    """
    place = site or Site()
    rng = np.random.default_rng([seed, 21])
    sigma = np.array([0.010, 0.010, 0.020, 0.15, 0.15, 0.15, 0.008])
    error = sigma * rng.standard_normal(7)
    for i in range(math.floor(seconds * RATE_HZ) + 1):
        pose = track.pose_at(track.start_ns + round(i / RATE_HZ * 1e9))
        error = _SETTLE * error + math.sqrt(1 - _SETTLE**2) * sigma * rng.standard_normal(7)
        yield _row(place, pose, i / RATE_HZ, error.tolist(), has_fix=i / RATE_HZ >= no_fix_s)


def _row(site: Site, pose: Pose, t_s: float, error: list[float], *, has_fix: bool) -> NavRow:
    lat, lon, alt = position(site, pose)
    lat += error[0] / 111_200
    lon += error[1] / (111_200 * math.cos(math.radians(lat)))
    return NavRow(
        t_s=t_s,
        lat_deg=lat if has_fix else None,
        lon_deg=lon if has_fix else None,
        alt_amsl_m=alt + error[2] if has_fix else None,
        roll_deg=pose.roll_deg + error[3],
        pitch_deg=pose.pitch_deg + error[4],
        yaw_deg=(site.heading_deg + pose.yaw_deg + error[5]) % 360,
        range_m=pose.range_m + error[6],
        h_accuracy_m=_H_ACCURACY_M if has_fix else None,
    )


def write_nav_csv(path: Path, rows: Iterator[NavRow]) -> None:
    """Write rows as the CSV that ``--nav`` reads: a header, then one row per line, empty cells for None."""
    names = [field.name for field in fields(NavRow)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for row in rows:
            values = ((name, getattr(row, name)) for name in names)
            writer.writerow(["" if v is None else f"{v:.{_DECIMALS.get(name, 4)}f}" for name, v in values])
