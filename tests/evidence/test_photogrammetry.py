"""What photogrammetry reads of an evidence picture, read by exiftool and by OpenDroneMap's rules."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import exifread
import numpy as np
import pytest

from edge import evidence
from edge.frames import Frame, Moment
from edge.frames.geotag import read_pose
from edge.navigation import Attitude, Fix, FixKind, NavState, nowhere
from edge.surface.lens import Lens

AT = Moment(datetime(2026, 5, 1, 12, 3, 4, 567000, tzinfo=timezone.utc), synced=True)
LENS = Lens(name="hq-6mm", width_px=640, height_px=480, fx_px=612.0, fy_px=612.0, cx_px=319.5, cy_px=239.5, origin="x")
NAV = NavState(0, Fix(FixKind.RTK_FIXED, 51.05, 3.72, 12.5, 0.02, 0.04, 3, 57.25), Attitude(1.5, -80.0, 275.5), 2.0)


def exiftool(path: Path) -> dict[str, Any]:
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed (libimage-exiftool-perl)")
    read = subprocess.run(
        ["exiftool", "-j", "-n", "-validate", "-warning", "-a", path], check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(read.stdout)[0]
    return found


def every(path: Path) -> dict[str, Any]:
    read = subprocess.run(["exiftool", "-j", "-n", path], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(read.stdout)[0]
    return found


def picture(tmp_path: Path, nav: NavState = NAV, lens: Lens | None = LENS, focal_mm: float | None = None) -> Path:
    frame = Frame(3, 0, 500, np.full((480, 640, 3), 90, np.uint8))
    kept = evidence.save(frame, nav, AT, tmp_path, "a.jpg", lens, focal_mm)
    return tmp_path / kept.file


def test_exiftool_finds_nothing_wrong_and_every_tag(tmp_path: Path) -> None:
    path = picture(tmp_path, focal_mm=6.0)
    assert "Warning" not in exiftool(path)
    tags = every(path)
    assert (tags["Make"], tags["Model"], tags["FocalLength"]) == ("spanhawk", "hq-6mm 640x480 612px", 6.0)
    assert tags["FocalLengthIn35mmFormat"] == round(612 * math.hypot(36, 24) / 800)
    # Pixels per centimetre of the sensor times its focal length is the focal length in pixels.
    assert tags["FocalPlaneXResolution"] * tags["FocalLength"] / 10 == pytest.approx(612, abs=0.01)
    assert tags["FocalPlaneResolutionUnit"] == 3
    assert (str(tags["SubSecTime"]), str(tags["SubSecTimeOriginal"])) == ("567", "567")
    assert (tags["Yaw"], tags["Pitch"], tags["Roll"]) == (275.5, 10.0, 1.5), "pitch 0 looks straight down there"
    assert (tags["GPSXYAccuracy"], tags["GPSZAccuracy"]) == (0.02, 0.04)


def test_without_millimetres_the_same_view_on_film_is_given(tmp_path: Path) -> None:
    tags = every(picture(tmp_path)) if shutil.which("exiftool") else pytest.skip("exiftool is not installed")
    assert tags["FocalLength"] == pytest.approx(612 * 36 / 640)
    assert tags["FocalPlaneXResolution"] * tags["FocalLength"] / 10 == pytest.approx(612, abs=0.01)


def test_an_unknown_lens_and_place_are_not_made_up(tmp_path: Path) -> None:
    path = picture(tmp_path, nowhere(0), None)
    assert "Warning" not in exiftool(path)
    assert not {"Model", "FocalLength", "Yaw", "GPSLatitude", "GPSXYAccuracy"} & set(every(path))


def as_opendronemap(path: Path) -> dict[str, Any]:
    """What OpenDroneMap makes of a picture: the rules of its opendm/photo.py of 2024, in words of our own.

    EXIF comes through exifread; XMP is what stands between its two marks, one description with attributes. The
    fraction of a second is SubSecTime's number behind "0.", without its leading zeros. The focal ratio is the one on
    film by its width of 36 mm; only without that, the focal length by the sensor's width. Accuracies are doubled. Only
    DJI's and Hasselblad's pitch counts from the horizon; all others' 0 is straight down.
    """
    with path.open("rb") as file:
        tags = exifread.process_file(file, details=True)
    data = path.read_bytes()
    packet = data[data.index(b"<x:xmpmeta") : data.index(b"</x:xmpmeta") + 12]
    xmp = ElementTree.fromstring(packet).find(".//{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
    assert xmp is not None
    said = {name: float(xmp.attrib[f"{{http://pix4d.com/camera/1.0/}}{name}"]) for name in PIX4D}
    make = tags["Image Make"].values.strip()
    degrees = [
        sum(float(part.num) / part.den / 60**at for at, part in enumerate(tags[f"GPS GPS{axis}"].values))
        for axis in ("Latitude", "Longitude")
    ]
    seconds = datetime.strptime(tags["EXIF DateTimeOriginal"].values, "%Y:%m:%d %H:%M:%S").second
    width_mm = 640 / float(tags["EXIF FocalPlaneXResolution"].values[0]) * 10
    return {
        "make": make, "model": tags["Image Model"].values.strip(), "place": degrees,
        "altitude": float(tags["GPS GPSAltitude"].values[0]),
        "second": seconds + float(f"0.{int(tags['EXIF SubSecTime'].values)}"),
        "ratio on film": float(tags["EXIF FocalLengthIn35mmFilm"].values[0]) / 36,
        "ratio": float(tags["EXIF FocalLength"].values[0]) / width_mm,
        "yaw": said["Yaw"], "roll": said["Roll"],
        "pitch": said["Pitch"] + (90 if make.lower() in ("dji", "hasselblad") else 0),
        "accuracy": (2 * said["GPSXYAccuracy"], 2 * said["GPSZAccuracy"]),
    }  # fmt: skip


PIX4D = ("Yaw", "Pitch", "Roll", "GPSXYAccuracy", "GPSZAccuracy")


def test_opendronemap_takes_camera_time_place_and_angles(tmp_path: Path) -> None:
    read = as_opendronemap(picture(tmp_path, focal_mm=6.0))
    assert (read["make"], read["model"]) == ("spanhawk", "hq-6mm 640x480 612px")
    assert read["place"] == [pytest.approx(51.05, abs=1e-7), pytest.approx(3.72, abs=1e-7)]
    assert (read["altitude"], read["second"]) == (12.5, pytest.approx(4.567))
    assert read["ratio"] == pytest.approx(612 / 640, rel=1e-4)
    assert read["ratio on film"] == pytest.approx(612 / 640, rel=0.05), "by the diagonal, as cameras state it"
    assert (read["yaw"], read["pitch"], read["roll"]) == (275.5, 10.0, 1.5), "10 degrees off straight down"
    assert read["accuracy"] == (0.04, 0.08)


def test_our_own_reader_takes_it_back(tmp_path: Path) -> None:
    pose = read_pose(picture(tmp_path), 640, 480)
    assert pose is not None
    assert pose.angles_deg == (1.5, -80.0, 275.5)
    assert pose.focal_px == pytest.approx(612, rel=0.02), "35 mm film is rounded to a millimetre"
    assert pose.doubts == ()
