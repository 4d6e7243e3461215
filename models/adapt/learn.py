"""Fine-tune a fast U-Net on a few photographs of one structure, without forgetting the rest, in PyTorch on a CPU.

Every step learns from two kinds of crops. *Own* ones, with their labels, come from the photographs. *Replay* crops are
rendered (concrete, formwork, look-alikes, cracks) and strange copies of the photographs, without labels: there the
network keeps to the answers that it gave before. BatchNorm keeps its stored statistics, which few photographs would
shift, and weights are pulled towards where they began (L2-SP, Li et al. 2018, ICML) in place of weight decay.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models import DataError, batches, checkpoint
from models.adapt.replay import Replay, agreement
from models.gpu.losses import label_loss, teacher_loss, thin_weight
from models.gpu.nets import FastUNet
from models.gpu.scenes import Batch
from models.gpu.transfer import Arrays
from models.unet import FastSize

OWN = 8
"""Own crops of a batch."""
REPLAYED = 6
"""Replay crops beside them."""
RATE = 8e-4
WARMUP_STEPS = 40
PULL = 2e-2
"""Share of the distance to the first weights that is taken back at each step, times the learning rate."""
EMA = 0.99
SHARES = (0.2, 0.3, 0.4, 0.5, 0.6)
"""How far the result may go from the first weights to the learned ones: most is gained on the first half of the way,
most is forgotten on the second (Wortsman et al. 2022, CVPR: WiSE-FT; measured in docs/adapt.md)."""
KEEP = 2.0
"""Weight of the old answers on replay crops, beside the labels on own crops."""


def build(size: FastSize, arrays: Arrays) -> FastUNet:
    """Build the network with weights of `models.gpu.transfer.from_keras`."""
    net = FastUNet(size)
    state = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
    missing = net.load_state_dict(state, strict=False).missing_keys
    lost = [name for name in missing if not name.endswith("num_batches_tracked")]
    if lost:
        raise DataError(f"The weights do not fit the network: {lost[0]} is missing.")
    placed: FastUNet = net.to(memory_format=torch.channels_last)
    return placed


def arrays_of(net: nn.Module) -> Arrays:
    """Return the weights as arrays, as `build` takes them."""
    return {name: value.numpy().copy() for name, value in net.state_dict().items() if value.ndim}


class Learner:
    """The state that moves on with each step; `progress` 0 to 1 is the caller's."""

    def __init__(self, size: FastSize, start: Arrays, own: batches.Mix, replay: Replay, seed: int) -> None:
        self.net, self.average = build(size, start), build(size, start)
        self.average.eval()
        self._first = [one.detach().clone() for one in self.net.parameters()]
        self._own, self._replay, self._seed = own, replay, seed
        self._optimizer = torch.optim.AdamW(self.net.parameters(), RATE, weight_decay=0.0)
        self.step = 0
        self.net.eval()  # BatchNorm keeps its statistics; nothing else of the network knows a mode

    def batch(self, number: int) -> batches.Batch:
        """Make batch `number`: own crops (OWN, crop, crop, 3) 0..1, and labels and their weights (OWN, 2, crop, crop).

        It depends on the photographs and the number alone.
        """
        rng = np.random.default_rng([self._seed, number])
        crops = [batches.make_crop(self._own, rng) for _ in range(OWN)]
        images = np.stack([rgb for rgb, _, _ in crops]).astype(np.float32) / np.float32(255)
        labels = np.stack([np.stack([(mask & 1).astype(np.float32), weight[0]]) for _, mask, weight in crops])
        return images, labels

    def learn(self, made: batches.Batch, progress: float) -> float:
        """Learn from one batch and return the loss. Raises DataError where it is not finite."""
        images, labels = made
        own = torch.from_numpy(images).permute(0, 3, 1, 2)
        rng = np.random.default_rng([self._seed, 1 << 30, self.step])
        kept, answers = self._replay.draw(rng, REPLAYED)
        rgb = torch.cat([own, kept]).contiguous(memory_format=torch.channels_last)
        logits = self.net(rgb)
        target = torch.from_numpy(labels)
        crack, weight = target[:, :1], target[:, 1:]
        batch = Batch(rgb=own, crack=crack, weight=weight)
        loss = label_loss(logits[: len(own)], batch, weight * thin_weight(crack))
        loss = loss + KEEP * teacher_loss(logits[len(own) :], answers)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise DataError(f"The loss became {value} at step {self.step}; look for a damaged photo or mask.")
        self._move(loss, progress)
        return value

    def part_way(self, share: float) -> Arrays:
        """Return the weights `share` of the way from the first ones to the average of the last ones."""
        arrays = arrays_of(self.average)
        with torch.no_grad():
            for (name, value), first in zip(self.average.named_parameters(), self._first, strict=True):
                arrays[name] = torch.lerp(first, value, share).numpy()
        return arrays

    def result(self, held: Replay, threshold: float, may_change: float) -> tuple[Arrays, float, float]:
        """Go as far as `may_change` allows: weights, share of the way, and how much the masks of `held` change.

        `held` are made pictures that nothing was learned from, with the first answers; `threshold` is of the mask. The
        smallest share is taken even where it changes more. Change is 1 less `agreement`.
        """
        for share in sorted(SHARES, reverse=True):
            arrays = self.part_way(share)
            changed = 1 - agreement(build(self.net.size, arrays), held, threshold)
            if changed <= may_change:
                break
        return arrays, share, changed

    def state(self, seconds: float) -> checkpoint.Checkpoint:
        """Return what is needed to go on after a kill."""
        found = []
        for parameter in self.net.parameters():
            state = self._optimizer.state.get(parameter, {})
            found += [state[name].numpy().copy() for name in ("exp_avg", "exp_avg_sq") if name in state]
        return checkpoint.Checkpoint(
            step=self.step, seconds=seconds, best=-math.inf, weights=_values(self.net), ema=_values(self.average),
            optimizer=found,
        )  # fmt: skip

    def restore(self, state: checkpoint.Checkpoint) -> None:
        """Go on from `state`. Raises DataError where it is of another network."""
        parameters = list(self.net.parameters())
        shapes = _values(self.net)
        if not state.fits(shapes, [one for one in shapes for _ in ("exp_avg", "exp_avg_sq")]):
            raise DataError("The checkpoint is of another network; remove the work folder to begin again.")
        with torch.no_grad():
            for net, values in ((self.net, state.weights), (self.average, state.ema)):
                for parameter, value in zip(net.parameters(), values, strict=True):
                    parameter.copy_(torch.from_numpy(value))
        for i, parameter in enumerate(parameters):
            mean, square = (torch.from_numpy(one.copy()) for one in state.optimizer[2 * i : 2 * i + 2])
            self._optimizer.state[parameter] = {
                "step": torch.tensor(float(state.step)), "exp_avg": mean, "exp_avg_sq": square
            }  # fmt: skip
        self.step = state.step

    def _move(self, loss: Tensor, progress: float) -> None:
        warm = min(1.0, (self.step + 1) / WARMUP_STEPS)
        rate = RATE * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self._optimizer.step()
        self.step += 1
        decay = min(EMA, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, value, first in zip(self.average.parameters(), self.net.parameters(), self._first, strict=True):
                value.lerp_(first, rate * PULL)
                mean.lerp_(value, 1 - decay)


def _values(net: nn.Module) -> list[npt.NDArray[np.float32]]:
    return [one.detach().numpy().copy() for one in net.parameters()]
