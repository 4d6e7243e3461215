"""Photographs of a rendered wall, tagged byte by byte, replayed without a log: Features stand where the cracks are."""

from __future__ import annotations

import json
import math
import shutil
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from edge.frames import Frame, PicturePose
from edge.frames.synthetic import Options, open_camera
from edge.support.clock import ManualClock
from edge.support.errors import UsageError
from edge.tools.replay.photos import PhotoNavigator
from edge.tools.replay.run import Job, replay
from tests.frames.photos import Tags, dji, write

LAT, LON, HEIGHT, HEADING_DEG = 51.0536, 3.7203, 56.0, 312.0
NORTH_M, EAST_M = 111_257.0, 70_113.0  # metres per degree there, by tables of WGS 84


def wall(x_mm: float, y_mm: float, before_m: float = 0.0) -> tuple[float, float, float]:
    """Latitude, longitude, height of a place on the wall, or so far before it; the camera heads to 312 degrees."""
    heading = math.radians(HEADING_DEG)
    east = x_mm / 1000 * math.cos(heading) - before_m * math.sin(heading)
    north = -x_mm / 1000 * math.sin(heading) - before_m * math.cos(heading)
    return LAT + north / NORTH_M, LON + east / EAST_M, HEIGHT - y_mm / 1000


def photos(folder: Path, drop: tuple[str, ...] = (), count: int = 8) -> list[list[tuple[float, float, float]]]:
    """Write some photos; returns the true cracks as paths of latitude, longitude, height."""
    folder.mkdir()
    options = Options(seed=1, live=False, seconds=count, fps=1.0, exposure_us=300)
    camera = open_camera(options, ManualClock(datetime(2026, 5, 28, tzinfo=timezone.utc)))
    for frame in camera.frames():
        pose = camera.track.pose_at(frame.exposed_ns)
        lat_deg, lon_deg, height_m = wall(pose.x_mm, pose.y_mm, pose.distance_mm / 1000)
        xmp = {
            "AltitudeType": "RtkAlt",
            "GpsLatitude": f"{lat_deg:+.9f}",
            "GpsLongitude": f"{lon_deg:+.9f}",
            "AbsoluteAltitude": f"{height_m:+.3f}",
            "GimbalRollDegree": f"{pose.roll_deg:+.2f}",
            "GimbalYawDegree": f"{(HEADING_DEG + pose.yaw_deg + 180) % 360 - 180:+.2f}",
            "GimbalPitchDegree": f"{pose.pitch_deg:+.2f}",
            "RtkFlag": "50",
            "RtkStdLon": "0.011",
            "RtkStdLat": "0.010",
            "RtkStdHgt": "0.021",
            "CalibratedFocalLength": f"{camera.lens.focal_px:.3f}",
            "CalibratedOpticalCenterX": f"{camera.lens.width_px / 2}",
            "LRFStatus": "Normal",
            "LRFTargetDistance": f"{pose.range_m:.3f}",
        }
        said = {name: value for name, value in xmp.items() if not name.startswith(drop or ("-",))}
        tags = Tags(taken=f"2026:05:28 14:00:{frame.seq:02d}", xmp=dji(**said), focal_35_mm=None)
        write(folder / f"DJI_{frame.seq:04d}.JPG", frame.rgb, tags)
    return [[wall(*place) for place in crack.path_mm] for crack in camera.scene.cracks]


def features(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "detections.jsonl").read_text().splitlines()]


def test_cracks_stand_on_the_map_where_they_are_on_the_wall(tmp_path: Path) -> None:
    truth = photos(tmp_path / "photos")
    told = replay(Job(source=tmp_path / "photos", out=tmp_path / "out"))
    assert "no place" not in told
    places = np.array([feature["geometry"]["coordinates"] for feature in features(tmp_path / "out")])  # type: ignore[index]
    assert len(places) >= 8
    scale = np.array([EAST_M, NORTH_M, 1.0])
    true = np.array([(lon, lat, height) for path in truth for lat, lon, height in path]) * scale
    miss = [float(np.linalg.norm(true - place * scale, axis=1).min()) for place in places]
    assert np.median(miss) < 0.02, "centimetres from a true crack"
    assert np.quantile(miss, 0.8) < 0.05
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["unplaced"] == {}


