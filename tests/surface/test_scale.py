from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cracks import Crack
from edge.navigation import Attitude, NavState
from edge.surface import CrackSize
from edge.surface.place import Surveyor
from edge.surface.scale import ScaleOptions
from edge.surface.scale import size_of as size_on_plane

W, H = 1281, 721
HFOV_DEG = 60.0
FOCAL_PX = W / 2 / math.tan(math.radians(HFOV_DEG) / 2)


def crack_on_plane(
    normal: np.ndarray, distance_mm: float, length_mm: float, width_mm: float, angle_deg: float
) -> Crack:
    """Oracle: a straight crack of known size drawn on a plane, its edges projected one by one."""
    normal = normal / np.linalg.norm(normal)
    first = np.cross(normal, [0.0, 1.0, 0.0])
    first /= np.linalg.norm(first)
    second = np.cross(normal, first)
    a = math.radians(angle_deg)
    along, across = math.cos(a) * first + math.sin(a) * second, -math.sin(a) * first + math.cos(a) * second
    steps = np.linspace(-length_mm / 2, length_mm / 2, 41)[:, None]
    middle = np.array([0, 0, distance_mm]) + steps * along

    def project(points: np.ndarray) -> np.ndarray:
        return points[:, :2] / points[:, 2:] * FOCAL_PX + [(W - 1) / 2, (H - 1) / 2]

    path = project(middle)
    edges = project(middle - across * width_mm / 2), project(middle + across * width_mm / 2)
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    image_normal = np.column_stack([-tangent[:, 1], tangent[:, 0]])
    width_px = np.abs(((edges[1] - edges[0]) * image_normal).sum(axis=1))
    length_px = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
    return Crack(path.astype(np.float32), length_px, width_px.astype(np.float32), 0.05, "profile", 1.0, 0)


def size_of(crack: Crack, nav: NavState, width_px: int, height_px: int, scale: ScaleOptions) -> CrackSize | None:
    return size_on_plane(crack, Surveyor(scale).look(nav, width_px, height_px).plane, scale)


def wall_to_north(pitch_deg: float, yaw_deg: float) -> np.ndarray:
    """Normal of a wall that faces north, in the axes (right, down, forward) of a camera turned by yaw, then pitch."""
    pitch, yaw = math.radians(pitch_deg), math.radians(yaw_deg)
    right, forward = -math.sin(yaw), math.cos(yaw)  # north seen from the level camera
    return np.array([right, forward * math.sin(pitch), forward * math.cos(pitch)])


def options(**more: object) -> ScaleOptions:
    return ScaleOptions(hfov_deg=HFOV_DEG, **more)  # type: ignore[arg-type]


@given(st.floats(0.5, 10), st.floats(0, 179))
def test_square_to_the_surface(range_m: float, angle_deg: float) -> None:
    gsd = range_m * 1000 / FOCAL_PX
    crack = crack_on_plane(np.array([0.0, 0.0, -1.0]), range_m * 1000, 100 * gsd, 5 * gsd, angle_deg)
    size = size_of(crack, NavState(0, None, None, range_m), W, H, options())
    assert size is not None
    assert size.width_mm is not None
    assert size.gsd_mm_per_px == pytest.approx(gsd, rel=1e-6)
    assert size.length_mm == pytest.approx(100 * gsd, rel=1e-3)
    assert size.width_mm == pytest.approx(5 * gsd, rel=1e-3)
    assert size.incidence_deg is None


@given(st.floats(-50, 50), st.floats(0, 179), st.floats(-30, 30))
def test_tilted_wall_is_exact(pitch_deg: float, angle_deg: float, yaw_deg: float) -> None:
    """A naive scale is wrong by 19 % at 50 degrees; the plane is not."""
    attitude = Attitude(roll_deg=0.0, pitch_deg=pitch_deg, yaw_deg=yaw_deg)
    normal = wall_to_north(pitch_deg, yaw_deg)
    crack = crack_on_plane(normal, 2000, 120, 8, angle_deg)
    wall = options(surface="vertical", wall_normal_deg=0.0)
    size = size_of(crack, NavState(0, None, attitude, 2.0), W, H, wall)
    assert size is not None
    assert size.width_mm is not None
    assert size.length_mm == pytest.approx(120, rel=0.005)
    assert size.width_mm == pytest.approx(8, rel=0.01)
    tilt = math.degrees(math.acos(math.cos(math.radians(pitch_deg)) * math.cos(math.radians(yaw_deg))))
    assert size.incidence_deg == pytest.approx(tilt, abs=0.01)


