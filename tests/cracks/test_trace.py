"""From mask to cracks: how many, how long, where, in which order, and what is reported."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.cracks import Crack
from edge.cracks.trace import TraceOptions, trace
from edge.support import config
from edge.support.errors import ConfigError
from tests.cracks.drawn import Floats, arc, bar, bar_middle, cover, drawn, mask_of, outline, picture, ray, straight
from tests.cracks.tracing import EVERYTHING, OPTIONS, Bools, traced


def off(crack: Crack, centre: Floats) -> Floats:
    """Distance of each point of the path from a densely given line, pixels."""
    steps = crack.path_px[:, None].astype(np.float64) - centre[None]
    distance: Floats = np.sqrt((steps**2).sum(axis=2)).min(axis=1)
    return distance


# ---------------------------------------------------------------- length and place


@pytest.mark.parametrize("measure", ["profile", "mask"])
@pytest.mark.parametrize("width", [2.5, 5, 11])
def test_a_straight_crack_is_as_long_as_drawn_at_any_angle(width: float, measure: str) -> None:
    options = TraceOptions(measure="mask" if measure == "mask" else "profile")
    for angle in (0, 11, 22.5, 30, 45, 60, 67.5, 90, 101, 112.5, 135, 160):
        [crack] = traced(bar(width, angle), options, blur=0.7).cracks
        assert crack.width_method == measure
        assert crack.length_px == pytest.approx(150, rel=0.01)
        away = off(crack, straight(bar_middle(), angle, 150, 3000))
        assert away.mean() < (0.25 if measure == "profile" else 0.35)  # a mask knows whole pixels only
        assert away[1:-1].max() < 0.6


@pytest.mark.parametrize("width", [3.0, 6.0])
@pytest.mark.parametrize("radius", [20, 40, 80])
def test_a_curve_is_as_long_as_drawn(radius: float, width: float) -> None:
    centre = arc((100, 100), radius, 20, 290, 2000)
    [crack] = traced(cover(outline(centre, width), (200, 200)), blur=0.7, noise=3).cracks
    assert crack.length_px == pytest.approx(np.radians(270) * radius, rel=0.02)
    assert off(crack, centre).mean() < 0.3


def test_a_line_one_pixel_wide_is_a_crack() -> None:
    mask = np.zeros((80, 120), np.uint8)
    cv2.line(mask, (10, 20), (109, 60), 1, 1)
    [crack] = trace(mask_of(mask > 0), OPTIONS).cracks
    assert crack.length_px == pytest.approx(np.hypot(99, 40) + 1, rel=0.015)
    assert crack.width_px.mean() == pytest.approx(0.93, abs=0.15)


def test_a_crack_may_run_into_every_side_of_the_frame() -> None:
    for angle in (0, 30, 90, 120):
        centre = straight((60, 50), angle, 400, 3000)
        [crack] = traced(cover(outline(centre, 4.0), (100, 120)), blur=0.7).cracks
        assert (crack.path_px >= -1).all()
        assert (crack.path_px <= (120, 100)).all()
        inside = (np.abs(centre[:, 0] - 59.5) <= 60) & (np.abs(centre[:, 1] - 49.5) <= 50)
        assert crack.length_px == pytest.approx(np.hypot(*(centre[inside][-1] - centre[inside][0])), abs=3.0)


# ---------------------------------------------------------------- junctions and loops

CROSSINGS = {
    "X": ([straight((92, 92), 0, 150), straight((92, 92), 90, 150)], [150, 150]),
    "flat X": ([straight((92, 92), 25, 150), straight((92, 92), -25, 150)], [150, 150]),
    "Y": ([ray((92, 92), angle, 75) for angle in (90, 210, 330)], [75, 75, 75]),
    "T": ([straight((92, 92), 0, 150), ray((92, 92), 90, 75)], [150, 75]),
    "side branch": ([straight((92, 100), 0, 160), ray((80, 100), -40, 80)], [160, 80]),
    "ladder": (
        [straight((92, 60), 0, 150), straight((92, 110), 0, 150), *(ray((x, 60.0), 90, 50) for x in (50, 92, 130))],
        [150, 150, 50, 50, 50],
    ),
    "ring": ([arc((92, 92), 50, 0, 360)], [314]),
    "ring with a tail": ([arc((80, 92), 45, 0, 360), ray((125, 92), 0, 45)], [283, 45]),
}


@pytest.mark.parametrize("name", CROSSINGS)
@pytest.mark.parametrize("width", [4.0, 7.0, 10.0])
def test_a_figure_comes_apart_into_the_lines_a_person_would_draw(name: str, width: float) -> None:
    strokes, expected = CROSSINGS[name]
    share = drawn([(stroke, width) for stroke in strokes], 184)
    cracks = traced(share, blur=0.7, noise=2).cracks
    found = [crack.length_px for crack in cracks]
    assert len(found) == len(expected)
    assert found == pytest.approx(expected, rel=0.03, abs=1.3 * width)
    assert {crack.component for crack in cracks} == {0}
    for crack in cracks:
        assert crack.width_px.mean() == pytest.approx(width, abs=max(0.17, 0.02 * width))


def test_a_ring_closes() -> None:
    [crack] = traced(drawn([(arc((92, 92), 50, 0, 360), 5.0)], 184)).cracks
    assert crack.path_px[0] == pytest.approx(crack.path_px[-1])
    assert crack.length_px == pytest.approx(2 * np.pi * 50, rel=0.01)


def test_a_rough_border_grows_no_branches() -> None:
    rng = np.random.default_rng(1)
    for width in (5.0, 9.0, 14.0):
        share = bar(width, 22.5)
        rim = (share > 0) & (share < 1) | (cv2.dilate((share > 0.5).astype(np.uint8), np.ones((3, 3))) > share)
        rough = np.where(rim & (rng.random(share.shape) < 0.4), 1 - (share >= 0.5), share >= 0.5).astype(bool)
        cracks = trace(mask_of(rough, picture(share)), OPTIONS).cracks
        assert len(cracks) == 1
        assert cracks[0].length_px == pytest.approx(150, rel=0.03)


def test_a_side_branch_that_sticks_out_stays() -> None:
    share = drawn([(straight((92, 92), 0, 160), 8.0), (ray((92, 92), -70, 40), 5.0)], 184)
    assert len(traced(share).cracks) == 2


def test_pinholes_make_no_loops() -> None:
    share = bar(12, 22.5)
    mask = share >= 0.5
    middle = straight(bar_middle(), 22.5, 110, 9)
    for x, y in np.rint(middle).astype(int):
        mask[y : y + 3, x : x + 3] = False
    assert len(trace(mask_of(mask, picture(share)), OPTIONS).cracks) == 1
    loops = trace(mask_of(mask, picture(share)), TraceOptions(fill_holes_px=0, min_length_px=5)).cracks
    assert len(loops) > 1


# ---------------------------------------------------------------- what is no crack


def test_nothing_in_nothing_out() -> None:
    result = trace(mask_of(np.zeros((30, 40), bool)), OPTIONS)
    assert result.cracks == ()
    assert result.left_out == 0
    assert result.reported().shape == (30, 40)
    assert not result.reported().any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 2), (40, 60)])
def test_an_all_true_mask_is_no_crack(shape: tuple[int, int]) -> None:
    assert trace(mask_of(np.ones(shape, bool)), EVERYTHING).cracks == ()


def test_specks_and_blots_are_dropped() -> None:
    mask = np.zeros((150, 150), np.uint8)
    mask[5, 5] = mask[9, 9] = 1
    mask[20:24, 20:24] = 1
    cv2.line(mask, (60, 10), (72, 10), 1, 2)
    cv2.circle(mask, (90, 90), 25, 1, -1)
    cv2.ellipse(mask, (40, 110), (25, 18), 20, 0, 360, 1, -1)
    result = trace(mask_of(mask > 0), OPTIONS)
    assert result.cracks == ()
    assert not result.reported().any()
    assert result.left_out == 0


def test_each_limit_can_be_moved() -> None:
    mask = np.zeros((60, 60), np.uint8)
    cv2.line(mask, (10, 30), (30, 30), 1, 3)
    assert len(trace(mask_of(mask > 0), TraceOptions(min_length_px=18)).cracks) == 1
    assert trace(mask_of(mask > 0), TraceOptions(min_length_px=30)).cracks == ()
    assert trace(mask_of(mask > 0), TraceOptions(min_length_px=18, min_area_px=150)).cracks == ()
    assert trace(mask_of(mask > 0), TraceOptions(min_length_px=18, min_elongation=9)).cracks == ()


# ---------------------------------------------------------------- order, numbers, report


def several() -> tuple[Floats, Bools]:
    """Three separate cracks of different length, one of them branched, and a speck."""
    strokes = [ray((20, 30), 5, 60), ray((20, 80), -3, 140), ray((70, 78), 60, 60), ray((100, 160), 10, 70)]
    share = drawn([(stroke, 5.0) for stroke in strokes], 184)
    mask = share >= 0.5
    mask[178:180, 4:6] = True
    return share, mask


def test_longest_first_and_components_numbered_in_that_order() -> None:
    share, mask = several()
    cracks = trace(mask_of(mask, picture(share, noise=2)), OPTIONS).cracks
    assert [round(crack.length_px / 10) for crack in cracks] == [14, 7, 6, 6]
    assert cracks[0].component == 0
    assert sorted(crack.component for crack in cracks) == [0, 0, 1, 2]
    numbers = [crack.component for crack in cracks]
    assert [numbers.index(k) for k in range(3)] == sorted(numbers.index(k) for k in range(3))


def test_the_order_is_that_of_true_lengths_not_of_pixel_steps() -> None:
    """A line of 100 px at 22.5 degrees has steps of 108 px; one of 104 px along the rows has 104."""
    share = drawn([(ray((20, 30), 22.5, 100), 3.0), (ray((20, 150), 0, 104), 3.0)], 184)
    assert [crack.length_px for crack in traced(share).cracks] == pytest.approx([104, 100], abs=1.5)


def test_the_same_mask_gives_the_same_cracks() -> None:
    share, mask = several()
    frames = [trace(mask_of(mask, picture(share, noise=2)), OPTIONS).cracks for _ in range(2)]
    for one, other in zip(*frames, strict=True):
        assert (one.path_px == other.path_px).all()
        assert (one.width_px == other.width_px).all()
        assert one.component == other.component


def test_whole_pieces_are_reported_and_nothing_else() -> None:
    share, mask = several()
    result = trace(mask_of(mask, picture(share)), OPTIONS)
    expected = mask.copy()
    expected[178:180, 4:6] = False
    assert (result.reported() == expected).all()
    longest = trace(mask_of(mask, picture(share)), TraceOptions(min_length_px=100))
    assert 0 < longest.reported().sum() < expected.sum()
    assert not (longest.reported() & ~expected).any()


def test_filled_holes_are_not_reported() -> None:
    mask = bar(12, 0) >= 0.5
    mask[92, 90] = False
    assert not trace(mask_of(mask), OPTIONS).reported()[92, 90]


def test_what_a_crack_carries() -> None:
    share, mask = several()
    given_mask = mask_of(mask, picture(share, noise=2))
    for crack in trace(given_mask, OPTIONS).cracks:
        assert crack.path_px.dtype == crack.width_px.dtype == np.float32
        assert not crack.path_px.flags.writeable
        assert not crack.width_px.flags.writeable
        assert crack.score == pytest.approx(204 / 255)
        assert (crack.width_px > 0).all()
        gaps = np.hypot(*np.diff(crack.path_px, axis=0).T)
        assert gaps == pytest.approx(np.median(gaps), rel=0.15)
        assert gaps.sum() == pytest.approx(crack.length_px, rel=0.01)


# ---------------------------------------------------------------- configuration


def test_options_come_from_the_table_cracks() -> None:
    assert config.build(TraceOptions, {}, "cracks") == OPTIONS
    built = config.build(TraceOptions, {"measure": "mask", "min_length_px": 40, "max_pieces": 9}, "cracks")
    assert built == TraceOptions(measure="mask", min_length_px=40.0, max_pieces=9)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"measure": "guess"}, "'profile', 'mask'"),
        ({"min_lenght_px": 5}, "did you mean min_length_px"),
        ({"min_length_px": 0}, "min_length_px is 0"),
        ({"min_length_px": float("nan")}, "min_length_px: got nan"),
        ({"spur_half_widths": -1}, "spur_half_widths is -1"),
        ({"max_branches": 0}, "max_branches is 0, must be 1 or more"),
        ({"max_pieces": 1.5}, "whole number"),
    ],
)
def test_impossible_options_are_refused_by_name(table: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config.build(TraceOptions, table, "cracks")
