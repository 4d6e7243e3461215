from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import evidence
from edge.evidence.exif import exif_segment
from edge.frames import Frame, Moment, Tone
from edge.navigation import Attitude, Fix, FixKind, NavState, nowhere

PIL = pytest.importorskip("PIL.Image")
AT = datetime(2026, 5, 1, 12, 3, 4, 567000, tzinfo=timezone.utc)
SEEN = Moment(AT, synced=True)


def frame() -> Frame:
    rgb = np.zeros((48, 64, 3), np.uint8)
    rgb[..., 0] = 200
    return Frame(3, 0, 500, rgb)


def nav(lat_deg: float = 51.05, lon_deg: float = -3.72, alt_m: float | None = -12.5) -> NavState:
    return NavState(0, Fix(FixKind.RTK_FIXED, lat_deg, lon_deg, alt_m, 0.02, None, 3), Attitude(0, -10, 275.5), 2.0)


def degrees(parts: tuple[float, float, float], ref: str) -> float:
    value = parts[0] + parts[1] / 60 + parts[2] / 3600
    return float(-value if ref in "SW" else value)


def read(data: bytes, tmp_path: Path) -> tuple[dict[int, object], dict[int, object]]:
    path = tmp_path / "e.jpg"
    path.write_bytes(data)
    with PIL.open(path) as picture:
        exif = picture.getexif()
        return dict(exif.get_ifd(0x8769)), dict(exif.get_ifd(0x8825))


def test_picture_is_on_disk_with_place_and_time(tmp_path: Path) -> None:
    picture = evidence.save(frame(), nav(), SEEN, tmp_path / "new", "a.jpg")
    data = (tmp_path / "new" / "a.jpg").read_bytes()
    assert picture == evidence.Evidence("a.jpg", hashlib.sha256(data).hexdigest())
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.jpg"]
    exif, gps = read(data, tmp_path)
    assert exif[0x9003] == "2026:05:01 12:03:04"
    assert exif[0x829A] == 0.0005
    assert degrees(gps[2], gps[1]) == pytest.approx(51.05, abs=1e-7)  # type: ignore[arg-type]
    assert degrees(gps[4], gps[3]) == pytest.approx(-3.72, abs=1e-7)  # type: ignore[arg-type]
    assert (gps[5], gps[6], gps[17]) == (b"\x01", 12.5, 275.5)
    assert 7 not in gps, "the time is not the satellites'"
    back = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert back[10, 10, 2] > 190, "red stays red"


@pytest.mark.parametrize(("tone", "grey"), [("srgb", 64), ("linear", 137)])
def test_a_camera_s_light_is_written_as_the_srgb_that_exif_says(tone: Tone, grey: int, tmp_path: Path) -> None:
    """IEC 61966-2-1: the code of 0.251 of white is 255 * (1.055 * 0.251 ** (1/2.4) - 0.055) = 137."""
    flat = Frame(3, 0, 500, np.full((48, 64, 3), 64, np.uint8), tone=tone)
    data = evidence.encode(flat, nowhere(0), SEEN)
    exif, _ = read(data, tmp_path)
    assert exif[0xA001] == 1
    seen = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(seen.astype(int) - grey).max() <= 1


def test_no_fix_no_gps(tmp_path: Path) -> None:
    _, gps = read(evidence.encode(frame(), nowhere(0), SEEN), tmp_path)
    assert gps == {}


@given(st.floats(-90, 90), st.floats(-180, 180), st.one_of(st.none(), st.floats(-500, 9000)))
def test_any_place_survives(lat_deg: float, lon_deg: float, alt_m: float | None) -> None:
    exif = PIL.Exif()
    exif.load(exif_segment(nav(lat_deg, lon_deg, alt_m), AT, None)[4:])
    gps = exif.get_ifd(0x8825)
    assert degrees(gps[2], gps[1]) == pytest.approx(lat_deg, abs=2e-8)
    assert degrees(gps[4], gps[3]) == pytest.approx(lon_deg, abs=2e-8)
    assert (6 in gps) is (alt_m is not None)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").mkdir()
    with pytest.raises(OSError, match="directory"):
        evidence.save(frame(), nav(), SEEN, tmp_path, "a.jpg")
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


def test_a_frame_that_no_jpeg_can_hold_is_an_oserror_as_promised() -> None:
    """OpenCV raises an error of its own kind: a pipeline that only expects OSError would lose the detection with it."""
    wide = Frame(0, 0, None, np.zeros((2, 65_600, 3), np.uint8))
    with pytest.raises(OSError, match="a frame of 65600 x 2 pixels as JPEG"):
        evidence.encode(wide, nav(), SEEN)
