"""The judge of the demo, on cases small enough to work out by hand."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.rendered.cracks import SurfaceCrack
from edge.tools.demo.score import View, score

# Two pixels per millimetre; the frame shows x 0..100 mm, y 0..50 mm.
DOUBLE = np.diag([2.0, 2.0, 1.0])
FIRST = View(DOUBLE, 201, 101)


def crack(start: tuple[float, float], end: tuple[float, float], width_mm: float = 1.5, id: int = 1) -> SurfaceCrack:
    path = np.linspace(start, end, round(math.dist(start, end)) + 1)
    many = len(path)
    width, depth, spalled = np.full(many, width_mm), np.ones(many), np.zeros(many, bool)
    return SurfaceCrack(id=id, parent=None, path_mm=path, width_mm=width, depth=depth, spalled=spalled)


def detection(path: list[tuple[float, float]], width_px: float = 3.0, frame: int = 0, **size: float | None) -> Any:
    length = sum(math.dist(a, b) for a, b in itertools.pairwise(path))
    found = {"path_px": path, "length_px": length, "width_px": {"mean": width_px}}
    return {"properties": {"frame_seq": frame, "crack": found, "size": size or None}}


def test_a_crack_followed_from_end_to_end_is_found_with_its_width() -> None:
    truth = crack((10, 20), (90, 20))
    (one,) = score([detection([(20, 40), (180, 40)], 3.3, width_mm=1.4)], [truth], {0: FIRST}).cracks
    assert one.seen_mm == pytest.approx(80)
    assert one.found_share == pytest.approx(1)
    assert one.is_found
    assert one.detections == 1
    assert one.measured_mm == pytest.approx((1.65, 1.5))
    assert one.stated_mm == pytest.approx((1.4, 1.5))


def test_a_crack_whose_width_is_mostly_bounded_has_a_bound_and_no_width() -> None:
    truth = crack((10, 20), (90, 20), width_mm=0.5)
    bounded = detection([(20, 40), (140, 40)], 1.0, width_at_most_mm=1.2)
    stated = detection([(140, 40), (180, 40)], 2.0, width_mm=1.0, width_sigma_mm=0.2)
    result = score([bounded, stated], [truth], {0: FIRST})
    (one,) = result.cracks
    assert one.stated_mm is None
    assert one.at_most_mm == pytest.approx(1.2)
    assert result.bounds_that_hold == (1, 2), "the bound holds, the stated width is 2.5 sigma off"


def test_half_a_pixel_more_than_the_tolerance_is_away() -> None:
    truth = crack((10, 20), (90, 20))
    near = score([detection([(20, 44), (180, 44)])], [truth], {0: FIRST})
    away = score([detection([(20, 44.5), (180, 44.5)])], [truth], {0: FIRST})
    assert near.cracks[0].found_share == pytest.approx(1)
    assert near.false == ()
    assert away.cracks[0].found_share == 0
    assert len(away.false) == 1


def test_a_wide_crack_may_be_met_anywhere_within_it() -> None:
    truth = crack((10, 20), (90, 20), width_mm=12.0)  # 24 px: half of it is 12 px
    result = score([detection([(20, 51), (180, 51)])], [truth], {0: FIRST})
    assert result.cracks[0].found_share == pytest.approx(1)


def test_only_what_some_frame_showed_must_be_found() -> None:
    truth = crack((60, 20), (160, 20))  # 40 mm of it lie in the frame
    (one,) = score([detection([(120, 40), (160, 40)])], [truth], {0: FIRST}).cracks
    assert one.seen_mm == pytest.approx(40)
    assert one.found_share == pytest.approx(0.5, abs=0.06)  # 20 mm and the tolerance beyond its end


def test_frames_add_up_and_repeats_do_not() -> None:
    truth = crack((10, 20), (190, 20))
    second = View(DOUBLE @ np.array([[1, 0, -95.0], [0, 1, 0], [0, 0, 1]]), 201, 101)  # 95 mm further right
    both = [detection([(20, 40), (200, 40)]), detection([(10, 40), (190, 40)], frame=1)]
    (one,) = score(both * 3, [truth], {0: FIRST, 1: second}).cracks
    assert one.seen_mm == pytest.approx(180)
    assert one.found_share == pytest.approx(1)
    assert one.detections == 6


def test_a_crack_in_no_frame_is_not_a_miss() -> None:
    result = score([], [crack((300, 20), (400, 20)), crack((10, 10), (90, 10), id=2)], {0: FIRST})
    assert [one.truth.id for one in result.seen] == [2]
    assert not result.cracks[0].is_found
    assert result.cracks[0].found_share == 0


def test_a_detection_is_false_when_most_of_it_follows_no_crack() -> None:
    truth = crack((10, 20), (90, 20))
    mostly = detection([(100, 40), (180, 40), (180, 90)])  # 80 px on it, 46 px beyond its reach
    hardly = detection([(150, 40), (180, 40), (180, 100)])
    nowhere = detection([(20, 90), (180, 95)])
    result = score([mostly, hardly, nowhere], [truth], {0: FIRST})
    assert result.detections == 3
    assert list(result.false) == [hardly, nowhere]
    assert result.cracks[0].detections == 1


def test_a_detection_belongs_to_the_crack_it_follows_longest() -> None:
    main, branch = crack((10, 20), (90, 20), 2.0), crack((50, 20), (50, 45), 0.5, id=2)
    along = detection([(20, 40), (100, 40), (100, 86)], 4.0)
    one, two = score([along], [main, branch], {0: FIRST}).cracks
    assert (one.detections, two.detections) == (1, 0)
    assert two.found_share > 0.9, "what it covers of the branch is found all the same"
    assert one.measured_mm == pytest.approx((2.0, 2.0))
    assert two.measured_mm is None


def test_under_perspective_the_local_scale_counts() -> None:
    tilted = np.array([[2.0, 0, 0], [0, 2.0, 0], [0.01, 0, 1]])  # the right side is further away
    truth = crack((80, 10), (80, 40))
    view = View(tilted, 201, 101)
    scale = 2 / (0.01 * 80 + 1) ** 2  # across the crack, where x is 80
    path = [(160 / 1.8, 20 / 1.8), (160 / 1.8, 80 / 1.8)]
    (one,) = score([detection(path, width_px=1.5 * scale)], [truth], {0: view}).cracks
    assert one.measured_mm == pytest.approx((1.5, 1.5), rel=0.01)


def test_a_detection_of_an_unknown_frame_is_an_error() -> None:
    with pytest.raises(KeyError):
        score([detection([(0, 0), (9, 9)], frame=7)], [], {0: FIRST})


@given(st.floats(1, 99), st.floats(1, 49), st.floats(1, 99), st.floats(1, 49))
def test_a_detection_on_the_truth_itself_is_never_false(x: float, y: float, u: float, v: float) -> None:
    if math.dist((x, y), (u, v)) < 3:
        return
    truth = crack((x, y), (u, v))
    result = score([detection([(2 * x, 2 * y), (2 * u, 2 * v)])], [truth], {0: FIRST})
    assert result.false == ()
    assert result.cracks[0].found_share == pytest.approx(1)
