"""What tracing does in a quicker way than the obvious one gives what the obvious one gives."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cracks.lines import Lines, filled
from edge.cracks.valleys import _upper_median


@given(st.lists(st.lists(st.integers(-4, 4), min_size=6, max_size=6), min_size=1, max_size=40))
def test_the_median_by_comparing_is_that_of_sorted_numbers(rows: list[list[int]]) -> None:
    numbers = np.array(rows, np.float32)
    assert _upper_median(*numbers.T).tolist() == np.sort(numbers, axis=1)[:, 3].tolist()


@settings(deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=9).filter(any), min_size=1, max_size=6), st.data())
def test_gaps_are_filled_along_each_line_alone(lines: list[list[bool]], data: st.DataObject) -> None:
    values = [np.array(data.draw(st.lists(st.floats(-9, 9), min_size=len(one), max_size=len(one)))) for one in lines]
    rows = Lines(np.array([len(one) for one in lines]))
    found = filled(np.concatenate(values), np.concatenate([np.array(one) for one in lines]), rows)
    wanted = [
        np.interp(np.arange(len(one)), np.flatnonzero(one), line[np.array(one)])
        for one, line in zip(lines, values, strict=True)
    ]
    np.testing.assert_allclose(found, np.concatenate(wanted), atol=1e-9)


def test_more_rows_at_the_ends_are_the_last_or_a_reflection() -> None:
    rows = Lines(np.array([3, 1]))
    assert rows.held(2).tolist() == [0, 0, 0, 1, 2, 2, 2, 3, 3, 3, 3, 3]
    assert rows.reflected(2).tolist() == [2, 1, 0, 1, 2, 1, 0, 3, 3, 3, 3, 3]
    longer = np.arange(12)
    assert rows.without(longer[2:-2], 2).tolist() == [2, 3, 4, 9]
