"""The conventions: NED, 3-2-1, camera axes x forward y right z down; checked against plain matrices."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.navigation import Attitude, rotation

angle = st.floats(-179.0, 179.0)
pitch = st.floats(-89.0, 89.0)
attitudes = st.builds(Attitude, angle, pitch, angle)


def matrix(a: Attitude) -> np.ndarray:
    """Rz(yaw) Ry(pitch) Rx(roll), written out: the slow, independent way."""
    r, p, y = (math.radians(v) for v in (a.roll_deg, a.pitch_deg, a.yaw_deg))
    rx = np.array([[1, 0, 0], [0, math.cos(r), -math.sin(r)], [0, math.sin(r), math.cos(r)]])
    ry = np.array([[math.cos(p), 0, math.sin(p)], [0, 1, 0], [-math.sin(p), 0, math.cos(p)]])
    rz = np.array([[math.cos(y), -math.sin(y), 0], [math.sin(y), math.cos(y), 0], [0, 0, 1]])
    return np.asarray(rz @ ry @ rx)


def apart_deg(a: Attitude, b: Attitude) -> float:
    trace = np.trace(matrix(a).T @ matrix(b))
    return math.degrees(math.acos(max(-1.0, min(1.0, (trace - 1) / 2))))


@given(attitudes)
def test_euler_angles_survive_the_quaternion(a: Attitude) -> None:
    assert apart_deg(rotation.euler(rotation.quaternion(a)), a) < 1e-4


@given(attitudes, attitudes)
def test_composition_is_the_product_of_the_matrices(vehicle: Attitude, mount: Attitude) -> None:
    composed = matrix(rotation.compose(vehicle, rotation.quaternion(mount)))
    np.testing.assert_allclose(composed, matrix(vehicle) @ matrix(mount), atol=1e-5)


@given(attitudes)
def test_the_optical_axis_is_the_first_column(a: Attitude) -> None:
    np.testing.assert_allclose(rotation.optical_axis(a), matrix(a)[:, 0], atol=1e-12)


@pytest.mark.parametrize("heading", [0.0, 30.0, 179.0, 270.0, 359.5])
def test_a_belly_camera_looks_down_with_the_image_top_to_the_nose(heading: float) -> None:
    camera = rotation.compose(Attitude(0, 0, heading), rotation.quaternion(Attitude(0, -90, 0)))
    assert camera.pitch_deg == -90
    assert camera.roll_deg == 0
    assert abs(rotation.wrap_deg(camera.yaw_deg - heading)) < 1e-9


def test_a_banked_vehicle_turns_a_forward_camera_with_it() -> None:
    forward = rotation.quaternion(Attitude(0, 0, 0))
    assert apart_deg(rotation.compose(Attitude(20, 0, 90), forward), Attitude(20, 0, 90)) < 1e-5


@given(attitudes, attitudes, st.floats(0, 1))
def test_interpolation_never_leaves_the_arc_between_its_ends(a: Attitude, b: Attitude, share: float) -> None:
    middle = rotation.between(a, b, share)
    steep = max(abs(a.pitch_deg), abs(b.pitch_deg)) > rotation.STEEP_DEG
    if steep:  # on the great arc: the two parts add up to the whole
        assert apart_deg(a, middle) + apart_deg(middle, b) == pytest.approx(apart_deg(a, b), abs=1e-2)
    else:
        assert min(a.pitch_deg, b.pitch_deg) - 1e-9 <= middle.pitch_deg <= max(a.pitch_deg, b.pitch_deg) + 1e-9
        turn = rotation.wrap_deg(b.yaw_deg - a.yaw_deg)
        assert rotation.wrap_deg(middle.yaw_deg - a.yaw_deg - share * turn) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("pitch_deg", [0.0, -45.0, -90.0])
def test_yaw_goes_through_north_not_round_the_compass(pitch_deg: float) -> None:
    middle = rotation.between(Attitude(0, pitch_deg, 359), Attitude(0, pitch_deg, 1), 0.5)
    assert abs(rotation.wrap_deg(middle.yaw_deg)) < 1e-6
    assert middle.pitch_deg == pytest.approx(pitch_deg)


def test_wobbling_through_nadir_stays_near_nadir() -> None:
    """Two degrees either side of straight down: roll and yaw flip by 180, the camera hardly moves."""
    middle = rotation.between(Attitude(0, -88, 40), Attitude(-180, -88, 220), 0.5)
    assert middle.pitch_deg == pytest.approx(-90, abs=1e-3)


def test_an_overtilted_gimbal_becomes_canonical() -> None:
    canonical = rotation.canonical(Attitude(0, -95, 10))
    assert canonical.pitch_deg == pytest.approx(-85)
    assert abs(rotation.wrap_deg(canonical.roll_deg)) == pytest.approx(180)
    assert canonical.yaw_deg == pytest.approx(190)


@given(st.floats(-1e4, 1e4))
def test_directions_are_wrapped_into_their_ranges(angle_deg: float) -> None:
    assert -180 <= rotation.wrap_deg(angle_deg) < 180
    assert 0 <= rotation.compass_deg(angle_deg) < 360
