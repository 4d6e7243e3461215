import cv2
import numpy as np
import pytest

from edge.surface.blocks import _motion_of, _places
from edge.surface.homography import project
from edge.surface.keyframes import KEPT_KEYFRAMES
from edge.surface.matching import by_phase
from edge.surface.pictures import small
from edge.surface.registration import Prediction, Registrar
from tests.surface.wall import HEIGHT, WIDTH, to_wall_of, wall, window

MIDDLE = np.array([[WIDTH / 2, HEIGHT / 2], [40.0, 40.0], [WIDTH - 40.0, HEIGHT - 40.0]])


@pytest.fixture(scope="module")
def concrete() -> np.ndarray:
    return wall()


def _error_px(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.hypot(*(project(found, MIDDLE) - project(truth, MIDDLE)).T).max())


def test_a_flight_along_a_wall_is_one_chart_and_every_frame_lies_where_it_was_taken(concrete: np.ndarray) -> None:
    registrar = Registrar()
    path = [
        (60 + 130 * step, 300 + 8 * np.sin(step), 0.4 * np.sin(2 * step), 1 + 0.01 * np.cos(step)) for step in range(18)
    ]
    start = to_wall_of(*path[0])
    for pose in path:
        placed = registrar.register(window(concrete, *pose))
        assert placed.chart == 1
        assert _error_px(start @ placed.to_chart, to_wall_of(*pose)) < 6


def test_a_second_pass_is_recognised_and_does_not_drift_away(concrete: np.ndarray) -> None:
    registrar = Registrar()
    out = [(60 + 150 * step, 200.0) for step in range(14)]
    turn = [(out[-1][0], 310.0)]
    back = [(x, 420.0) for x, _ in reversed(out)]
    errors = []
    for left, top in (*out, *turn, *back):
        placed = registrar.register(window(concrete, left, top))
        errors.append(_error_px(placed.to_chart, to_wall_of(left - 60, top - 200)))
    assert max(errors) < 8


def test_pictures_of_different_places_have_nothing_in_common(concrete: np.ndarray) -> None:
    registrar = Registrar()
    charts = {registrar.register(window(wall(seed), 300, 300)).chart for seed in (1, 2, 3)}
    assert charts == {1, 2, 3}


def test_a_picture_without_texture_stands_alone_and_the_flight_goes_on_after_it(concrete: np.ndarray) -> None:
    registrar = Registrar()
    first = registrar.register(window(concrete, 100, 300))
    plain = registrar.register(np.full((HEIGHT, WIDTH, 3), 128, np.uint8))
    after = registrar.register(window(concrete, 180, 300))
    assert plain.chart != first.chart
    assert after.chart == first.chart
    assert _error_px(after.to_chart, to_wall_of(80, 0)) < 3


def test_a_pose_that_jumps_by_metres_is_not_believed_against_the_pictures(concrete: np.ndarray) -> None:
    registrar = Registrar()
    scale = np.diag([1e-3, 1e-3, 1.0])
    for step in range(6):
        left = 100.0 + 90 * step
        truth = scale @ to_wall_of(left, 300)
        wrong = truth.copy()
        wrong[0, 2] += 5.0 if step == 3 else 0.0
        placed = registrar.register(window(concrete, left, 300), Prediction(wrong, 0.03))
        assert placed.unit == "m"
        if step != 3:
            assert abs(float(project(placed.to_chart, MIDDLE)[0, 0] - project(truth, MIDDLE)[0, 0])) < 0.03


def test_the_first_pose_turns_the_pixels_of_the_flight_so_far_into_metres(concrete: np.ndarray) -> None:
    registrar = Registrar()
    before = registrar.register(window(concrete, 100, 300))
    truth = np.diag([2e-3, 2e-3, 1.0]) @ to_wall_of(180, 300)
    after = registrar.register(window(concrete, 180, 300), Prediction(truth, 0.05))
    assert after.rebased is not None
    assert after.unit == "m"
    moved = project(after.rebased @ before.to_chart, MIDDLE)
    assert np.abs(moved - project(np.diag([2e-3, 2e-3, 1.0]) @ to_wall_of(100, 300), MIDDLE)).max() < 0.01


