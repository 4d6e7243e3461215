"""A network that learns: AdamW on a cosine schedule, and the running average of its weights."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

WARMUP_STEPS = 60


class Learner:
    """A network that learns, with the running average of its weights."""

    def __init__(self, net: nn.Module, rate: float, decay: float, ema: float) -> None:
        self.net, self._rate, self._ema = net, rate, ema
        self.average = copy.deepcopy(net).eval().requires_grad_(False)
        plain = [value for value in net.parameters() if value.ndim < 2]
        heavy = [value for value in net.parameters() if value.ndim >= 2]
        groups = [{"params": heavy, "weight_decay": decay}, {"params": plain, "weight_decay": 0.0}]
        device = next(net.parameters()).device
        self._optimizer = torch.optim.AdamW(groups, lr=rate, fused=device.type == "cuda")
        self.begin(1.0)

    def begin(self, factor: float) -> None:
        """Start a schedule anew, at a share of the rate, from the averaged weights."""
        self.net.load_state_dict(self.average.state_dict())
        self._optimizer.state.clear()
        self._factor, self._step = factor, 0

    def learn(self, loss: Tensor, progress: float) -> None:
        """Take one step; `progress` is the share of the schedule that is over."""
        rate = self._rate * self._factor * min(1.0, (self._step + 1) / WARMUP_STEPS)
        for group in self._optimizer.param_groups:
            group["lr"] = rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0, foreach=True)
        self._optimizer.step()
        self._step += 1
        self._follow(min(self._ema, (1 + self._step) / (10 + self._step)))

    @torch.no_grad()
    def _follow(self, keep: float) -> None:
        mine, theirs = self.average.state_dict(), self.net.state_dict()
        floats = [name for name, value in mine.items() if value.is_floating_point()]
        torch._foreach_lerp_([mine[name] for name in floats], [theirs[name] for name in floats], 1 - keep)
