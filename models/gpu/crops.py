"""Cut many crops at once: where each looks is drawn on the CPU, the cutting is one resampling on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from models.gpu.bank import CRACK, IGNORE, Bank

Floats = npt.NDArray[np.float64]

FOUR_TAPS_BELOW = 0.8
"""Crops shrunk more than this average four samples per pixel, so that thin lines do not alias away."""
HALF_FIRST_BELOW = 0.45
"""Crops shrunk more than this are cut from canvases of half size."""
ENLARGED = (1.6, 5.0)
"""Sizes of crops that show a crack from nearby."""
KEEP_LINES_BELOW = 0.7
"""Crops shrunk more than this keep a label where any sample has one: lines stay at least about 1.5 px wide."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Views:
    """Where crops look, one row each."""

    pictures: npt.NDArray[np.int64]
    centre: Floats
    """(n, 2): y, x in px of the picture."""
    scale: Floats
    """Pixels of the crop per pixel of the picture."""
    angle: Floats
    tilt: Floats
    """(n, 2): perspective; the scale changes by this share from the middle to an edge."""
    flip: Floats
    """1 or -1."""


def draw_views(
    rng: np.random.Generator, bank: Bank, pictures: npt.NDArray[np.int64], size: int, gentle: npt.NDArray[np.bool_],
    aim_chance: float = 0.8, shrunken: bool = False, enlarged: bool = False,
) -> Views:  # fmt: skip
    """Draw a view for each picture: scale 0.3 to 1.6 (`gentle`: near 1), turns, tilt, flip, mostly at a crack.

    `shrunken` (for mosaics): 0.3 to 0.8. `enlarged`: `ENLARGED`. No crop is wider than 2.2 times its picture, which is
    mirrored beyond.
    """
    count, extent = len(pictures), bank.sizes[pictures]
    smallest = np.maximum(0.3, size / (2.2 * extent.min(axis=1)))
    least = np.where(gentle, np.maximum(0.7, smallest), np.minimum(smallest, 1.3))
    most = np.where(gentle, np.maximum(1.15, 1.1 * smallest), 1.6)
    if shrunken:
        least, most = np.minimum(smallest, 0.7), np.maximum(0.8, 1.1 * smallest)
    if enlarged:
        least, most = np.full(count, ENLARGED[0]), np.full(count, ENLARGED[1])
    scale = np.exp(rng.uniform(np.log(least), np.log(most)))
    half = size / 2 / scale
    low, high = np.minimum(half[:, None], extent / 2), np.maximum(extent - half[:, None], extent / 2)
    centre = rng.uniform(low, high)
    aimed = rng.random(count) < aim_chance
    away = rng.uniform(-0.7, 0.7, (count, 2)) * half[:, None]
    for i in np.flatnonzero(aimed):
        points = bank.aims[pictures[i]]
        if len(points):
            centre[i] = points[rng.integers(len(points))] + away[i]
    turned = rng.integers(4, size=count) * np.pi / 2
    return Views(
        pictures=pictures, centre=centre, scale=scale,
        angle=turned + np.where(rng.random(count) < 0.5, rng.uniform(-0.6, 0.6, count), 0.0),
        tilt=rng.uniform(-0.1, 0.1, (count, 2)), flip=np.where(rng.random(count) < 0.5, -1.0, 1.0),
    )  # fmt: skip


def whole_views(pictures: npt.NDArray[np.int64], size: int) -> Views:
    """Look at pictures as they are, from the upper left corner, mirrored beyond their edges."""
    count, none = len(pictures), np.zeros(len(pictures))
    return Views(
        pictures=pictures, centre=np.full((count, 2), (size - 1) / 2), scale=np.ones(count), angle=none,
        tilt=np.zeros((count, 2)), flip=np.ones(count),
    )  # fmt: skip


