"""What many views together say of a crack's width, against plain statistics."""

from __future__ import annotations

import numpy as np
import pytest

from edge.surface.record import Widths


def held(widths: Widths, truth: float) -> bool:
    assert widths.mean is not None
    value, sigma = widths.mean
    return abs(value - truth) <= 1.96 * sigma


@pytest.mark.parametrize("shared", [False, True])
def test_views_count_by_precision_and_by_length_and_their_interval_holds(shared: bool) -> None:
    """Truth from drawing flights again and again, with errors that each view has, or that all of them share."""
    rng = np.random.default_rng(3)
    sigma, length = rng.uniform(0.05, 0.2, 40), rng.uniform(20, 400, 40)
    means, hold = [], 0
    for _ in range(800):
        widths = Widths()
        errors = sigma * (rng.normal() if shared else rng.normal(size=40))
        for error, one, px in zip(errors, sigma, length, strict=True):
            widths.add(1.0 + float(error), float(one), float(px))
        assert widths.mean is not None
        means.append(widths.mean[0])
        hold += held(widths, 1.0)
    assert np.mean(means) == pytest.approx(1.0, abs=0.01)
    assert 0.94 <= hold / 800 <= (0.975 if shared else 1.0)


def test_what_was_only_bounded_does_not_leave_the_wide_rest_alone() -> None:
    """Two fifths of the crack are as narrow as they like, below 0.8 mm: measured parts alone would say 1 mm."""
    rng = np.random.default_rng(5)
    errors, hold = [], 0
    for _ in range(800):
        widths, narrow = Widths(), rng.uniform(0, 0.8)
        for _view in range(6):
            widths.add(1.0 + float(rng.normal(0, 0.02)), 0.02, 300.0)
            widths.bound(0.8, 200.0)
        truth = 0.6 * 1.0 + 0.4 * narrow
        assert widths.mean is not None
        errors.append(widths.mean[0] - truth)
        hold += held(widths, truth)
    assert abs(np.mean(errors)) < 0.01
    assert hold / 800 >= 0.95


def test_a_crack_that_is_wider_in_one_half_has_the_mean_of_both() -> None:
    """Range and lens are known to 6 %, reading to 0.01 mm: the wide half is less sure, and as long."""
    widths = Widths()
    for value in (0.5, 1.0) * 20:
        widths.add(value, float(np.hypot(0.06 * value, 0.01)), 400.0, 0.01)
    assert widths.mean is not None
    assert widths.mean[0] == pytest.approx(0.75)
    two = Widths()
    for value in (0.5, 1.0):
        two.add(value, float(np.hypot(0.06 * value, 0.01)), 400.0, 0.01)
    assert two.mean is not None
    assert two.mean[0] - two.mean[1] < 0.75 - 0.15, "two parts that differ so much do not make a sure mean"


def test_the_bound_of_a_crack_holds_as_often_as_its_views_bounds() -> None:
    """Truth from drawing: bounds that each hold in 19 of 20 views; the least of 20 holds in one flight of three."""
    rng = np.random.default_rng(0)
    below = 0
    for _ in range(500):
        widths = Widths()
        for error in rng.normal(0, 0.1, 20):
            widths.bound(1.8 + float(error) + 1.645 * 0.1, 300.0)
        assert widths.at_most is not None
        below += widths.at_most < 1.8
    assert below <= 0.05 * 500


def test_one_short_hairline_does_not_bound_the_wide_rest() -> None:
    narrow = Widths()
    narrow.bound(0.15, 24.0)
    for _ in range(30):
        narrow.bound(0.4, 600.0)
    assert narrow.at_most == pytest.approx(0.4, abs=0.002)
    half = Widths()
    half.add(1.0, 0.05, 90.0)
    half.bound(0.2, 110.0)
    assert half.mean is None
    assert half.at_most is not None
    assert half.at_most > 0.45, "90 px of 1 mm make a mean of 0.45 mm, were the rest as thin as nothing"


def test_a_thin_part_that_was_seen_from_near_is_no_more_of_the_crack_than_it_is_long() -> None:
    """150 mm of 1.2 mm from afar, 50 mm of 0.2 mm from half the distance, of which a bound of 0.45 mm is known."""
    widths = Widths()
    for _ in range(10):
        widths.add(1.2, 0.08, 300.0, 0.05, 0.5)
        widths.bound(0.45, 200.0, 0.25)
    truth = (150 * 1.2 + 50 * 0.2) / 200
    assert held(widths, truth)
    assert widths.at_most is not None
    assert truth <= widths.at_most < 1.2


def test_views_from_near_count_more_than_those_from_far() -> None:
    widths = Widths()
    widths.bound(0.2, 400.0, 0.1)
    widths.bound(2.0, 400.0, 1.0)
    assert widths.at_most == pytest.approx((0.2 * 100 + 2.0) / 101)


def test_a_wide_rim_that_proved_to_belong_to_a_hairline_does_not_give_it_its_width() -> None:
    hairline, rim = Widths(), Widths()
    for _ in range(20):
        hairline.bound(0.4, 300.0)
    rim.add(5.4, 0.05, 40.0)
    hairline.take(rim)
    assert hairline.mean is None
    assert hairline.at_most == pytest.approx(0.4, rel=0.1)


def test_a_crack_that_was_mostly_measured_has_a_width_although_some_views_gave_a_bound() -> None:
    widths = Widths()
    widths.bound(1.4, 100.0)
    for _ in range(3):
        widths.add(1.2, 0.1, 200.0)
    assert widths.mean is not None
    assert widths.mean[0] == pytest.approx((600 * 1.2 + 100 * 0.7) / 700)


def test_two_lines_that_prove_to_be_one_know_what_all_their_views_said() -> None:
    rng, whole, parts = np.random.default_rng(1), Widths(), (Widths(), Widths())
    for i in range(20):
        value, sigma, length = rng.uniform(0.5, 2), rng.uniform(0.05, 0.3), rng.uniform(10, 300)
        for widths in (whole, parts[i % 2]):
            widths.add(value, sigma, length, sigma / 2, 0.3) if i % 3 else widths.bound(value, length, 0.3)
    parts[0].take(parts[1])
    assert parts[0].at_most == pytest.approx(whole.at_most)
    assert parts[0].mean == pytest.approx(whole.mean)
    for name in ("weight", "total", "doubt", "spread", "upper_weight", "bound_weight", "stated", "bounded"):
        assert getattr(parts[0], name) == pytest.approx(getattr(whole, name)), name
