"""What the networks learn, on logits (n, 1, H, W): cross-entropy and Dice with thin cracks weighted up, unbroken
lines (soft clDice), the peaks of sound crops, and a teacher.

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


PEAK_PX = 256
"""Pixels of a sound crop that count as its peaks: about what a reported piece covers at the least."""
SOUND_ABOVE = 1.2
"""Crops of crack-free sources have pixels of weight `scenes.CLEAN_WEIGHT`; on average more than this means sound."""


def peak_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Mean of what the highest `PEAK_PX` scores of each sound crop cost, over the sound crops; 0 where there is none.

    A tile fires by its worst piece, not by its mean: cross-entropy averages a short false piece away.
    """
    sound = (batch.crack.amax((1, 2, 3)) < 0.5) & (batch.weight.mean((1, 2, 3)) > SOUND_ABOVE)
    peaks = functional.softplus(logits.flatten(1).topk(PEAK_PX, dim=1, sorted=False).values).mean(1)
    share = sound.float()
    return (peaks * share).sum() / share.sum().clamp(min=1)


def cl_dice_loss(logits: Tensor, batch: Batch, iterations: int) -> Tensor:
    """1 - 2 P S / (P + S), the soft clDice of Shit et al. 2021 (CVPR), as `models.losses.cl_dice_loss`; in float32.

    P, topology precision, is the share of the scores' soft skeleton that lies in the label; S, topology sensitivity,
    that of the label's soft skeleton that lies in the scores: an interrupted crack costs the length that is missing,
    whatever its width. Sums run over the whole batch, and pixels of weight 0 are in none of them.
    """
    with torch.autocast(logits.device.type, enabled=False):
        known = (batch.weight > 0).float()
        score, label = torch.sigmoid(logits.float()) * known, batch.crack.float() * known
        line = soft_skeleton(score, iterations)
        with torch.no_grad():
            true_line = soft_skeleton(label, iterations)
        p = ((line * label).sum() + 1) / (line.sum() + 1)
        s = ((true_line * score).sum() + 1) / (true_line.sum() + 1)
        return 1 - 2 * p * s / (p + s)


def soft_skeleton(planes: Tensor, iterations: int) -> Tensor:
    """Soft skeleton of planes (n, 1, H, W) in 0..1: Algorithm 1 of Shit et al. 2021.

    `iterations` must reach half the width of the widest crack. Erosion is the minimum over a 3x3 cross, dilation the
    maximum over a 3x3 square; what lies outside the picture counts for neither.
    """
    smaller = _erode(planes)
    skeleton = functional.relu(planes - _dilate(smaller))
    for _ in range(iterations):
        planes, smaller = smaller, _erode(smaller)
        fresh = functional.relu(planes - _dilate(smaller))
        skeleton = skeleton + fresh - skeleton * fresh
    return skeleton


def _erode(planes: Tensor) -> Tensor:
    upright = functional.max_pool2d(-planes, (3, 1), 1, (1, 0))
    level = functional.max_pool2d(-planes, (1, 3), 1, (0, 1))
    return -torch.maximum(upright, level)


def _dilate(planes: Tensor) -> Tensor:
    return functional.max_pool2d(planes, 3, 1, 1)