def cut(bank: Bank, views: Views, size: int) -> Tensor:
    """Cut crops: (n, channels of the bank, size, size) float32, 0 to 255; labels are 0 or 255."""
    device = bank.canvases.device
    out = torch.empty((len(views.pictures), bank.canvases.shape[1], size, size), device=device)
    groups = np.digitize(views.scale, [HALF_FIRST_BELOW, FOUR_TAPS_BELOW])
    for group in range(3):
        rows = np.flatnonzero(groups == group)
        if len(rows):
            out[_tensor(rows, device)] = _cut_group(bank, views, rows, size, group)
    return out


def _cut_group(bank: Bank, views: Views, rows: npt.NDArray[np.int64], size: int, group: int) -> Tensor:
    device = bank.canvases.device
    canvas = bank.canvases[_tensor(views.pictures[rows], device)].float()
    side, shrink = canvas.shape[-1], 1.0
    if group == 0:
        labels = functional.max_pool2d(canvas[:, CRACK:], 2)
        canvas = torch.cat([functional.avg_pool2d(canvas[:, :CRACK], 2), labels], 1)
        shrink = 0.5
    taps = [(0.0, 0.0)] if group == 2 else [(dy, dx) for dy in (-0.25, 0.25) for dx in (-0.25, 0.25)]
    looks = [_sample(canvas, _grid(bank, views, rows, size, tap, side, shrink)) for tap in taps]
    mean = torch.stack(looks).mean(0) if len(looks) > 1 else looks[0]
    most = torch.stack([look[:, CRACK:] for look in looks]).amax(0)
    lines = _tensor(views.scale[rows] < KEEP_LINES_BELOW, device)[:, None, None, None]
    labels = torch.where(lines, most > 100, mean[:, CRACK:] > 115).float() * 255
    labels[:, 1] = (most[:, IGNORE - CRACK] > 0).float() * 255
    return torch.cat([mean[:, :CRACK], labels], 1)


def _sample(canvas: Tensor, grid: Tensor) -> Tensor:
    return functional.grid_sample(canvas, grid, mode="bilinear", padding_mode="border", align_corners=True)


def _grid(
    bank: Bank, views: Views, rows: npt.NDArray[np.int64], size: int, tap: tuple[float, float], side: int,
    shrink: float,
) -> Tensor:  # fmt: skip
    """Where on its canvas each pixel of a crop lies: (n, size, size, 2) as grid_sample wants it."""
    device = bank.canvases.device

    def column(values: npt.NDArray[np.floating[Any]]) -> Tensor:
        return _tensor(np.asarray(values, np.float32), device)[:, None, None]

    step = torch.arange(size, device=device, dtype=torch.float32) - (size - 1) / 2
    v, u = (step + tap[0])[None, :, None] / (size / 2), (step + tap[1])[None, None, :] / (size / 2)
    depth = 1 + column(views.tilt[rows, 0]) * v + column(views.tilt[rows, 1]) * u
    half = size / 2 / views.scale[rows]
    v, u = v / depth * column(half), u / depth * column(half * views.flip[rows])
    cos, sin = column(np.cos(views.angle[rows])), column(np.sin(views.angle[rows]))
    y = _mirror(column(views.centre[rows, 0]) + u * sin + v * cos, column(bank.sizes[views.pictures[rows], 0]))
    x = _mirror(column(views.centre[rows, 1]) + u * cos - v * sin, column(bank.sizes[views.pictures[rows], 1]))
    if shrink != 1:  # a pixel of the half canvas has its centre between two of the whole one
        side, y, x = round(side * shrink), (y + 0.5) * shrink - 0.5, (x + 0.5) * shrink - 0.5
    return torch.stack([x, y], -1) * (2 / (side - 1)) - 1


def _mirror(at: Tensor, extent: Tensor) -> Tensor:
    """Fold coordinates back into 0 .. extent - 1, as a mirror at the middle of the outermost pixels does."""
    last = extent - 1
    folded = torch.remainder(at, 2 * last)
    return last - (folded - last).abs()


def _tensor(values: npt.NDArray[np.generic], device: torch.device) -> Tensor:
    # few bytes from ordinary memory: CUDA has copied them when this returns, and nothing waits for the device
    return torch.from_numpy(np.ascontiguousarray(values)).to(device, non_blocking=True)


to_device = _tensor
