"""Widths of cracks that moved across during the exposure, on pictures averaged over many places of the crack."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest

from edge.cracks import Crack
from edge.cracks.blur import AT
from edge.cracks.moved import _grid, _shapes
from edge.cracks.smear import Smear
from edge.cracks.trace import TraceOptions, trace
from tests.cracks.drawn import Floats, bar_middle, mask_of, picture

SIZE = 184
MIDDLE = np.array(bar_middle(SIZE))
ANGLE_DEG = 37.0
ACROSS = np.array([-math.sin(math.radians(ANGLE_DEG)), math.cos(math.radians(ANGLE_DEG))])
ALONG = np.array([ACROSS[1], -ACROSS[0]])


@functools.lru_cache(maxsize=32)
def moved(width_px: float, x_px: float, y_px: float, taper: float = 0.0) -> Floats:
    """Cover of a straight crack, averaged over the way (x, y): four by four points a pixel, a pixel a step.

    It is ``width_px`` wide in the middle, and narrower and wider by the share ``taper`` at its ends.
    """
    fine = (np.arange(4 * SIZE) + 0.5) / 4 - 0.5
    across = fine[None, :] * ACROSS[0] + fine[:, None] * ACROSS[1] - MIDDLE @ ACROSS
    along = fine[None, :] * ALONG[0] + fine[:, None] * ALONG[1] - MIDDLE @ ALONG
    count = max(1, math.ceil(math.hypot(x_px, y_px)))
    share = np.zeros_like(across)
    for k in (np.arange(count) + 0.5) / count - 0.5:
        way = k * np.array([x_px, y_px])
        place = (along - way @ ALONG) / 75
        share += (np.abs(across - way @ ACROSS) < width_px / 2 * (1 + taper * place)) & (np.abs(place) < 1)
    return np.asarray(share.reshape(SIZE, 4, SIZE, 4).mean(axis=(1, 3)) / count)


def read(share: Floats, smear: Smear | None, seed: int = 0, blur: float = 0.9) -> Crack:
    """The crack of a picture in motion, where its mask is what is more than half as dark as it becomes."""
    rgb = picture(share, dark=20.0, blur=blur, noise=1.5, seed=seed)
    [crack] = trace(mask_of(share >= 0.5 * share.max(), rgb), TraceOptions(), smear).cracks
    assert crack.width_method == "profile"
    return crack


def known(way: Floats, off: float = 0.0) -> Smear:
    """The motion as a flight knows it: within a tenth."""
    x, y = way * (1 + off)
    return Smear.alike(float(x), float(y), 0.1 * float(np.hypot(*way)))


@pytest.mark.parametrize("width_px", [6.0, 16.0])
def test_a_crack_that_moved_about_as_far_as_it_is_wide_keeps_its_width(width_px: float) -> None:
    share = moved(width_px, *(12 * ACROSS))
    cracks = [read(share, known(12 * ACROSS, off)) for off in (-0.1, 0.0, 0.1)]
    assert all(crack.width_at_most_px is None for crack in cracks)
    misses = [abs(float(crack.width_px.mean()) - width_px) for crack in cracks]
    assert max(misses) <= 0.5
    assert all(miss <= 1.645 * (crack.width_sigma_px or 0) for miss, crack in zip(misses, cracks, strict=True))


@pytest.mark.parametrize("way_px", [6.0, 10.0])
def test_a_crack_that_widens_is_read_at_every_point(way_px: float) -> None:
    """The profile is taken where it is widest; elsewhere the area counts, on that profile's scale."""
    crack = read(moved(9.0, *(way_px * ACROSS), taper=0.4), known(way_px * ACROSS))
    assert crack.width_sigma_px is not None
    place = (crack.path_px - MIDDLE) @ ALONG / 75
    inner = np.abs(place) < 0.7
    assert np.abs(crack.width_px - 9.0 * (1 + 0.4 * place))[inner].max() < 0.8
    assert abs(float(crack.width_px.mean()) - 9.0 * (1 + 0.4 * float(place.mean()))) <= 1.645 * crack.width_sigma_px


def test_without_its_motion_the_same_crack_is_stated_twice_as_wide() -> None:
    """What the motion is asked for: the profile alone is that of a pale crack as wide as the way."""
    crack = read(moved(6.0, *(12 * ACROSS)), None)
    assert crack.width_at_most_px is None
    assert float(crack.width_px.mean()) > 11


@pytest.mark.parametrize("width_px", [1.5, 2.0])
def test_a_thin_crack_is_only_bounded_and_the_bound_holds(width_px: float) -> None:
    crack = read(moved(width_px, *(12 * ACROSS)), known(12 * ACROSS))
    assert crack.width_at_most_px is not None
    assert width_px <= crack.width_at_most_px < 8


