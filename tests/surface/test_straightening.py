"""Charts without poses: what later lanes and passes measure straightens what the chain of keyframes laid askew."""

from __future__ import annotations

import numpy as np
import pytest

from edge.surface.coverage import Coverage
from edge.surface.homography import Matrix, project
from edge.surface.keyframes import Key, Keyframes
from edge.surface.pictures import small
from edge.surface.registration import Registered, Registrar
from edge.surface.straightening import Bend, Links, bend_of
from tests.surface.wall import HEIGHT, WIDTH, to_wall_of, wall, window

SHAPE = (180, 320)
MIDDLE = np.array([[160.0, 90.0]])


def similarity(scale: float, turn_rad: float, x: float, y: float) -> Matrix:
    """Turned about the picture's middle, which comes to lie at (x, y)."""
    c, s = scale * np.cos(turn_rad), scale * np.sin(turn_rad)
    return np.array([[c, -s, x - c * 160 + s * 90], [s, c, y - s * 160 - c * 90], [0, 0, 1.0]])


def lanes() -> list[Matrix]:
    """Twelve frames out and, half a frame lower, twelve back."""
    out = [(140.0 * i, 0.0) for i in range(12)]
    return [
        similarity(1, 0.01 * np.sin(i), x, y) for i, (x, y) in enumerate([*out, *((x, 110.0) for x, _ in out[::-1])])
    ]


def drifting(truth: list[Matrix], scale: float, turn_rad: float) -> tuple[dict[int, Matrix], Links]:
    """The chain as it comes out where every link is off by ``scale`` and ``turn_rad``; and the links."""
    rng = np.random.default_rng(4)
    links, places = Links(), {0: truth[0]}
    for i in range(1, len(truth)):
        wrong = similarity(scale + rng.normal(0, 1e-4), turn_rad, 160, 90)
        to_last = np.linalg.inv(truth[i - 1]) @ truth[i] @ wrong
        places[i] = places[i - 1] @ to_last
        links.add(i - 1, i, to_last, SHAPE)
    for i in range(12, len(truth)):
        other = 23 - i
        links.add(other, i, np.linalg.inv(truth[other]) @ truth[i], SHAPE)
    return places, links


def off(places: dict[int, Matrix], truth: list[Matrix]) -> np.ndarray:
    return np.array([float(np.hypot(*(project(places[i], MIDDLE) - project(truth[i], MIDDLE))[0])) for i in places])


def test_a_second_lane_takes_out_most_of_the_chains_drift_and_the_first_frame_stays() -> None:
    truth = lanes()
    places, links = drifting(truth, 1.002, 0.003)
    after = links.settle(places, SHAPE)
    assert after is not None
    assert off(places, truth).max() > 30
    assert off(after, truth).max() < 0.5 * off(places, truth).max()
    assert links.misfit(after, SHAPE) < 0.35 * links.misfit(places, SHAPE)
    assert np.abs(after[0] - places[0]).max() < 1e-3


def test_one_false_link_among_true_ones_moves_nothing_far() -> None:
    truth = lanes()
    places, links = drifting(truth, 1.0, 0.0)
    good = links.settle(places, SHAPE)
    links.add(3, 17, similarity(1, 0, 160 + 60, 90 - 25), SHAPE)  # it lies 350 px farther on
    bad = links.settle(places, SHAPE)
    assert good is not None
    assert bad is not None
    assert off(good, truth).max() < 1
    assert off(bad, truth).max() < 3


def test_without_links_nothing_is_moved() -> None:
    assert Links().settle({0: np.eye(3), 1: np.eye(3), 2: np.eye(3)}, SHAPE) is None
    assert Links().misfit({0: np.eye(3)}, SHAPE) == 0.0


def test_places_move_with_the_keyframes_around_them() -> None:
    before = {i: similarity(1, 0, 200.0 * i, 0) for i in range(3)}
    after = {**before, 2: similarity(1, 0, 400.0, 30)}
    bend = bend_of(1, before, after, SHAPE)
    moved = bend(np.array([[0.0, 0.0], [400.0, 0.0], [900.0, 0.0]])) - np.array([[0, 0], [400.0, 0], [900, 0]])
    assert np.abs(moved[0]).max() < 0.1
    assert moved[1] == pytest.approx([0, 30], abs=2)
    assert moved[2] == pytest.approx([0, 30], abs=2), "beyond the last keyframe its move goes on"
    laid = project(bend.matrix(before[2], SHAPE), MIDDLE)[0]
    assert laid == pytest.approx([400, 30], abs=8)
    assert bend.matrix(before[0], SHAPE) == pytest.approx(before[0], abs=0.5)


