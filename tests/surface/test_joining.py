"""Joining over very many lines: only those that lie near each other are compared."""

from __future__ import annotations

import numpy as np

from edge.surface.joining import doubled, fragments, straighten
from edge.surface.lines import Line

STEP = 4.0


def line(number: int, x: float, y: float, points: int = 20, chart: int = 0) -> Line:
    """A level line from (x, y) to the right."""
    xy = np.column_stack([x + STEP * np.arange(points), np.full(points, y)])
    counts = [np.full(points, 5, np.int32) for _ in range(3)]
    return Line(number, chart, STEP, xy, *counts)


def many(count: int) -> list[Line]:
    """Lines far from each other, numbered from 10."""
    return [line(10 + n, 500.0 * (n % 100), 500.0 * (n // 100)) for n in range(count)]


def test_of_ten_thousand_cracks_two_fragments_are_found_and_nothing_else() -> None:
    lines = [line(1, -400.0, -400.0), *many(10_000), line(2, -400.0 + 20 * STEP + 30.0, -400.0)]
    px = {one.number: 1.0 for one in lines}
    assert fragments(lines, px) == [(1, 2)]
    assert doubled(lines, px) == []
    assert straighten(lines, px) == []


def test_the_same_place_on_another_chart_is_another_place() -> None:
    lines = [line(1, 0.0, 0.0), line(2, 20 * STEP + 30.0, 0.0, chart=1), line(3, 2.0, 1.0, points=10, chart=1)]
    px = {one.number: 1.0 for one in lines}
    assert fragments(lines, px) == []
    assert doubled(lines, px) == []


def test_a_line_along_a_longer_one_is_taken_up() -> None:
    lines = [line(1, 40.0, 3.0, points=10), line(2, 0.0, 0.0, points=40), *many(50)]
    lines[2:] = [one for one in lines[2:] if one.number > 10]
    px = {one.number: 1.0 for one in lines}
    assert doubled(lines, px) == [(2, 1)]


def test_at_a_fork_the_straight_arms_become_one_line() -> None:
    trunk = line(1, 0.0, 0.0, points=30)
    turned = trunk.xy.copy()
    turned[30 // 2 :, 0] = turned[15, 0]
    turned[30 // 2 :, 1] = STEP * np.arange(15)  # the line turns by 90 degrees half way
    trunk.xy = turned
    branch = line(2, turned[15, 0] + STEP, 0.0, points=30)  # and this one goes on straight
    lines = [trunk, branch, *many(50)[1:]]
    px = {one.number: 1.0 for one in lines}
    assert straighten(lines, px) == [1, 2]
    assert float(trunk.xy[:, 1].max()) < STEP, "the first line is straight now"
    assert float(branch.xy[:, 1].max()) > 10 * STEP, "and the branch has the arm that turns"
