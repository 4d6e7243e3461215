"""A small round of the grid of widths (python benchmarks/mapping.py --width), on seeds of its own."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import mapping_width
from benchmarks.mapping_width import Reading


@pytest.fixture(scope="module")
def readings() -> list[Reading]:
    """Every third width, in every shape, clean and degraded."""
    jobs = [
        (300, width, shape, 9)
        for width in (1, 2, 3, 4, 6, 9, 15)
        for shape in ("straight", "wavy", "tapered", "branched")
    ]
    return [one for job in jobs for one in mapping_width.alone(job)]


@pytest.mark.parametrize(("clean", "typical_px"), [(True, 0.1), (False, 0.25)])
def test_stated_widths_are_true(readings: list[Reading], clean: bool, typical_px: float) -> None:
    for drawn_px in (4, 6, 9, 15):
        stated = [one for one in readings if one.stated and one.clean == clean and one.drawn_px == drawn_px]
        assert len(stated) >= 8
        assert np.median([abs(one.off_px) for one in stated]) <= typical_px
        assert abs(np.mean([one.off_px / one.true_px for one in stated])) <= 0.03


def test_intervals_and_bounds_hold(readings: list[Reading]) -> None:
    stated = [one for one in readings if one.stated]
    assert np.mean([abs(one.off_px) <= 1.645 * (one.sigma_px or 0) for one in stated]) >= 0.85
    assert sum(not one.stated for one in readings) > 50
    assert np.mean([one.bound_px < one.true_px for one in readings]) <= 0.05


def test_what_the_picture_does_not_resolve_is_only_bounded(readings: list[Reading]) -> None:
    thin = [one for one in readings if one.drawn_px == 1]
    assert not any(one.stated for one in thin)
    wide = [one for one in readings if one.drawn_px >= 9]
    assert all(one.stated for one in wide)