@pytest.fixture(scope="module")
def concrete() -> np.ndarray:
    return wall(5)


def test_a_flight_in_narrow_lanes_lies_where_it_was_flown_once_it_is_straightened(concrete: np.ndarray) -> None:
    """The camera sways and comes nearer; lanes share a quarter of the picture."""
    path = []
    for lane in range(3):
        across = range(13) if lane % 2 == 0 else range(12, -1, -1)
        tops = [(step, 250.0 * lane) for step in across]
        turn = [(across[0], 250.0 * lane - 125)] if lane else []
        for step, top in (*turn, *tops):
            sway_deg, nearer = 0.8 * np.sin(0.7 * step + lane), 1 + 0.02 * np.sin(0.5 * step)
            path.append((60.0 + 150 * step, 40.0 + top, sway_deg, nearer))
    registrar = Registrar()
    corners = np.array([[40.0, 40.0], [600.0, 320.0]])
    laid: list[tuple[int, np.ndarray]] = []
    for pose in path:
        placed = registrar.register(window(concrete, *pose))
        if placed.bent is not None:
            bent = placed.bent
            laid = [(chart, bent(points) if chart == bent.chart else points) for chart, points in laid]
        laid.append((placed.chart, project(placed.to_chart, corners)))
    bends = registrar.straighten([1])
    assert {chart for chart, _ in laid} == {1}
    onto = to_wall_of(*path[0])
    errors = [
        float(np.hypot(*(project(onto, bends[0](points)) - project(to_wall_of(*pose), corners)).T).max())
        for (_, points), pose in zip(laid, path, strict=True)
    ]
    assert len(bends) == 1
    assert max(errors) < 6


def test_what_was_seen_moves_with_its_chart_and_gets_no_holes() -> None:
    coverage = Coverage()
    whole = np.array([[0.0, 0.0], [1280.0, 0.0], [1280.0, 720.0], [0.0, 720.0]])
    for left in (0.0, 1000.0):
        to_chart = np.array([[1.0, 0, left], [0, 1.0, 0], [0, 0, 1.0]])
        coverage.add(Registered(1, to_chart, "px", 1.0, 0.3, "measured", None, 1.0), (720, 1280), [whole], "0.2")
    before = coverage.areas(1)["0.2"]
    moves = np.array([np.eye(3), np.array([[1.0, 0, 100.0], [0, 1.0, 200.0], [0, 0, 1.0]])])
    coverage.bend(Bend(1, np.array([[640.0, 360.0], [1640.0, 360.0]]), moves, 150.0))
    coverage.bend(Bend(9, np.zeros((1, 2)), moves[:1], 1.0))  # another chart
    patches = coverage.patches()
    points = np.concatenate([ring for patch in patches for polygon in patch.polygons for ring in polygon])
    assert [len(polygon) for patch in patches for polygon in patch.polygons] == [1], "one piece without a hole"
    assert coverage.areas(1)["0.2"] == pytest.approx(before + 100 * 720, rel=0.06)
    assert points.max(axis=0) == pytest.approx([2380, 920], abs=30)
    assert points.min(axis=0) == pytest.approx([0, 0], abs=30)


def test_a_lane_whose_end_hangs_loose_is_tied_to_the_lane_beside_it() -> None:
    concrete = wall()
    path = [*((60.0 + 200 * i, 200.0) for i in range(6)), *((1060.0 - 200 * i, 490.0) for i in range(6))]
    shape, half = (HEIGHT // 2, WIDTH // 2), np.diag([2.0, 2.0, 1.0])
    true = [to_wall_of(left, top) @ half for left, top in path]
    turn = np.radians(0.35)  # each link is off by so much, to the same side: 1 px at the rim of a small picture
    error = np.array([[np.cos(turn), -np.sin(turn), 0.0], [np.sin(turn), np.cos(turn), 0.0], [0.0, 0.0, 1.0]])
    keys = Keyframes()
    place = true[0]
    for number, (left, top) in enumerate(path):
        beside = None
        if number:
            to_last = np.linalg.inv(true[number - 1]) @ true[number] @ error
            beside, place = (number - 1, to_last), place @ to_last
        look = small(window(concrete, left, top))[0]
        keys.keep(Key(look, place, 1, number, 1.0, None, beside))
    middle = np.array([[shape[1] / 2, shape[0] / 2]])

    def worst() -> float:
        apart = [project(key.to_chart, middle) - project(true[key.number], middle) for key in keys.all]
        return float(np.hypot(*np.concatenate(apart).T).max())

    assert worst() > 25
    assert keys.straighten(1, all_of_it=True) is not None
    assert worst() < 9
