"""A frame budget: who waits, for how long at most, and that nothing is claimed of what was not looked at."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.frames import Frame
from edge.masks import Area, ClassMask, DamageClass, Mask, schedule, tiles
from edge.masks.litert import Options, open_segmenter
from edge.masks.schedule import Rounds, Schedule, cells, worth

TILE_MS = 10


def frame(rgb: np.ndarray) -> Frame:
    return Frame(seq=0, exposed_ns=0, exposure_us=None, rgb=rgb)


@given(
    count=st.integers(1, 40),
    revisit=st.integers(1, 12),
    data=st.data(),
)
def test_no_tile_waits_longer_than_promised_whatever_it_shows(count, revisit, data):
    order = Schedule(count, revisit)
    seed = data.draw(st.integers(0, 2**32 - 1))
    favourites = data.draw(st.booleans())  # the same tiles are the most worth while all the time, or it changes
    room = data.draw(st.lists(st.integers(0, count), min_size=1, max_size=60))
    last = np.full(count, -1)
    for now, extra in enumerate(room):
        rng = np.random.default_rng(seed if favourites else seed + now)
        chosen, must = order.order(rng.random(count))
        assert sorted(chosen) == list(range(count))
        assert must <= order.least == -(-count // revisit)
        looked = chosen[: max(must, extra)]
        order.looked(looked)
        last[looked] = now
        assert (now - last < revisit).all()


def test_within_a_frame_what_is_due_comes_first_and_then_what_is_worth_most():
    order = Schedule(6, 3)
    worths = np.array([0.0, 5.0, 1.0, 9.0, 2.0, 0.5])
    chosen, must = order.order(worths)
    assert (chosen, must) == ([3, 1, 4, 2, 5, 0], 2)
    order.looked(chosen[:3])
    chosen, must = order.order(worths)
    assert (chosen[:must], chosen[must:]) == ([2, 5], [3, 1, 4, 0])
    order.looked(chosen[:must])
    chosen, must = order.order(worths)
    assert (chosen[:must], chosen[must:]) == ([0, 3], [1, 4, 2, 5])


@pytest.mark.parametrize(
    ("height", "width", "overlap"), [(720, 1280, 96), (3000, 4000, 96), (600, 600, 0), (513, 40, 7)]
)
def test_cells_cover_the_frame_once_and_lie_within_their_tiles(height, width, overlap):
    plan = tiles.plan(height, width, 512, 512, overlap)
    painted = np.zeros((height, width), np.uint8)
    for tile, area in zip(plan, cells(plan), strict=True):
        painted[area.top_px : area.bottom_px, area.left_px : area.right_px] += 1
        assert tile.rows.start_px <= area.top_px < area.bottom_px <= tile.rows.start_px + tile.rows.size_px
        assert tile.columns.start_px <= area.left_px < area.right_px <= tile.columns.start_px + tile.columns.size_px
        # Where a neighbour sees more around a pixel, the neighbour answers: no cell reaches into a tile's outer rim.
        margin = overlap // 4
        assert area.top_px == 0 or area.top_px - tile.rows.start_px >= margin
    assert (painted == 1).all()


def test_sky_water_and_blur_are_worth_less_than_a_surface():
    rng = np.random.default_rng(0)
    concrete = rng.normal(130, 12, (200, 200, 1)).repeat(3, axis=2)
    sky = np.array([110, 150, 220]) + rng.normal(0, 1.5, (200, 200, 1))
    water = np.array([40, 80, 110]) + rng.normal(0, 8, (200, 200, 1))
    blurred = 130 + (concrete.mean() - 130) + rng.normal(0, 1.5, (200, 200, 1)).repeat(3, axis=2)
    rgb = np.hstack([concrete, sky, water, blurred]).clip(0, 255).astype(np.uint8)
    areas = [Area(200 * i, 200 * (i + 1), 0, 200) for i in range(4)]
    found = worth(np.ascontiguousarray(rgb), areas)
    assert found[0] > 3 * found[1:].max()
    assert found[0] == pytest.approx(np.abs(np.diff(rgb[::8, :200, 1].astype(int))).mean(), rel=0.05)


def test_a_frame_of_one_column_has_no_steps():
    assert worth(np.zeros((30, 1, 3), np.uint8), [Area(0, 1, 0, 30)]).tolist() == [0.0]


@pytest.fixture
def slow_tiles(monkeypatch):
    """Every look at the watch between two others finds TILE_MS gone: each tile costs that."""
    ticks = itertools.count(step=TILE_MS * 1_000_000 // 2)
    monkeypatch.setattr(schedule, "stopwatch_ns", lambda: next(ticks))


def budgeted(fixtures, clock, budget_ms: float, revisit_frames: int = 8):
    options = Options(
        bundle=fixtures / "pixel", unsigned="allow", threads=1, budget_ms=budget_ms, revisit_frames=revisit_frames
    )
    return open_segmenter(options, clock)


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (200, 300, 3), dtype=np.uint8)


def test_with_time_enough_the_mask_is_the_one_without_a_budget(fixtures, clock):
    taken = frame(picture())
    with open_segmenter(Options(bundle=fixtures / "pixel", unsigned="allow", threads=1), clock) as whole:
        expected = whole.segment(taken)
    with budgeted(fixtures, clock, budget_ms=1e6) as segmenter:
        for _ in range(3):
            mask = segmenter.segment(taken)
            assert mask.looked is None
            np.testing.assert_array_equal(mask.classes[0].score, expected.classes[0].score)
        assert segmenter.degraded is None


def test_what_was_not_looked_at_is_reported_and_not_claimed(fixtures, clock, monkeypatch):
    rgb = picture()
    with open_segmenter(Options(bundle=fixtures / "pixel", unsigned="allow", threads=1), clock) as whole:
        expected = whole.segment(frame(rgb))
    assert expected.classes[0].damage.any()
    with budgeted(fixtures, clock, budget_ms=1e-6, revisit_frames=4) as segmenter:
        assert segmenter.segment(frame(rgb)).looked is None  # nobody knows yet what a tile costs
        plan = tiles.plan(200, 300, 64, 96, 16)
        seen = np.zeros(rgb.shape[:2], np.int64)
        for _ in range(4):
            mask = segmenter.segment(frame(rgb))
            assert mask.looked is not None
            looked = np.zeros(rgb.shape[:2], np.bool_)
            for area in mask.looked:
                looked[area.top_px : area.bottom_px, area.left_px : area.right_px] = True
            assert 0 < len(mask.looked) <= -(-len(plan) // 4)
            assert mask.looked_share == pytest.approx(looked.mean())
            assert not mask.classes[0].damage[~looked].any()
            assert not mask.classes[0].score[~looked].any()
            # The pixel network sees one pixel at a time: what a tile says does not depend on its neighbours.
            np.testing.assert_array_equal(mask.classes[0].score[looked], expected.classes[0].score[looked])
            seen += looked
        assert (seen >= 1).all()
        assert segmenter.degraded is not None
        assert "masks.budget_ms = 1e-06 is too little: to look at every tile within 4 frames" in segmenter.degraded


def test_the_budget_decides_how_many_tiles_there_are_time_for(slow_tiles):
    plan = tiles.plan(400, 400, 64, 64, 0)
    rounds = Rounds(plan, budget_ms=6 * TILE_MS, revisit_frames=40)
    rgb = np.random.default_rng(1).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    assert rounds.all_fit
    assert list(rounds.every()) == list(range(49))
    assert not rounds.all_fit
    counts = [len(list(rounds.chosen(rgb, schedule.stopwatch_ns()))) for _ in range(5)]
    assert set(counts) <= {3, 4, 5, 6}
    assert rounds.trouble() is None


def test_tiles_of_surface_are_looked_at_in_more_frames_than_tiles_of_sky(slow_tiles):
    plan = tiles.plan(64, 400, 64, 64, 0)
    rgb = np.full((64, 400, 3), (90, 140, 220), np.uint8)
    rgb[:, 200:] = np.random.default_rng(2).integers(90, 160, (64, 200, 1))
    rounds = Rounds(plan, budget_ms=3 * TILE_MS, revisit_frames=20)
    list(rounds.every())
    looked = np.bincount([i for _ in range(40) for i in rounds.chosen(rgb, schedule.stopwatch_ns())], minlength=7)
    assert (looked >= 2).all()
    assert looked[4:].sum() > 8 * looked[:3].sum()


def test_a_frame_that_fits_one_tile_has_nothing_to_share_out(fixtures, clock):
    with budgeted(fixtures, clock, budget_ms=1e-6) as segmenter:
        for _ in range(2):
            assert segmenter.segment(frame(picture()[:64, :96].copy())).looked is None
        assert segmenter.degraded is None


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"budget_ms": 0.0}, "budget_ms is above 0"),
        ({"budget_ms": 5.0, "source": "lores"}, "needs source to be main"),
        ({"revisit_frames": 0}, "revisit_frames is at least 1"),
    ],
)
def test_impossible_budgets_are_refused(table, words):
    with pytest.raises(ValueError, match=words):
        Options(**table)


def test_the_looked_share_of_a_whole_mask_is_one():
    small = frame(np.zeros((2, 2, 3), np.uint8))
    kind = DamageClass("crack", 0.5, "line")
    mask = Mask(small, (ClassMask(small, kind, np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.bool_)),), "m")
    assert mask.looked_share == 1.0
