"""Damaged areas against drawn truth: pixels counted, outlines along the outside of pixels, extents by geometry."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.areas.outline import AreaOptions, outline
from edge.frames import Frame
from edge.masks import ClassMask, DamageClass

SPALLING = DamageClass("spalling", 0.5, "area")


def mask_of(bits: np.ndarray, score: int = 200) -> ClassMask:
    damage = np.ascontiguousarray(bits, bool)
    frame = Frame(seq=0, exposed_ns=0, exposure_us=None, rgb=np.zeros((*damage.shape, 3), np.uint8))
    return ClassMask(frame, SPALLING, np.where(damage, score, 10).astype(np.uint8), damage)


def blank(height: int = 120, width: int = 160) -> np.ndarray:
    return np.zeros((height, width), bool)


def shoelace(corners: np.ndarray) -> float:
    x, y = corners.T.astype(np.float64)
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def test_a_rectangle_is_measured_to_the_pixel() -> None:
    bits = blank()
    bits[20:50, 10:50] = True
    (found,) = outline(mask_of(bits), AreaOptions()).areas
    assert found.area_px == 1200
    assert shoelace(found.outline_px) == pytest.approx(1200, abs=2), "the outline runs along the outside of the pixels"
    assert found.outline_px.min(axis=0).tolist() == [9.5, 19.5]
    assert found.outline_px.max(axis=0).tolist() == [49.5, 49.5]
    assert found.extent_px == pytest.approx(50.0, abs=0.1)
    assert found.perimeter_px == pytest.approx(140, rel=0.02)
    assert found.score == pytest.approx(200 / 255)
    assert not found.cut_by_frame


@pytest.mark.parametrize("angle", [0, 17, 45, 80])
def test_an_ellipse_has_its_area_and_its_longer_axis(angle: int) -> None:
    y, x = np.mgrid[0:200, 0:260].astype(float)
    turn = np.deg2rad(angle)
    u = (x - 130.3) * np.cos(turn) + (y - 99.6) * np.sin(turn)
    v = -(x - 130.3) * np.sin(turn) + (y - 99.6) * np.cos(turn)
    (found,) = outline(mask_of((u / 80) ** 2 + (v / 45) ** 2 <= 1), AreaOptions()).areas
    assert found.area_px == pytest.approx(np.pi * 80 * 45, rel=0.005)
    assert shoelace(found.outline_px) == pytest.approx(np.pi * 80 * 45, rel=0.01)
    assert found.extent_px == pytest.approx(160, abs=1.5)


def test_largest_first_small_ones_counted_and_the_cap_too() -> None:
    bits = blank()
    for place, side in enumerate((10, 20, 30, 4)):
        bits[5 : 5 + side, 40 * place : 40 * place + side] = True
    found = outline(mask_of(bits), AreaOptions(min_area_px=50))
    assert [one.area_px for one in found.areas] == [900, 400, 100]
    assert [one.component for one in found.areas] == [0, 1, 2]
    assert (found.small, found.left_out) == (1, 0)
    assert found.drawn.sum() == 1400
    capped = outline(mask_of(bits), AreaOptions(min_area_px=50, max_pieces=2))
    assert ([one.area_px for one in capped.areas], capped.left_out) == ([900, 400], 1)


def test_small_holes_are_damage_and_large_ones_are_not() -> None:
    bits = blank()
    bits[10:60, 10:60] = True
    bits[20:23, 20:23] = False
    bits[30:40, 30:40] = False
    (found,) = outline(mask_of(bits), AreaOptions(fill_holes_px=9)).areas
    assert found.area_px == 2500 - 100
    (found,) = outline(mask_of(bits), AreaOptions(fill_holes_px=0)).areas
    assert found.area_px == 2500 - 109


@pytest.mark.parametrize("edge", ["top", "bottom", "left", "right"])
def test_what_the_frame_cuts_says_so(edge: str) -> None:
    bits = blank()
    bits[{"top": np.s_[:20, 30:60], "bottom": np.s_[-20:, 30:60], "left": np.s_[30:60, :20],
          "right": np.s_[30:60, -20:]}[edge]] = True  # fmt: skip
    (found,) = outline(mask_of(bits), AreaOptions()).areas
    assert found.cut_by_frame
    assert found.area_px == 600


def test_nothing_and_everything() -> None:
    assert outline(mask_of(blank()), AreaOptions()).areas == ()
    (found,) = outline(mask_of(~blank()), AreaOptions()).areas
    assert (found.area_px, found.cut_by_frame) == (120 * 160, True)
    assert found.extent_px == pytest.approx(200.0, abs=0.1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("min_area_px", 0), ("fill_holes_px", -1), ("simplify_px", -0.1), ("max_pieces", 0), ("simplify_px", np.nan)],
)
def test_options_that_cannot_be_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        AreaOptions(**{name: value})  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.6))
def test_any_mask_gives_sound_areas(seed: int, share: float) -> None:
    noise = np.random.default_rng(seed).random((48, 64)).astype(np.float32)
    bits = cv2.GaussianBlur(noise, (0, 0), 2.0) > np.quantile(cv2.GaussianBlur(noise, (0, 0), 2.0), 1 - share)
    found = outline(mask_of(bits), AreaOptions(min_area_px=1, fill_holes_px=0, max_pieces=1000))
    assert sum(one.area_px for one in found.areas) == bits.sum()
    assert np.array_equal(found.drawn, bits)
    for one in found.areas:
        assert one.extent_px <= np.hypot(48, 64) + 1e-3
        assert one.outline_px.min() >= -0.5
        assert 0 <= one.score <= 1
