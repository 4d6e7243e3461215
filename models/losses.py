"""Training loss: weighted binary cross-entropy plus soft Dice pooled over the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def crack_loss(bce_weight: float = 1.0, dice_weight: float = 1.0) -> Callable[[Any, Any], Any]:
    """Return a Keras loss on logits.

    The target has twice the channels of the logits: labels 0..1 first, then the weight of each label (less than 1 where
    the annotator's edge is uncertain). Dice (Milletari et al. 2016, V-Net) is pooled over the whole batch, so that a
    false alarm on a crack-free picture costs as much as one beside a crack; a per-picture Dice is blind there.
    """

    def loss(target: Any, logits: Any) -> Any:
        from keras import ops

        label, weight = ops.split(target, 2, axis=-1)
        # log(1 + exp(-|x|)) keeps the exponential bounded
        entropy = ops.relu(logits) - logits * label + ops.log1p(ops.exp(-ops.abs(logits)))
        bce = ops.sum(weight * entropy) / (ops.sum(weight) + 1.0)
        score = ops.sigmoid(logits)
        both = ops.sum(weight * score * label)
        either = ops.sum(weight * score) + ops.sum(weight * label)
        dice = 1.0 - (2.0 * both + 1.0) / (either + 1.0)
        return bce_weight * bce + dice_weight * dice

    return loss
