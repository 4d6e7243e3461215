"""Pixels become a line of true length with points where they are wanted."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cracks import path
from edge.cracks.lines import Lines
from edge.cracks.path import Paths, sample
from tests.cracks.drawn import Floats, UInt8, arc, ray, straight


def one(xy: Floats) -> Paths:
    """A single open line."""
    return Paths.of([xy], [False])


def lengths(xy: Floats) -> Floats:
    return path.lengths(one(xy))


def evenly(xy: Floats, spacing_px: float) -> Floats:
    return path.evenly(one(xy), spacing_px).xy


def smooth(values: Floats, sigma: float, *, closed: bool, hold_ends: bool = True) -> Floats:
    return path.smooth(values, Lines(np.array([len(values)])), np.array([closed]), sigma, hold_ends=hold_ends)


def trimmed(xy: Floats, start_px: float, end_px: float) -> Floats:
    return path.trimmed(one(xy), np.array([start_px]), np.array([end_px])).xy


def extended(xy: Floats, mask: UInt8, at_start: bool, at_end: bool, reach_px: float) -> Floats:
    return path.extended(one(xy), mask, np.array([at_start]), np.array([at_end]), np.array([reach_px])).xy


def simplified(xy: Floats, values: Floats, tolerance_px: float) -> tuple[Floats, Floats]:
    kept, means = path.simplified(one(xy), values, tolerance_px)
    return kept.xy, means


def staircase(angle_deg: float) -> Floats:
    """The pixels of a straight line of 200 steps, eight-connected."""
    slope = np.tan(np.radians(angle_deg)) if angle_deg <= 45 else 1 / np.tan(np.radians(angle_deg))
    steps = np.arange(201.0)
    pixels = np.column_stack((steps, np.rint(slope * steps + 0.3)))
    return pixels if angle_deg <= 45 else pixels[:, ::-1]


@pytest.mark.parametrize("angle", np.arange(0, 90, 7.5))
def test_a_staircase_gets_its_true_length(angle: float) -> None:
    pixels = staircase(angle)
    line = evenly(smooth(evenly(pixels, 1.0), 2.0, closed=False), 3.0)
    assert lengths(line)[-1] == pytest.approx(np.hypot(*(pixels[-1] - pixels[0])), rel=0.004)


def test_the_raw_staircase_is_eight_percent_long() -> None:
    pixels = staircase(22.5)
    assert lengths(pixels)[-1] / np.hypot(*(pixels[-1] - pixels[0])) == pytest.approx(1.082, abs=0.003)


@given(st.integers(2, 60), st.floats(0.5, 8.0), st.integers(0, 999))
def test_smoothing_holds_the_ends_of_an_open_line(count: int, sigma: float, seed: int) -> None:
    values = np.random.default_rng(seed).normal(0, 5, (count, 2))
    smoothed = smooth(values, sigma, closed=False)
    assert smoothed.shape == values.shape
    assert smoothed[[0, -1]] == pytest.approx(values[[0, -1]])


def test_smoothing_a_straight_line_changes_nothing() -> None:
    line = evenly(straight((40, 40), 33, 60), 1.0)
    assert smooth(line, 3.0, closed=False) == pytest.approx(line, abs=1e-9)


@pytest.mark.parametrize("sigma", [1.0, 2.5])
def test_smoothing_a_ring_knows_no_end(sigma: float) -> None:
    ring = arc((0, 0), 30, 0, 360, 181)
    smoothed = smooth(ring, sigma, closed=True)
    radius = np.hypot(*smoothed.T)
    assert np.ptp(radius) < 1e-9
    assert smoothed[0] == pytest.approx(smoothed[-1])


def test_evening_out_pulls_a_wild_end_to_its_neighbours() -> None:
    values = np.zeros((30, 1))
    values[-1] = 9.0
    assert abs(smooth(values, 2.0, closed=False, hold_ends=False)[-1, 0]) < 6.0


@given(st.floats(0.5, 300), st.floats(0.4, 9))
def test_points_are_evenly_spaced_and_keep_the_ends(length: float, spacing: float) -> None:
    line = evenly(np.array([[0.0, 0.0], [length, 0.0]]), spacing)
    gaps = np.diff(lengths(line))
    assert gaps == pytest.approx(gaps[0])
    assert gaps[0] <= 1.5 * spacing or len(line) == 2
    assert line[-1, 0] == pytest.approx(length)


@given(st.integers(2, 80), st.floats(0, 40), st.floats(0, 40))
def test_trimming_leaves_a_line(count: int, start: float, end: float) -> None:
    line = np.column_stack((np.arange(count), np.zeros(count)))
    left = trimmed(line, start, end)
    assert len(left) >= 2
    if start + end < count - 3:
        assert left[0, 0] == pytest.approx(np.ceil(start))
        assert left[-1, 0] == pytest.approx(np.floor(count - 1 - end))


@pytest.mark.parametrize("angle", [0, 20, 45, 90, 200])
def test_a_line_is_led_out_to_the_border_of_the_mask(angle: float) -> None:
    mask = np.zeros((120, 120), np.uint8)
    cv2.circle(mask, (60, 60), 40, 255, -1)
    line = evenly(ray((60, 60), angle, 20), 1.0)
    reached = extended(line, mask, False, True, 60)
    assert np.hypot(*(reached[-1] - 60)) == pytest.approx(40.4, abs=0.5)
    assert reached[: len(line)] == pytest.approx(line)
    assert lengths(extended(line, mask, False, True, 5))[-1] == pytest.approx(25)


def test_the_frame_ends_a_mask_half_a_pixel_outside_its_last_pixel() -> None:
    mask = np.full((9, 30), 255, np.uint8)
    reached = extended(np.array([[10.0, 4.0], [20.0, 4.0]]), mask, True, True, 40)
    assert reached[[0, -1], 0] == pytest.approx([-0.5, 29.5], abs=0.01)


@given(st.integers(0, 999), st.floats(0.05, 2.0), st.integers(2, 120))
def test_simplifying_stays_within_the_tolerance_and_keeps_the_mean(seed: int, tolerance: float, count: int) -> None:
    rng = np.random.default_rng(seed)
    line = np.column_stack((np.arange(count) * 3.0, np.cumsum(rng.normal(0, 0.4, count))))
    values = rng.uniform(1, 9, count)
    kept, means = simplified(line, values, tolerance)
    index = np.linspace(0, len(kept) - 1, count)
    back = np.column_stack([np.interp(index, np.arange(len(kept)), column) for column in kept.T])
    assert len(kept) == len(means) <= count
    assert np.hypot(*(back - line).T).max() <= tolerance + 1e-6
    assert kept[[0, -1]] == pytest.approx(line[[0, -1]])
    assert means.min() >= values.min() - 1e-9
    assert means.max() <= values.max() + 1e-9
    inner = means.sum() - (means[0] + means[-1]) / 2
    trapezoid = values.sum() - (values[0] + values[-1]) / 2
    assert inner / (len(kept) - 1) == pytest.approx(trapezoid / (count - 1), rel=0.35)


def test_a_straight_line_of_constant_width_is_published_in_few_points() -> None:
    line = evenly(straight((500, 500), 10, 900), 3.0)
    kept, means = simplified(line, np.full(len(line), 4.0), 0.25)
    assert len(kept) == round(900 / 12) + 1
    assert means == pytest.approx(4.0)


def test_reading_goes_on_where_remap_ends() -> None:
    wide = np.zeros((3, 40_000), np.float32)
    wide[:] = np.arange(40_000) % 251
    x = np.linspace(5, 39_990, 2000, dtype=np.float32)[:, None]
    read = sample(wide, x, np.ones_like(x), cv2.BORDER_REPLICATE)
    near = np.interp(x[:, 0], np.arange(40_000), wide[0])
    assert read[:, 0] == pytest.approx(near, abs=4.0)  # 1/32 pixel on a slope of up to 251 at the wrap


@given(st.lists(st.integers(2, 40), min_size=1, max_size=6), st.integers(0, 999))
def test_lines_together_are_what_each_is_alone(counts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    lines = [np.cumsum(rng.normal(0, 2, (count, 2)), axis=0) + 60 for count in counts]
    closed = [len(line) > 3 and bool(rng.random() < 0.3) for line in lines]
    lines = [np.concatenate((line[:-1], line[:1])) if ring else line for line, ring in zip(lines, closed, strict=True)]
    opens = np.array([not ring for ring in closed])
    mask = cv2.circle(np.zeros((120, 120), np.uint8), (60, 60), 45, 255, -1)
    cut = rng.uniform(0, 9, len(lines)) * opens
    values = [rng.uniform(1, 9, len(line)) for line in lines]

    def through(part: slice) -> list[Floats]:
        paths = Paths.of(lines[part], closed[part])
        short = path.trimmed(paths, cut[part], cut[part] / 2)
        spread = path.evenly(short, 1.5)
        soft = path.smooth(spread.xy, spread.rows, spread.closed, 2.0)
        even = path.smooth(spread.xy, spread.rows, spread.closed, 2.0, hold_ends=False)
        led = path.extended(spread, mask, opens[part], opens[part], 5 + cut[part])
        kept, means = path.simplified(paths, np.concatenate(values[part]), 0.4)
        return [path.lengths(paths)[:, None], short.xy, spread.xy, soft, even, led.xy, kept.xy, means[:, None]]

    together = through(np.s_[:])
    alone = [through(np.s_[k : k + 1]) for k in range(len(lines))]
    for stage, whole in enumerate(together):
        assert whole == pytest.approx(np.concatenate([parts[stage] for parts in alone]), abs=1e-6)
