"""What real flights do to names: thousands of cracks, turns, photos in no order, look-alikes, flicker, wide steps."""

from __future__ import annotations

import tracemalloc
from datetime import datetime, timedelta, timezone

import cv2
import numpy as np
import pytest

from edge.navigation import nowhere
from edge.surface import inventory as room
from edge.surface.identity import CrackMap
from edge.surface.inventory import Inventory, Look
from edge.surface.lines import Line, evenly
from edge.surface.place import Surveyor
from edge.surface.registration import Registrar
from edge.surface.scale import ScaleOptions
from tests.surface.wall import HEIGHT, WIDTH, crack, placed, seen_in, wall, window, zigzag

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
NOWHERE = Surveyor(ScaleOptions()).look(nowhere(0), WIDTH, HEIGHT)


@pytest.fixture(scope="module")
def concrete() -> np.ndarray:
    return wall(9)


def look(number: int, picture: np.ndarray, paths: list[np.ndarray], score: float = 0.95) -> Look:
    cracks = [crack(path, score) for path in paths]
    at = START + timedelta(seconds=number)
    return Look(number, f"f{number}", at, picture, cracks, [None] * len(cracks), NOWHERE)


def test_of_ten_thousand_cracks_a_frame_asks_its_neighbours_only_and_names_go_on() -> None:
    flight = CrackMap()
    course = zigzag((60, 60), (0, 1), 30, seed=1)
    even = evenly(course, 5.0)
    ones = np.ones(len(even), np.int32)
    for number in range(1, 10_001):
        row, column = divmod(number - 1, 100)
        at = np.array([700.0 * column, 500.0 * row])
        flight.put(Line(number, 1, 5.0, even + at, ones.copy(), ones.copy(), ones.copy()))
    flight.next_number = 10_001
    for number in (1, 4_321, 10_000):
        row, column = divmod(number - 1, 100)
        view = placed(700.0 * column, 500.0 * row)
        matched = flight.add([crack(course), crack(course + np.array([300.0, 20.0]))], view, (HEIGHT, WIDTH))
        assert matched.numbers[0] == number
        assert len(matched.sightings) == 2, "itself, and the new one beside it"
    assert len(flight.lines) == flight.next_number - 1 == 10_003


