"""Metrics against slow loops and against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models import metrics


def near(point, mask, radius):
    """Any mask pixel within `radius`, by looking at every one of them."""
    return any((point[0] - y) ** 2 + (point[1] - x) ** 2 <= radius**2 for y, x in np.argwhere(mask))


def oracle(predicted, truth):
    """All scores by loops over pixels, sharing nothing with the code under test but the thinning."""
    p, t = [list(map(tuple, np.argwhere(mask))) for mask in (predicted, truth)]
    tp = len(set(p) & set(t))
    found = {
        "precision": tp / len(p) if p else 0.0,
        "recall": tp / len(t) if t else 0.0,
        "iou": tp / len(set(p) | set(t)) if p or t else 0.0,
        "f1": 2 * tp / (len(p) + len(t)) if p or t else 0.0,
    }
    found["dice"] = found["f1"]
    p2 = sum(near(one, truth, 2) for one in p) / len(p) if p else 0.0
    r2 = sum(near(one, predicted, 2) for one in t) / len(t) if t else 0.0
    found["f1_2px"] = 2 * p2 * r2 / (p2 + r2) if p2 + r2 else 0.0
    line, true_line = metrics.centreline(predicted), metrics.centreline(truth)
    hit = sum(near(one, line, 4) for one in np.argwhere(true_line))
    wrong = sum(not near(one, true_line, 4) for one in np.argwhere(line))
    union = int(true_line.sum()) + wrong
    found["cl_iou_4px"] = hit / union if union else 0.0
    return found


masks = arrays(np.bool_, (12, 14), elements=st.booleans(), fill=st.just(False))


@settings(max_examples=60, deadline=None)
@given(masks, masks)
def test_scores_agree_with_loops(predicted, truth):
    table = metrics._table([metrics.count(predicted, truth)])[0]
    for name, expected in oracle(predicted, truth).items():
        assert float(metrics.POOLED[name](table)) == pytest.approx(expected), name


def bar(top, bottom, width=40, height=30):
    mask = np.zeros((height, width), bool)
    mask[top:bottom] = True
    return mask


def test_hand_worked_case():
    # truth: rows 10-13 (160 px), prediction: rows 12-15 (160 px), 80 in common; all within 2 px of the other
    truth, predicted = bar(10, 14), bar(12, 16)
    scores = metrics.report([metrics.count(predicted, truth)])["pooled"]
    assert scores["precision"]["value"] == 0.5
    assert scores["recall"]["value"] == 0.5
    assert scores["f1"]["value"] == scores["dice"]["value"] == 0.5
    assert scores["iou"]["value"] == pytest.approx(1 / 3, abs=1e-4)
    assert scores["f1_2px"]["value"] == 1.0
    assert scores["cl_iou_4px"]["value"] == 1.0


def test_centreline_five_pixels_off_is_wrong():
    truth, predicted = bar(10, 11), bar(15, 16)
    scores = metrics.report([metrics.count(predicted, truth)])["pooled"]
    assert scores["cl_iou_4px"]["value"] == 0.0
    assert metrics.report([metrics.count(bar(14, 15), truth)])["pooled"]["cl_iou_4px"]["value"] == 1.0


def test_pooled_and_per_image_differ_as_defined():
    # a picture of 400 crack pixels, all found, and one of 40, none found
    big = metrics.count(bar(0, 10), bar(0, 10))
    small = metrics.count(bar(0, 0), bar(20, 21))
    found = metrics.report([big, small])
    assert found["pooled"]["recall"]["value"] == pytest.approx(400 / 440, abs=1e-4)
    assert found["per_image"]["recall"]["value"] == 0.5
    assert found["images"] == 2
    assert found["pixels"] == 2 * 30 * 40


def test_empty_masks_do_not_count_per_image_but_their_false_alarms_do_when_pooled():
    cracked = metrics.count(bar(0, 2), bar(0, 2))
    false_alarm = metrics.count(bar(5, 7), bar(0, 0))
    found = metrics.report([cracked, false_alarm])
    assert found["per_image"]["precision"]["value"] == 1.0
    assert found["pooled"]["precision"]["value"] == 0.5


def test_no_crack_anywhere_gives_null_not_zero():
    found = metrics.report([metrics.count(bar(0, 0), bar(0, 0))])
    assert found["pooled"] is None
    assert found["per_image"] is None


def test_crack_free_counts_pixels_and_blobs():
    lone = bar(0, 0)
    lone[3, 3] = True
    scattered = bar(0, 0)
    scattered[::2, ::2] = True  # 300 pixels, no two connected
    counts = [metrics.count(mask, bar(0, 0)) for mask in (bar(0, 0), lone, scattered, bar(4, 7))]
    found = metrics.report_crack_free(counts)
    assert (found["images"], found["fires"], found["fires_blob"]) == (4, 3, 1)
    assert found["share"]["value"] == 0.75


def test_interval_holds_the_value_and_narrows_with_more_pictures():
    rng = np.random.default_rng(3)
    counts = [metrics.count(rng.random((20, 20)) < 0.3, rng.random((20, 20)) < 0.3) for _ in range(80)]
    few, many = (metrics.report(part)["pooled"]["f1"] for part in (counts[:8], counts))
    assert few["low"] <= few["value"] <= few["high"]
    assert many["high"] - many["low"] < few["high"] - few["low"]


def test_masks_of_different_size_are_refused():
    with pytest.raises(ValueError, match=r"\(30, 40\).*\(30, 41\)"):
        metrics.count(bar(0, 1), bar(0, 1, width=41))
