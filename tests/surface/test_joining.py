"""Joining over very many lines: only those that lie near each other are compared."""

from __future__ import annotations

import numpy as np

from edge.surface.forks import straighten, trim
from edge.surface.joining import doubled, fragments
from edge.surface.lines import Line, mark

STEP = 4.0


def line(number: int, x: float, y: float, points: int = 20, chart: int = 0) -> Line:
    """A level line from (x, y) to the right."""
    xy = np.column_stack([x + STEP * np.arange(points), np.full(points, y)])
    hits, looks, passes = (np.full(points, 5, np.int32) for _ in range(3))
    return Line(number, chart, STEP, xy, hits, looks, passes)


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
    assert float(branch.xy[:, 1].max()) < STEP, "the longer one goes straight through now"
    assert float(trunk.xy[:, 1].max()) > 10 * STEP, "and the other has the arm that turns"


def fork(stem: float, upper: float, lower: float) -> tuple[Line, Line]:
    """A line that bends up by 25 degrees and a branch that leaves its bend downwards by as much, of these widths."""
    steps = STEP * np.arange(1, 41)
    rise, run = steps * np.sin(np.radians(25)), steps * np.cos(np.radians(25))
    trunk, branch = line(1, -STEP * 40, 0.0, points=81), line(2, 0.0, 0.0, points=40)
    trunk.xy[41:] = np.column_stack([run, rise])
    branch.xy[:] = np.column_stack([run, -rise])
    trunk.wide[:] = np.repeat(np.array([stem, upper], np.float32), [41, 40])
    branch.wide[:] = lower
    return trunk, branch


def test_of_two_arms_that_turn_alike_the_wider_one_is_the_trunk() -> None:
    px = {1: 1.0, 2: 1.0}
    trunk, branch = fork(4.0, 2.0, 4.0)
    assert straighten([trunk, branch], px) == [1, 2]
    assert trunk.xy[-1, 1] < -50, "it goes on into the wide arm"
    assert branch.xy[:, 1].max() > 50
    assert float(np.median(branch.wide)) == 2.0
    for widths in ((4.0, 4.0, 2.0), (4.0, 3.0, 3.0), (0.0, 0.0, 0.0)):  # it is wide itself; no difference; not known
        trunk, branch = fork(*widths)
        assert straighten([trunk, branch], px) == []
        assert trunk.xy[-1, 1] > 50


def test_two_cracks_that_end_at_a_third_from_both_sides_stay_two() -> None:
    left, right = line(1, 0.0, 0.0, points=40), line(2, STEP * 40 + 12.0, 0.0, points=40)
    third = line(3, 0.0, 0.0, points=60)
    third.xy[:] = np.column_stack([np.full(60, STEP * 39 + 8.0), STEP * np.arange(-30, 30)])
    px = {1: 1.0, 2: 1.0, 3: 1.0}
    assert fragments([left, right], px) == [(1, 2)]
    assert fragments([left, right, third], px) == []


def test_of_two_forks_in_a_row_the_second_is_asked_again_when_the_first_gave_its_arm_away() -> None:
    """A crack of 4 px straight down with a branch of 2 px at 160 and at 240; two lines took the branches first."""
    down = STEP * np.arange(1, 41)
    aside = np.column_stack([down * np.sin(np.radians(50)), down * np.cos(np.radians(50))])
    upper, lower = line(1, 0.0, 0.0, points=80), line(2, 0.0, 0.0, points=80)
    stem = line(3, 0.0, 0.0, points=21)
    stem.xy[:] = np.column_stack([np.zeros(21), 160 + STEP * np.arange(21)])
    upper.xy[:] = np.concatenate([np.column_stack([np.zeros(40), STEP * np.arange(1, 41)]), aside + np.array([0, 160])])
    lower.xy[:] = np.concatenate([(aside + np.array([0, 240]))[::-1], np.column_stack([np.zeros(40), 240 + down])])
    upper.wide[:] = np.repeat(np.array([4, 2], np.float32), 40)
    lower.wide[:], stem.wide[:] = upper.wide[::-1], 4
    lines = [upper, lower, stem]
    straighten(lines, {1: 1.0, 2: 1.0, 3: 1.0})
    trunk = max(lines, key=lambda one: float(np.ptp(one.xy[:, 1])))
    assert float(np.abs(trunk.xy[:, 0]).max()) < 2 * STEP
    assert float(np.ptp(trunk.xy[:, 1])) > 380.0
    for other in (one for one in lines if one is not trunk):
        assert float(np.median(other.wide)) == 2.0
        assert float(np.abs(other.xy[:, 0]).max()) > 100.0


def test_what_goes_straight_through_a_third_line_as_wide_as_before_is_one_crack() -> None:
    third = line(3, 0.0, 0.0, points=60)
    third.xy[:] = np.column_stack([np.full(60, STEP * 39 + 8.0), STEP * np.arange(-30, 30)])
    px = {1: 1.0, 2: 1.0, 3: 1.0}
    for widths, pairs in (((2.0, 2.4), [(1, 2)]), ((2.0, 4.0), []), ((2.0, 0.0), [])):
        left, right = line(1, 0.0, 0.0, points=40), line(2, STEP * 40 + 12.0, 0.0, points=40)
        left.wide[:], right.wide[:] = widths
        assert fragments([left, right, third], px) == pairs, widths
        for turn in (37.0, 55.0):  # its ends are in one place: a bend where two cracks cross
            right.xy[:] = right.xy[0] + np.outer(
                STEP * np.arange(40), [np.cos(np.radians(turn)), np.sin(np.radians(turn))]
            )
            assert fragments([left, right, third], px) == pairs, (widths, turn)
        right.xy[:, 0] += 20.0
        assert fragments([left, right, third], px) == [], "it bends, and its ends are not in one place"


