"""Two pictures meet at an edge: photographed surfaces beside each other at a form joint, a beam, a pipe, a tie hole.

What fires on sound structures are edges: of beams against the dark, of boards, of holes and signs. Rendered ones have
rendered ground on both sides; here both sides are photographs, whole or cracked, and only the edge is made.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.gpu.crops import to_device

Floats = npt.NDArray[np.floating[Any]]

HALF, STRIP, DISC = 0, 1, 2
SHAPES = (0.5, 0.25, 0.25)
"""Chances of a half plane, a strip (board, pipe), a disc (hole, sign)."""
SQUARE_TO_FRAME = 0.6
"""Share of straight edges that run along or across the picture, to a few degrees."""
LINED = 0.55
"""Share of edges with a dark line along them."""
SHADED = 0.4
"""Share of edges with a soft shadow on one side."""


def join(rng: np.random.Generator, rgb: Tensor, crack: Tensor, weight: Tensor, share: float) -> tuple[Tensor, ...]:
    """Lay a part of another picture of the batch over a `share` of the pictures; returns rgb, crack, weight.

    `rgb` (n, 3, S, S), 0 to 255; `crack` and `weight` (n, 1, S, S): labels and their weights move with the pictures.
    """
    count, size = len(rgb), rgb.shape[-1]
    rows = np.flatnonzero(rng.random(count) < share)
    if not len(rows):
        return rgb, crack, weight
    others = (rows + rng.integers(1, max(2, count), len(rows))) % count
    at, of = to_device(rows, rgb.device), to_device(others, rgb.device)
    distance = _distance(rng, len(rows), size, rgb.device)
    own, other = rgb[at], rgb[of]
    # between as bright as it is (an edge against the dark) and as bright as its neighbour (a joint in one wall)
    alike = _column(rng.uniform(0, 1, len(rows)) ** 0.5, rgb)
    tones = own.mean((1, 2, 3), keepdim=True) / other.mean((1, 2, 3), keepdim=True).clamp(min=1)
    other = other * (1 + alike * (tones.clamp(0.3, 3) - 1))
    cover = (0.5 + distance / _column(rng.uniform(0.8, 2.5, len(rows)), rgb)).clamp(0, 1)
    mixed = (own * (1 - cover) + other * cover) * _along(rng, distance, rgb)
    rgb, crack, weight = rgb.clone(), crack.clone(), weight.clone()
    inside = cover > 0.5
    changed = torch.where(inside, crack[of], crack[at]), torch.where(inside, weight[of], weight[at])
    rgb[at] = mixed.clamp(0, 255)
    crack[at], weight[at] = changed
    return rgb, crack, weight


def _distance(rng: np.random.Generator, count: int, size: int, device: torch.device) -> Tensor:
    """Signed distance (count, 1, size, size) to an edge in px, above 0 where the other picture lies."""
    kind = rng.choice(3, count, p=SHAPES)
    turn = rng.integers(4, size=count) * np.pi / 2 + rng.normal(0, 0.03, count)
    angle = np.where(rng.random(count) < SQUARE_TO_FRAME, turn, rng.uniform(0, 2 * np.pi, count))
    centre = rng.uniform(-0.4, 0.4, (count, 2)) * size
    half = np.where(kind == DISC, np.exp(rng.uniform(np.log(4), np.log(0.3 * size), count)),
                    np.exp(rng.uniform(np.log(2), np.log(0.15 * size), count)))  # fmt: skip
    step = torch.arange(size, device=device, dtype=torch.float32) - (size - 1) / 2

    def column(values: Floats) -> Tensor:
        return to_device(np.asarray(values, np.float32), device)[:, None, None, None]

    y, x = step[None, None, :, None] - column(centre[:, 0]), step[None, None, None, :] - column(centre[:, 1])
    across = x * column(np.cos(angle)) + y * column(np.sin(angle))
    strip, disc = column(half) - across.abs(), column(half) - torch.hypot(x, y)
    found = torch.where(column(kind == STRIP) > 0, strip, across)
    return torch.where(column(kind == DISC) > 0, disc, found)


def _along(rng: np.random.Generator, distance: Tensor, like: Tensor) -> Tensor:
    """Factor of a line along the edge and of a soft shadow on the side that lies below."""
    count = len(distance)
    line = np.where(rng.random(count) < LINED, rng.uniform(0.1, 0.8, count), 0.0)
    width = np.exp(rng.uniform(np.log(0.7), np.log(4), count))
    shade = np.where(rng.random(count) < SHADED, rng.uniform(0.05, 0.5, count), 0.0)
    reach = np.exp(rng.uniform(np.log(2), np.log(25), count))
    groove = 1 - _column(line, like) * torch.exp(-((distance / _column(width, like)) ** 2))
    below = 1 - _column(shade, like) * torch.exp(-distance.abs() / _column(reach, like)) * (distance < 0)
    return groove * below


def _column(values: Floats, like: Tensor) -> Tensor:
    return to_device(np.asarray(values, np.float32), like.device)[:, None, None, None]
