"""What was seen: the grid against plain counting, classes against scenes made for them, memory over a long flight."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.frames import sharpness
from edge.frames.sharpness import Sharpness, _quantile, _strongest
from edge.navigation import Attitude, NavState, nowhere
from edge.surface import coverage as room
from edge.surface.coverage import Coverage
from edge.surface.grid import Grid
from edge.surface.outlines import outlines
from edge.surface.place import Surveyor
from edge.surface.registration import Registered
from edge.surface.scale import ScaleOptions
from edge.surface.visibility import Seen, look
from tests.surface.wall import HEIGHT, WIDTH, placed, wall, window

SIZE = (HEIGHT, WIDTH)
WHOLE = [np.array([[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]], np.float64)]
CLEAR = Sharpness(1.0, 1.0, 0.2, 0.0, 0.0)


def seen(looks: Sharpness = CLEAR, range_m: float | None = 1.0, pitch_deg: float | None = 0.0, **scale: object) -> Seen:
    """A frame of 640x360 and 60 degrees: 1.8 mm a pixel at 1 m."""
    attitude = None if pitch_deg is None else Attitude(0.0, pitch_deg, 0.0)
    options = ScaleOptions(hfov_deg=60.0, **scale)  # type: ignore[arg-type]
    view = Surveyor(options).look(NavState(0, None, attitude, range_m), WIDTH, HEIGHT)
    return look(looks, view, None, SIZE, facing=options.surface == "facing")


def test_outlines_cover_exactly_the_cells() -> None:
    inside = np.random.default_rng(3).random((24, 31)) < 0.55
    drawn = np.zeros((24 * 8, 31 * 8), np.uint8)
    for polygon in outlines(inside):
        own = np.zeros_like(drawn)
        # Half a cell's eighth inwards: OpenCV also fills the pixels of the border.
        cv2.fillPoly(own, [np.rint(ring * 8 * 16 - 8).astype(np.int32) for ring in polygon], 1, cv2.LINE_8, 4)
        drawn += own
    assert np.array_equal(drawn[4::8, 4::8] > 0, inside)
    assert drawn[4::8, 4::8].max() == 1, "polygons do not overlap"
    area = sum(_area(ring) for polygon in outlines(inside) for ring in polygon)
    assert area == inside.sum(), "holes are taken away"


def _area(ring: np.ndarray) -> float:
    return 0.5 * float(np.dot(ring[:-1, 0], ring[1:, 1]) - np.dot(ring[1:, 0], ring[:-1, 1]))


def test_the_best_view_of_a_place_counts() -> None:
    coverage = Coverage()
    coverage.add(placed(0, 0), SIZE, WHOLE, "blurred")
    coverage.add(placed(320, 0), SIZE, WHOLE, "0.3")
    coverage.add(placed(0, 0), SIZE, WHOLE, "dark")
    areas = coverage.areas(1)
    assert areas["0.3"] == pytest.approx(WIDTH * HEIGHT, rel=0.05)
    assert areas["blurred"] == pytest.approx(320 * HEIGHT, rel=0.05)
    assert set(areas) == {"0.3", "blurred"}
    assert sum(patch.area for patch in coverage.patches()) == pytest.approx(sum(areas.values()))


def test_pixels_that_become_metres_keep_what_was_seen() -> None:
    coverage = Coverage()
    coverage.add(placed(0, 0), SIZE, WHOLE, "0.3")
    onto = np.diag([0.001, -0.001, 1.0])
    coverage.move(Registered(1, onto, "m", 0.001, 0.3, "measured", onto, 1.0))
    assert coverage.areas(1)["0.3"] == pytest.approx(0.64 * 0.36, rel=0.1)


def _glimpse(chart: int) -> Registered:
    return Registered(chart, np.eye(3), "px", 1.0, 0.0, "first", None, 1.0)


def _strip(coverage: Coverage, frames: int) -> float:
    """Two lanes to and fro on chart 1 that overlap; the area that they show, square pixels."""
    half = frames // 2
    for number in range(frames):
        along = number if number < half else frames - 1 - number
        coverage.add(placed(400.0 * along, 300.0 * (number >= half)), SIZE, WHOLE, "0.5")
    return (400.0 * (half - 1) + WIDTH) * (300 + HEIGHT)


def test_a_long_hover_and_a_long_flight_stay_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_TILES", 64)
    coverage = Coverage()
    for _ in range(300):
        coverage.add(placed(0, 0), SIZE, WHOLE, "0.3")
    assert coverage.tiles <= 4
    shown = _strip(coverage, 600)
    assert coverage.tiles <= 64
    assert sum(coverage.areas(1).values()) == pytest.approx(shown, rel=0.05)
    assert coverage.left_out == 0
    assert sum(len(ring) for patch in coverage.patches() for polygon in patch.polygons for ring in polygon) < 25_000


def test_more_separate_pictures_than_fit_are_counted_and_a_bridge_before_and_after_them_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "MAX_TILES", 64)
    coverage = Coverage()
    shown = _strip(coverage, 60)
    before = coverage.areas(1)
    assert before["0.5"] == pytest.approx(shown, rel=0.05)
    for number in range(400):
        coverage.add(_glimpse(number + 2), SIZE, WHOLE, "unscaled")
    assert coverage.tiles == 64
    assert coverage.areas(1) == before, "no frame over water costs the bridge a cell"
    assert 402 - coverage.left_out == len(coverage.charts) + 1, "each glimpse is one frame"
    assert coverage.charts[-1] == 401
    for step in range(60):  # a second bridge, although all is full
        to_chart = np.array([[1.0, 0, 400.0 * step], [0, 1.0, 0], [0, 0, 1.0]])
        coverage.add(Registered(402, to_chart, "px", 1.0, 0.3, "measured", None, 1.0), SIZE, WHOLE, "0.3")
    assert coverage.areas(402)["0.3"] == pytest.approx((400 * 59 + WIDTH) * HEIGHT, rel=0.05)
    assert coverage.areas(1) == before
    assert coverage.tiles <= 64


def test_a_chart_of_which_larger_cells_leave_nothing_is_counted_as_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strips one cell wide, a tile apart: four cells of which one was seen make no cell of twice the size."""
    monkeypatch.setattr(room, "MAX_TILES", 2)
    coverage, strip = Coverage(), np.array([[0.0, 0], [30, 0], [30, 30], [0, 30]])
    for number in range(8):
        along = np.array([[1.0, 0, number * 64 * 1280 / 48 + 3], [0, 1, 3], [0, 0, 1]])
        frame = Registered(1, along, "px", 1.0, 1.0, "measured", None, 1.0)
        coverage.add(frame, (720, 1280), [strip], "0.2")
        assert coverage.tiles <= 2
    kept = sum(grid.frames for grid in coverage._grids.values())
    assert kept + coverage.left_out == 8
    metres = Registered(1, np.eye(3), "m", 0.001, 1.0, "measured", np.diag([0.001, 0.001, 1.0]), 1.0)
    coverage.move(metres)
    assert all(grid.tiles for grid in coverage._grids.values())


