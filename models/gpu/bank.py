"""All pictures of a pack in the memory of one device, each on a square canvas, ready to be cut by the batch."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models import UNKNOWN, DataError, paste
from models.gpu.packed import Packed
from models.gpu.recipe import Recipe

UInt8 = npt.NDArray[np.uint8]

AIMS = 96
"""Crack points remembered per picture, to aim crops at."""
RATIO_SCALE = 100.0
"""In the ratio channel, a crack as bright as its surroundings is stored as 100."""
RATIO, CRACK, IGNORE = 3, 4, 5
"""Channels of a canvas after red, green, blue: crack over surroundings, label 0/255, nobody knows 0/255."""
CHANNELS = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Bank:
    """Pictures of the sources of one recipe."""

    canvases: Tensor
    """(N, CHANNELS, side, side) uint8, each picture in the upper left corner."""
    sizes: npt.NDArray[np.float32]
    """(N, 2): height and width of each picture, px."""
    source: npt.NDArray[np.int64]
    """(N,): position of its source in the recipe."""
    held: npt.NDArray[np.bool_]
    """(N,): belongs to the unseen site."""
    aims: list[npt.NDArray[np.float32]]
    """Per picture up to `AIMS` crack points (y, x), px."""
    names: list[str]


def chosen(packed: Sequence[Packed], recipe: Recipe) -> list[Packed]:
    """The pictures of the recipe's sources. Raises DataError where one of these has no picture in the packs."""
    names = {source.name for source in recipe.sources}
    found = [one for one in packed if one.entry.source in names]
    missing = names - {one.entry.source for one in found}
    if missing:
        raise DataError(f"The packs hold no picture of {', '.join(sorted(missing))}; pack them again.")
    return found


def load_bank(packed: Sequence[Packed], recipe: Recipe, device: torch.device, threads: int, seed: int = 0) -> Bank:
    """Decode the pictures of the recipe's sources onto canvases on `device`.

    A source with `hold` = 1 is held out whole, whatever the pack says of its pictures. Raises DataError where a source
    of the recipe has no picture in the packs.
    """
    order = {source.name: i for i, source in enumerate(recipe.sources)}
    whole = {source.name for source in recipe.sources if source.hold == 1}
    packed = chosen(packed, recipe)
    cv2.setNumThreads(1)
    with ThreadPoolExecutor(threads) as pool:
        planes = list(pool.map(_planes, packed))
    side = -(-max(max(one.shape[1:]) for one in planes) // 64) * 64
    canvases = torch.zeros((len(planes), CHANNELS, side, side), dtype=torch.uint8, device=device)
    rng, aims = np.random.default_rng(seed), []
    for i, one in enumerate(planes):
        canvases[i, :, : one.shape[1], : one.shape[2]] = torch.from_numpy(one).to(device)
        points = np.argwhere(one[CRACK] > 0).astype(np.float32)
        aims.append(points[rng.choice(len(points), AIMS, replace=False)] if len(points) > AIMS else points)
    return Bank(
        canvases=canvases, sizes=np.array([one.shape[1:] for one in planes], np.float32),
        source=np.array([order[one.entry.source] for one in packed]),
        held=np.array([one.entry.held or one.entry.source in whole for one in packed]), aims=aims,
        names=[one.entry.name for one in packed],
    )  # fmt: skip


def _planes(one: Packed) -> UInt8:
    """(CHANNELS, H, W) of one picture."""
    rgb, mask = one.decode()
    crack, unknown = (mask == 1).astype(np.uint8), (mask == UNKNOWN).astype(np.uint8)
    ratio = np.full(mask.shape, RATIO_SCALE, np.float32)
    if crack.any():
        ratio = RATIO_SCALE * paste.ratio(rgb, crack)
    planes = [*np.moveaxis(rgb, 2, 0), np.clip(np.rint(ratio), 0, 255).astype(np.uint8), crack * 255, unknown * 255]
    return np.stack([np.asarray(plane, np.uint8) for plane in planes])