def test_deck_seen_straight_down_and_soffit_straight_up() -> None:
    for pitch_deg in (-90.0, 90.0):
        nav = NavState(0, None, Attitude(0, pitch_deg, 10), 3.0)
        crack = crack_on_plane(np.array([0.0, 0.0, -1.0]), 3000, 200, 9, 20)
        size = size_of(crack, nav, W, H, options(surface="horizontal"))
        assert size is not None
        assert size.incidence_deg == pytest.approx(0, abs=1e-3)
        assert size.length_mm == pytest.approx(200, rel=1e-3)


def test_nothing_is_invented() -> None:
    crack = crack_on_plane(np.array([0.0, 0.0, -1.0]), 2000, 100, 8, 0)
    here = NavState(0, None, Attitude(0, 0, 0), 2.0)
    assert size_of(crack, here, W, H, ScaleOptions()) is None, "no lens"
    assert size_of(crack, NavState(0, None, None, None), W, H, options()) is None, "no range"
    unknown_attitude = NavState(0, None, None, 2.0)
    assert size_of(crack, unknown_attitude, W, H, options(surface="vertical")) is None, "no attitude"
    grazing = NavState(0, None, Attitude(0, 75, 0), 2.0)
    assert size_of(crack, grazing, W, H, options(surface="vertical")) is None, "too oblique"


def test_thin_cracks_are_bounded_not_measured() -> None:
    gsd = 2000 / FOCAL_PX
    crack = crack_on_plane(np.array([0.0, 0.0, -1.0]), 2000, 100, 1.2 * gsd, 0)
    size = size_of(crack, NavState(0, None, None, 2.0), W, H, options())
    assert size is not None
    assert size.width_mm is None
    assert size.width_sigma_mm is None
    assert size.width_at_most_mm is not None
    assert size.width_at_most_mm >= 2 * gsd


def test_a_bound_from_the_profile_is_taken_over() -> None:
    gsd = 2000 / FOCAL_PX
    crack = replace(crack_on_plane(np.array([0.0, 0.0, -1.0]), 2000, 100, 2.5 * gsd, 0), width_at_most_px=3.0)
    size = size_of(crack, NavState(0, None, None, 2.0), W, H, options())
    assert size is not None
    assert size.width_mm is None
    assert size.width_at_most_mm is not None
    assert 3 * gsd < size.width_at_most_mm < 3.3 * gsd


def test_uncertainty_grows_with_what_is_less_known() -> None:
    crack = crack_on_plane(np.array([0.0, 0.0, -1.0]), 1000, 100, 8, 0)
    nav = NavState(0, None, None, 1.0)
    base, worse = options(), options(range_uncertainty_m=0.3)
    small, large = size_of(crack, nav, W, H, base), size_of(crack, nav, W, H, worse)
    assert small is not None
    assert large is not None
    assert small.width_sigma_mm is not None
    assert large.width_sigma_mm is not None
    # 3 cm at 1 m is 3 %, 2 % for the lens, 0.4 % for the tilt, 0.05 px for the profile.
    expected = math.hypot(8 * math.hypot(0.03, 0.02, 1 / math.cos(math.radians(5)) - 1), 0.05 * 1000 / FOCAL_PX)
    assert small.width_sigma_mm == pytest.approx(expected, rel=0.01)
    assert large.width_sigma_mm > 2 * small.width_sigma_mm


def met(pixels: np.ndarray, turned: tuple[float, float], surface_deg: float = 0.0) -> np.ndarray:
    """Oracle: where a pinhole's rays through ``pixels`` (N, 2) meet a plane 2000 mm ahead, millimetres (N, 3).

    It is turned by ``surface_deg`` about the camera's vertical, then by two small angles about two axes of its own.
    """
    a, small_x, small_y = np.radians(surface_deg), *turned
    right, down = np.array([math.cos(a), 0.0, math.sin(a)]), np.array([0.0, 1.0, 0.0])
    first = right * math.cos(small_x) + np.cross(right, down) * math.sin(small_x)
    second = down * math.cos(small_y) + np.cross(right, down) * math.sin(small_y)
    rays = np.column_stack([(pixels - [(W - 1) / 2, (H - 1) / 2]) / FOCAL_PX, np.ones(len(pixels))])
    # ray * s = (0, 0, 2000) + first * p + second * q
    equations = np.stack([rays, np.tile(-first, (len(rays), 1)), np.tile(-second, (len(rays), 1))], axis=2)
    s = np.linalg.solve(equations, np.tile([0.0, 0.0, 2000.0], (len(rays), 1))[..., None])[:, 0]
    return np.asarray(rays * s)


