"""Score a network on the pictures of the held-out sites that a bank holds, raw, at several thresholds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.gpu.bank import CRACK, IGNORE, Bank
from models.gpu.crops import cut, to_device, whole_views
from models.gpu.recipe import Recipe
from models.metrics import EDGE_TOLERANCE_PX, disk

LEVELS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
FIRES_PX = 50
"""A picture fires with so many pixels at or above the level, wherever they lie."""
BATCH = 16


@torch.no_grad()
def score(net: nn.Module, bank: Bank, recipe: Recipe) -> dict[str, Any]:
    """Score the held-out pictures of each source that has some, by its name, at each of `LEVELS`.

    A cracked source: F1 at 2 px as `models.metrics.f1_2px`, pooled over its pictures. A crack-free one: the share of
    its pictures that fire, which takes `FIRES_PX` pixels.
    """
    found: dict[str, Any] = {}
    for index, source in enumerate(recipe.sources):
        rows = np.flatnonzero(bank.held & (bank.source == index))
        if not len(rows):
            continue
        side = math.ceil(float(bank.sizes[rows].max()) / 64) * 64
        sums = torch.zeros((len(LEVELS), 5), device=bank.canvases.device)
        for first in range(0, len(rows), BATCH):
            part = rows[first : first + BATCH]
            planes = cut(bank, whole_views(part, side), side)
            logits = net(planes[:, :3] / 255).float()
            sums += _counts(logits, planes, bank, part)
        hit, fired, near, truth, fires = sums.T.tolist()
        if source.clean:
            found[source.name] = [round(one / len(rows), 3) for one in fires]
        else:
            precision = [a / max(b, 1) for a, b in zip(hit, fired, strict=True)]
            recall = [a / max(b, 1) for a, b in zip(near, truth, strict=True)]
            found[source.name] = [
                round(2 * p * r / max(p + r, 1e-9), 3) for p, r in zip(precision, recall, strict=True)
            ]
    return found


def _counts(logits: Tensor, planes: Tensor, bank: Bank, part: Any) -> Tensor:
    side = logits.shape[-1]
    size = to_device(bank.sizes[part], logits.device)
    at = torch.arange(side, device=logits.device)
    inside = (at[None, :, None] < size[:, 0, None, None]) & (at[None, None, :] < size[:, 1, None, None])
    inside = inside[:, None] & (planes[:, IGNORE : IGNORE + 1] < 1)
    truth = (planes[:, CRACK : CRACK + 1] > 127) & inside
    rows = []
    for level in LEVELS:
        fired = (logits > math.log(level / (1 - level))) & inside
        hit, near = fired & _near(truth), truth & _near(fired)
        alarms = (fired.sum((1, 2, 3)) >= FIRES_PX).sum()
        rows.append(torch.stack([hit.sum(), fired.sum(), near.sum(), truth.sum(), alarms]).float())
    return torch.stack(rows)


def _near(mask: Tensor) -> Tensor:
    """Grow masks (N, 1, H, W) as `models.metrics.grow` does."""
    kernel = torch.from_numpy(disk(EDGE_TOLERANCE_PX)).float().to(mask.device)[None, None]
    return functional.conv2d(mask.float(), kernel, padding=EDGE_TOLERANCE_PX) > 0.5