def test_positions_that_jump_stay_bounded_and_what_does_not_fit_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_TILES", 64)
    coverage = Coverage()
    for number in range(200):
        coverage.add(placed(1.0e6 * number, 0.0), SIZE, WHOLE, "0.5")
    assert coverage.tiles <= 64
    kept = sum(coverage.areas(1).values()) / (WIDTH * HEIGHT)
    assert kept > 20
    assert coverage.left_out >= 100


def test_a_frame_that_looked_at_nothing_keeps_no_chart() -> None:
    coverage = Coverage()
    for number in range(50):
        coverage.add(_glimpse(number + 1), SIZE, [], "dark")
    assert coverage.charts == ()


def test_nearer_is_finer_and_by_the_same_ratio() -> None:
    near, far = seen(range_m=0.5), seen(range_m=1.0)
    assert near.narrowest_mm is not None
    assert far.narrowest_mm == pytest.approx(2 * near.narrowest_mm)
    assert far.gsd_mm_px == pytest.approx(1000 / (320 / np.tan(np.radians(30))), rel=1e-3)


def test_a_tilted_surface_is_seen_worse() -> None:
    square = seen(surface="vertical", wall_normal_deg=180.0)
    tilted = seen(surface="vertical", wall_normal_deg=180.0, pitch_deg=-40.0)
    assert tilted.incidence_deg == pytest.approx(40.0)
    assert tilted.gsd_mm_px == pytest.approx((square.gsd_mm_px or 0.0) / np.cos(np.radians(40)), rel=0.01)
    assert seen(surface="vertical", wall_normal_deg=180.0, pitch_deg=-70.0).kind == "oblique"


@pytest.mark.parametrize("range_m", [None, 0.0, 655.35, float("nan")])
def test_without_a_believable_range_there_are_no_millimetres_and_a_reason(range_m: float | None) -> None:
    found = seen(range_m=range_m)
    assert (found.narrowest_mm, found.gsd_mm_px, found.kind) == (None, None, "unscaled")
    assert found.why is not None


