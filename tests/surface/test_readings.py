from __future__ import annotations

import numpy as np

from edge.surface.readings import BETTER, FIRST, Readings
from edge.surface.registration import Registered

SHAPE = (480, 640)


def at(x: float, chart: int = 1, scale: float = 1.0) -> Registered:
    """A frame whose left edge lies at ``x`` on its chart."""
    to_chart = np.array([[scale, 0.0, x], [0.0, scale, 0.0], [0.0, 0.0, 1.0]])
    return Registered(chart, to_chart, "px", scale, 0.3, "measured", None, 0.0)


def read(qualities: list[float], places: list[Registered]) -> list[bool]:
    """Which views of a crack are read, in order."""
    readings, found = Readings(), []
    for quality, place in zip(qualities, places, strict=True):
        found.append(readings.worth(quality, place, SHAPE))
        if found[-1]:
            readings.note(quality, place, SHAPE)
    return found


def test_of_a_hover_the_first_views_are_read_and_then_only_clearly_better_ones() -> None:
    better = 10 * BETTER + 0.1
    found = read([10.0] * 8 + [10.5, better, better, 10.0, better * BETTER + 0.1], [at(0)] * 13)
    assert found == [True] * FIRST + [False] * 4 + [False, True, False, False, True]


def test_a_quality_that_creeps_up_is_measured_against_the_best_that_was_read() -> None:
    found = read([1.1**k for k in range(20)], [at(0)] * 20)
    assert sum(found) == FIRST + 5
    assert not all(found[FIRST : FIRST + 3])


def test_another_part_of_a_crack_is_read_whatever_the_quality_in_pixels_of_any_chart() -> None:
    for scale in (1.0, 0.002):
        steps = [0, 0, 0, 0, 100, 159, 161, 200, 330]
        found = read([10.0] * FIRST + [1.0] * 5, [at(scale * x, scale=scale) for x in steps])
        assert found == [True] * FIRST + [False, False, True, False, True]


def test_a_place_that_is_not_known_is_another_one() -> None:
    assert read([5.0] * 7, [at(0)] * 5 + [at(0, chart=2), at(0, chart=2)]) == [True] * 4 + [False, True, False]
    readings = Readings(count=FIRST, best=5.0)
    assert readings.worth(5.0, at(0), SHAPE)
