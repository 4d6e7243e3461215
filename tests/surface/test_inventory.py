from dataclasses import replace
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from edge.navigation import Attitude, Fix, FixKind, NavState, nowhere
from edge.surface import CrackSize
from edge.surface.inventory import Inventory, Look, _sigma_m
from edge.surface.judgement import Judgement, first
from edge.surface.place import Surveyor
from edge.surface.scale import ScaleOptions
from tests.surface.wall import HEIGHT, WIDTH, crack, seen_in, wall, window, zigzag

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
NOWHERE = Surveyor(ScaleOptions()).look(nowhere(0), WIDTH, HEIGHT)


@pytest.fixture(scope="module")
def concrete() -> np.ndarray:
    return wall(4)


def look(
    number: int, picture: np.ndarray, paths: list[np.ndarray], score: float = 0.95, size: CrackSize | None = None
) -> Look:
    cracks = [crack(path, score) for path in paths]
    at = START + timedelta(seconds=number)
    return Look(number, f"f{number}", at, picture, cracks, [size] * len(cracks), NOWHERE)


def _fly(concrete: np.ndarray, line: np.ndarray, found: list[bool], score: float = 0.95) -> Inventory:
    inventory = Inventory()
    for number, hit in enumerate(found):
        left = 40.0 * number
        part = seen_in(line, left, 100.0)
        paths = [part] if hit and part is not None else []
        inventory.add(look(number, window(concrete, left, 100), paths, score))
    return inventory


def test_a_first_fix_without_a_height_costs_the_flight_no_place(concrete: np.ndarray) -> None:
    """A receiver often has a height only some seconds after its first fix."""
    surveyor, inventory = Surveyor(ScaleOptions(hfov_deg=60.0)), Inventory()
    for number in range(4):
        kind, height = (FixKind.FIX_2D, None) if number == 0 else (FixKind.FIX_3D, 12.0)
        nav = NavState(number, Fix(kind, 51.05, 3.72, height, 0.5, None, 0), Attitude(0.0, 0.0, 0.0), 2.0)
        placed = inventory.place(window(concrete, 200.0, 100.0), surveyor.look(nav, WIDTH, HEIGHT))
    assert inventory.frame_name == "enu@51.0500000,3.7200000,12.00amsl"
    assert inventory.anchors[placed.chart].views == 3


def test_a_height_that_is_known_worse_than_the_plan_widens_where_the_next_frame_is_looked_for() -> None:
    fix = Fix(FixKind.FIX_3D, 51.05, 3.72, 12.0, 1.0, 3.0, 0)
    nav = NavState(0, fix, Attitude(0.0, 0.0, 0.0), 2.0)
    assert _sigma_m(Surveyor(ScaleOptions(hfov_deg=60.0)).look(nav, WIDTH, HEIGHT)) == pytest.approx(3.0)
    level = replace(nav, fix=replace(fix, v_accuracy_m=0.5))
    view = Surveyor(ScaleOptions(hfov_deg=60.0)).look(level, WIDTH, HEIGHT)
    assert _sigma_m(view) == pytest.approx(2**0.5)


def test_a_crack_seen_in_nine_of_ten_views_is_confirmed(concrete: np.ndarray) -> None:
    inventory = _fly(concrete, zigzag((500, 240), (0, 1), 45, seed=1), [True] * 4 + [False] + [True] * 5)
    (only,) = inventory.all()
    assert only.state == "confirmed"
    assert (only.views, only.missed) == (9, 1)


def test_a_mark_seen_in_one_of_ten_views_is_withdrawn(concrete: np.ndarray) -> None:
    inventory = _fly(concrete, zigzag((500, 240), (0, 1), 30, seed=2), [False] * 2 + [True] + [False] * 7)
    (only,) = inventory.all()
    assert only.state == "withdrawn"


def test_a_faint_crack_below_the_limit_of_a_single_frame_is_confirmed_by_many(concrete: np.ndarray) -> None:
    assert first(180, 0.4, 340).ratio < 0
    inventory = _fly(concrete, zigzag((520, 200), (0, 1), 45, seed=3), [True] * 11, score=0.4)
    (only,) = inventory.all()
    assert only.state == "confirmed"


def test_a_hover_counts_as_one_look_however_long_it_lasts(concrete: np.ndarray) -> None:
    inventory = Inventory()
    line = zigzag((300, 150), (0, 1), 20, seed=4)
    picture = window(concrete, 200, 100)
    for number in range(40):
        inventory.add(look(number, picture, [line - (0.0, 50.0)], 0.8))
    (only,) = inventory.all()
    assert only.views == 1
    assert only.state == "tentative"


def test_few_messages_for_a_crack_and_revisions_that_rise_by_one(concrete: np.ndarray) -> None:
    inventory = Inventory()
    line = zigzag((100, 280), (1, 0), 320, seed=5)
    revisions = []
    for number in range(25):
        left = 40.0 * number
        part = seen_in(line, left, 100.0)
        assert part is not None
        revisions += inventory.add(look(number, window(concrete, left, 100), [part])).revisions
    revisions += inventory.finish()
    assert {one.number for one in revisions} == {1}
    assert [one.revision for one in revisions] == list(range(1, len(revisions) + 1))
    assert len(revisions) <= 9


