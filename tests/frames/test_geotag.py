"""What a photograph says of its own pose: each maker's words, and everything that must not be believed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.frames import PicturePose
from edge.frames.geotag import read_pose
from edge.frames.xmp import Packet, interpret
from tests.frames.photos import Tags, dji, write

W, H = 400, 300
PICTURE = np.full((H, W, 3), 128, np.uint8)
GHENT = {"lat_deg": 51.0536, "lon_deg": 3.7203}
DJI = {
    "GpsLatitude": "+51.053600123",
    "GpsLongitude": "+3.720300456",
    "AbsoluteAltitude": "+57.250",
    "GimbalRollDegree": "+0.00",
    "GimbalYawDegree": "-48.20",
    "GimbalPitchDegree": "-12.50",
}


def pose(tmp_path: Path, tags: Tags, size: tuple[int, int] = (W, H)) -> PicturePose | None:
    return read_pose(write(tmp_path / "a.jpg", PICTURE, tags), *size)


def test_dji_without_rtk_states_a_height_above_the_sea_and_no_accuracy(tmp_path: Path) -> None:
    said = pose(tmp_path, Tags(xmp=dji(**DJI), **GHENT))
    assert said is not None
    assert (said.lat_deg, said.lon_deg) == (51.053600123, 3.720300456)
    assert (said.alt_amsl_m, said.alt_ellipsoid_m) == (57.25, None)
    assert said.angles_deg == (0.0, -12.5, -48.2)
    assert (said.h_accuracy_m, said.v_accuracy_m, said.range_m, said.doubts) == (None, None, None, ())


def test_dji_with_rtk_states_ellipsoid_and_deviations(tmp_path: Path) -> None:
    more = {
        "AltitudeType": "RtkAlt",
        "RtkFlag": "50",
        "RtkStdLon": "0.0112",
        "RtkStdLat": "0.0103",
        "RtkStdHgt": "0.021",
    }
    said = pose(tmp_path, Tags(xmp=dji(**DJI, **more)))
    assert said is not None
    assert (said.alt_amsl_m, said.alt_ellipsoid_m, said.rtk) == (None, 57.25, "fixed")
    assert (said.h_accuracy_m, said.v_accuracy_m) == (0.0112, 0.021)


@pytest.mark.parametrize(
    ("more", "rtk", "ellipsoid"),
    [
        ({"AltitudeType": "RtkAlt", "RtkFlag": "50"}, "fixed", True),
        ({"RtkFlag": "50"}, "fixed", True),  # as a Phantom 4 RTK is said to write
        ({"RtkFlag": "16"}, "single", True),
        ({"AltitudeType": "RtkAlt", "RtkFlag": "32"}, "float", True),
        ({"AltitudeType": "RtkAlt", "RtkFlag": "49"}, "float", True),
        ({"AltitudeType": "RtkAlt"}, None, False),  # as drones without RTK are seen to write
        ({"AltitudeType": "RtkAlt", "RtkFlag": "0"}, None, False),
        ({"AltitudeType": "GpsFusionAlt", "RtkFlag": "16"}, "single", False),
        ({"AltitudeType": "GpsFusionAlt"}, None, False),
        ({"RtkFlag": "51"}, None, False),
    ],
)
def test_a_dji_s_height_is_the_ellipsoid_s_only_with_an_rtk_solution(
    tmp_path: Path, more: dict[str, str], rtk: str | None, ellipsoid: bool
) -> None:
    """By DJI's manuals 0 is failed, 16 single point, 32 to 49 float, 50 fixed; what the heights are is assumed."""
    said = pose(tmp_path, Tags(xmp=dji(**DJI, **more)))
    assert said is not None
    assert said.rtk == rtk
    assert (said.alt_amsl_m, said.alt_ellipsoid_m) == ((None, 57.25) if ellipsoid else (57.25, None))
    assert said.doubts == ()


@pytest.mark.parametrize(("status", "range_m"), [("Normal", 3.4), ("NoSignal", None), ("TooClose", None)])
def test_a_laser_counts_only_while_it_measures(tmp_path: Path, status: str, range_m: float | None) -> None:
    said = pose(tmp_path, Tags(xmp=dji(**DJI, LRFStatus=status, LRFTargetDistance="3.400")))
    assert said is not None
    assert said.range_m == range_m


def test_skydio_in_both_spellings() -> None:
    place = 'drone-skydio:Latitude="51.05" drone-skydio:Longitude="3.72" drone-skydio:AbsoluteAltitude="1034.4"'
    turn = 'drone-skydio:Roll="0.18" drone-skydio:Pitch="-7.46" drone-skydio:Yaw="127.4"'
    old = f"<x {place}><drone-skydio:CameraOrientationNED {turn}/></x>"
    inside = "".join(
        f"<drone-skydio:{name}>{value}</drone-skydio:{name}>"
        for name, value in (("Roll", "0.18"), ("Pitch", "-7.46"), ("Yaw", "127.4"))
    )
    other = '<drone-skydio:CameraOrientationFLU drone-skydio:Roll="9" drone-skydio:Pitch="9" drone-skydio:Yaw="9"/>'
    new = (
        "<x><drone-skydio:Latitude>51.05</drone-skydio:Latitude><drone-skydio:Longitude>3.72</drone-skydio:Longitude>"
        f'{other}<drone-skydio:CameraOrientationNED rdf:parseType="Resource">{inside}'
        "</drone-skydio:CameraOrientationNED></x>"
    )
    for text in (old, new):
        said = interpret(Packet(text), "Skydio")
        assert (said.lat_deg, said.lon_deg, said.angles_deg) == (51.05, 3.72, (0.18, -7.46, 127.4))


