"""Crops that are learned from several times: on a CPU making one costs more than a student's step.

The frozen teacher looks at each crop once, as it was cut; where a crop is known to be sound it is not asked. The
student sees it each time mirrored or turned and in another light, and has to answer as the teacher did: so it also
learns that light, blur and noise are no reason for another answer.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.gpu import light
from models.gpu.crops import to_device
from models.gpu.scenes import CLEAN_WEIGHT, Batch, Scenes

WEIGHT_SCALE = 100.0
"""Weights of labels are stored as so many hundredths: 0 to 2.55."""
FIRST_BATCHES = 20
"""Batches made before the first draw, so that the first crops are not learned from over and over."""
NEAR_PX = 2
"""So far from a crack that was laid on sound ground the teacher may see it."""
RGB, CRACK, WEIGHT, TARGET = slice(0, 3), slice(3, 4), slice(4, 5), slice(5, 6)
CHANNELS = 6


class Pool:
    """The newest `capacity` crops; the oldest are replaced as fast as each comes to be used `reuse` times."""

    def __init__(
        self, scenes: Scenes, answer: Callable[[Tensor], Tensor], size: int, capacity: int, reuse: float, seed: int,
    ) -> None:  # fmt: skip
        """`answer`: (n, 3, size, size) in 0..1 to the teacher's scores (n, 1, size, size)."""
        self._scenes, self._answer, self._size = scenes, answer, size
        self._reuse, self._capacity, self._owed = reuse, capacity, 0.0
        self._rng = np.random.default_rng([seed, 1])
        self._planes: Tensor | None = None
        self._gentle = np.zeros(capacity, np.bool_)
        self._filled = self._oldest = 0

    def draw(self, count: int) -> tuple[Batch, Tensor]:
        """Return a batch of `count` crops and the teacher's scores for it (count, 1, size, size)."""
        while self._filled < min(self._capacity, FIRST_BATCHES * count):
            self._make(count)
        self._owed += count / self._reuse
        if self._owed >= count:  # whole batches: shares of a batch, as that of mosaics, need some crops to come true
            self._make(count)
            self._owed -= count
        assert self._planes is not None
        chosen = self._rng.choice(self._filled, count, replace=False)
        planes = self._planes[to_device(chosen, self._planes.device)]
        turns, flips = self._rng.integers(4, size=count), self._rng.random(count) < 0.5
        turned = torch.stack(
            [_turned(one, int(turn), bool(flip)) for one, turn, flip in zip(planes, turns, flips, strict=True)]
        )
        values = turned.float()
        rgb = light.change(self._rng, values[:, RGB], self._gentle[chosen]) / 255
        batch = Batch(rgb=rgb, crack=values[:, CRACK] / 255, weight=values[:, WEIGHT] / WEIGHT_SCALE)
        return batch, values[:, TARGET] / 255

    def _make(self, count: int) -> None:
        made, gentle = self._scenes.unlit(count, self._size)
        rgb = made.rgb.round().clamp(0, 255)
        target = self._answer((rgb / 255).contiguous(memory_format=torch.channels_last))
        # ground without cracks is sure: what the teacher takes for one there (painted joints above all) is its error
        near = functional.max_pool2d(made.crack, 2 * NEAR_PX + 1, 1, NEAR_PX)
        target = torch.where(made.weight >= CLEAN_WEIGHT, torch.minimum(target, near), target)
        target = made.corrected(target)
        planes = torch.cat([rgb, made.crack * 255, made.weight * WEIGHT_SCALE, target * 255], 1).round().to(torch.uint8)
        if self._planes is None:
            shape = (self._capacity, CHANNELS, self._size, self._size)
            self._planes = torch.empty(shape, dtype=torch.uint8, device=planes.device)
        places = (self._oldest + np.arange(count)) % self._capacity
        self._planes[to_device(places, planes.device)] = planes
        self._gentle[places] = gentle
        self._oldest = int((self._oldest + count) % self._capacity)
        self._filled = min(self._capacity, self._filled + count)


def _turned(planes: Tensor, quarters: int, flipped: bool) -> Tensor:
    turned = torch.rot90(planes, quarters, (1, 2))
    return turned.flip(2) if flipped else turned
