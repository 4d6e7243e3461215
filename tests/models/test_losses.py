"""Losses against slow loops in float64 and against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")

from models import losses  # noqa: E402


def tensors(*arrays):
    return [keras.ops.convert_to_tensor(np.asarray(array, np.float32)) for array in arrays]


def sigmoid(logits):
    return 1 / (1 + np.exp(-np.asarray(logits, np.float64)))


def pixels(label, weight, score, index):
    """All pixels of one class as (label, weight, score)."""
    batch, height, width, _ = label.shape
    for n in range(batch):
        for y in range(height):
            for x in range(width):
                yield float(label[n, y, x, index]), float(weight[n, y, x, index]), float(score[n, y, x, index])


def oracle_entropy(label, weight, score):
    total = whole = 0.0
    for index in range(label.shape[-1]):
        for truth, w, s in pixels(label, weight, score, index):
            total -= w * (truth * np.log(s) + (1 - truth) * np.log(1 - s))
            whole += w
    return total / (whole + 1)


def oracle_dice(label, weight, score):
    found = []
    for index in range(label.shape[-1]):
        both = either = 0.0
        for truth, w, s in pixels(label, weight, score, index):
            both += w * s * truth
            either += w * (s + truth)
        found.append(1 - (2 * both + 1) / (either + 1))
    return float(np.mean(found))


def oracle_tversky(label, weight, score, a, b):
    found = []
    for index in range(label.shape[-1]):
        hit = alarm = missed = 0.0
        for truth, w, s in pixels(label, weight, score, index):
            hit, alarm, missed = hit + w * s * truth, alarm + w * s * (1 - truth), missed + w * (1 - s) * truth
        found.append(1 - (hit + 1) / (hit + a * alarm + b * missed + 1))
    return float(np.mean(found))


def around(plane, y, x, shape):
    reach = {"cross": [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)]}
    steps = reach.get(shape, [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    height, width = plane.shape
    return [plane[y + dy, x + dx] for dy, dx in steps if 0 <= y + dy < height and 0 <= x + dx < width]


def each_pixel(plane, rule, shape):
    return np.array([[rule(around(plane, y, x, shape)) for x in range(plane.shape[1])] for y in range(plane.shape[0])])


def oracle_skeleton(plane, iterations):
    """Algorithm 1 of Shit et al. 2021 on one plane (H, W)."""

    def opened(p):
        return each_pixel(each_pixel(p, min, "cross"), max, "square")

    skeleton = np.maximum(plane - opened(plane), 0)
    for _ in range(iterations):
        plane = each_pixel(plane, min, "cross")
        skeleton = skeleton + (1 - skeleton) * np.maximum(plane - opened(plane), 0)
    return skeleton


def oracle_cl_dice(label, weight, score, iterations):
    found = []
    for index in range(label.shape[-1]):
        sums = np.zeros(4)
        for n in range(len(label)):
            known = weight[n, ..., index] > 0
            truth, seen = label[n, ..., index] * known, score[n, ..., index] * known
            line, true_line = oracle_skeleton(seen, iterations), oracle_skeleton(truth, iterations)
            sums += [(line * truth).sum(), line.sum(), (true_line * seen).sum(), true_line.sum()]
        p, r = (sums[0] + 1) / (sums[1] + 1), (sums[2] + 1) / (sums[3] + 1)
        found.append(1 - 2 * p * r / (p + r))
    return float(np.mean(found))


@pytest.fixture
def case():
    """Random planes of two classes; some weights are 0."""
    rng = np.random.default_rng(0)
    label = (rng.random((2, 9, 7, 2)) < 0.3).astype(np.float32)
    weight = np.where(rng.random(label.shape) < 0.2, 0, rng.random(label.shape)).astype(np.float32)
    return label, weight, rng.normal(0, 3, label.shape).astype(np.float32)


def test_each_term_agrees_with_its_oracle(case):
    label, weight, logits = case
    score = sigmoid(logits)
    t_label, t_weight, t_logits, t_score = tensors(label, weight, logits, score)
    close = {"rel": 1e-4, "abs": 1e-6}
    assert float(losses.cross_entropy(t_label, t_weight, t_logits)) == pytest.approx(
        oracle_entropy(label, weight, score), **close
    )
    assert float(losses.dice_loss(t_label, t_weight, t_score)) == pytest.approx(
        oracle_dice(label, weight, score), **close
    )
    assert float(losses.tversky_loss(t_label, t_weight, t_score, 0.2, 0.9)) == pytest.approx(
        oracle_tversky(label, weight, score, 0.2, 0.9), **close
    )
    assert float(losses.cl_dice_loss(t_label, t_weight, t_score, 2)) == pytest.approx(
        oracle_cl_dice(label, weight, score, 2), **close
    )


def test_terms_are_added_with_their_weights(case):
    label, weight, logits = case
    score, teacher = sigmoid(logits), np.full(label.shape, 0.3, np.float32)
    target, raw = tensors(np.concatenate([label, weight, teacher], -1), logits)
    loss = losses.crack_loss(
        1.5,
        0.7,
        0.4,
        0.2,
        0.6,
        tversky_false_positives=0.2,
        tversky_false_negatives=0.9,
        cl_dice_iterations=1,
        classes=2,
    )
    wanted = (
        1.5 * oracle_entropy(label, weight, score)
        + 0.7 * oracle_dice(label, weight, score)
        + 0.4 * oracle_tversky(label, weight, score, 0.2, 0.9)
        + 0.2 * oracle_cl_dice(label, weight, score, 1)
        + 0.6 * oracle_entropy(teacher, np.ones_like(weight), score)
    )
    assert float(loss(target, raw)) == pytest.approx(wanted, rel=1e-4)


def test_tversky_by_hand_and_as_dice():
    """Hit 2, false 1, missed 3: (2 + 1) / (2 + 0.3 + 2.1 + 1) with a = 0.3, b = 0.7."""
    label, score = np.array([1, 1, 0, 1, 1, 1, 0, 0.0]), np.array([1, 1, 1, 0, 0, 0, 0, 0.0])
    planes = tensors(label.reshape(1, 2, 4, 1), np.ones((1, 2, 4, 1)), score.reshape(1, 2, 4, 1))
    assert float(losses.tversky_loss(*planes, 0.3, 0.7)) == pytest.approx(1 - 3 / 5.4, rel=1e-5)
    half = float(losses.tversky_loss(*planes, 0.5, 0.5))
    assert half == pytest.approx(1 - 3 / (2 + 2 + 1), rel=1e-5)
    assert float(losses.dice_loss(*planes)) == pytest.approx(1 - (2 * 2 + 1) / (3 + 5 + 1), rel=1e-5)


def test_skeleton_of_a_bar_is_its_middle_line():
    bar = np.zeros((1, 7, 20, 1))
    bar[0, 2:5] = 1
    found = np.asarray(losses.soft_skeleton(*tensors(bar), 3))[0, ..., 0]
    assert found[3].tolist() == [1.0] * 20
    assert found[[0, 1, 2, 4, 5, 6]].sum() == 0


def test_cl_dice_counts_length_not_width():
    """The label is 3 px wide and 20 long; a trace 1 px wide is perfect but for the missing half of its length."""
    label, whole, half = np.zeros((3, 1, 7, 20, 1))
    label[0, 2:5], whole[0, 3], half[0, 3, :10] = 1, 1, 1
    ones = np.ones_like(label)
    assert float(losses.cl_dice_loss(*tensors(label, ones, whole), 3)) == pytest.approx(0, abs=1e-6)
    p, r = 1.0, (10 + 1) / (20 + 1)
    assert float(losses.cl_dice_loss(*tensors(label, ones, half), 3)) == pytest.approx(
        1 - 2 * p * r / (p + r), rel=1e-5
    )


def test_planes_follow_the_channel_order_of_the_networks():
    cells = np.random.default_rng(1).random((2, 3, 5, 2 * 4)).astype(np.float32)
    planes = np.asarray(losses.to_planes(*tensors(cells), 2, 2))
    assert planes.shape == (2, 6, 10, 2)
    for index, y, x in np.ndindex(2, 6, 10):
        assert planes[1, y, x, index] == cells[1, y // 2, x // 2, (index * 2 + y % 2) * 2 + x % 2]


def test_labels_of_weight_zero_are_not_seen():
    label = np.zeros((1, 4, 4, 1), np.float32)
    weight = np.ones_like(label)
    weight[0, 0, 0] = 0
    quiet = np.full_like(label, -4.0)
    loud = quiet.copy()
    loud[0, 0, 0] = 9.0
    target = tensors(np.concatenate([label, weight], -1))[0]
    loss = losses.crack_loss(tversky=1.0, cl_dice=1.0, cl_dice_iterations=1)
    assert float(loss(target, *tensors(quiet))) == pytest.approx(float(loss(target, *tensors(loud))), rel=1e-5)
