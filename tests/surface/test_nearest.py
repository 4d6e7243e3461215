"""Nearest points in pieces: as all distances at once would have them, to the bit, and in little memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from edge.surface.joining import doubled
from edge.surface.lines import Line
from edge.surface.nearest import nearest_points


@pytest.mark.parametrize(("count", "others"), [(0, 5), (1, 1), (700, 300), (5, 70_000), (301, 900)])
def test_it_is_what_all_distances_at_once_say(count: int, others: int) -> None:
    rng = np.random.default_rng(count)
    one, two = (rng.uniform(-2000, 2000, (n, 2)).round(1) for n in (count, others))
    two[others // 2 :] = two[: others - others // 2]  # of two as near the first counts
    apart = np.hypot(*np.moveaxis(one[:, None] - two[None], 2, 0))
    distance, index = nearest_points(one, two)
    assert np.array_equal(distance, apart.min(axis=1))
    assert np.array_equal(index, apart.argmin(axis=1))


def test_two_cracks_of_two_thousand_points_are_compared_in_a_few_megabytes() -> None:
    def level(number: int, y: float, count: int) -> Line:
        x = 5.0 * np.arange(count)
        ones = np.ones(count, np.int32)
        return Line(number, 1, 5.0, np.column_stack([x, y + 3 * np.sin(x / 300)]), ones, ones, ones)

    lines = [level(1, 0.0, 2000), level(2, 40.0, 1999)]
    tracemalloc.start()
    try:
        assert doubled(lines, {1: 1.0, 2: 1.0}) == [(1, 2)]
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()