def test_a_chart_keeps_its_unit_and_its_own_first_pose_turns_it_into_metres(concrete: np.ndarray) -> None:
    """A flight that sees two walls, now with and now without a pose: what it finds again is as large as it was."""
    other, scale = wall(2), np.diag([2e-3, -2e-3, 1.0])
    shift = np.array([[1.0, 0.0, 30.0], [0.0, 1.0, 8.0], [0.0, 0.0, 1.0]])

    def pose(left: float, onto: np.ndarray = scale) -> Prediction:
        return Prediction(onto @ to_wall_of(left, 300), 0.5)

    registrar = Registrar()
    first = registrar.register(window(concrete, 100, 300))
    metres = registrar.register(window(other, 100, 300), pose(100))
    assert [(one.chart, one.unit) for one in (first, metres)] == [(1, "px"), (2, "m")]
    again = registrar.register(window(concrete, 140, 300))
    assert (again.chart, again.unit, again.rebased) == (1, "px", None)
    assert again.unit_per_px == pytest.approx(1.0, abs=0.01)
    # The wall in metres is found again after a view without a pose: its place is that of all its views, not of one.
    back = registrar.register(window(other, 140, 300), pose(140, shift @ scale))
    assert (back.chart, back.unit, back.rebased) == (2, "m", None)
    assert np.abs(project(back.to_chart, MIDDLE) - project(scale @ to_wall_of(140, 300), MIDDLE)).max() < 0.01
    # The first pose of the wall in pixels turns all that was laid on it into metres.
    placed = registrar.register(window(concrete, 160, 300), pose(160, shift @ scale))
    assert (placed.chart, placed.unit) == (1, "m")
    assert placed.rebased is not None
    for earlier, left in ((first, 100), (again, 140)):
        moved = project(placed.rebased @ earlier.to_chart, MIDDLE)
        assert np.abs(moved - project(shift @ scale @ to_wall_of(left, 300), MIDDLE)).max() < 0.01
    assert placed.unit_per_px == pytest.approx(2e-3, rel=0.01)
    # Also over a restart of the daemon.
    keys = registrar.newest(4)
    started = Registrar()
    started.go_on(registrar.counters(), keys)
    on = started.register(window(concrete, 180, 300))
    assert (on.chart, on.unit, on.unit_per_px) == (1, "m", pytest.approx(2e-3, rel=0.01))


def test_a_hover_is_one_view(concrete: np.ndarray) -> None:
    registrar = Registrar()
    moved = [registrar.register(window(concrete, 300 + (step % 3), 300)).moved for step in range(12)]
    assert moved[0] == 1.0
    assert max(moved[1:]) < 0.04
    assert registrar.keyframes == 1
    assert KEPT_KEYFRAMES < 1000


def _nearer(picture: np.ndarray, left: int, top: int, size: float) -> np.ndarray:
    """A piece of the wall, cut at whole pixels, resized to a frame: what a camera sees that is nearer by ``size``."""
    wide, high = round(WIDTH / size), round(HEIGHT / size)
    return np.ascontiguousarray(cv2.resize(picture[top : top + high, left : left + wide], (WIDTH, HEIGHT)))


def _on_wall(points: np.ndarray, left: int, top: int, size: float) -> np.ndarray:
    """Where pixels of such a frame lie on the wall; ``cv2.resize`` keeps edges in place, not middles of pixels."""
    step = np.array([round(WIDTH / size) / WIDTH, round(HEIGHT / size) / HEIGHT])
    return np.asarray(np.array([left, top]) + (points + 0.5) * step - 0.5)


def test_a_camera_that_sways_towards_the_wall_and_away_stays_on_one_chart(concrete: np.ndarray) -> None:
    registrar = Registrar()
    seen = [(300, 300, 1.0), (320, 290, 1.14), (296, 316, 0.99), (330, 310, 0.88), (301, 299, 1.01), (310, 330, 1.12)]
    start = registrar.register(_nearer(concrete, *seen[0]))
    for left, top, size in seen[1:]:
        placed = registrar.register(_nearer(concrete, left, top, size))
        assert placed.chart == start.chart
        found = project(placed.to_chart, MIDDLE)
        truth = _on_wall(MIDDLE, left, top, size)
        assert np.hypot(*(_on_wall(found, *seen[0]) - truth).T).max() < 3
    assert registrar.keyframes <= 2


