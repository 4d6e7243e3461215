"""Laws that hold for any mask: turned, mirrored, moved, enlarged; and noise, which is cut short."""

from __future__ import annotations

import itertools
import logging

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cracks.trace import Traced, TraceOptions, trace
from tests.cracks.drawn import drawn, mask_of, picture, ray
from tests.cracks.tracing import EVERYTHING, OPTIONS, Bools, traced

# ---------------------------------------------------------------- laws


def shape_of(result: Traced) -> list[tuple[float, float]]:
    """Length and mean width of each crack."""
    return [(crack.length_px, float(crack.width_px.mean())) for crack in result.cracks]


FIGURE = drawn([(ray((20, 60), 17, 140), 6.0), (ray((80, 78), -62, 60), 4.0)], 184)
PICTURE = picture(FIGURE, blur=0.8, noise=3)


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("mirror", [False, True])
def test_turning_and_mirroring_the_picture_change_no_size(turns: int, mirror: bool) -> None:
    mask, rgb = FIGURE >= 0.5, PICTURE
    if mirror:
        mask, rgb = mask[:, ::-1], rgb[:, ::-1]
    turned = trace(mask_of(np.rot90(mask, turns), np.rot90(rgb, turns)), OPTIONS)
    upright = trace(mask_of(FIGURE >= 0.5, PICTURE), OPTIONS)
    assert len(turned.cracks) == len(upright.cracks) == 2
    for (length, width), (true_length, true_width) in zip(shape_of(turned), shape_of(upright), strict=True):
        assert length == pytest.approx(true_length, rel=0.01, abs=1.5)  # where the branch leaves, thinning may differ
        assert width == pytest.approx(true_width, abs=0.06)


@settings(max_examples=12)
@given(st.integers(0, 50), st.integers(0, 50))
def test_moving_the_picture_moves_the_cracks(right: int, down: int) -> None:
    room = ((down, 50 - down), (right, 50 - right))
    moved = trace(mask_of(np.pad(FIGURE >= 0.5, room), np.pad(PICTURE, (*room, (0, 0)), mode="edge")), OPTIONS)
    still = trace(mask_of(FIGURE >= 0.5, PICTURE), OPTIONS)
    for there, here in zip(moved.cracks, still.cracks, strict=True):
        assert there.path_px - here.path_px == pytest.approx(
            np.broadcast_to((right, down), here.path_px.shape), abs=1e-3
        )
        assert there.width_px == pytest.approx(here.width_px, abs=1e-3)


def test_twice_the_picture_twice_the_crack() -> None:
    small = traced(drawn([(ray((20, 40), 17, 140), 5.0)], 184), blur=0.7)
    large = traced(drawn([(ray((40.5, 80.5), 17, 280), 10.0)], 368), blur=1.4)
    assert large.cracks[0].length_px == pytest.approx(2 * small.cracks[0].length_px, rel=0.01)
    assert large.cracks[0].width_px.mean() == pytest.approx(2 * small.cracks[0].width_px.mean(), abs=0.1)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 60), st.floats(0, 1), st.booleans())
def test_no_mask_breaks_it(seed: int, height: int, width: int, density: float, smooth: bool) -> None:
    rng = np.random.default_rng(seed)
    mask = (rng.random((height, width)) < density).astype(np.uint8)
    for _ in range(int(rng.integers(0, 4))):
        a, b = rng.integers(-5, 65, (2, 2)).tolist()
        cv2.line(mask, a, b, int(rng.integers(0, 2)), int(rng.integers(1, 8)))
    rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    rgb = cv2.GaussianBlur(rgb, (0, 0), 1.5).reshape(rgb.shape) if smooth else rgb
    result = trace(mask_of(mask > 0, rgb), EVERYTHING)
    assert not (result.reported() & (mask == 0)).any()
    assert result.reported().any() == bool(result.cracks)
    for crack in result.cracks:
        assert (crack.width_px > 0).all()
        assert 0 <= crack.score <= 1
        assert (crack.path_px > -8).all()
        assert (crack.path_px < (width + 8, height + 8)).all()


# ---------------------------------------------------------------- caps


def noise(density: float) -> Bools:
    """Salt and pepper."""
    return np.random.default_rng(0).random((400, 500)) < density


def test_salt_and_pepper_is_no_crack() -> None:
    assert trace(mask_of(noise(0.05)), OPTIONS).cracks == ()


@pytest.mark.parametrize("density", [0.3, 0.38, 0.5, 0.8])
def test_noise_is_cut_short_and_said(
    density: float, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.cracks.trace._announced", itertools.count(1))
    options = TraceOptions(max_pieces=20, max_branches=10)
    with caplog.at_level(logging.WARNING, "edge.cracks.trace"):
        results = [trace(mask_of(noise(density)), options) for _ in range(7)]
    assert all(len(result.cracks) <= 10 for result in results)
    assert all(result.left_out > 0 for result in results)
    assert len(caplog.records) == 3  # frames 1, 2 and 4: not one for every frame
    assert "left out" in caplog.records[0].getMessage()


def test_the_longest_survive_a_cap() -> None:
    share = drawn([(ray((20, 20.0 + 30 * k), 0, 40 + 20 * k), 4.0) for k in range(5)], 184)
    result = traced(share, TraceOptions(max_branches=2))
    assert [round(crack.length_px, -1) for crack in result.cracks] == [120, 100]
    assert result.left_out == 3
    assert traced(share, TraceOptions(max_pieces=3)).left_out == 2
