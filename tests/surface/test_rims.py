"""A short line around a circle is the rim of a hole and no crack."""

from __future__ import annotations

import numpy as np
import pytest

from edge.surface.judgement import Judgement
from edge.surface.lines import Line
from edge.surface.rims import is_rim


def arc(radius_px: float, degrees: float, noise_px: float = 0.0, unit: float = 1.0) -> Line:
    """An arc with a point about every 5 px; ``unit`` is chart units per pixel."""
    count = max(2, round(radius_px * np.radians(degrees) / 5.0) + 1)
    angle = np.linspace(0.3, 0.3 + np.radians(degrees), count)
    xy = radius_px * np.column_stack([np.cos(angle), np.sin(angle)]) + 700.0
    xy += np.random.default_rng(5).normal(0, noise_px, xy.shape)
    return Line(1, 0, 5.0 * unit, xy * unit)


@pytest.mark.parametrize(
    ("radius_px", "degrees", "rim"),
    [(18, 120, True), (25, 200, True), (18, 80, False), (120, 120, False), (400, 10, False)],
)
def test_what_runs_around_a_small_circle_is_a_rim(radius_px: float, degrees: float, rim: bool) -> None:
    for unit in (1.0, 0.0007):  # pixels, metres: the shape decides, not the scale
        assert is_rim(arc(radius_px, degrees, unit=unit), was=False) is rim
        assert is_rim(arc(radius_px, degrees, unit=unit).reversed(), was=False) is rim


def test_a_line_that_leaves_the_circle_and_a_straight_one_are_none() -> None:
    assert is_rim(arc(20, 180, noise_px=0.2), was=False)
    assert not is_rim(arc(20, 180, noise_px=3.0), was=False)
    assert not is_rim(Line(1, 0, 5.0, np.column_stack([5.0 * np.arange(12), np.full(12, 3.0)])), was=False)


def test_what_was_a_rim_stays_one_until_it_clearly_is_none() -> None:
    flat, rough = arc(20, 90), arc(20, 180, noise_px=1.3)
    for line in (flat, rough):
        assert is_rim(line, was=True)
        assert not is_rim(line, was=False)
    assert not is_rim(arc(20, 75), was=True)
    assert not is_rim(arc(20, 180, noise_px=4.0), was=True)


def test_views_do_not_confirm_a_rim_but_a_line_that_grows_out_of_one_is_judged_by_them() -> None:
    judgement = Judgement(1.0)
    judgement.rim = True
    for _ in range(30):
        judgement.look(found=True, length_px=60.0, sure_length_px=340.0)
        assert judgement.state == "tentative"
    judgement.rim = False
    assert judgement.state == "confirmed"
    judgement.rim = True
    assert judgement.state == "withdrawn", "it was told as a crack"