def test_a_branch_that_ends_short_of_a_trunk_and_aims_at_it_meets_it_there() -> None:
    for gap, meets in ((30.0, True), (50.0, False)):
        trunk, branch = fork(4.0, 2.0, 4.0)
        off = gap / np.hypot(*(branch.xy[-1] - branch.xy[0])) * (branch.xy[-1] - branch.xy[0])
        branch.xy += off
        assert bool(straighten([trunk, branch], {1: 1.0, 2: 1.0})) is meets
    trunk, branch = fork(4.0, 2.0, 4.0)
    branch.xy += (0.0, -30.0)
    branch.xy[:, 1] = branch.xy[0, 1]  # as near, but it runs past the trunk
    assert straighten([trunk, branch], {1: 1.0, 2: 1.0}) == []


def test_ends_that_pass_each_other_level_are_one_crack_although_one_frame_showed_both() -> None:
    px = {1: 1.0, 2: 1.0}
    for aside, pairs in ((4.0, [(1, 2)]), (20.0, [])):
        left, right = line(1, 0.0, 0.0, points=40), line(2, STEP * 34, aside, points=40)
        left.last[:], right.last[:] = mark(7, 0), mark(7, 1)
        assert fragments([left, right], px) == pairs


def test_the_name_stays_with_the_longer_part_where_an_arm_changes_hands() -> None:
    """A crack of 121 points ends where a mark of 41 turns by 90 degrees, and goes straight on along one half of it."""
    crack, mark_ = line(2, -121 * STEP, 0.0, points=121), line(1, 0.0, 0.0, points=41)
    mark_.xy[:20] = np.column_stack([np.zeros(20), STEP * np.arange(20, 0, -1)])
    mark_.xy[20:] = np.column_stack([STEP * np.arange(21), np.zeros(21)])
    assert straighten([mark_, crack], {1: 1.0, 2: 1.0}) == [1, 2]
    assert crack.length > 135 * STEP
    assert mark_.length < 25 * STEP


def test_an_end_that_runs_along_another_line_is_cut_off_where_it_leaves_it() -> None:
    for turned in (False, True):
        crack, other = line(1, 0.0, 0.0, points=80), line(2, 0.0, 0.0, points=40)
        down = STEP * np.arange(20, 0, -1)
        other.xy[:20] = np.column_stack([30 * STEP - down, -down])
        other.xy[20:] = np.column_stack([30 * STEP + STEP * np.arange(20), np.full(20, 3.0)])
        other = other.reversed() if turned else other
        lines = [crack, other]
        assert trim(lines, {1: 1.0, 2: 1.0}) == [2]
        assert float(other.xy[:, 0].max()) < 34 * STEP
        assert float(other.xy[:, 1].min()) == -20 * STEP, "the rest is as it was"
        assert len(crack.xy) == 80
        assert trim(lines, {1: 1.0, 2: 1.0}) == []


def test_ends_that_pass_each_other_are_left_to_joining() -> None:
    lines = [line(1, 0.0, 0.0, points=40), line(2, 30 * STEP, 4.0, points=40)]
    assert trim(lines, {1: 1.0, 2: 1.0}) == []
    assert fragments(lines, {1: 1.0, 2: 1.0}) == [(1, 2)]


def test_ends_in_one_place_are_one_crack_that_bends_there_but_two_branches_stay_two() -> None:
    px = {1: 1.0, 2: 1.0, 3: 1.0}
    for turn, gap, pairs in ((50.0, 10.0, [(1, 2)]), (50.0, 30.0, []), (70.0, 10.0, [])):
        left, right = line(1, 0.0, 0.0, points=40), line(2, 39 * STEP + gap, 0.0, points=40)
        way = np.array([np.cos(np.radians(turn)), np.sin(np.radians(turn))])
        right.xy[:] = right.xy[0] + np.outer(STEP * np.arange(40), way)
        assert fragments([left, right], px) == pairs, (turn, gap)
        if pairs:  # a third line passes by on the outer side of the bend: both are its branches
            third = line(3, 0.0, -10.0, points=80)
            third.xy[:] = left.xy[-1] + np.outer(STEP * (np.arange(80) - 40), [way[1] + 0.4, -way[0]]) + (16.0, 0.0)
            assert fragments([left, right, third], px) == []


def test_a_tail_that_lies_along_another_line_and_was_never_seen_beside_it_is_cut_off_at_the_fork() -> None:
    """Two lines of one crack, laid 20 px apart, that part at x = 40 steps and end together."""
    for apart, cut in ((False, [1]), (True, [])):
        one, two = line(1, 0.0, 0.0, points=81), line(2, 0.0, 20.0, points=81)
        turned = STEP * np.arange(1, 41)
        one.xy[41:] = one.xy[40] + np.column_stack([turned * 0.6, -turned * 0.8])
        two.xy[41:] = two.xy[40] + np.column_stack([turned * 0.6, turned * 0.8])
        if apart:
            one.last[:], two.last[:] = mark(7, 0), mark(7, 1)
        lines = [one, two]
        assert trim(lines, {1: 1.0, 2: 1.0}) == cut
        assert (float(one.xy[:, 0].min()) > 35 * STEP) is not apart
        assert len(two.xy) == 81