def test_parrot_writes_angles_in_xmp_and_the_place_in_exif(tmp_path: Path) -> None:
    xmp = "".join(
        f"<drone-parrot:Camera{n}Degree>{v}</drone-parrot:Camera{n}Degree>"
        for n, v in (("Roll", "1.5"), ("Pitch", "-20"), ("Yaw", "33"))
    )
    said = pose(tmp_path, Tags(make="Parrot", model="ANAFI", alt_m=80.0, h_error=(15, 10), xmp=xmp, **GHENT))
    assert said is not None
    assert said.angles_deg == (1.5, -20.0, 33.0)
    assert said.lat_deg == pytest.approx(51.0536, abs=1e-9)
    assert (said.alt_amsl_m, said.h_accuracy_m) == (80.0, 1.5)


def test_autel_new_and_old() -> None:
    new = Packet(
        'drone:GpsLatitude="51.05" drone:GpsLongtitude="3.72" drone:GimbalRollDegree="0" '
        'drone:GimbalPitchDegree="-45" drone:GimbalYawDegree="12"'
    )
    assert interpret(new, "Autel Robotics").angles_deg == (0.0, -45.0, 12.0)
    assert interpret(new, "Autel Robotics").lon_deg == 3.72
    old = "<Camera:Pitch>70.0</Camera:Pitch><Camera:Roll>0.5</Camera:Roll><Camera:Yaw>12</Camera:Yaw>"
    assert interpret(Packet(old), "Autel Robotics").angles_deg == (0.5, -20.0, 12.0), "0 looks straight down there"
    assert interpret(Packet(old), "SONY").angles_deg is None, (
        "of others nobody knows whether camera or aircraft is meant"
    )


def test_a_phone_has_a_place_and_no_attitude(tmp_path: Path) -> None:
    said = pose(
        tmp_path,
        Tags(make="Apple", model="iPhone 15", focal_35_mm=26, h_error=(47, 10), alt_m=-3.0, alt_ref=1, **GHENT),
    )
    assert said is not None
    assert (said.angles_deg, said.range_m, said.h_accuracy_m, said.alt_amsl_m) == (None, None, 4.7, -3.0)
    assert said.camera == "Apple iPhone 15 12.29 mm"


def test_focal_length_by_the_makers_calibration_also_for_a_picture_made_smaller(tmp_path: Path) -> None:
    xmp = dji(**DJI, CalibratedFocalLength="3725.15", CalibratedOpticalCenterX="2640", CalibratedOpticalCenterY="1978")
    full = pose(tmp_path, Tags(xmp=xmp), (5280, 3956))
    small = pose(tmp_path, Tags(xmp=xmp), (1320, 989))
    assert full is not None
    assert small is not None
    assert full.focal_px == 3725.15
    assert small.focal_px == pytest.approx(3725.15 / 4)


def test_focal_length_of_35_mm_film_goes_by_the_diagonal(tmp_path: Path) -> None:
    said = pose(tmp_path, Tags(**GHENT, focal_35_mm=24), (4000, 3000))
    assert said is not None
    assert said.focal_px == pytest.approx(24 * 5000 / 43.2666, rel=1e-4)
    zoomed = pose(tmp_path, Tags(**GHENT, focal_35_mm=24, zoom=(2, 1)), (4000, 3000))
    assert zoomed is not None
    assert zoomed.focal_px is None, "makers disagree whether it contains the digital zoom"


@pytest.mark.parametrize(
    ("size", "guessed"), [((5280, 3956), False), ((5280, 2970), True), ((2970, 5280), True), ((5280, 3300), True)]
)
def test_a_picture_cut_out_of_the_sensor_has_the_whole_sensor_s_focal_length(
    size: tuple[int, int], guessed: bool, tmp_path: Path
) -> None:
    """24 mm of a camera of which its maker's calibration says 3725 pixels: no row that is left out moves the lens."""
    said = pose(tmp_path, Tags(**GHENT, focal_35_mm=24), size)
    assert said is not None
    assert said.focal_px == pytest.approx(3725.15, rel=0.02)
    assert (said.focal_uncertainty is not None) == guessed
    calibrated = dji(**DJI, CalibratedFocalLength="3725.15", CalibratedOpticalCenterX="2640")
    own = pose(tmp_path, Tags(xmp=calibrated, focal_35_mm=24), (5280, 2970))
    assert own is not None
    assert (own.focal_px, own.focal_uncertainty) == (3725.15, None)


