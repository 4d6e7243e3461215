"""What many views together say of a crack's width, against plain statistics."""

from __future__ import annotations

import numpy as np
import pytest

from edge.surface.record import CORRELATED, Widths


def test_views_count_by_precision_and_by_length_and_say_how_sure_they_are_together() -> None:
    """Truth from drawing the views again and again: their weighted means spread as far as is stated."""
    rng = np.random.default_rng(3)
    sigma, length = rng.uniform(0.05, 0.2, 40), rng.uniform(20, 400, 40)
    means, stated = [], 0.0
    for _ in range(800):
        widths = Widths()
        for value, one, px in zip(rng.normal(1.0, sigma), sigma, length, strict=True):
            widths.add(float(value), float(one), float(px))
        assert widths.mean is not None
        means.append(widths.mean[0])
        stated = float(np.sqrt(widths.square) / widths.weight)
    assert np.mean(means) == pytest.approx(1.0, abs=0.003)
    assert np.std(means) == pytest.approx(stated, rel=0.08)
    assert widths.mean[1] >= max(stated, CORRELATED * widths.best_share * widths.mean[0]) * (1 - 1e-9)


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
    assert widths.mean[0] == pytest.approx(1.2)


def test_two_lines_that_prove_to_be_one_know_what_all_their_views_said() -> None:
    rng, whole, parts = np.random.default_rng(1), Widths(), (Widths(), Widths())
    for i in range(20):
        value, sigma, length = rng.uniform(0.5, 2), rng.uniform(0.05, 0.3), rng.uniform(10, 300)
        for widths in (whole, parts[i % 2]):
            widths.add(value, sigma, length, sigma / 2, 0.3) if i % 3 else widths.bound(value, length, 0.3)
    parts[0].take(parts[1])
    assert parts[0].at_most == pytest.approx(whole.at_most)
    assert parts[0].mean == pytest.approx(whole.mean)
    for name in ("weight", "total", "square", "spread", "best_share", "stated_px", "bounded_px"):
        assert getattr(parts[0], name) == pytest.approx(getattr(whole, name)), name