def test_marks_of_noise_and_charts_without_a_crack_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A longer flight takes no more memory: what nobody was told of is forgotten, the real crack stays."""
    monkeypatch.setattr(room, "KEPT_MARKS", 60)
    inventory = Inventory()
    plain = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)  # nothing to register by: every frame stands alone
    real = zigzag((40, 60), (1, 0), 130, seed=3)
    marks = [zigzag((60 + 90 * (i % 6), 150 + 60 * (i // 6)), (1, 0.2), 10, seed=i) for i in range(18)]
    kept, told = [], []
    for number in range(60):
        paths = [real] if number == 0 else []
        told += inventory.add(look(number, plain, [*paths, *marks], score=0.3 if number else 0.95)).revisions
        kept.append((len(inventory.entries), len(inventory.anchors)))
    told += inventory.finish()
    entries, charts = (max(column) for column in zip(*kept, strict=True))
    assert 60 < entries <= 60 * 1.25 + 1 + 2 * 19
    assert charts <= 12, "the charts of the marks that are kept, and those that are open"
    assert set(inventory.entries) == set(inventory.map.lines)
    real_told = [one for one in told if one.number == 1]
    assert real_told[-1].length_px > 400
    assert real_told[-1].state == "confirmed"
    assert 1 not in inventory.entries, "no frame comes to its chart any more: it was told of and is not kept"


def test_memory_is_that_of_the_cracks_and_not_of_the_frames(concrete: np.ndarray) -> None:
    """A flight to and fro before the same wall: three times the frames, the same memory."""
    line = zigzag((150, 250), (1, 0), 240, seed=5)
    windows = [(left, window(concrete, left, 100)) for left in [*range(0, 500, 50), *range(500, 0, -50)]]
    inventory = Inventory()
    held = []
    tracemalloc.start()
    try:
        for number in range(90):
            left, picture = windows[number % len(windows)]
            part = seen_in(line, left, 100.0)
            inventory.add(look(number, picture, [] if part is None else [part]))
            if number in (29, 89):
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    keys = 57_600 * 5 * (inventory.registrar.keyframes + 4)  # grey and detail of each keyframe; they are bounded
    assert held[1] < held[0] + keys + 500_000
    assert len([one for one in inventory.all() if one.state == "confirmed"]) == 1


def test_a_camera_that_turns_by_a_quarter_finds_the_names_of_before_when_it_turns_back(
    concrete: np.ndarray,
) -> None:
    """Without a pose, turned pictures have nothing in common that is found."""
    line = zigzag((420, 140), (0, 1), 60, seed=2)
    inventory = Inventory()
    charts = []
    for number, turned in enumerate([False, False, True, True, False, False]):
        left = 100.0 + 30 * number
        part = seen_in(line, left, 100.0)
        assert part is not None
        picture = window(concrete, left, 100)
        if turned:
            picture = np.ascontiguousarray(np.rot90(window(concrete, left, 100))[:HEIGHT, :])
            picture = cv2.resize(picture, (WIDTH, HEIGHT))
            part = part[:, ::-1].copy()
        charts.append(inventory.add(look(number, picture, [part])).placed.chart)
    assert charts == [1, 1, 2, 2, 1, 1]
    by_chart = {chart: [one for one in inventory.all() if one.chart == chart and one.into is None] for chart in (1, 2)}
    assert len(by_chart[1]) == 1
    assert by_chart[1][0].views == 4


def test_photos_in_no_order_that_do_not_overlap_are_not_merged(concrete: np.ndarray) -> None:
    inventory, told = Inventory(), []
    places = [(0, 0), (2400, 900), (1200, 0), (0, 900), (2400, 0), (1200, 900)]
    for number, (left, top) in enumerate(places):
        path = zigzag((100, 180), (1, 0), 100, seed=7)  # the same course in the same corner of every picture
        told += inventory.add(look(number, window(concrete, left, top), [path])).revisions
    told += inventory.finish()
    found = {one.number: one for one in told}
    assert len(found) == len(places)
    assert {one.chart for one in found.values()} == set(range(1, len(places) + 1))
    assert {one.into for one in found.values()} == {None}


def test_two_walls_that_look_alike_are_not_one() -> None:
    """The same formwork joints on grain of its own: what repeats is no proof, what differs is."""
    pair = [wall(21), wall(22)]
    for picture in pair:
        picture[:, ::320] = picture[::300, :] = 60
        picture[:, 1::320] = picture[1::300, :] = 60
    inventory = Inventory()
    charts = []
    for number, (which, left) in enumerate([(0, 0), (0, 60), (0, 120), (1, 120), (1, 180)]):
        charts.append(inventory.add(look(number, window(pair[which], left, 100), [])).placed.chart)
    assert charts[:3] == [1, 1, 1]
    assert charts[3] != 1
    assert charts[4] == charts[3]


def test_light_that_flickers_changes_no_place_and_no_name(concrete: np.ndarray) -> None:
    inventory = Inventory()
    line = zigzag((150, 250), (1, 0), 180, seed=8)
    worst = 0.0
    for number, gain in enumerate([1.0, 0.45, 1.3, 0.6, 1.0, 0.35, 1.2, 0.8]):
        left = 40.0 * number
        picture = np.clip(window(concrete, left, 100).astype(np.float32) * gain, 0, 255).astype(np.uint8)
        part = seen_in(line, left, 100.0)
        assert part is not None
        told = inventory.add(look(number, picture, [part]))
        worst = max(worst, abs(float(told.placed.to_chart[0, 2]) - left))
        assert told.numbers == (1,)
    assert worst < 1.5
    assert len(inventory.all()) == 1


def test_half_a_frame_between_two_frames_is_followed(concrete: np.ndarray) -> None:
    registrar = Registrar()
    for number in range(8):
        left = 300.0 * number  # of 640
        found = registrar.register(window(concrete, left, 100))
        assert found.chart == 1
        assert float(np.hypot(found.to_chart[0, 2] - left, found.to_chart[1, 2])) < 2.0 + number