@pytest.mark.parametrize(("size", "binned"), [((640, 512), 1), ((512, 640), 1), ((1280, 1024), 2)])
def test_a_picture_of_5_to_4_is_a_whole_sensor(size: tuple[int, int], binned: int, tmp_path: Path) -> None:
    """A thermal camera of 40 mm on film: by its data sheet 9.1 mm before pixels of 12 micrometres, 640 x 512."""
    said = pose(tmp_path, Tags(**GHENT, focal_35_mm=40), size)
    assert said is not None
    assert said.focal_px == pytest.approx(binned * 9.1 / 0.012, rel=0.01)
    assert said.focal_uncertainty is None


@pytest.mark.parametrize("size", [(3956, 3956), (3956, 3700), (8000, 2000), (2000, 8000), (5280, 2200)])
def test_a_shape_far_from_every_sensor_s_has_no_focal_length_by_that_of_film(
    size: tuple[int, int], tmp_path: Path
) -> None:
    said = pose(tmp_path, Tags(**GHENT, focal_35_mm=24), size)
    assert said is not None
    assert (said.focal_px, said.focal_uncertainty) == (None, None)
    calibrated = dji(**DJI, CalibratedFocalLength="3725.15", CalibratedOpticalCenterX=str(max(size) / 2))
    own = pose(tmp_path, Tags(xmp=calibrated, focal_35_mm=24), size)
    assert own is not None
    assert own.focal_px == 3725.15


def test_our_own_pictures_say_the_focal_length_by_their_own_diagonal(tmp_path: Path) -> None:
    """1000 pixels at 1280 x 720: 1000 / 1468.6 of 43.27 mm is 29 mm."""
    said = pose(tmp_path, Tags(make="spanhawk", focal_35_mm=29), (1280, 720))
    assert said is not None
    assert said.focal_px == pytest.approx(1000, rel=0.02)
    assert said.focal_uncertainty is None


@pytest.mark.parametrize(
    ("orientation", "turned", "believed"), [(1, 0, True), (3, 180, True), (6, -90, True), (8, 90, True), (2, 0, False)]
)
def test_a_picture_stored_on_its_side(tmp_path: Path, orientation: int, turned: int, believed: bool) -> None:
    said = pose(tmp_path, Tags(orientation=orientation, xmp=dji(**DJI)))
    assert said is not None
    assert said.turned_deg == turned
    assert (said.angles_deg is not None) == believed
    assert bool(said.doubts) != believed


@pytest.mark.parametrize(
    ("changes", "lost", "word"),
    [
        ({"GpsLatitude": "+51,0536"}, "lat_deg", "point"),
        ({"GpsLatitude": "nan"}, "lat_deg", "not a number"),
        ({"GpsLatitude": "951.0"}, "lat_deg", "not a number"),
        ({"GpsLatitude": "0.000000000", "GpsLongitude": "0.000000000"}, "lat_deg", "0, 0"),
        ({"GimbalPitchDegree": "-12,50"}, "angles_deg", "point"),
        ({"GimbalPitchDegree": "-110.0"}, "angles_deg", "past straight down"),
        ({"GimbalRollDegree": "180.0", "GimbalPitchDegree": "-85.0"}, "angles_deg", "past straight down"),
        ({"CamReverse": "1"}, "angles_deg", "upside down"),
        ({"LRFStatus": "Normal", "LRFTargetDistance": "3,4"}, "range_m", "point"),
        ({"LRFStatus": "Normal", "LRFTargetDistance": "0.0"}, "range_m", "not a number"),
    ],
)
def test_what_cannot_be_is_unknown_and_named(tmp_path: Path, changes: dict[str, str], lost: str, word: str) -> None:
    said = pose(tmp_path, Tags(xmp=dji(**{**DJI, **changes})))
    assert said is not None
    assert getattr(said, lost) is None
    assert any(word in doubt for doubt in said.doubts)


def test_a_receiver_without_a_fix_says_so(tmp_path: Path) -> None:
    said = pose(tmp_path, Tags(status="V", **GHENT))
    assert said is not None
    assert said.lat_deg is None
    assert "GPSStatus" in said.doubts[0]


def test_a_picture_without_any_tag_says_nothing(tmp_path: Path) -> None:
    assert pose(tmp_path, Tags(focal_mm=None, focal_35_mm=None)) is None
    assert read_pose(tmp_path / "not there.jpg", 4, 3) is None


@given(st.binary(max_size=400), st.integers(0, 400))
def test_damaged_tags_never_raise_and_never_make_a_place(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.jpg"
    whole = write(path, PICTURE[:8, :8], Tags(xmp=dji(**DJI), **GHENT)).read_bytes()
    path.write_bytes(whole[: 30 + at] + junk + whole[30 + at + len(junk) :])
    said = read_pose(path, 8, 8)
    if said is not None and said.lat_deg is not None:
        assert abs(said.lat_deg) <= 90
        assert said.lon_deg is not None
