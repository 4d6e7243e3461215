"""Widths read on pictures whose truth is known exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge.cracks import Crack
from edge.cracks.blur import shapes
from edge.cracks.trace import TraceOptions, trace
from tests.cracks.drawn import (
    DARK,
    SURFACE,
    Floats,
    UInt8,
    arc,
    bar,
    bar_middle,
    cover,
    drawn,
    mask_of,
    outline,
    picture,
    straight,
    to_light,
    to_srgb,
)

ANGLES = (0, 11, 22.5, 37, 45, 68, 90, 130)
PROFILE, MASK = TraceOptions(), TraceOptions(measure="mask")


def only(share: Floats, rgb: UInt8, options: TraceOptions = PROFILE) -> Crack:
    """The one crack of a picture, its mask being the pixels at least half covered."""
    [crack] = trace(mask_of(share >= 0.5, rgb), options).cracks
    return crack


def error(width: float, angle: float, options: TraceOptions = PROFILE, **how: float | int | None) -> float:
    """Measured less true mean width, pixels."""
    crack = only(bar(width, angle), picture(bar(width, angle), **how), options)  # type: ignore[arg-type]
    assert crack.width_method == options.measure
    return float(crack.width_px.mean()) - width


@pytest.mark.parametrize("width", [2.5, 3, 4, 6, 10, 17])
def test_clean_pictures_are_measured_to_a_tenth_of_a_pixel(width: float) -> None:
    errors = np.abs([error(width, angle) for angle in ANGLES])
    assert np.median(errors) <= 0.1
    assert errors.max() <= 0.25


@pytest.mark.parametrize("width", [2.5, 3, 4, 6, 10, 17])
def test_blur_noise_and_jpeg_cost_three_tenths_at_most(width: float) -> None:
    errors = [error(width, angle, blur=1.5, noise=5, jpeg=85, seed=seed) for seed, angle in enumerate(ANGLES)]
    assert np.median(np.abs(errors)) <= (0.3 if width >= 3 else 0.35)  # 2.5 px under this blur: only bounded
    if width >= 4:
        assert np.median(np.abs(errors)) <= 0.15


def test_without_the_correction_for_blur_a_narrow_crack_would_be_a_pixel_too_wide() -> None:
    """The widths above are not simply widths at half depth: these are known in closed form."""
    table, sigma = shapes(), math.sqrt(1.5**2 + 1 / 12)
    half_depth = np.interp(2.5 / sigma, table.ratio, table.fwhm) * sigma
    assert half_depth - 2.5 > 1.2
    assert np.mean([error(2.5, angle, blur=1.5) for angle in ANGLES]) < 0.4


def test_the_table_of_shapes_is_that_of_blurred_boxes() -> None:
    table = shapes()
    t = np.linspace(-20, 20, 4001)
    gauss = np.exp(-(t**2) / 2) / math.sqrt(2 * math.pi)
    for k in (10, 25, 40, 55):
        box = (np.abs(t) <= table.ratio[k] / 2).astype(float)
        blurred = np.convolve(box, gauss, "same") * (t[1] - t[0])
        above = t[blurred >= blurred.max() / 2]
        assert blurred.max() == pytest.approx(table.peak[k], rel=0.02)
        assert above[-1] - above[0] == pytest.approx(table.fwhm[k], abs=0.03)


@pytest.mark.parametrize("dark", [15, 45, 90])
@pytest.mark.parametrize("blur", [0.7, 1.5])
def test_the_stated_uncertainty_covers_the_error(dark: float, blur: float) -> None:
    pulls, seed = [], 0
    for width in (1.0, 1.5, 2.0, 3.0, 4.0, 6.0):
        for angle in (0, 22.5, 68):
            seed += 1
            crack = only(
                np.maximum(bar(width, angle), bar(2.5, angle) * 0.5),  # the network sees it wider than it is
                picture(bar(width, angle), dark=dark, blur=blur, noise=4, jpeg=90, seed=seed),
            )
            assert crack.width_sigma_px is not None
            pulls.append((float(crack.width_px.mean()) - width) / crack.width_sigma_px)
    assert np.sqrt(np.mean(np.square(pulls))) < 1.5
    assert np.mean(np.abs(pulls) < 2) >= 0.9


@pytest.mark.parametrize("width", [0.6, 1.0, 1.4])
def test_below_two_pixels_an_upper_bound_is_given(width: float) -> None:
    for angle in (0, 22.5, 68):
        share = np.maximum(bar(width, angle), bar(2.5, angle) * 0.5)
        crack = only(share, picture(bar(width, angle), blur=0.8, noise=2))
        assert crack.width_at_most_px is not None
        assert width <= crack.width_at_most_px <= 3.0
        assert crack.width_px.mean() <= crack.width_at_most_px + 1e-6


def test_a_resolved_width_has_no_bound() -> None:
    assert only(bar(6, 22.5), picture(bar(6, 22.5), blur=0.8)).width_at_most_px is None


def test_a_taper_is_followed_from_point_to_point() -> None:
    centre = straight((110.2, 40.3), 7, 180)
    share = drawn([(centre, np.linspace(3, 11, len(centre)))], 220)[:80]
    crack = only(share, picture(share, blur=0.8, noise=2))
    along = (crack.path_px - centre[0]) @ (centre[-1] - centre[0]) / 180**2
    inner = (along > 0.08) & (along < 0.92)
    assert np.abs(crack.width_px - np.interp(along, [0, 1], [3, 11]))[inner].max() < 0.5
    assert np.abs(crack.width_px - np.interp(along, [0, 1], [3, 11]))[inner].mean() < 0.15


@pytest.mark.parametrize("radius", [20, 40, 80])
def test_a_curve_is_as_wide_as_a_straight_crack(radius: float) -> None:
    centre = arc((100, 100), radius, 20, 290)
    share = cover(outline(centre, 4.0), (200, 200))
    crack = only(share, picture(share, blur=0.7, noise=2))
    assert crack.width_px.mean() == pytest.approx(4.0, abs=0.12)


@pytest.mark.parametrize("offset", [-2, 2])
@pytest.mark.parametrize("width", [3, 7])
def test_a_mask_two_pixels_off_changes_nothing(width: float, offset: int) -> None:
    share = bar(width, 22.5)
    shifted = np.roll(share >= 0.5, offset, axis=0)
    [crack] = trace(mask_of(shifted, picture(share, blur=0.7, noise=2)), PROFILE).cracks
    along = np.array([np.cos(np.radians(22.5)), np.sin(np.radians(22.5))])
    inner = crack.path_px[2:-2] - bar_middle()
    assert crack.width_px.mean() == pytest.approx(width, abs=0.15)
    assert np.abs(inner @ [-along[1], along[0]]).mean() < 0.15


@pytest.mark.parametrize("drawn_px", [9, 13])
def test_a_generous_mask_changes_nothing(drawn_px: float) -> None:
    [crack] = trace(mask_of(bar(drawn_px, 22.5) >= 0.5, picture(bar(3, 22.5), blur=0.7, noise=2)), PROFILE).cracks
    assert crack.width_method == "profile"
    assert crack.width_px.mean() == pytest.approx(3, abs=0.15)


def test_a_gradient_of_light_changes_nothing() -> None:
    light = np.linspace(110, 230, 184)[None] * np.linspace(0.8, 1.1, 184)[:, None]
    share = bar(5, 37)
    grey = to_srgb(to_light(light) * (1 - 0.72 * share))
    rgb = np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=2)
    assert only(share, rgb).width_px.mean() == pytest.approx(5, abs=0.1)


def test_a_crack_along_a_shadow_is_measured_against_each_side() -> None:
    share = bar(6, 0)
    surface = np.where(np.arange(184)[:, None] < bar_middle()[1], 190.0, 110.0) + np.zeros((184, 184))
    rgb = picture(share, surface=surface, dark=35, blur=0.8)
    crack = only(share, rgb)
    assert crack.width_method == "profile"
    assert crack.width_px.mean() == pytest.approx(6, abs=0.2)


def step() -> UInt8:
    """A picture that is bright above the middle and dark below."""
    return picture((np.arange(184)[:, None] > 92) + np.zeros((184, 184)), blur=1.0)


@pytest.mark.parametrize(
    "rgb",
    [
        pytest.param(step(), id="edge of a shadow"),
        pytest.param(picture(bar(5, 0), dark=250), id="bright line"),
        pytest.param(picture(np.zeros((184, 184)), noise=4), id="nothing"),
    ],
)
def test_where_there_is_no_dark_valley_the_mask_is_measured(rgb: UInt8) -> None:
    crack = only(bar(5, 0), rgb)
    assert crack.width_method == "mask"
    assert crack.width_px.mean() == pytest.approx(5, abs=0.6)
    assert crack.width_sigma_px is None
    assert crack.width_at_most_px is None


@pytest.mark.parametrize("width", [3, 5, 8, 15])
def test_the_masks_own_width_is_right_at_any_angle(width: float) -> None:
    errors = [error(width, angle, MASK) for angle in ANGLES if angle % 45]
    assert np.abs(errors).max() <= 0.15
    on_grid = [error(width, angle, MASK) for angle in ANGLES if angle % 45 == 0]
    assert np.abs(on_grid).max() <= 0.75  # the whole bar falls on one side of the pixel grid


def test_a_step_with_a_faint_dark_rim_is_still_a_step() -> None:
    """Sharpening in the camera draws such a rim along every edge."""
    rows = np.arange(184.0)[:, None] + np.zeros((184, 184))
    grey = np.where(rows < bar_middle()[1], 180.0, 60.0) - 8 * (np.abs(rows - bar_middle()[1]) < 3)
    rgb = np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=2)
    assert only(bar(5, 0), rgb).width_method == "mask"


def test_whole_pixels_are_exact_in_the_mask() -> None:
    for width in (2, 3, 6, 7):
        crack = np.zeros((60, 120), bool)
        crack[20 : 20 + width, 10:110] = True
        [found] = trace(mask_of(crack), MASK).cracks
        assert found.width_px == pytest.approx(width, abs=0.02)
        assert found.length_px == pytest.approx(100, abs=0.3)
        assert found.path_px[:, 1] == pytest.approx(20 + (width - 1) / 2, abs=0.02)


def test_a_junction_does_not_widen_the_crack() -> None:
    share = drawn([(straight((92, 92), 0, 150), 6.0), (straight((92, 92), 90, 150), 6.0)], 184)
    cracks = trace(mask_of(share >= 0.5, picture(share, blur=0.7)), PROFILE).cracks
    assert len(cracks) == 2
    for crack in cracks:
        assert crack.width_px == pytest.approx(6, abs=0.1)


def test_a_crack_cut_by_the_frame_is_measured_where_its_sides_are_seen() -> None:
    centre = straight((92, 60), 20, 400)
    share = cover(outline(centre, 5.0), (120, 184))
    crack = only(share, picture(share, blur=0.7, noise=2))
    assert crack.width_method == "profile"
    assert crack.width_px.mean() == pytest.approx(5, abs=0.12)


def test_a_crack_along_the_rim_has_only_one_side_and_is_measured_on_the_mask() -> None:
    share = np.zeros((60, 184))
    share[2:6, 10:170] = 1
    crack = only(share, picture(share))
    assert crack.width_method == "mask"
    assert crack.width_px == pytest.approx(4, abs=0.05)


def test_contrast_is_not_width() -> None:
    """A faint crack and a black one of the same width measure the same where they are resolved."""
    faint = error(8, 22.5, blur=1.0, dark=SURFACE - 20)
    black = error(8, 22.5, blur=1.0, dark=0)
    assert abs(faint - black) < 0.1
    assert DARK < SURFACE
