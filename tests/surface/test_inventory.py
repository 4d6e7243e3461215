from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from edge.navigation import nowhere
from edge.surface import CrackSize
from edge.surface.inventory import Inventory, Look
from edge.surface.judgement import first
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


def test_widths_of_many_views_are_weighed_and_never_much_surer_than_the_best_of_them(concrete: np.ndarray) -> None:
    inventory = Inventory()
    line = zigzag((300, 150), (0, 1), 45, seed=6)
    for number, (width, sigma) in enumerate([(1.0, 0.1), (1.2, 0.2), (0.9, 0.1), (5.0, 10.0)]):
        left = 40.0 * number
        part = seen_in(line, left, 100.0)
        assert part is not None
        size = CrackSize(0.5, 100.0, width, sigma, None, None)
        inventory.add(look(number, window(concrete, left, 100), [part], size=size))
    (only,) = inventory.all()
    weights = np.array([100, 25, 100, 0.01])
    assert only.width_mm is not None
    assert only.width_mm[0] == pytest.approx(float(weights @ [1.0, 1.2, 0.9, 5.0] / weights.sum()))
    assert only.width_mm[1] == pytest.approx(1 / np.sqrt(weights.sum()), rel=0.05)
    assert only.width_mm[1] >= 0.05


def test_without_any_pose_nothing_has_a_place(concrete: np.ndarray) -> None:
    inventory = _fly(concrete, zigzag((500, 240), (0, 1), 45, seed=1), [True] * 3)
    (only,) = inventory.all()
    assert only.path_m is None
    assert only.frame is None
    assert only.length_mm is None
    assert len(only.path_chart) > 10
