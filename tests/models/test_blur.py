"""Blur laid on pictures: in light, of the stated size, the same each time."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from models.blur import Blur, blurred, blurred_tiles, motion_kernel
from models.sites import Tile


@pytest.mark.parametrize("length", [1.0, 4.0, 12.0])
@pytest.mark.parametrize("direction", [0.0, 0.7, math.pi / 2])
def test_a_motion_has_the_spread_of_its_way_along_and_none_across(length: float, direction: float) -> None:
    kernel = motion_kernel(length, direction).astype(float)
    y, x = np.mgrid[: len(kernel), : len(kernel)] - len(kernel) // 2
    along, across = x * math.cos(direction) + y * math.sin(direction), y * math.cos(direction) - x * math.sin(direction)
    assert kernel.sum() == pytest.approx(1)
    assert (kernel * along).sum() == pytest.approx(0, abs=1e-6)
    # Putting a point between pixels spreads it by at most a quarter of a squared pixel along each axis.
    assert 0 <= (kernel * along**2).sum() - length**2 / 12 <= 0.26
    assert (kernel * across**2).sum() <= 0.26


def test_light_is_mixed_and_not_codes() -> None:
    """Black and white columns of one pixel mix to half of the light, which is code 188 of sRGB (codes: 128)."""
    picture = np.where(np.arange(64) % 2, 255, 0).astype(np.uint8)[None, :, None].repeat(64, 0).repeat(3, 2)
    assert np.median(blurred(picture, Blur(defocus_px=2), np.random.default_rng(0))) == pytest.approx(188, abs=2)


def test_a_flat_picture_gets_a_camera_s_noise_alone_and_a_picture_is_always_blurred_alike() -> None:
    flat = np.full((80, 80, 3), 120, np.uint8)
    tile = Tile(site="s", photo="p", part="choose", clean=True, image=Path("a.png"), rgb=flat,
                truth=np.zeros((80, 80), bool), known=np.ones((80, 80), bool))  # fmt: skip
    one, two = (blurred_tiles(tiles, Blur(motion_px=8))[-1] for tiles in ([tile], [tile, tile]))
    assert abs(one.rgb.mean() - 120) < 0.1
    assert 1.0 <= one.rgb.astype(float).std() <= 2.1
    np.testing.assert_array_equal(one.rgb, two.rgb)
    assert blurred_tiles([tile], Blur()) == [tile]