@pytest.mark.parametrize(
    ("drop", "word", "geometry"),
    [
        (("LRF",), "range", True),
        (("Gimbal",), "attitude", True),
        (("Calibrated",), "lens", True),
        (("Gps",), "no satellite fix", False),
    ],
)
def test_what_the_photos_do_not_say_is_said_once(
    tmp_path: Path, drop: tuple[str, ...], word: str, geometry: bool, caplog: pytest.LogCaptureFixture
) -> None:
    photos(tmp_path / "photos", drop, count=2)
    told = replay(Job(source=tmp_path / "photos", out=tmp_path / "out", backend="dark"))
    assert word in told
    found = features(tmp_path / "out")
    assert found
    assert all((feature["geometry"] is not None) == geometry for feature in found)
    (reason,) = json.loads((tmp_path / "out" / "summary.json").read_text())["unplaced"]
    assert word in reason
    assert ("no picture says where it was taken" in caplog.text) != geometry


def test_one_photo_five_hundred_metres_away_has_no_place_until_three_agree_again() -> None:
    navigator, kinds = PhotoNavigator(), []
    for number in range(8):
        lat_deg = LAT + (500 / NORTH_M if number == 3 else 0.0)
        pose = PicturePose(
            lat_deg,
            LON,
            10.0,
            None,
            None,
            None,
            None,
            None,
            0,
            None,
            None,
            "DJI",
            datetime(2026, 5, 28, 14, 0, 2 * number),
        )
        navigator.see(Frame(number, number, None, np.zeros((2, 2, 3), np.uint8), name=f"p{number}", pose=pose))
        kinds.append(navigator.at(number).fix is not None)
    assert kinds == [True, True, True, False, False, False, False, True]
    assert "4 of 8 pictures" in (navigator.health() or "")


def test_of_a_flights_folder_its_photos_are_replayed_and_not_what_was_drawn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photos(tmp_path / "photos", count=3)
    flight = tmp_path / "flight"
    replay(Job(source=tmp_path / "photos", out=flight))
    kept = {path.stem for path in (flight / "photos").iterdir()}
    assert kept
    (flight / "mosaic.png").write_bytes((flight / "photos" / f"{min(kept)}.jpg").read_bytes())
    replay(Job(source=flight, out=tmp_path / "again"))
    assert "its photos are replayed" in caplog.text
    again = features(tmp_path / "again")
    assert {feature["properties"]["frame_name"] for feature in again} <= kept  # type: ignore[index]
    assert all(feature["geometry"] for feature in again), "the pose stands in the pictures"
    shutil.rmtree(flight / "photos")
    with pytest.raises(UsageError, match="without photos; give the flight's pictures"):
        replay(Job(source=flight, out=tmp_path / "none"))


def test_that_a_focal_length_is_a_guess_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    pose = PicturePose(None, None, None, None, None, None, None, None, 0, None, 3661.0, "", focal_uncertainty=0.05)
    navigator, picture = PhotoNavigator(), np.zeros((9, 16, 3), np.uint8)
    for number in range(3):
        navigator.see(Frame(number, number, None, picture, name=f"p{number}", pose=pose))
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == ["p0: no usual sensor has its shape"]
    assert "3661 pixels" in caplog.text
    assert "good to 5 %" in caplog.text


def test_each_kind_of_doubt_is_named_once_whatever_its_numbers(caplog: pytest.LogCaptureFixture) -> None:
    lost, down = "GpsLatitude is '51,{}', not a number from -90 to 90", "the gimbal is past straight down (roll {}.5)"
    navigator, picture = PhotoNavigator(), np.zeros((2, 2, 3), np.uint8)
    for number in range(12):
        doubts = ((lost.format(number),), (lost.format(number), down.format(number)))[number % 4 == 3]
        pose = PicturePose(None, None, None, None, None, None, None, None, 0, None, None, "DJI", doubts=doubts)
        navigator.see(Frame(number, number, None, picture, name=f"p{number}", pose=pose))
    assert [record.getMessage() for record in caplog.records] == [f"p0: {lost.format(0)}", f"p3: {down.format(3)}"]
    assert "12 of 12 pictures" in (navigator.health() or "")