def test_classes_of_what_shows_nothing() -> None:
    assert seen(Sharpness(1.0, 1.0, 0.001, 0.9, 0.0)).kind == "dark"
    assert seen(Sharpness(1.0, 1.0, 0.9, 0.0, 0.8)).kind == "bright"
    assert seen(Sharpness(None, 1.0, 0.2, 0.0, 0.0)).kind == "unknown"
    assert seen(range_m=20.0).kind == "far"
    assert seen(Sharpness(9.0, 1.0, 0.2, 0.0, 0.0), range_m=0.8).kind == "blurred"
    assert seen(Sharpness(1.0, 1.0, 0.001, 0.9, 0.0)).hint(0.3) == "more light"
    assert seen(range_m=5.0).hint(0.3) == "closer"
    assert seen(range_m=0.05).hint(0.3) is None


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
def test_blur_is_read_from_the_edges_of_a_picture(sigma: float) -> None:
    rng = np.random.default_rng(5)
    picture = np.full((720, 1280), 150, np.float32)
    for x, y in rng.integers(0, (1280, 720), (900, 2)):
        cv2.rectangle(picture, (int(x), int(y)), (int(x) + 25, int(y) + 25), float(rng.integers(60, 200)), -1)
    blurred = cv2.GaussianBlur(picture, (0, 0), sigma) + rng.normal(0, 1.5, picture.shape)
    rgb = np.repeat(np.clip(blurred, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    assert sharpness.measure(rgb, "srgb").blur_px == pytest.approx(sigma, rel=0.3)


def test_nothing_is_said_of_pictures_that_show_nothing() -> None:
    assert sharpness.measure(np.zeros((360, 640, 3), np.uint8), "srgb").blur_px is None
    noise = np.random.default_rng(1).normal(120, 3, (360, 640, 3)).clip(0, 255).astype(np.uint8)
    assert sharpness.measure(noise, "srgb").blur_px is None
    assert sharpness.measure(np.zeros((1, 9, 3), np.uint8), "srgb").blur_px is None


def test_a_smeared_wall_is_less_sharp_than_a_still_one() -> None:
    still = window(wall(), 100, 100)
    smeared = cv2.blur(still, (15, 1))
    before, after = sharpness.measure(still, "srgb").blur_px, sharpness.measure(smeared, "srgb").blur_px
    assert before is not None
    assert after is None or after > 1.5 * before


def test_nowhere_is_nowhere() -> None:
    view = Surveyor(ScaleOptions()).look(nowhere(0), WIDTH, HEIGHT)
    found = look(CLEAR, view, None, SIZE, facing=True)
    assert (found.footprint_m, found.frame, found.incidence_deg) == (None, None, None)


def test_charts_in_metres_that_lie_on_each_other_count_once_and_charts_in_pixels_are_not_compared() -> None:
    """A flight that lost its pose for a while goes on in a new chart, over a place that it had seen before."""

    def metres(chart: int, left_m: float, surface: int = 0) -> Registered:
        to_chart = np.array([[0.01, 0, left_m], [0, 0.01, 0], [0, 0, 1]])
        return Registered(chart, to_chart, "m", 0.01, 0.3, "measured", None, 1.0, surface=surface)

    coverage = Coverage()
    coverage.add(metres(1, 0.0), SIZE, WHOLE, "blurred")
    coverage.add(metres(2, 3.2), SIZE, WHOLE, "0.2")
    found = {(patch.chart, patch.kind): patch.area for patch in coverage.patches()}
    assert found[1, "0.2"] == pytest.approx(6.4 * 3.6, rel=0.06)
    assert found[1, "blurred"] == pytest.approx(3.2 * 3.6, rel=0.06)
    assert len(found) == 2
    coverage.add(metres(3, 0.0, surface=1), SIZE, WHOLE, "blurred")
    patches = coverage.patches()
    assert sum(patch.area for patch in patches if patch.kind == "blurred") == pytest.approx(9.6 * 3.6, rel=0.06)
    assert {patch.charts for patch in patches} == {(1, 2), (3,)}, "the other side of the wall is not seen from this one"
    apart = Coverage()
    for chart in (1, 2):
        apart.add(Registered(chart, np.eye(3), "px", 1.0, 0.3, "measured", None, 1.0), SIZE, WHOLE, "unscaled")
    assert [patch.chart for patch in apart.patches()] == [1, 2]


def test_what_is_seen_of_one_face_of_a_wall_is_not_seen_of_the_other() -> None:
    """The camera flew round: charts of both faces have the same coordinates. One of the second is of pixels first."""

    def metres(chart: int, surface: int, rebased: np.ndarray | None = None) -> Registered:
        to_chart = np.array([[0.01, 0, 0], [0, 0.01, 0], [0, 0, 1]])
        return Registered(chart, to_chart, "m", 0.01, 0.3, "measured", rebased, 1.0, surface=surface)

    coverage = Coverage()
    coverage.add(metres(1, 0), SIZE, WHOLE, "blurred")
    coverage.add(Registered(2, np.eye(3), "px", 1.0, 0.3, "first", None, 1.0), SIZE, WHOLE, "0.2")
    coverage.move(metres(2, 1, metres(2, 1).to_chart))
    coverage.add(metres(3, 1), SIZE, WHOLE, "0.5")
    found = {(patch.charts, patch.kind): patch.area for patch in coverage.patches()}
    assert set(found) == {((1,), "blurred"), ((2, 3), "0.2")}
    assert list(found.values()) == pytest.approx([6.4 * 3.6] * 2, rel=0.1)


@pytest.mark.parametrize(("small", "large"), [(0.4, 0.5), (0.5, 0.8), (0.2, 0.5), (0.2, 0.6), (0.1, 2.0)])
def test_what_small_cells_saw_is_no_larger_in_large_ones(small: float, large: float) -> None:
    """Truth: rectangles whose area is known; on average they have it in large cells as well, and no holes."""
    rng = np.random.default_rng(7)
    claimed = true = 0.0
    for left, top in rng.uniform(-40, 40, (60, 2)):
        wide, high = rng.uniform(2.5, 6, 2)
        fine, whole = Grid(small, 10.0, metric=True), Grid(large, 100.0, metric=True)
        fine.fill(np.array([[left, top], [left + wide, top], [left + wide, top + high], [left, top + high]]), 0)
        whole.take(fine)
        found = np.concatenate([centres for centres, _ in whole.pieces()])
        claimed, true = claimed + len(found) * large**2, true + wide * high
        off = np.abs(found - (left + wide / 2, top + high / 2)) - (wide / 2, high / 2)
        assert off.max() < small, "half of a cell was seen where its middle was, but for the small cells' own size"
        x, y = (np.arange(-60 / large, 60 / large) + 0.5) * large, (np.arange(-60 / large, 60 / large) + 0.5) * large
        inner = small + large / 2
        inside = int((np.abs(x - left - wide / 2) < wide / 2 - inner).sum())
        inside *= int((np.abs(y - top - high / 2) < high / 2 - inner).sum())
        assert (off.max(axis=1) < -inner).sum() == inside
    assert claimed == pytest.approx(true, rel=0.1)


def test_a_frame_from_afar_makes_nothing_seen_that_was_not() -> None:
    def metres(chart: int, wide: float, left: float) -> Registered:
        scale = wide / WIDTH
        to_chart = np.array([[scale, 0, left], [0, scale, 0.3], [0, 0, 1]])
        return Registered(chart, to_chart, "m", scale, 0.3, "measured", None, 1.0)

    coverage = Coverage()
    coverage.add(metres(1, 1.0, 0.3), SIZE, WHOLE, "0.1")
    coverage.add(metres(2, 50.0, 200.3), SIZE, WHOLE, "far")
    areas = {patch.kind: patch.area for patch in coverage.patches()}
    assert areas.get("0.1", 0.0) <= 1.0 * HEIGHT / WIDTH
    assert areas["far"] == pytest.approx(50 * 50 * HEIGHT / WIDTH, rel=0.05)


@pytest.mark.parametrize("clockwise", [True, False])
def test_cells_are_those_whose_middles_lie_within_the_outline(clockwise: bool) -> None:
    coverage, rng = Coverage(), np.random.default_rng(3)
    around = np.sort(rng.uniform(0, 2 * np.pi, 4))[:: 1 if clockwise else -1]
    corners = np.column_stack([640 + 600 * np.cos(around), 360 + 340 * np.sin(around)])
    coverage.add(placed(0, 0), (720, 1280), [corners], "0.2")
    cell = 1280 / 48
    y, x = np.mgrid[-4:40, -4:60]
    middles = np.column_stack([x.ravel(), y.ravel()]) * cell + cell / 2
    outline = corners.astype(np.float32)
    inside = np.array([cv2.pointPolygonTest(outline, middle, False) >= 0 for middle in middles])
    assert coverage.areas(1) == {"0.2": pytest.approx(inside.sum() * cell**2)}


@given(st.lists(st.floats(0, 4, width=32), min_size=1, max_size=3000), st.integers(1, 60), st.floats(0, 4))
def test_the_strongest_slopes_are_those_of_a_full_sort(slopes: list[float], count: int, floor: float) -> None:
    values = np.array(slopes, np.float32)
    count = min(count, len(values))
    least = max(float(np.sort(values)[-count]), floor)
    np.testing.assert_array_equal(_strongest(values, count, floor), np.flatnonzero(values >= least))


@given(st.lists(st.floats(-4, 4, width=32), min_size=1, max_size=50), st.floats(0, 1))
def test_a_quantile_is_numpys(values: list[float], share: float) -> None:
    array = np.array(values, np.float32)
    assert _quantile(array, share) == pytest.approx(float(np.quantile(array.astype(np.float64), share)), abs=1e-5)
