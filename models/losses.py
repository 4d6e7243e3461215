"""Training losses on logits: cross-entropy, Dice, Tversky and soft clDice, and their weighted sum.

Every term works on planes (batch, H, W, classes): `label` and `score` in 0..1, `weight` of each label in 0..1 (less
than 1 where the annotator's edge is uncertain, 0 where nobody knows). All sums run over the whole batch, class by
class, and classes are averaged: a false alarm on a crack-free picture then costs as much as one beside a crack; a
per-picture Dice is blind there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

EPSILON = 1.0
"""Added above and below each ratio, in pixels: an empty batch is perfect, and no division by zero."""

_SUMS = (0, 1, 2)


def crack_loss(
    bce: float = 1.0,
    dice: float = 1.0,
    tversky: float = 0.0,
    cl_dice: float = 0.0,
    teacher: float = 0.0,
    *,
    tversky_false_positives: float = 0.3,
    tversky_false_negatives: float = 0.7,
    cl_dice_iterations: int = 5,
    shuffle: int = 1,
    classes: int = 1,
) -> Callable[[Any, Any], Any]:
    """Return a Keras loss, the weighted sum of the terms of this module.

    Logits are (batch, h, w, classes * shuffle ** 2) in the channel order of `models.unet`. The target holds, each in
    that order: the labels, the weights of the labels and, where `teacher` is not 0, the scores of a teacher. The
    distillation term is the cross-entropy to those scores (Hinton et al. 2015, at temperature 1), on every pixel.
    """

    def loss(target: Any, logits: Any) -> Any:
        from keras import ops

        parts = ops.split(target, 3 if teacher else 2, axis=-1)
        planes = [to_planes(ops.cast(one, "float32"), shuffle, classes) for one in (logits, *parts)]
        raw, label, weight = planes[:3]
        score = ops.sigmoid(raw)
        total = bce * cross_entropy(label, weight, raw) + dice * dice_loss(label, weight, score)
        if tversky:
            error = tversky_loss(label, weight, score, tversky_false_positives, tversky_false_negatives)
            total = total + tversky * error
        if cl_dice:
            total = total + cl_dice * cl_dice_loss(label, weight, score, cl_dice_iterations)
        if teacher:
            total = total + teacher * cross_entropy(planes[3], ops.ones_like(weight), raw)
        return total

    return loss


def to_planes(cells: Any, shuffle: int, classes: int) -> Any:
    """Depth to space: (batch, h, w, classes * shuffle ** 2) to (batch, h * shuffle, w * shuffle, classes)."""
    from keras import ops

    if shuffle == 1:
        return cells
    _, rows, columns, _ = cells.shape
    split = ops.reshape(cells, (-1, rows, columns, classes, shuffle, shuffle))
    return ops.reshape(ops.transpose(split, (0, 1, 4, 2, 5, 3)), (-1, rows * shuffle, columns * shuffle, classes))


def cross_entropy(label: Any, weight: Any, logits: Any) -> Any:
    """Binary cross-entropy, weighted mean over all pixels and classes."""
    from keras import ops

    # log(1 + exp(-|x|)) keeps the exponential bounded
    entropy = ops.relu(logits) - logits * label + ops.log1p(ops.exp(-ops.abs(logits)))
    return ops.sum(weight * entropy) / (ops.sum(weight) + EPSILON)


def dice_loss(label: Any, weight: Any, score: Any) -> Any:
    """1 - 2 |S L| / (|S| + |L|), soft Dice.

    With plain sums below the line as Sudre et al. 2017 (DLMIA); Milletari et al. 2016 (V-Net) square them.
    """
    from keras import ops

    both = ops.sum(weight * score * label, _SUMS)
    either = ops.sum(weight * score, _SUMS) + ops.sum(weight * label, _SUMS)
    return ops.mean(1.0 - (2.0 * both + EPSILON) / (either + EPSILON))


def tversky_loss(label: Any, weight: Any, score: Any, false_positives: float, false_negatives: float) -> Any:
    """1 - TP / (TP + a FP + b FN) with soft counts (Salehi et al. 2017, MLMI); a = b = 0.5 is Dice.

    `false_positives` is a and `false_negatives` is b (theirs alpha and beta); more b than a finds more thin cracks and
    raises more false alarms.
    """
    from keras import ops

    hit = ops.sum(weight * score * label, _SUMS)
    alarm = ops.sum(weight * score * (1.0 - label), _SUMS)
    missed = ops.sum(weight * (1.0 - score) * label, _SUMS)
    return ops.mean(1.0 - (hit + EPSILON) / (hit + false_positives * alarm + false_negatives * missed + EPSILON))


def cl_dice_loss(label: Any, weight: Any, score: Any, iterations: int) -> Any:
    """1 - 2 P R / (P + R), the soft clDice of Shit et al. 2021 (CVPR).

    P is the share of the predicted soft skeleton that lies in the label, R the share of the label's soft skeleton that
    lies in the prediction: a crack that is interrupted costs what is missing of its length, whatever its width.
    Pixels of weight 0 are taken out of score and label before the skeletons are made.
    """
    from keras import ops

    known = ops.cast(weight > 0, "float32")
    score, label = score * known, label * known
    line, true_line = soft_skeleton(score, iterations), soft_skeleton(label, iterations)
    p = (ops.sum(line * label, _SUMS) + EPSILON) / (ops.sum(line, _SUMS) + EPSILON)
    r = (ops.sum(true_line * score, _SUMS) + EPSILON) / (ops.sum(true_line, _SUMS) + EPSILON)
    return ops.mean(1.0 - 2.0 * p * r / (p + r))


def soft_skeleton(planes: Any, iterations: int) -> Any:
    """Soft skeleton of (batch, H, W, classes) in 0..1: Algorithm 1 of Shit et al. 2021.

    `iterations` must reach half the width of the widest crack. Erosion is the minimum over a 3x3 cross, dilation the
    maximum over a 3x3 square; what lies outside the picture counts for neither.
    """
    from keras import ops

    def opened(x: Any) -> Any:
        return _dilate(_erode(x))

    skeleton = ops.relu(planes - opened(planes))
    for _ in range(iterations):
        planes = _erode(planes)
        fresh = ops.relu(planes - opened(planes))
        skeleton = skeleton + ops.relu(fresh - skeleton * fresh)
    return skeleton


def _erode(x: Any) -> Any:
    from keras import ops

    upright = -ops.max_pool(-x, (3, 1), 1, padding="same")
    level = -ops.max_pool(-x, (1, 3), 1, padding="same")
    return ops.minimum(upright, level)


def _dilate(x: Any) -> Any:
    from keras import ops

    return ops.max_pool(x, (3, 3), 1, padding="same")
