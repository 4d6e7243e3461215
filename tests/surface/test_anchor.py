"""From a chart to the structure. The truth is a wall whose every point is known by its own formula."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge.surface.anchor import Anchor
from edge.surface.homography import frame_corners, project
from tests.surface.wall import HEIGHT, WIDTH, placed

M_PER_PX = 1.0 / WIDTH
CORNERS = frame_corners((HEIGHT, WIDTH))


def on_wall(chart: np.ndarray, begins_m: tuple[float, float, float]) -> np.ndarray:
    """A wall along the east; the chart counts along it and down."""
    return np.array(begins_m) + np.column_stack([chart[:, 0], 0 * chart[:, 0], -chart[:, 1]])


def anchored(lefts_m: list[float], begins_m: tuple[float, float, float], noise_m: float = 0.0, seed: int = 0) -> Anchor:
    """Views of a metre each that begin at ``lefts_m``, and whose positions are off by ``noise_m``."""
    rng, anchor = np.random.default_rng(seed), Anchor()
    for left in lefts_m:
        to_chart = np.array([[M_PER_PX, 0.0, left], [0.0, M_PER_PX, 0.0], [0.0, 0.0, 1.0]])
        points = on_wall(project(to_chart, CORNERS), begins_m) + rng.normal(0, noise_m, 3)
        anchor.add(replace(placed(0, 0), to_chart=to_chart, unit="m"), CORNERS, points, max(0.02, noise_m))
    return anchor


def crack_at(left_m: float) -> np.ndarray:
    return np.column_stack([np.linspace(left_m + 0.1, left_m + 0.9, 50), np.full(50, 0.3)])


@pytest.mark.parametrize("left_m", [0.0, 150.0, 3000.0])
@pytest.mark.parametrize("begins_m", [(0.0, 0.0, 0.0), (1000.0, 300.0, 50.0)])
def test_a_crack_far_from_where_the_flight_began_has_its_place_and_its_length(
    left_m: float, begins_m: tuple[float, float, float]
) -> None:
    anchor = anchored([left_m] * 6, begins_m)
    path_m = anchor.to_structure(crack_at(left_m))
    assert path_m is not None
    assert np.abs(path_m - on_wall(crack_at(left_m), begins_m)).max() < 1e-4
    assert anchor.length_mm(crack_at(left_m)) == pytest.approx(800.0)
    again = Anchor.of_all([Anchor.of(anchor.sums()), Anchor()]).to_structure(crack_at(left_m))
    assert np.array_equal(np.asarray(again), path_m)


def test_positions_that_are_good_to_half_a_metre_do_not_stretch_a_crack() -> None:
    for seed in range(20):
        anchor = anchored([0.0, 0.2, 0.4, 0.6, 0.8], (10.0, 5.0, 2.0), 0.5, seed)
        path_m = anchor.to_structure(crack_at(0.3))
        assert path_m is not None
        assert np.linalg.norm(path_m[-1] - path_m[0]) == pytest.approx(0.8, rel=0.03)
        middle = path_m.mean(axis=0) - on_wall(crack_at(0.3), (10.0, 5.0, 2.0)).mean(axis=0)
        assert np.abs(middle).max() < 3.5 * 0.5 / np.sqrt(5)


def test_positions_that_are_good_to_centimetres_tell_the_size_of_a_long_chart() -> None:
    """The range was 2 % short all the time: the chart is as long as it was flown, and no view is larger for it."""
    anchor = Anchor()
    for left in np.arange(0.0, 40.0, 0.4):
        to_chart = np.array([[M_PER_PX, 0.0, left], [0.0, M_PER_PX, 0.0], [0.0, 0.0, 1.0]])
        corners = on_wall(project(to_chart, CORNERS), (0.0, 0.0, 0.0))
        short = corners.mean(axis=0) + 0.98 * (corners - corners.mean(axis=0))
        anchor.add(replace(placed(0, 0), to_chart=to_chart, unit="m"), CORNERS, short, 0.02)
    both = anchor.to_structure(np.array([[0.5, 0.3], [39.5, 0.3]]))
    assert both is not None
    assert np.linalg.norm(both[1] - both[0]) == pytest.approx(39.0, abs=0.05)
