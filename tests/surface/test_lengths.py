"""Lengths of cracks. The truth is a straight line on a wall, and a pinhole camera that is computed here."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import cv2
import numpy as np
import pytest

from edge.navigation import Attitude, LocalPosition, NavState
from edge.surface.homography import project
from edge.surface.inventory import Inventory, Look
from edge.surface.place import Surveyor
from edge.surface.record import CrackState
from edge.surface.resume import from_bytes, to_bytes
from edge.surface.scale import ScaleOptions, size_of
from tests.surface.wall import HEIGHT, WIDTH, crack, wall

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
RANGE_M = 2.0
WALL_PX_PER_M = 400.0
FOCAL_PX = WIDTH / 2 / np.tan(np.radians(20))
HFOV_DEG = 40.0


@pytest.fixture(scope="module")
def concrete() -> np.ndarray:
    return wall(4)


def to_wall(east_m: float, yaw_deg: float) -> np.ndarray:
    """(3, 3): from pixels to metres east and down on a wall that faces south, RANGE_M ahead on the camera's axis."""
    sine, cosine, away = np.sin(np.radians(yaw_deg)), np.cos(np.radians(yaw_deg)), RANGE_M * np.cos(np.radians(yaw_deg))
    ray = np.array(
        [[1 / FOCAL_PX, 0, -(WIDTH - 1) / 2 / FOCAL_PX], [0, 1 / FOCAL_PX, -(HEIGHT - 1) / 2 / FOCAL_PX], [0, 0, 1]]
    )
    onto = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])  # east, down, north
    return np.array([[away, 0, east_m], [0, away, 0], [0, 0, 1]]) @ onto @ ray


def flown(
    picture: np.ndarray,
    line_m: np.ndarray,
    yaw_deg: float,
    scale: ScaleOptions,
    sigma_m: float | None = None,
    sized: bool = True,
) -> Inventory:
    """Eight views, 4 cm apart; ``sigma_m`` None: without a position."""
    surveyor, inventory, rng = Surveyor(scale), Inventory(), np.random.default_rng(1)
    east = float(line_m[:, 0].mean()) - RANGE_M * np.sin(np.radians(yaw_deg))
    for number in range(8):
        here = to_wall(east + 0.04 * (number - 4), yaw_deg)
        pixels = np.diag([WALL_PX_PER_M, WALL_PX_PER_M, 1]) @ np.array([[1, 0, 1], [0, 1, 1.5], [0, 0, 1]]) @ here
        seen = cv2.warpPerspective(picture, pixels, (WIDTH, HEIGHT), flags=cv2.INTER_AREA | cv2.WARP_INVERSE_MAP)
        found = crack(project(np.linalg.inv(here), line_m))
        local = None
        if sigma_m is not None:
            north, off, down = rng.normal(0, sigma_m, 3)
            local = LocalPosition(north, east + 0.04 * (number - 4) + off, down, 0.0, (sigma_m, sigma_m, sigma_m))
        nav = NavState(number * 10**9, None, Attitude(0.0, 0.0, yaw_deg), RANGE_M, local=local)
        view = surveyor.look(nav, WIDTH, HEIGHT)
        sizes = [size_of(found, view.plane, scale) if sized else None]
        inventory.add(Look(number, None, START + timedelta(seconds=number), seen, [found], sizes, view))
    return inventory


def only(inventory: Inventory) -> CrackState:
    (state,) = inventory.all()
    assert state.length_mm is not None
    assert state.length_sigma_mm is not None
    return state


def level(east_m: float, long_m: float) -> np.ndarray:
    return np.column_stack([np.linspace(east_m, east_m + long_m, 90), np.full(90, 0.1)])


def upright(east_m: float, long_m: float) -> np.ndarray:
    return np.column_stack([np.full(90, east_m), np.linspace(-long_m / 2, long_m / 2, 90)])


@pytest.mark.parametrize("yaw_deg", [0.0, 30.0, 50.0])
@pytest.mark.parametrize("line_m", [level(2.0, 0.6), upright(2.0, 0.5)], ids=["level", "upright"])
@pytest.mark.parametrize("sized", [True, False])
def test_a_crack_that_is_seen_obliquely_and_without_a_position_has_its_true_length(
    concrete: np.ndarray, yaw_deg: float, line_m: np.ndarray, sized: bool
) -> None:
    truth = 1000 * float(np.linalg.norm(line_m[-1] - line_m[0]))
    options = ScaleOptions(hfov_deg=HFOV_DEG, surface="vertical", wall_normal_deg=180.0)
    state = only(flown(concrete, line_m, yaw_deg, options, sized=sized))
    assert state.path_m is None
    assert state.length_mm == pytest.approx(truth, rel=0.03 if sized else 0.08)
    assert abs(state.length_mm - truth) < 1.96 * state.length_sigma_mm


def test_positions_that_are_good_to_half_a_metre_leave_a_crack_as_long_as_it_is(concrete: np.ndarray) -> None:
    state = only(flown(concrete, level(2.0, 0.6), 0.0, ScaleOptions(hfov_deg=HFOV_DEG), sigma_m=0.5))
    assert state.path_m is not None
    assert state.length_mm == pytest.approx(600.0, rel=0.015)
    assert np.linalg.norm(state.path_m[-1] - state.path_m[0]) == pytest.approx(0.6, rel=0.03)


def test_a_lens_that_is_known_to_five_percent_and_is_eight_off_is_in_the_interval(concrete: np.ndarray) -> None:
    wrong = 2 * np.degrees(np.arctan(1.08 * WIDTH / 2 / FOCAL_PX))
    options = ScaleOptions(hfov_deg=float(wrong), lens_uncertainty=0.05)
    inventory = flown(concrete, level(2.0, 0.6), 0.0, options)
    state = only(inventory)
    assert state.length_mm == pytest.approx(648.0, rel=0.015)
    assert abs(state.length_mm - 600.0) < 1.96 * state.length_sigma_mm
    assert only(from_bytes(to_bytes(inventory))).length_sigma_mm == pytest.approx(state.length_sigma_mm)


def test_a_chart_that_becomes_metres_keeps_the_length_of_its_cracks(concrete: np.ndarray) -> None:
    """The first views have no position; the next one turns pixels into metres."""
    options, line_m = ScaleOptions(hfov_deg=HFOV_DEG), level(2.0, 0.6)
    inventory = flown(concrete, line_m, 0.0, options)
    before = only(inventory)
    here = to_wall(2.3, 0.0)
    pixels = np.diag([WALL_PX_PER_M, WALL_PX_PER_M, 1]) @ np.array([[1, 0, 1], [0, 1, 1.5], [0, 0, 1]]) @ here
    seen = cv2.warpPerspective(concrete, pixels, (WIDTH, HEIGHT), flags=cv2.INTER_AREA | cv2.WARP_INVERSE_MAP)
    local = LocalPosition(0.0, 2.3, 0.0, 0.0, (0.05, 0.05, 0.05))
    view = Surveyor(options).look(NavState(0, None, Attitude(0.0, 0.0, 0.0), RANGE_M, local=local), WIDTH, HEIGHT)
    placed = inventory.place(seen, view)
    assert placed.rebased is not None
    assert only(inventory).length_mm == pytest.approx(before.length_mm, rel=0.01)
