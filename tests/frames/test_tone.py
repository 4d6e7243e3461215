"""Codes and light, against values of the standard."""

from __future__ import annotations

import numpy as np
import pytest

from edge.frames import Tone
from edge.frames.tone import as_srgb, light_of, srgb_codes


@pytest.mark.parametrize(("code", "light"), [(0, 0.0), (10, 0.003035), (55, 0.038204), (128, 0.215861), (255, 1.0)])
def test_light_of_srgb_codes_is_that_of_the_standard(code: int, light: float) -> None:
    assert light_of("srgb")[code] == pytest.approx(light, abs=2e-6)


def test_codes_come_back() -> None:
    assert np.abs(srgb_codes(light_of("srgb")) - np.arange(256)).max() < 0.01
    assert srgb_codes(np.array([-0.5, 2.0], np.float32)) == pytest.approx([0.0, 255.0], abs=1e-3)


def test_a_linear_picture_gets_srgb_codes_and_another_stays_as_it_is() -> None:
    rgb = np.full((2, 3, 3), 55, np.uint8)
    assert as_srgb(rgb, "srgb") is rgb
    assert (as_srgb(rgb, "linear") == 128).all()


@pytest.mark.parametrize("tone", ["srgb", "linear"])
def test_the_table_cannot_be_changed(tone: Tone) -> None:
    with pytest.raises(ValueError, match="read-only"):
        light_of(tone)[0] = 1
