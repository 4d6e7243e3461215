"""Flights past several surfaces of a structure, with poses. The truth is where each wall stands and what is on it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from edge.navigation import Attitude, LocalPosition, NavState
from edge.surface.inventory import Added, Inventory, Look
from edge.surface.place import Surveyor
from edge.surface.record import CrackState
from edge.surface.resume import from_bytes, to_bytes
from edge.surface.scale import ScaleOptions, size_of
from edge.surface.surfaces import Surfaces
from tests.surface.wall import HEIGHT, WIDTH, crack, seen_in, wall, window, zigzag

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
SCALE = ScaleOptions(hfov_deg=60.0)
RANGE_M = 2.0
M_PER_PX = RANGE_M * np.tan(np.radians(30)) / (WIDTH / 2)
LINE = zigzag((500, 240), (0, 1), 45, seed=1)
TOP = 100.0


class Flight:
    """Frames of walls, each from where the camera is said to be."""

    def __init__(self) -> None:
        self.inventory, self._surveyor, self._frames = Inventory(), Surveyor(SCALE), 0

    def see(
        self, picture: np.ndarray, left: float, east_north: tuple[float, float], yaw_deg: float, line: np.ndarray = LINE
    ) -> Added:
        east, north = east_north
        local = LocalPosition(north, east, 0.0, 0.0, (0.05, 0.05, 0.05))
        nav = NavState(self._frames * 10**9, None, Attitude(0.0, 0.0, yaw_deg), RANGE_M, local=local)
        part = seen_in(line, left, TOP)
        cracks = [] if part is None else [crack(part)]
        at = START + timedelta(seconds=self._frames)
        view = self._surveyor.look(nav, WIDTH, HEIGHT)
        shown = window(picture, left, TOP)
        self._frames += 1
        return self.inventory.add(
            Look(self._frames, None, at, shown, cracks, [size_of(one, view.plane, SCALE) for one in cracks], view)
        )

    def cracks(self) -> list[CrackState]:
        return sorted(self.inventory.all(), key=lambda one: one.number)


@pytest.fixture(scope="module")
def walls() -> tuple[np.ndarray, np.ndarray]:
    return wall(4), wall(9)


def along(flight: Flight, picture: np.ndarray, north: float, frames: int = 10) -> list[Added]:
    """Past a wall that faces south and stands at ``north`` + RANGE_M; its left end is at east 0."""
    return [flight.see(picture, 60.0 * n, ((60.0 * n + WIDTH / 2) * M_PER_PX, north), 0.0) for n in range(frames)]


def test_the_other_web_of_a_girder_has_its_own_chart_and_both_keep_their_cracks(
    walls: tuple[np.ndarray, np.ndarray],
) -> None:
    flight = Flight()
    along(flight, walls[0], 0.0)
    along(flight, walls[1], 2.5)
    along(flight, walls[0], 0.0)
    flight.inventory.finish()
    first, other = flight.cracks()
    assert (first.state, other.state) == ("confirmed", "confirmed")
    assert (first.missed, other.missed) == (0, 0)
    assert (first.views, other.views) == (18, 9), "back at the first web the crack is known by its name"
    assert first.chart != other.chart
    for state, north in ((first, 2.0), (other, 4.5)):
        assert state.path_m is not None
        truth = np.array([500 * M_PER_PX, north])
        assert np.abs(state.path_m[:, :2] - truth).max() < 0.05


def test_the_back_of_a_thin_wall_withdraws_no_crack_of_its_front(walls: tuple[np.ndarray, np.ndarray]) -> None:
    flight = Flight()
    along(flight, walls[0], 0.0)
    for n in range(10):  # from the north, beginning at the wall's right end
        flight.see(walls[1], 60.0 * n, ((1400 - 60.0 * n - WIDTH / 2) * M_PER_PX, 4.3), 180.0)
    front, back = flight.cracks()
    assert (front.state, back.state) == ("confirmed", "confirmed")
    assert front.path_m is not None
    assert back.path_m is not None
    assert np.abs(front.path_m[:, :2] - [500 * M_PER_PX, 2.0]).max() < 0.05
    assert np.abs(back.path_m[:, :2] - [900 * M_PER_PX, 2.3]).max() < 0.05


def test_a_restart_at_the_other_web_leads_back_to_the_first(walls: tuple[np.ndarray, np.ndarray]) -> None:
    flight = Flight()
    along(flight, walls[0], 0.0)
    along(flight, walls[1], 2.5)
    flight.inventory = from_bytes(to_bytes(flight.inventory))
    numbers = {number for added in along(flight, walls[0], 0.0) for number in added.numbers}
    assert numbers == {1}
    first = flight.cracks()[0]
    assert first.path_m is not None
    assert np.abs(first.path_m[:, :2] - [500 * M_PER_PX, 2.0]).max() < 0.05


def test_around_a_column_each_crack_lies_where_it_is_and_is_as_long_as_it_is(
    walls: tuple[np.ndarray, np.ndarray],
) -> None:
    """Radius 3 m, 140 degrees; the camera keeps square to it. Cracks run up at 500, 1000, ... px of its skin."""
    flight, radius = Flight(), 3.0
    lines = [zigzag((x, 240), (0, 1), 45, seed=1) for x in (500, 1000, 1500, 2000)]
    for left in np.arange(0.0, 2100.0, 60.0):
        angle = (left + WIDTH / 2) * M_PER_PX / radius  # of the camera, from the south, against the clock
        at = (radius + RANGE_M) * np.sin(angle), -(radius + RANGE_M) * np.cos(angle)
        nearest = min(lines, key=lambda line: abs(line[0, 0] - left - WIDTH / 2))
        flight.see(walls[0], left, at, -np.degrees(angle), nearest)
    found = flight.cracks()
    assert [one.state for one in found] == ["confirmed"] * 4
    for state, line in zip(found, lines, strict=True):
        angle = line[:, 0].mean() * M_PER_PX / radius
        truth = radius * np.array([np.sin(angle), -np.cos(angle)])
        assert state.path_m is not None
        assert np.linalg.norm(state.path_m[:, :2] - truth, axis=1).max() < 0.25
        assert state.length_mm == pytest.approx(1000 * M_PER_PX * 44 * 4, rel=0.03)


def test_a_chart_that_places_hang_on_stays_where_it_is_when_a_frame_has_no_place(
    walls: tuple[np.ndarray, np.ndarray],
) -> None:
    """The first wall had a place, the second one stands square to it, and its newest keyframes do not fit."""
    flight = Flight()
    along(flight, walls[0], 0.0, frames=1)
    flight.see(walls[1], 0.0, (5.0, -WIDTH / 2 * M_PER_PX), 90.0)
    for n in range(1, 20):
        seen = flight.see(walls[1], 130.0 * n, (5.0, -(130.0 * n + WIDTH / 2) * M_PER_PX), 90.0)
    step = 12 * seen.placed.unit_per_px
    for key in list(flight.inventory.registrar._keys.all)[-6:]:
        key.to_chart = np.array([[1, 0, step], [0, 1, step], [0, 0, 1]]) @ key.to_chart
    nowhere = Surveyor(SCALE).look(NavState(10**12, None, None, None), WIDTH, HEIGHT)
    placed = flight.inventory.place(window(walls[1], 130.0 * 19, TOP), nowhere)
    assert placed.bent is None
    flight.inventory.finish()
    assert flight.inventory.bends == []


def corners(east: float, north: float, turn_deg: float = 0.0) -> np.ndarray:
    """A view 2 m wide and 1 m high that looks north, turned clockwise about the vertical."""
    across = np.array([np.cos(np.radians(turn_deg)), -np.sin(np.radians(turn_deg)), 0.0])
    up = np.array([0.0, 0.0, 0.5])
    middle = np.array([east, north, 0.0])
    return np.array([middle - across + up, middle + across + up, middle + across - up, middle - across - up])


def test_a_long_wall_stays_one_surface_where_its_direction_was_stated_ten_degrees_off() -> None:
    surfaces = Surfaces()
    assert {surfaces.of(corners(east, 0.0, 10.0), 0.05) for east in np.arange(0.0, 60.0, 0.5)} == {0}
    assert surfaces.of(corners(40.0, 1.5, 10.0), 0.05) == 1, "the other web, far along"
    assert surfaces.of(corners(40.5, 0.0, 10.0), 0.05) == 0


def test_a_wall_that_bends_with_the_bridge_stays_one_surface() -> None:
    surfaces, radius = Surfaces(), 150.0
    angles = np.arange(0.0, 60.0, 0.5) / radius
    seen = {surfaces.of(corners(radius * np.sin(a), radius * (1 - np.cos(a)), -np.degrees(a)), 0.05) for a in angles}
    assert seen == {0}


def test_what_a_position_cannot_tell_apart_is_one_surface() -> None:
    surfaces = Surfaces()
    assert surfaces.of(corners(0.0, 0.0), 1.0) == 0
    assert surfaces.of(corners(0.5, 2.5), 1.0) == 0
    assert surfaces.of(corners(0.5, 4.5), 1.0) == 1
    assert surfaces.of(corners(0.0, 0.0)[[1, 0, 3, 2]], 1.0) == 2, "from behind"


def test_many_places_of_a_surface_take_a_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.surface.surfaces.MOST_CELLS", 40)
    monkeypatch.setattr("edge.surface.surfaces.MOST_SURFACES", 2)
    surfaces = Surfaces()
    assert {surfaces.of(corners(1.5 * place, 0.0), 0.05) for place in range(60)} == {0}
    assert surfaces.of(corners(0.0, 9.0), 0.05) == 1
    assert surfaces.of(corners(0.0, 20.0), 0.05) is None
    axes, places = surfaces.rows()
    assert (len(axes), len(places)) == (2, 41)