@pytest.mark.parametrize(("grain", "charts"), [(5, 1), (6, 2)])
def test_what_looks_alike_from_nearer_is_the_same_place_by_its_grain_alone(grain: int, charts: int) -> None:
    def place(seed: int) -> np.ndarray:
        """A wall whose coarse look is that of every other, and whose grain is its own."""
        coarse, own = (wall(of, (900, 1200)).astype(np.float32) for of in (7, seed))
        picture = cv2.GaussianBlur(coarse, (0, 0), 4) + 0.6 * (own - cv2.GaussianBlur(own, (0, 0), 4))
        return np.clip(picture, 0, 255).astype(np.uint8)

    registrar = Registrar()
    looks = _nearer(place(5), 200, 200, 1.0), _nearer(place(grain), 200, 200, 1.13)
    assert len({registrar.register(look).chart for look in looks}) == charts


def test_looking_for_a_picture_leaves_both_as_they_were(concrete: np.ndarray) -> None:
    reference, look = (small(window(concrete, left, 300))[0] for left in (300, 380))
    before = reference.detail.copy(), look.detail.copy()
    found = by_phase(reference, look, np.eye(3))
    assert found is not None
    assert np.hypot(*(project(found, MIDDLE / 2) - project(to_wall_of(40, 0), MIDDLE / 2)).T).max() < 1
    assert np.array_equal(reference.detail, before[0])
    assert np.array_equal(look.detail, before[1])


@pytest.mark.parametrize("frames", [1, 3])
def test_frames_of_glare_do_not_end_a_chart_which_is_known_to_be_open(concrete: np.ndarray, frames: int) -> None:
    registrar = Registrar()
    first = registrar.register(window(concrete, 100, 300))
    rng = np.random.default_rng(5)
    for _ in range(frames):
        registrar.register(rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))
    assert first.chart in registrar.open_charts
    after = registrar.register(window(concrete, 150, 310))
    assert after.chart == first.chart
    assert _error_px(after.to_chart, to_wall_of(50, 10)) < 3


def test_charts_that_were_left_long_ago_are_not_kept_open(concrete: np.ndarray) -> None:
    registrar = Registrar()
    charts = [registrar.register(window(wall(seed, (400, 700)), 20, 20)).chart for seed in range(1, 9)]
    assert charts == list(range(1, 9))
    assert registrar.open_charts == {4, 5, 6, 7, 8}


@pytest.mark.parametrize("gross", [0, 3])
def test_a_similarity_is_found_through_blocks_some_of_which_are_wrong(gross: int) -> None:
    truth = np.array([[1.01, -0.02, 3.0], [0.02, 1.01, -2.0], [0.0, 0.0, 1.0]])
    at = np.array([(x, y) for x in (30, 110, 190, 270) for y in (30, 90, 150)], np.float64)
    by = project(truth, at) - at
    by[:gross] += 40.0
    found = _motion_of([complex(*one) for one in at], [complex(*one) for one in by], (180, 320))
    assert found is not None
    np.testing.assert_allclose(found[0], truth, atol=1e-4)
    assert found[1] == len(at) - gross


def test_blocks_lie_where_the_moved_frame_fills_every_pixel() -> None:
    shape, size, rng = (180, 320), (45, 45), np.random.default_rng(0)
    tops, lefts = [8, 41, 75, 108], [8, 60, 120, 180, 240]
    for _ in range(40):
        turn = rng.normal(0, 0.03, (2, 2))
        guess = np.array([[1 + turn[0, 0], turn[0, 1], rng.uniform(-200, 200)],
                          [turn[1, 0], 1 + turn[1, 1], rng.uniform(-100, 100)],
                          [rng.normal(0, 1e-5), rng.normal(0, 1e-5), 1.0]])  # fmt: skip
        ones = np.full(shape, 255, np.uint8)
        covered = cv2.warpPerspective(ones, guess, shape[::-1], flags=cv2.INTER_NEAREST) == 255
        want = {(y, x) for y in tops for x in lefts if covered[y : y + 45, x : x + 45].all()}
        fields = _places(tops, lefts, size, np.linalg.inv(guess), shape)
        found = {place for field in fields for place in field}
        assert sum(map(len, fields)) == len(found)
        # OpenCV moves by steps of a part of a pixel: a corner that lies on the very rim may be told otherwise.
        nearly = cv2.dilate(covered.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        surely = cv2.erode(covered.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) > 0
        assert {place for place in want if surely[place[0] : place[0] + 45, place[1] : place[1] + 45].all()} <= found
        assert all(nearly[y : y + 45, x : x + 45].all() for y, x in found)
