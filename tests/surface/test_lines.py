"""Lines and how they are laid over one another, against plain loops over single points."""

import math
from itertools import pairwise

import numpy as np

from edge.surface.lines import REACH, Line, directions, evenly, lengths
from edge.surface.overlay import MAX_TURN_DEG, Overlay, View
from tests.surface.wall import HEIGHT, WIDTH, placed, zigzag


def _courses(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.cumsum(rng.normal(1, 1, (count, 2)), axis=0) for count in (2, 3, 8, 9, 40)]


def test_points_lie_evenly_along_a_line_and_keep_its_ends() -> None:
    for xy in _courses(0):
        along = [0.0]
        for one, other in pairwise(xy):
            along.append(along[-1] + math.dist(one, other))
        np.testing.assert_allclose(lengths(xy), along, rtol=1e-12)
        found = evenly(xy, 2.0)
        where = np.linspace(0, along[-1], max(2, round(along[-1] / 2.0) + 1))
        want = np.column_stack([np.interp(where, along, xy[:, axis]) for axis in (0, 1)])
        np.testing.assert_allclose(found, want, atol=1e-9)
        np.testing.assert_allclose(found[[0, -1]], xy[[0, -1]], atol=1e-9)


def test_a_course_is_read_over_points_on_both_sides() -> None:
    for xy in _courses(1):
        found = directions(xy)
        for place in range(len(xy)):
            step = xy[min(place + REACH, len(xy) - 1)] - xy[max(place - REACH, 0)]
            np.testing.assert_allclose(found[place], step / math.hypot(*step), atol=1e-12)


def test_what_a_centreline_shares_with_a_line_is_what_single_points_say() -> None:
    view = View(placed(0, 0), (HEIGHT, WIDTH))
    course = evenly(zigzag((60, 100), (4, 1), 110), 5.0)
    line = Line(1, 1, 5.0, course, *(np.ones(len(course), np.int32) for _ in range(3)))
    for seed in range(5):
        rng = np.random.default_rng(seed)
        first, last = sorted(rng.choice(len(course), 2, replace=False))
        seen = course[first : max(last, first + 12)] + rng.normal(0, 2.5, 2)
        away = seen[-1] + np.arange(1, 15)[:, None] * np.array([-1.0, 5.0])  # it leaves the line aside
        seen = np.concatenate([seen, away])
        (shared,) = Overlay([line], view).match(seen)
        here, there = directions(seen), directions(course)
        nearest: dict[int, tuple[float, int]] = {}
        for sample in range(len(seen)):
            for node in range(len(course)):
                apart = math.dist(seen[sample], course[node])
                turned = abs(float(here[sample] @ there[node])) < math.cos(math.radians(MAX_TURN_DEG))
                if apart <= view.buffer_px and not turned and apart < nearest.get(sample, (math.inf, 0))[0]:
                    nearest[sample] = apart, node
        assert shared.samples.tolist() == sorted(nearest)
        found = [math.dist(seen[s], course[n]) for s, n in zip(shared.samples, shared.node_of, strict=True)]
        np.testing.assert_allclose(found, [nearest[sample][0] for sample in sorted(nearest)], atol=1e-2)
