"""Places in small worlds that can be checked by hand; random ones, with noise, are in benchmarks/mapping_place.py."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.frames import PicturePose
from edge.navigation import Attitude, Fix, FixKind, LocalPosition, NavState
from edge.surface import earth, place
from edge.surface.geodetic import to_wgs84
from edge.surface.local import PlaceOptions
from edge.surface.place import Surveyor, View
from edge.surface.scale import ScaleOptions
from edge.surface.structure import StructureOptions

W, H = 1281, 721
MIDDLE = np.array([640.0, 360.0])
FIX = Fix(FixKind.RTK_FIXED, 51.05, 3.72, 11.0, 0.02, 0.03, 0, 55.0)
NAV = NavState(0, FIX, Attitude(0.0, 0.0, 90.0), 3.0)
# One degree of latitude and longitude at 51.05 degrees north on WGS 84 (tables of the ellipsoid's radii), metres.
NORTH_M, EAST_M = 111_257.3, 70_118.7


def look(nav: NavState = NAV, options: PlaceOptions | None = None, **scale: object) -> View:
    return Surveyor(ScaleOptions(hfov_deg=60.0, **scale), options).look(nav, W, H)  # type: ignore[arg-type]


def test_three_metres_to_the_east() -> None:
    found = look().place_of(MIDDLE)
    assert (found.method, found.frame, found.reason) == ("surface", "enu@51.0500000,3.7200000,55.00ell", None)
    assert (found.east_m, found.north_m, found.up_m) == pytest.approx((3.0, 0.0, 0.0), abs=1e-9)
    assert found.lat_deg == pytest.approx(51.05, abs=1e-9)
    assert (found.lon_deg - 3.72) * EAST_M == pytest.approx(3.0, abs=1e-3)  # type: ignore[operator]
    assert found.alt_ellipsoid_m == pytest.approx(55.0, abs=1e-6)


def test_a_pixel_to_the_right_and_above_the_middle() -> None:
    focal = W / 2 / math.tan(math.radians(30))
    found = look().place_of(MIDDLE + np.array([focal / 3, -focal / 6]))
    assert (found.east_m, found.north_m, found.up_m) == pytest.approx((3.0, -1.0, 0.5), abs=1e-9)


@pytest.mark.parametrize(("pitch_deg", "up_m"), [(-90.0, -3.0), (90.0, 3.0)])
def test_a_deck_below_and_a_soffit_above(pitch_deg: float, up_m: float) -> None:
    nav = replace(NAV, attitude=Attitude(0.0, pitch_deg, 0.0))
    found = look(nav, surface="horizontal").place_of(MIDDLE)
    assert (found.east_m, found.north_m, found.up_m) == pytest.approx((0.0, 0.0, up_m), abs=1e-9)


def test_a_wall_that_is_looked_at_from_the_side() -> None:
    """The wall faces west; the camera looks 30 degrees to the left of east, the axis meets it 2 m ahead."""
    nav = replace(NAV, attitude=Attitude(0.0, 0.0, 60.0), range_m=2.0)
    view = look(nav, surface="vertical", wall_normal_deg=270.0)
    east = 2 * math.cos(math.radians(30))
    focal = W / 2 / math.tan(math.radians(30))
    right_edge = view.place_of(MIDDLE + np.array([focal * math.tan(math.radians(30)), 0.0]))
    assert (right_edge.east_m, right_edge.north_m) == pytest.approx((east, 0.0), abs=1e-9), (
        "straight east of the camera"
    )


def test_the_lever_arm_turns_with_the_vehicle_not_with_the_camera() -> None:
    options = PlaceOptions(lever_arm_m=(0.2, 0.0, 0.1))
    nav = replace(NAV, vehicle=Attitude(0.0, 0.0, 0.0))
    found = look(nav, options).place_of(MIDDLE)
    assert (found.east_m, found.north_m, found.up_m) == pytest.approx((3.0, 0.2, -0.1), abs=1e-9)
    blind = look(replace(nav, range_m=None), options).place_of(MIDDLE)
    assert (blind.method, blind.north_m, blind.up_m) == ("camera", pytest.approx(0.2), pytest.approx(-0.1)), "the lens"
    unknown = look(NAV, options).place_of(MIDDLE)
    assert (unknown.method, unknown.reason) == ("camera", place.NO_LEVER)
    assert unknown.sigma_m is not None
    assert unknown.sigma_m[0] == pytest.approx(math.hypot(0.02, math.hypot(0.2, 0.1)))


def test_a_configured_origin_with_more_decimals_than_its_name_leads_back_to_the_fix_by_its_name() -> None:
    fix = replace(FIX, lat_deg=51.0500004321, lon_deg=3.7200000987, alt_ellipsoid_m=55.0049)
    found = look(replace(NAV, fix=fix), PlaceOptions(origin=(51.0500004321, 3.7200000987, 55.0049))).place_of(MIDDLE)
    assert found.frame is not None
    assert found.east_m is not None
    ((lon, lat, height),) = to_wgs84(found.frame, np.array([[found.east_m - 3.0, found.north_m, found.up_m]])) or []
    assert (lat - fix.lat_deg) * NORTH_M == pytest.approx(0.0, abs=1.5e-3), "8 decimals are written"
    assert (lon - fix.lon_deg) * EAST_M == pytest.approx(0.0, abs=1.5e-3)
    assert height == pytest.approx(55.0049, abs=6e-4)


@pytest.mark.parametrize("origin", [(51.0, 3.0, math.nan), (math.nan, 3.0, 0.0), (51.0, 181.0, 0.0)])
def test_an_origin_that_cannot_be_is_refused(origin: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="origin is latitude, longitude, height"):
        PlaceOptions(origin=origin)


def test_the_origin_is_the_first_fix_and_its_name_alone_leads_back() -> None:
    surveyor = Surveyor(ScaleOptions(hfov_deg=60.0))
    surveyor.look(replace(NAV, fix=replace(FIX, lat_deg=51.04999999, lon_deg=3.72000001)), W, H)
    view = surveyor.look(replace(NAV, fix=replace(FIX, lat_deg=51.0501)), W, H)
    found = view.place_of(MIDDLE)
    assert found.frame == "enu@51.0500000,3.7200000,55.00ell"
    assert found.north_m == pytest.approx(0.0001 * NORTH_M, abs=1e-3)
    where = earth.to_ecef(51.05, 3.72, 55.0) + earth.level_axes(51.05, 3.72) @ [
        found.north_m,
        found.east_m,
        -found.up_m,
    ]  # type: ignore[operator]
    assert earth.to_geodetic(where)[:2] == pytest.approx((found.lat_deg, found.lon_deg), abs=1e-10)


def test_heights_of_different_kinds_are_never_mixed() -> None:
    surveyor = Surveyor(ScaleOptions(hfov_deg=60.0))
    surveyor.look(NAV, W, H)
    only_sea = replace(NAV, fix=replace(FIX, alt_ellipsoid_m=None))
    found = surveyor.look(only_sea, W, H).place_of(MIDDLE)
    assert (found.up_m, found.alt_ellipsoid_m) == (None, None)
    assert found.sigma_m is not None
    assert found.sigma_m[2] is None
    sea = Surveyor(ScaleOptions(hfov_deg=60.0)).look(only_sea, W, H).place_of(MIDDLE)
    assert (sea.frame, sea.up_m) == ("enu@51.0500000,3.7200000,11.00amsl", pytest.approx(0.0))


def test_a_two_dimensional_fix_places_on_the_map_and_not_in_height() -> None:
    flat = replace(FIX, kind=FixKind.FIX_2D, alt_amsl_m=None, alt_ellipsoid_m=None)
    found = look(replace(NAV, fix=flat)).place_of(MIDDLE)
    assert (found.method, found.up_m, found.frame) == ("surface", None, "enu@51.0500000,3.7200000")
    assert found.east_m == pytest.approx(3.0, abs=1e-6)


def test_without_a_height_nothing_has_a_course_on_the_surface_and_it_is_said() -> None:
    flat = replace(NAV, fix=replace(FIX, kind=FixKind.FIX_2D, alt_amsl_m=None, alt_ellipsoid_m=None))
    surveyor = Surveyor(ScaleOptions(hfov_deg=60.0))
    view = surveyor.look(flat, W, H)
    assert view.on_surface(MIDDLE[None]) is None
    assert "no height" in (view.why_apart(None) or "")
    high = surveyor.look(NAV, W, H)
    assert high.on_surface(MIDDLE[None]) is not None
    assert high.why_apart(None) is None
    assert high.why_apart("enu@51.0500000,3.7200000,55.00ell") is None
    assert "local" in (high.why_apart("local") or "")
    assert look(replace(NAV, range_m=None)).why_apart("local") is None, (
        "it has no place at all, which is said elsewhere"
    )


def test_no_stated_accuracy_is_no_uncertainty_unless_the_operator_states_one() -> None:
    mute = replace(NAV, fix=replace(FIX, h_accuracy_m=None, v_accuracy_m=None))
    found = look(mute).place_of(MIDDLE)
    assert (found.method, found.sigma_m, found.ellipse) == ("surface", None, None)
    stated = look(mute, PlaceOptions(h_uncertainty_m=2.5)).place_of(MIDDLE)
    assert stated.sigma_m is not None
    assert stated.sigma_m[0] > 2.5
    assert stated.sigma_m[2] is None


def test_uncertainty_of_a_wall_straight_ahead_by_hand() -> None:
    """Facing east at 3 m: heading moves it north, tilt moves it up, the range moves it east."""
    options = PlaceOptions(attitude_uncertainty_deg=1.0, heading_uncertainty_deg=3.0)
    found = look(NAV, options, range_uncertainty_m=0.04, tilt_uncertainty_deg=5.0).place_of(MIDDLE)
    assert found.sigma_m == pytest.approx(
        (math.hypot(0.02, 0.04), math.hypot(0.02, 3 * math.radians(3)), math.hypot(0.03, 3 * math.radians(1))), rel=1e-2
    )
    assert found.ellipse is not None
    assert found.ellipse.major_m == pytest.approx(found.sigma_m[1], rel=1e-3)  # type: ignore[index]
    assert min(found.ellipse.azimuth_deg, 180 - found.ellipse.azimuth_deg) < 3


def test_an_ageing_fix_grows_uncertain_by_the_speed() -> None:
    found = look(replace(NAV, fix=replace(FIX, age_ms=500)), PlaceOptions(speed_m_s=4.0)).place_of(MIDDLE)
    assert found.sigma_m is not None
    assert found.sigma_m[0] > 2.0


@pytest.mark.parametrize(
    ("changes", "scale", "method", "reason"),
    [
        ({"fix": None}, {}, "none", place.NO_POSITION),
        ({"attitude": None}, {}, "camera", place.NO_ATTITUDE),
        ({"attitude": None}, {"surface": "vertical"}, "camera", place.NO_ATTITUDE),
        ({"range_m": None}, {}, "camera", place.NO_RANGE),
        ({"range_m": 0.0}, {}, "camera", place.NO_RANGE),
        ({"range_m": math.inf}, {}, "camera", place.NO_RANGE),
        ({"range_m": math.nan}, {}, "camera", place.NO_RANGE),
        ({"range_m": 655.35}, {}, "camera", place.BAD_RANGE),
        ({"attitude": Attitude(0, 80, 0)}, {"surface": "vertical"}, "camera", place.OBLIQUE),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_made_up(
    changes: dict[str, object], scale: dict[str, object], method: str, reason: str
) -> None:
    found = look(replace(NAV, **changes), **scale).place_of(MIDDLE)  # type: ignore[arg-type]
    assert (found.method, found.reason) == (method, reason)
    if method == "camera":
        assert (found.east_m, found.north_m) == pytest.approx((0, 0), abs=1e-9)
        assert found.lat_deg == pytest.approx(51.05)
    else:
        assert (found.east_m, found.frame, found.lat_deg) == (None, None, None)


def test_a_stated_distance_stands_in_where_nothing_measures() -> None:
    found = look(replace(NAV, range_m=None), range_m=2.0).place_of(MIDDLE)
    assert (found.method, found.east_m) == ("surface", pytest.approx(2.0))


def test_without_any_lens_only_the_cameras_place_is_known() -> None:
    found = Surveyor(ScaleOptions()).look(NAV, W, H).place_of(MIDDLE)
    assert (found.method, found.reason) == ("camera", place.NO_LENS)


def test_a_lens_card_of_another_size_is_refused() -> None:
    found = Surveyor(ScaleOptions(lens="hq-6mm")).look(NAV, 1920, 1080).place_of(MIDDLE)
    assert found.method == "camera"
    assert "4056x3040" in (found.reason or "")
    assert Surveyor(ScaleOptions(lens="hq-6mm")).look(NAV, 2028, 1520).place_of(MIDDLE).method == "surface"


def photo(camera: str, focal_px: float | None = 1000.0) -> PicturePose:
    return PicturePose(None, None, None, None, None, None, None, None, 0, None, focal_px, camera)


def test_a_stated_lens_is_that_of_the_first_camera_in_the_folder() -> None:
    surveyor = Surveyor(ScaleOptions(hfov_deg=60.0))
    assert surveyor.look(NAV, W, H, photo("DJI M3E 12.3 mm")).place_of(MIDDLE).method == "surface"
    other = surveyor.look(NAV, W, H, photo("DJI M3T 40 mm")).place_of(MIDDLE)
    assert (other.method, other.reason) == ("camera", place.ANOTHER_CAMERA)
    own = Surveyor(ScaleOptions())
    for camera, focal_px in (("A", 1000.0), ("B", 500.0)):
        found = own.look(NAV, W, H, photo(camera, focal_px)).place_of(MIDDLE + np.array([focal_px / 3, 0]))
        assert found.north_m == pytest.approx(-1.0), "each picture's own focal length"


@pytest.mark.parametrize(
    ("options", "uncertainty"), [({}, 0.05), ({"lens_uncertainty": 0.1}, 0.1), ({"hfov_deg": 60.0}, 0.02)]
)
def test_a_guessed_focal_length_is_as_unsure_as_the_guess(options: dict[str, float], uncertainty: float) -> None:
    found = Surveyor(ScaleOptions(**options)).lens(W, H, replace(photo(""), focal_uncertainty=0.05))  # type: ignore[arg-type]
    assert found is not None
    assert found.focal_uncertainty == uncertainty


def test_a_structures_own_axes_need_no_satellites() -> None:
    """The axis heads east; the anchor is 10 m north of where the autopilot woke; the camera looks east, 3 m."""
    structure = StructureOptions(name="Pier 3", anchor_m=(10.0, 0.0, 0.0), axis_deg=90.0)
    surveyor = Surveyor(ScaleOptions(hfov_deg=60.0), PlaceOptions(), structure)
    local = LocalPosition(12.0, 5.0, -7.0, sigma_m=(0.1, 0.1, 0.2))
    found = surveyor.look(replace(NAV, fix=None, local=local), W, H).place_of(MIDDLE)
    assert (found.method, found.frame) == ("surface", "structure:Pier 3")
    station, left, up = found.east_m, found.north_m, found.up_m
    assert (station, left, up) == pytest.approx((8.0, 2.0, 7.0), abs=1e-9)
    assert (found.lat_deg, found.lon_deg, found.alt_ellipsoid_m) == (None, None, None)
    with_fix = surveyor.look(replace(NAV, local=local), W, H).place_of(MIDDLE)
    assert with_fix.lat_deg is None, "below a deck satellites mislead: the structure's own axes are what was asked for"
    lost = surveyor.look(NAV, W, H).place_of(MIDDLE)
    assert lost.frame.startswith("enu@"), "while the autopilot has no position of its own, satellites are all there is"
    assert (lost.lat_deg, lost.lon_deg) == pytest.approx((FIX.lat_deg, FIX.lon_deg + 3 / EAST_M), abs=1e-8)


def test_a_local_frame_that_is_turned_against_north() -> None:
    """Its first axis heads east (turn 90): looking east is looking along it."""
    local = LocalPosition(1.0, 2.0, -3.0, turn_deg=90.0)
    found = look(replace(NAV, fix=None, local=local)).place_of(MIDDLE)
    assert (found.frame, found.sigma_m) == ("local", None)
    assert (found.north_m, found.east_m, found.up_m) == pytest.approx((4.0, 2.0, 3.0), abs=1e-9)


def test_many_pixels_at_once_are_where_each_alone_is() -> None:
    view = look(replace(NAV, attitude=Attitude(3.0, -20.0, 70.0)), surface="vertical")
    pixels = np.array([[100.0, 200.0], [640.0, 360.0], [1200.0, 700.0]])
    together = view.on_surface(pixels)
    assert together is not None
    for pixel, point in zip(pixels, together, strict=True):
        alone = view.place_of(pixel)
        assert (alone.east_m, alone.north_m, alone.up_m) == pytest.approx(tuple(point), abs=1e-9)
    assert look(replace(NAV, range_m=None)).on_surface(pixels) is None


@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(-300, 9000), st.tuples(*[st.floats(-1000, 1000)] * 3))
def test_geodetic_and_earth_centred_lead_back_to_each_other(
    lat_deg: float, lon_deg: float, height_m: float, offset: tuple[float, float, float]
) -> None:
    there = earth.to_ecef(lat_deg, lon_deg, height_m) + np.array(offset)
    back = earth.to_ecef(*earth.to_geodetic(there))
    assert float(np.linalg.norm(back - there)) < 1e-6


def test_known_places_of_the_ellipsoid() -> None:
    assert earth.to_ecef(0, 0, 0) == pytest.approx([6378137.0, 0, 0])
    assert earth.to_ecef(90, 0, 0) == pytest.approx([0, 0, 6356752.314245], abs=1e-6)
    assert earth.to_geodetic(np.array([0.0, 0.0, -6356852.314245]))[0::2] == pytest.approx((-90.0, 100.0), abs=1e-6)