@pytest.mark.parametrize("surface_deg", [0.0, 30.0])
@pytest.mark.parametrize("x", [640.0, 1200.0])
@pytest.mark.parametrize("direction_deg", [0.0, 90.0, 50.0])
def test_the_uncertainty_of_a_width_holds_what_a_tilt_does_to_it_wherever_it_lies(
    x: float, direction_deg: float, surface_deg: float
) -> None:
    """Truth: the two edges of a straight crack in the picture, cut with walls whose tilt is off by its sigma."""
    a = math.radians(direction_deg)
    along, across = np.array([math.cos(a), math.sin(a)]), np.array([-math.sin(a), math.cos(a)])
    path = np.array([x, 420.0]) + np.linspace(-40, 40, 33)[:, None] * along
    crack = Crack(path.astype(np.float32), 80.0, np.full(33, 6, np.float32), 0.0, "profile", 1.0, 0)

    def width_mm(turned: tuple[float, float]) -> float:
        """Distance between the edges' straight lines, half way along."""
        start, end, left, right = met(
            np.array([path[0], path[-1], path[16] - 3 * across, path[16] + 3 * across]), turned, surface_deg
        )
        unit = (end - start) / np.linalg.norm(end - start)
        apart = right - left
        return float(np.linalg.norm(apart - (apart @ unit) * unit))

    rng = np.random.default_rng(3)
    true = [width_mm((one, two)) for one, two in rng.normal(0, math.radians(3.0), (400, 2)).tolist()]
    nav = NavState(0, None, Attitude(0.0, 0.0, 0.0), 2.0)
    scale = options(
        surface="vertical", wall_normal_deg=180.0 - surface_deg, tilt_uncertainty_deg=3.0, range_uncertainty_m=0.0,
        lens_uncertainty=0.0,
    )  # fmt: skip
    size = size_of(crack, nav, W, H, scale)
    assert size is not None
    assert size.width_mm == pytest.approx(width_mm((0.0, 0.0)), rel=1e-3)
    assert size.width_sigma_mm is not None
    held = np.mean(np.abs(np.array(true) - size.width_mm) <= 1.96 * size.width_sigma_mm)
    assert held >= 0.9
    if float(np.std(true)) > 0.01 * size.width_mm:  # else the second order is all
        assert size.width_sigma_mm == pytest.approx(float(np.std(true)), rel=0.12)


def test_a_path_that_doubles_back_has_a_size_all_the_same() -> None:
    path = np.array([[600, 300], [640, 300], [600, 300], [600, 300], [600, 300]], np.float32)
    crack = Crack(path, 80.0, np.full(5, 4, np.float32), 0.1, "profile", 1.0, 0)
    size = size_of(crack, NavState(0, None, None, 2.0), W, H, options())
    assert size is not None
    assert size.width_mm == pytest.approx(4 * 2000 / FOCAL_PX, rel=1e-3)


def test_a_photo_turned_upright_has_the_same_scale() -> None:
    crack = crack_on_plane(np.array([0.0, 0.0, -1.0]), 2000, 100, 8, 0)
    lying, upright = (size_of(crack, NavState(0, None, None, 2.0), *size, options()) for size in ((W, H), (H, W)))
    assert lying is not None
    assert upright is not None
    assert upright.gsd_mm_per_px == pytest.approx(lying.gsd_mm_per_px)


def test_lens_by_focal_length() -> None:
    lens = ScaleOptions(focal_length_mm=16, sensor_width_mm=1.55e-3 * 4056)
    # Facts: 1.55 um pixels behind 16 mm give 0.097 mm per pixel at 1 m.
    focal_px = lens.focal_px(4056)
    assert focal_px is not None
    assert 1000 / focal_px == pytest.approx(0.0969, abs=1e-3)


@pytest.mark.parametrize(
    "bad",
    [
        {"focal_length_mm": 4.0},
        {"sensor_width_mm": 4.0},
        {"hfov_deg": 60.0, "focal_length_mm": 4.0, "sensor_width_mm": 6.0},
        {"hfov_deg": 180.0},
        {"focal_length_mm": -4.0, "sensor_width_mm": 6.0},
        {"lens_uncertainty": -0.1},
        {"lens_uncertainty": math.nan},
        {"range_uncertainty_m": math.inf},
        {"tilt_uncertainty_deg": 95.0},
        {"tilt_uncertainty_deg": math.nan},
        {"max_incidence_deg": -5.0},
        {"max_incidence_deg": 200.0},
        {"wall_normal_deg": 1e9},
    ],
)
def test_what_cannot_be_is_refused_by_name(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        ScaleOptions(**bad)  # type: ignore[arg-type]
