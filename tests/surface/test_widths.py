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
    assert widths.mean[1] == pytest.approx(max(stated, CORRELATED * sigma.min()))


def test_a_wide_rim_that_proved_to_belong_to_a_hairline_does_not_give_it_its_width() -> None:
    hairline, rim = Widths(), Widths()
    for _ in range(20):
        hairline.bound(0.4, 300.0)
    rim.add(5.4, 0.05, 40.0)
    hairline.take(rim)
    assert hairline.mean is None
    assert hairline.at_most == 0.4


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
            widths.add(value, sigma, length) if i % 3 else widths.bound(value, length)
    parts[0].take(parts[1])
    assert parts[0].at_most == whole.at_most
    for name in ("weight", "total", "square", "best_sigma", "stated_px", "bounded_px"):
        assert getattr(parts[0], name) == pytest.approx(getattr(whole, name)), name
