"""Areas in square centimetres against planes whose geometry is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge.areas import DamagedArea
from edge.navigation import Attitude, NavState
from edge.surface import AreaSize
from edge.surface.areas import area_size_of
from edge.surface.place import Surveyor
from edge.surface.scale import ScaleOptions

WIDTH_PX, HEIGHT_PX = 1001, 801  # the optical axis meets the middle of a pixel
FOCAL_PX = 1000.0
LENS = {"focal_length_mm": FOCAL_PX, "sensor_width_mm": float(WIDTH_PX)}


def area(corners: object, area_px: int) -> DamagedArea:
    outline = np.array(corners, np.float32)
    apart = np.linalg.norm(outline[:, None] - outline[None], axis=-1).max()
    perimeter = float(np.linalg.norm(outline - np.roll(outline, -1, axis=0), axis=1).sum())
    return DamagedArea(outline, outline.mean(axis=0), area_px, float(apart), perimeter, 0.9, 0, cut_by_frame=False)


def size(one: DamagedArea, nav: NavState, **options: object) -> AreaSize | None:
    scale = ScaleOptions(**(LENS | options))  # type: ignore[arg-type]
    return area_size_of(one, Surveyor(scale).look(nav, WIDTH_PX, HEIGHT_PX).plane, scale)


def at(range_m: float | None, pitch_deg: float = 0.0) -> NavState:
    return NavState(0, None, Attitude(0.0, pitch_deg, 0.0), range_m)


SQUARE = area([(400, 300), (600, 300), (600, 500), (400, 500)], 40_000)


def test_square_to_the_surface_a_pixel_is_range_over_focal_length() -> None:
    found = size(SQUARE, at(2.0))  # 2 mm a pixel
    assert found is not None
    assert found.gsd_mm_per_px == pytest.approx(2.0)
    assert found.area_cm2 == pytest.approx(1600.0)
    assert found.extent_mm == pytest.approx(2 * 200 * math.sqrt(2))
    assert found.incidence_deg is None


def test_only_the_damaged_pixels_count_not_the_holes_inside_the_outline() -> None:
    found = size(area(SQUARE.outline_px, 30_000), at(2.0))
    assert found is not None
    assert found.area_cm2 == pytest.approx(1200.0)


def test_a_tilted_wall_is_cut_exactly() -> None:
    """Oracle: a rectangle drawn on a wall, seen by a pinhole that looks 35 degrees down, gives its own area back."""
    pitch = math.radians(-35)
    forward, down = np.array([math.cos(pitch), 0, -math.sin(pitch)]), np.array([math.sin(pitch), 0, math.cos(pitch)])
    range_m = 3.0
    wall_x = range_m * forward[0]  # the wall stands this far north of the lens
    corners = [(-0.3, -0.2), (0.25, -0.2), (0.25, 0.35), (-0.3, 0.35)]  # metres east and below the axis' point
    picture = []
    for east, below in corners:
        point = np.array([wall_x, east, range_m * forward[2] + below])
        ahead = point @ forward
        picture.append((500 + FOCAL_PX * east / ahead, 400 + FOCAL_PX * (point @ down) / ahead))
    x, y = np.array(picture).T
    pixels = abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
    found = size(area(picture, round(pixels)), at(range_m, -35.0), surface="vertical")
    assert found is not None
    assert found.area_cm2 == pytest.approx(55 * 55, rel=1e-3)
    assert found.extent_mm == pytest.approx(550 * math.sqrt(2), rel=1e-3)
    assert found.incidence_deg == pytest.approx(35)


@pytest.mark.parametrize(("nav", "options"), [(at(None), {}), (at(2.0, -70.0), {"surface": "vertical"}),
                                              (NavState(0, None, None, 2.0), {"surface": "vertical"})])  # fmt: skip
def test_what_range_and_attitude_do_not_support_is_unknown(nav: NavState, options: dict[str, object]) -> None:
    assert size(SQUARE, nav, **options) is None


def test_the_stated_uncertainty_holds_what_range_and_edge_do_to_an_area() -> None:
    """Monte Carlo: ranges off by their sigma, masks grown or shrunk by their edge's; 68 % within one sigma."""
    rng = np.random.default_rng(3)
    stated = size(SQUARE, at(2.0), range_uncertainty_m=0.05, lens_uncertainty=0.01, tilt_uncertainty_deg=0.0)
    assert stated is not None
    off = []
    for _ in range(2000):
        range_m, focal = 2.0 * (1 + rng.normal(0, 0.025)), rng.normal(0, 0.01)
        edge = rng.normal(0, 1.0)
        side = 200 + 2 * edge
        off.append((side * range_m * (1 + focal)) ** 2 / 100 - 1600.0)
    assert float(np.std(off)) == pytest.approx(stated.area_sigma_cm2, rel=0.1)


@pytest.mark.parametrize("normal_deg", [0.0, 25.0])
def test_the_stated_uncertainty_holds_what_tilt_does_to_an_area_far_from_the_middle(normal_deg: float) -> None:
    """Truth: the outline cut with planes that are turned by their sigma about two axes, by hand."""
    one = area([(800, 500), (960, 500), (960, 560), (880, 560), (880, 700), (800, 700)], 20_800)
    a, rng = math.radians(normal_deg), np.random.default_rng(5)
    normal, first, second = np.array([[-math.sin(a), 0, -math.cos(a)], [math.cos(a), 0, -math.sin(a)], [0, 1.0, 0]])

    def on(turns: np.ndarray) -> tuple[float, float]:
        tilted = normal + np.tan(turns[0]) * first + np.tan(turns[1]) * second
        rays = np.column_stack([(one.outline_px - [500, 400]) / FOCAL_PX, np.ones(6)])
        points = rays * (2000 * tilted[2] / (rays @ tilted))[:, None]
        ahead = abs(tilted[2]) / np.linalg.norm(tilted)  # an area on the plane over its shadow on the picture's plane
        x, y = points[:, 0], points[:, 1]
        shadow = abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
        extent = np.linalg.norm(points[:, None] - points[None], axis=-1).max()
        return shadow / ahead / 100, float(extent)

    true = np.array([on(turns) for turns in rng.normal(0, math.radians(2.0), (800, 2))])
    found = size(
        one, at(2.0), range_uncertainty_m=0.0, lens_uncertainty=0.0, tilt_uncertainty_deg=2.0, surface="vertical",
        wall_normal_deg=180.0 + normal_deg,
    )  # fmt: skip
    assert found is not None
    assert (found.area_cm2, found.extent_mm) == pytest.approx(on(np.zeros(2)))
    edge_cm2 = one.perimeter_px * found.area_cm2 / one.area_px
    assert found.area_sigma_cm2 == pytest.approx(math.hypot(float(true[:, 0].std()), edge_cm2), rel=0.1)
    edge_mm = math.sqrt(2 * 100 * found.area_cm2 / one.area_px)
    assert found.extent_sigma_mm == pytest.approx(math.hypot(float(true[:, 1].std()), edge_mm), rel=0.1)


def test_a_longer_range_is_proportionally_surer() -> None:
    near, far = size(SQUARE, at(1.0)), size(SQUARE, at(10.0))
    assert near is not None
    assert far is not None
    assert near.area_sigma_cm2 / near.area_cm2 > far.area_sigma_cm2 / far.area_cm2
