"""The log of a rendered flight: consistent with the pictures, as noisy as stated, empty before the first fix."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from edge.rendered.flightpath import FlightPath, Lens, Pose
from edge.rendered.nav import NavRow, Site, nav_rows, position, write_nav_csv

LENS = Lens(8.0, 3.1, 1280, 720)


def track() -> FlightPath:
    return FlightPath(7, LENS, 6000.0, 2400.0, 1.7, 1.0, 1_000)


def ecef(lat_deg: float, lon_deg: float, height_m: float) -> np.ndarray:
    """Earth-centred coordinates by the textbook formula: knows no local tangent plane."""
    a, f = 6378137.0, 1 / 298.257223563
    e2 = f * (2 - f)
    lat, lon = math.radians(lat_deg), math.radians(lon_deg)
    n = a / math.sqrt(1 - e2 * math.sin(lat) ** 2)
    across = (n + height_m) * math.cos(lat)
    return np.array([across * math.cos(lon), across * math.sin(lon), (n * (1 - e2) + height_m) * math.sin(lat)])


def test_distances_on_earth_are_distances_before_the_wall() -> None:
    site = Site()
    poses = [Pose(0, 0, 1500, 0, 0, 0), Pose(5000, 0, 1500, 0, 0, 0), Pose(5000, 2000, 3000, 0, 0, 0)]
    places = [ecef(*position(site, pose)) for pose in poses]
    assert np.linalg.norm(places[1] - places[0]) == pytest.approx(5.0, abs=0.001)
    assert np.linalg.norm(places[2] - places[1]) == pytest.approx(math.hypot(2.0, 1.5), abs=0.001)


def test_the_camera_stands_before_the_wall_and_looks_at_it() -> None:
    site = Site(lat_deg=51.0, lon_deg=4.0, alt_amsl_m=10.0, heading_deg=0.0)  # looks north: the wall is north of it
    lat, lon, alt = position(site, Pose(2000, 500, 3000, 0, 0, 0))
    assert lat < 51.0
    assert lon > 4.0
    assert alt == pytest.approx(9.5)
    assert (51.0 - lat) * 111_257 == pytest.approx(3.0, abs=0.01)  # metres per degree of latitude at 51 N


def test_rows_follow_the_track_within_their_noise() -> None:
    flight, site = track(), Site()
    rows = list(nav_rows(flight, 30.0, seed=7, site=site))
    assert len(rows) == 301
    assert rows[0].t_s == 0
    assert rows[-1].t_s == 30.0
    off, angles, ranges = [], [], []
    for row in rows:
        pose = flight.pose_at(1_000 + round(row.t_s * 1e9))
        ranges.append(row.range_m - pose.range_m)
        angles.append((row.yaw_deg - site.heading_deg - pose.yaw_deg + 180) % 360 - 180)
        if row.lat_deg is not None and row.lon_deg is not None and row.alt_amsl_m is not None:
            true = ecef(*position(site, pose))
            off.append(float(np.linalg.norm(ecef(row.lat_deg, row.lon_deg, row.alt_amsl_m) - true)))
    assert 0.012 < math.sqrt(np.mean(np.square(off))) < 0.040
    assert max(off) < 0.12
    assert 0.07 < np.std(angles) < 0.3
    assert 0.004 < np.std(ranges) < 0.016


def test_the_first_rows_have_no_fix_but_attitude_and_range() -> None:
    rows = list(nav_rows(track(), 3.0, seed=7, no_fix_s=1.2))
    blind = [row for row in rows if row.lat_deg is None]
    assert [row.t_s for row in blind] == pytest.approx([i / 10 for i in range(12)])
    assert all(row.lon_deg is None and row.alt_amsl_m is None and row.h_accuracy_m is None for row in blind)
    assert all(1.0 < row.range_m < 3.0 and 0 <= row.yaw_deg < 360 for row in rows)


def test_the_csv_reads_back(tmp_path: Path) -> None:
    rows = list(nav_rows(track(), 2.0, seed=7))
    write_nav_csv(tmp_path / "nav.csv", iter(rows))
    lines = (tmp_path / "nav.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "t_s,lat_deg,lon_deg,alt_amsl_m,roll_deg,pitch_deg,yaw_deg,range_m,h_accuracy_m"
    read = list(csv.DictReader(lines))
    assert len(read) == 21
    assert read[0]["lat_deg"] == ""
    assert read[0]["h_accuracy_m"] == ""
    last = NavRow(**{name: float(value) for name, value in read[-1].items()})
    assert last.lat_deg == pytest.approx(rows[-1].lat_deg, abs=1e-9)
    assert last.range_m == pytest.approx(rows[-1].range_m, abs=1e-4)


def test_the_log_follows_from_the_seed() -> None:
    first, same, other = (list(nav_rows(track(), 2.0, seed=seed)) for seed in (1, 1, 2))
    assert first == same != other