def test_widths_of_many_views_are_weighed_and_no_surer_than_they_are_on_average(concrete: np.ndarray) -> None:
    inventory = Inventory()
    line = zigzag((300, 150), (0, 1), 45, seed=6)
    width_px = float(crack(line, 0.9).width_px.mean())
    for number, (mm_per_px, relative) in enumerate([(0.5, 0.1), (0.52, 0.1), (0.49, 0.1), (2.5, 10.0)]):
        left = 40.0 * number
        part = seen_in(line, left, 100.0)
        assert part is not None
        size = CrackSize(mm_per_px, 100.0, mm_per_px * width_px, 0.2, None, None, mm_per_px, relative, relative)
        inventory.add(look(number, window(concrete, left, 100), [part], size=size))
    (only,) = inventory.all()
    assert only.width_mm is not None
    assert only.width_mm[0] == pytest.approx(0.5 * width_px, rel=0.05), (
        "the view that has another scale, and does not know it, does not count"
    )
    assert 0.1 <= only.width_mm[1] <= 0.25


def test_without_any_pose_nothing_has_a_place(concrete: np.ndarray) -> None:
    inventory = _fly(concrete, zigzag((500, 240), (0, 1), 45, seed=1), [True] * 3)
    (only,) = inventory.all()
    assert only.path_m is None
    assert only.frame is None
    assert only.length_mm is None
    assert len(only.path_chart) > 10


def level(first: int, last: int) -> np.ndarray:
    """A piece of one wandering line, from x = ``first`` to ``last`` of the wall."""
    line = zigzag((200, 280), (1, 0), 160, seed=5)
    return line[(line[:, 0] >= first) & (line[:, 0] <= last)]


def test_a_crack_that_was_told_does_not_vanish_into_a_name_that_nobody_was_told_of(concrete: np.ndarray) -> None:
    """A mark of one faint view is older; a crack beside it is told, missed twice, and then runs on into the mark."""
    inventory, told = Inventory(), []
    mark, crack_, whole = level(230, 330), level(345, 620), level(230, 620)
    frames: list[tuple[np.ndarray | None, float]] = [
        (mark, 0.5), (crack_, 0.75), (None, 0.0), (None, 0.0), (whole, 0.5)
    ]  # fmt: skip
    for number, (path, score) in enumerate(frames):
        paths = [] if path is None else [path - (40.0 * number, 100.0)]
        told.append(inventory.add(look(number, window(concrete, 40.0 * number, 100), paths, score)).revisions)
    assert [(one.number, one.state) for one in told[1]] == [(2, "confirmed")]
    assert {(one.number, one.state, one.into) for one in told[-1]} == {(2, "withdrawn", 1), (1, "confirmed", None)}
    (only,) = inventory.all()
    assert (only.score, only.views) == (0.75, 3), "found in frames 0, 1 and 4"


def test_what_is_known_of_both_parts_is_known_of_the_crack(concrete: np.ndarray) -> None:
    """One part is found in the first four frames, the other one in the last three, which do not show the first."""
    inventory = Inventory()
    for number, (left, path, score) in enumerate([
        *((left, level(300, 420), 0.8) for left in (0, 40, 80, 120)),
        *((left, level(435, 700), 0.9) for left in (400, 440, 480)),
    ]):  # fmt: skip
        inventory.add(look(number, window(concrete, left, 100), [path - (left, 100.0)], score))
    assert [one.views for one in inventory.all()] == [4, 3]
    inventory.finish()
    (only,) = inventory.all()
    assert (only.views, only.missed, only.score, only.state) == (7, 0, 0.9, "confirmed")
    assert only.last_seen - only.first_seen == timedelta(seconds=6)


def test_a_picture_of_this_flight_is_kept_before_a_better_one_that_lies_in_an_earlier_flights_folder(
    concrete: np.ndarray,
) -> None:
    inventory = Inventory()

    def see(number: int, path: np.ndarray, picture: str) -> None:
        left = 40.0 * number
        shot = look(number, window(concrete, left, 100), [path - (left, 100.0)])
        inventory.add(replace(shot, picture=lambda: picture))

    see(0, level(345, 620), "earlier")
    inventory.begin_pictures()
    see(1, level(230, 330), "here")
    inventory.finish()
    (only,) = inventory.all()
    assert only.best.evidence_sha256 == "here"


def test_a_frame_that_found_both_parts_is_one_view() -> None:
    one, other = Judgement(0.0, views=5, missed=2), Judgement(-0.5, views=3, missed=4, was_confirmed=True)
    one.take(other, apart=False)
    assert (one.views, one.missed, one.state) == (5, 4, "confirmed")