@pytest.mark.parametrize("told_px", [6.0, 12.0, 20.0])
def test_a_motion_that_the_profile_belies_does_no_harm(told_px: float) -> None:
    """The flight errs, the picture stood still: flanks as steep as the lens allows have not moved."""
    for width_px in (5.0, 12.0):
        crack = read(moved(width_px, 0.0, 0.0), known(told_px * ACROSS))
        sigma = 1.645 * (crack.width_sigma_px or 0)
        assert (crack.width_at_most_px or float(crack.width_px.mean()) + sigma) >= width_px
        assert crack.width_at_most_px is not None or abs(float(crack.width_px.mean()) - width_px) <= max(0.3, sigma)


def test_the_motion_has_no_sense() -> None:
    share = moved(9.0, *(12 * ACROSS))
    assert np.array_equal(read(share, known(12 * ACROSS)).width_px, read(share, known(-12 * ACROSS)).width_px)


@pytest.mark.parametrize("smear", [known(12 * ALONG), known(1.4 * ACROSS), Smear.alike(0.0, 0.0, 3.0)])
def test_motion_along_a_straight_crack_or_of_a_pixel_changes_nothing(smear: Smear) -> None:
    plain, told = read(moved(6.0, 0.0, 0.0), None), read(moved(6.0, 0.0, 0.0), smear)
    assert np.array_equal(plain.path_px, told.path_px)
    assert np.array_equal(plain.width_px, told.width_px)
    assert (plain.width_sigma_px, plain.width_at_most_px) == (told.width_sigma_px, told.width_at_most_px)


def test_a_bend_is_read_where_it_moved_least_and_by_its_area_elsewhere() -> None:
    """A quarter of a circle, moved along one of its ends and across the other."""
    fine = (np.arange(4 * SIZE) + 0.5) / 4 - 0.5
    share = np.zeros((4 * SIZE, 4 * SIZE))
    for k in (np.arange(28) + 0.5) / 2 - 7:
        x, y = fine[None, :] - 40 - k, fine[:, None] - 40
        share += (np.abs(np.hypot(x, y) - 110) < 2.5) & (np.abs(np.arctan2(y, x) - math.pi / 4) < math.radians(40))
    share = share.reshape(SIZE, 4, SIZE, 4).mean(axis=(1, 3)) / 28
    told, plain = read(share, Smear.alike(14.0, 0.0, 1.4)), read(share, None)
    assert told.width_sigma_px is not None
    assert abs(float(told.width_px.mean()) - 5.0) <= min(0.5, 1.645 * told.width_sigma_px)
    assert float(plain.width_px.mean()) > 6


def test_a_frame_may_move_differently_from_place_to_place() -> None:
    turning = Smear(np.array([[0.0, -0.02, 0.0], [0.02, 0.0, 0.0]]), 0.1)
    down = np.array([[0.0, 1.0]])
    assert turning.across(np.array([[500.0, 0.0]]), down) == pytest.approx([10.0])
    assert turning.across(np.array([[0.0, 500.0]]), down) == pytest.approx([0.0])
    assert turning.seen_from(300, 40).across(np.array([[200.0, -40.0]]), down) == pytest.approx([10.0])
    assert turning.length_at(300.0, 400.0) == pytest.approx(10.0)


@pytest.mark.parametrize("way", [0.2, 0.9])
def test_the_family_is_a_box_blurred_and_averaged_over_the_way(way: float) -> None:
    """By plain convolution on a fine grid."""
    grid = _grid()
    fine = np.arange(-4, 4, 0.002)
    width, blur = grid.width[::9], grid.blur[8::4]
    got = _shapes(grid.integral[8::4], way)[:, :, ::9]
    box = (np.abs(fine) <= way / 2) / (np.abs(fine) <= way / 2).sum()
    for j, sigma in enumerate(blur):
        bell = np.exp(-0.5 * (fine / sigma) ** 2)
        for k, wide in enumerate(width):
            crack = np.clip((wide / 2 - np.abs(fine)) / 0.002 + 0.5, 0, 1)
            soft = np.fft.ifft(np.fft.fft(crack) * np.fft.fft(np.fft.ifftshift(bell / bell.sum()))).real
            both = np.fft.ifft(np.fft.fft(soft) * np.fft.fft(np.fft.ifftshift(box))).real
            assert np.abs(np.interp(AT, fine, both) - got[j, :, k]).max() < 0.01


def test_intervals_and_bounds_hold_over_widths_ways_and_blurs() -> None:
    rng = np.random.default_rng(8)
    held, bounded = [], []
    for seed in range(16):
        width, way, blur = float(rng.uniform(2, 14)), float(rng.uniform(6, 16)), float(rng.uniform(0.5, 1.5))
        across = way * ACROSS
        crack = read(moved(width, *across), known(across, 0.1 * float(rng.standard_normal())), seed, blur)
        sigma = 1.645 * (crack.width_sigma_px or 0)
        if crack.width_at_most_px is None:
            held.append(abs(float(crack.width_px.mean()) - width) <= sigma)
        bounded.append((crack.width_at_most_px or float(crack.width_px.mean()) + sigma) >= width)
    assert len(held) >= 8
    assert np.mean(held) >= 0.85
    assert np.mean(bounded) >= 15 / 16
