"""What many views together say of a crack's mean width, against plain statistics and against cracks of known shape."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge.cracks import Crack
from edge.surface import CrackSize
from edge.surface.lines import Line
from edge.surface.merging import append
from edge.surface.widths import Across, Along, along, readings, rescaled
from tests.surface.wall import crack

STEP = 5.0
UNIT = 1.0


def line(points: int, number: int = 1, left: float = 0.0) -> Line:
    xy = np.column_stack([left + STEP * np.arange(points), np.zeros(points)])
    ones = np.ones(points, np.int32)
    return Line(number, 1, STEP, xy, ones, ones.copy(), ones.copy())


def view(width_px: float | np.ndarray, sigma_px: float | None = 0.1, at_most_px: float | None = None) -> Crack:
    """One view of a crack, as wide as it is read at each of its points."""
    one = crack(np.column_stack([STEP * np.arange(50.0), np.zeros(50)]), 0.9)
    wide = np.broadcast_to(np.asarray(width_px, np.float32), (50,)).copy()
    return replace(one, width_px=wide, width_sigma_px=sigma_px, width_at_most_px=at_most_px)


def see(on: Line, first: int, last: int, one: Crack, size: CrackSize | None = None, unit_per_px: float = UNIT) -> None:
    """A view that shows the points from ``first`` to before ``last``."""
    nodes = np.arange(first, last)
    on.see(nodes, on.xy[nodes], read=readings(one, size, last - first, unit_per_px))


def found(on: Line) -> Along:
    """What is known along the line."""
    one = along(on)
    assert one is not None
    return one


def test_a_part_that_many_views_show_counts_no_more_than_it_is_long() -> None:
    """Half of a crack is 4 px wide and half 2 px; the wide half was looked at ten times as often."""
    both = line(100)
    for _ in range(20):
        see(both, 0, 50, view(4.0))
    for _ in range(2):
        see(both, 50, 100, view(2.0))
    assert found(both).mean == pytest.approx(3.0)
    assert found(both).measured == 1.0


def test_the_widths_of_an_arm_go_with_it_to_the_crack_that_it_is_given_to() -> None:
    """A trunk of 6 px, whose first views ran into the branch of 2 px: cut at the fork, each has its own width."""
    first = line(100)
    for _ in range(5):
        see(first, 0, 60, view(6.0))
        see(first, 60, 100, view(2.0))
    branch = first.cut(59, 2)
    assert found(first).mean == pytest.approx(6.0)
    assert found(branch).mean == pytest.approx(2.0)
    other = line(40, 3, left=60 * STEP)
    see(other, 0, 40, view(4.0))
    assert append(first, other, 36.0)
    assert found(first).mean == pytest.approx((60 * 6 + 40 * 4) / 100, rel=0.01)
    assert found(first.reversed()).mean == pytest.approx(found(first).mean)


def test_a_gap_that_no_view_showed_is_not_zero_wide() -> None:
    older, younger = line(40), line(40, 2, left=48 * STEP)
    for one in (older, younger):
        see(one, 0, 40, view(3.0))
    assert append(older, younger, 60.0)
    assert len(older.xy) > 85
    assert found(older).mean == pytest.approx(3.0)
    assert along(line(10)) is None


@pytest.mark.parametrize("shared", [False, True])
def test_the_interval_of_the_mean_holds(shared: bool) -> None:
    """Truth from drawing flights again and again, with errors that each view has, or that all of them share."""
    rng = np.random.default_rng(3)
    sigma = rng.uniform(0.05, 0.2, 12)
    means, hold = [], 0
    for _ in range(200):
        one = line(60)
        errors = sigma * (rng.normal() if shared else rng.normal(size=12))
        for number, (error, own) in enumerate(zip(errors, sigma, strict=True)):
            see(one, 4 * number, 4 * number + 16, view(3.0 + float(error), float(own)))
        means.append(found(one).mean)
        hold += abs(found(one).mean - 3.0) <= 1.96 * found(one).sigma
    assert np.mean(means) == pytest.approx(3.0, abs=0.02)
    assert 0.92 <= hold / 200 <= (0.98 if shared else 1.0)


def test_a_sure_view_counts_more_than_an_unsure_one_and_a_near_one_more_than_one_from_afar() -> None:
    one = line(50)
    see(one, 0, 50, view(3.0, 0.1))
    see(one, 0, 50, view(4.0, 0.3))
    assert found(one).mean == pytest.approx((3.0 * 100 + 4.0 * 100 / 9) / (100 + 100 / 9))
    one = line(50)
    see(one, 0, 50, view(6.0, 0.1), unit_per_px=0.5)  # 3 units wide from half the distance
    see(one, 0, 50, view(3.5, 0.1))
    assert found(one).mean == pytest.approx((3.0 * 4 + 3.5) / 5)
    one = line(50)
    see(one, 0, 50, view(3.0, None))
    assert found(one).sigma == pytest.approx(1.0), "the mask's edge is good to a pixel"


def test_a_width_below_what_the_picture_resolves_is_no_more_than_a_bound() -> None:
    """Read as 1.4 +- 0.2 px, at most 1.8: of such cracks the true width is below what is read."""
    one = line(50)
    for _ in range(10):
        see(one, 0, 50, view(1.4, 0.2, 1.8))
    assert found(one).measured == 0.0
    assert found(one).at_most == pytest.approx(1.8)
    assert found(one).mean == pytest.approx(1.2)
    mixed = line(100)
    see(mixed, 0, 60, view(3.0, 0.1))
    see(mixed, 60, 100, view(1.4, 0.2, 1.8))
    assert found(mixed).measured == pytest.approx(0.6)
    assert found(mixed).mean == pytest.approx(0.6 * 3.0 + 0.4 * 1.2)
    assert found(mixed).at_most == pytest.approx(0.6 * (3.0 + 0.1645) + 0.4 * 1.8)


def test_a_taper_is_bounded_where_it_is_narrow_too() -> None:
    """From 2 to 0 px with a bound of 1.4 px for its mean: the narrow half alone has a lower bound."""
    one = line(50)
    see(one, 0, 50, view(np.linspace(2, 0, 50), 0.2, 1.4))
    assert found(one).at_most == pytest.approx(1.4, abs=0.02)
    half = one.part(slice(25, 50), 2)
    assert found(half).at_most == pytest.approx(0.9, abs=0.03)


def size(
    across: float, relative: float = 0.0, width_px: float | None = None, at_most_px: float | None = None
) -> CrackSize:
    """Of a crack across which a pixel is so many millimetres: a width, or a bound as `scale` makes it."""
    width = None if width_px is None else across * width_px
    bound = None if at_most_px is None else across * at_most_px * (1 + 2 * relative)
    sigma = None if width is None else 0.1
    return CrackSize(0.5, 100.0, width, sigma, bound, None, across, relative, relative)


def test_millimetres_from_the_scale_of_the_views_that_know_it() -> None:
    one, scale = line(50), Across()
    for across in (0.49, 0.51):
        see(one, 0, 50, view(4.0))
        scale.add(view(4.0), size(across, 0.03, 4.0), UNIT)
    width, sigma, at_most = scale.millimetres(found(one)) or (0.0, 0.0, 0.0)
    assert width == pytest.approx(2.0, abs=1e-3)
    assert sigma == pytest.approx(np.hypot(0.1 * 0.5, 0.03 * 2.0), rel=1e-3)
    assert at_most > 2.0 + 1.645 * sigma
    scale.add(view(4.0), size(5.0, 1.3, 4.0), UNIT)
    assert (scale.millimetres(found(one)) or (0.0,))[0] == pytest.approx(2.0, rel=0.06), "a scale that is not known"
    assert Across().millimetres(found(one)) is None


@pytest.mark.parametrize(("across", "relative"), [(0.5, 0.0), (0.8, 0.05), (2.1, 0.1)])
def test_a_bound_in_millimetres_counts_the_tilt_and_the_doubt_of_the_scale(across: float, relative: float) -> None:
    """Seen at an angle a pixel across the crack is more of it than one across the optical axis."""
    one, scale, bounded = line(50), Across(), view(1.4, 0.2, 1.8)
    see(one, 0, 50, bounded, size(across, relative, at_most_px=1.8))
    scale.add(bounded, size(across, relative, at_most_px=1.8), UNIT)
    assert found(one).measured == 0.0
    at_most = (scale.millimetres(found(one)) or (0.0, 0.0, 0.0))[2]
    assert at_most == pytest.approx(1.8 * across * (1 + 1.645 * relative))
    resolved = view(1.9, 0.05)  # by the picture, but narrower than ``[scale] min_width_px``
    one = line(50)
    see(one, 0, 50, resolved, size(across, relative, at_most_px=2.2))
    assert found(one).measured == 0.0
    assert found(one).at_most == pytest.approx(2.2)


def test_parts_that_prove_to_be_one_and_charts_of_another_unit_keep_their_millimetres() -> None:
    whole, parts, one = Across(), (Across(), Across()), line(50)
    rng = np.random.default_rng(1)
    for number in range(20):
        seen = view(float(rng.uniform(2, 5)))
        sized = size(float(rng.uniform(0.4, 0.6)), float(rng.uniform(0.01, 0.1)), 3.0)
        see(one, 0, 50, seen)
        for scale in (whole, parts[number % 2]):
            scale.add(seen, sized, UNIT)
    parts[0].take(parts[1])
    before = whole.millimetres(found(one))
    assert parts[0].millimetres(found(one)) == pytest.approx(before)
    one.read = rescaled(one.read, 0.0005)
    parts[0].rescale(0.0005)
    assert parts[0].millimetres(found(one)) == pytest.approx(before, rel=1e-4)


def test_what_was_read_stays_where_it_was_read_through_many_views() -> None:
    """Half of a crack is 1 px wide and half 5 px; each view draws its points, and the line is spaced anew."""
    rng, one = np.random.default_rng(2), line(200)
    wide = np.repeat([1.0, 5.0], 100)
    for _ in range(60):
        nodes = np.arange(len(one.xy))
        step = np.interp(one.xy[:, 0], STEP * np.arange(200.0), wide)
        read = readings(view(3.0), None, len(nodes), UNIT)
        read[:, 2:4] = (read[:, 1] * step)[:, None]
        one.see(nodes, one.xy + rng.normal(0, 1.0, one.xy.shape), read=read)
        one.tidy()
    assert found(one).mean == pytest.approx(3.0, abs=0.1)
    value = one.read[:, 2] / one.read[:, 1]
    edge = float(np.interp(3.0, value, one.xy[:, 0]))
    assert edge == pytest.approx(100 * STEP, abs=4 * STEP), "readings do not creep along the line"
