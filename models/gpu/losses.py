"""What the networks learn, on logits (n, 1, H, W): cross-entropy and Dice with thin cracks weighted up, and a teacher.

As in `models.losses`, Dice sums run over the whole batch: a false alarm on a crack-free picture costs as much as one
beside a crack.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from models.gpu.scenes import Batch

THIN = ((1, 0.6), (2, 0.4))
"""(reach, more weight): crack pixels that vanish when the label is opened by 2 * reach + 1 px weigh this much more."""


def thin_weight(crack: Tensor) -> Tensor:
    """Return 1 for sound pixels and wide cracks, up to 2 for cracks of one or two pixels."""
    weight = torch.ones_like(crack)
    for reach, more in THIN:
        side = 2 * reach + 1
        inner = -functional.max_pool2d(-crack, side, 1, reach)
        weight = weight + more * crack * (1 - functional.max_pool2d(inner, side, 1, reach))
    return weight


def label_loss(logits: Tensor, batch: Batch, weight: Tensor) -> Tensor:
    """Cross-entropy plus Dice; `weight` is that of the labels times that of thin cracks."""
    entropy = functional.binary_cross_entropy_with_logits(logits, batch.crack, weight, reduction="sum")
    score = torch.sigmoid(logits)
    both = (weight * score * batch.crack).sum()
    either = (weight * score).sum() + (weight * batch.crack).sum()
    return entropy / (weight.sum() + 1) + 1 - (2 * both + 1) / (either + 1)


def teacher_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy and Dice to the teacher's scores, on every pixel, labelled or not."""
    score = torch.sigmoid(logits)
    dice = 1 - (2 * (score * target).sum() + 1) / ((score + target).sum() + 1)
    return functional.binary_cross_entropy_with_logits(logits, target) + 0.5 * dice
