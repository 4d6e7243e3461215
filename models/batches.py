"""Turn sources into training batches: pick a source by weight, crop, add what is no crack, change the light.

Batch number n depends only on (seed, n), so a training resumed after a kill sees the same batches.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models import Example, augment, lookalikes, render
from models.data import read_example

UInt8 = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]

AIMS = 96
"""Crack points remembered per picture, to aim crops at cracks without searching the mask each time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Pictures of one kind, decoded in memory."""

    name: str
    weight: float
    """Share of the crops, relative to the other sources."""
    looseness_px: int
    """How far label edges may be off, in pixels of the source at scale 1."""
    clean: bool
    """True where the whole source is known to be crack-free."""
    pictures: list[tuple[UInt8, UInt8, npt.NDArray[np.int32]]]
    """Picture, mask 0/1, and up to `AIMS` crack points (y, x)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mix:
    """How crops are made."""

    sources: Sequence[Source]
    crop_px: int
    shuffle: int
    rendered_cracks: float
    """Weight of rendered cracks on crack-free ground, relative to the weights of the sources."""
    rendered_clean: float
    """Weight of rendered crack-free surfaces with look-alikes."""
    lookalikes_on_cracked: float
    """Chance that a real cracked crop gets a look-alike."""
    lookalikes_on_clean: float
    """Chance that a real crack-free crop gets look-alikes."""


def load_source(
    name: str, examples: Sequence[Example], weight: float, looseness_px: int, rng: np.random.Generator
) -> Source:
    """Decode all examples. Raises DataError for the first one that cannot be used."""
    pictures = []
    for example in examples:
        rgb, mask = read_example(example)
        points = np.argwhere(mask > 0).astype(np.int32)
        if len(points) > AIMS:
            points = points[rng.choice(len(points), AIMS, replace=False)]
        pictures.append((rgb, mask, points))
    clean = all(example.mask is None for example in examples)
    return Source(name=name, weight=weight, looseness_px=looseness_px, clean=clean, pictures=pictures)


def make_batch(mix: Mix, seed: int, number: int, count: int) -> tuple[Float, Float]:
    """Make batch `number`: pictures (count, crop, crop, 3) 0..1, targets (count, crop/4, crop/4, 2 * shuffle ** 2).

    The targets hold labels and then label weights, both in the channel order of the network's output.
    """
    rng = np.random.default_rng([seed, number])
    images = np.empty((count, mix.crop_px, mix.crop_px, 3), np.float32)
    cells = mix.crop_px // 4
    targets = np.empty((count, cells, cells, 2 * mix.shuffle**2), np.float32)
    for i in range(count):
        rgb, mask, weight = make_crop(mix, rng)
        images[i] = rgb
        targets[i] = np.concatenate([to_cells(plane, cells, mix.shuffle) for plane in (mask, weight)], axis=-1)
    images /= 255
    return images, targets


def make_crop(mix: Mix, rng: np.random.Generator) -> tuple[UInt8, UInt8, Float]:
    """Make one crop: picture uint8 RGB, mask 0/1, label weight 0..1."""
    weights = np.array([source.weight for source in mix.sources] + [mix.rendered_cracks, mix.rendered_clean])
    pick = int(rng.choice(len(weights), p=weights / weights.sum()))
    if pick >= len(mix.sources):
        rgb, mask = _rendered(mix, rng, cracked=pick == len(mix.sources))
        return augment.photometric(rng, rgb), mask, np.ones(mask.shape, np.float32)
    source = mix.sources[pick]
    rgb, mask = _real(mix, source, rng)
    chance = mix.lookalikes_on_clean if source.clean else mix.lookalikes_on_cracked
    weight = augment.label_weight(mask, source.looseness_px)
    if rng.random() < chance:
        rgb, hidden = lookalikes.paint(rng, rgb, int(rng.integers(1, 4)) if source.clean else 1)
        weight[hidden & (mask > 0)] = 0.0
    return augment.photometric(rng, rgb), mask, weight


def to_cells(plane: npt.NDArray[np.generic], cells: int, shuffle: int) -> npt.NDArray[np.generic]:
    """Space-to-depth of (H, W) to (cells, cells, shuffle ** 2), channel = dy * shuffle + dx.

    Averaged first where H is larger than cells * shuffle.
    """
    size = cells * shuffle
    if plane.shape[0] != size:
        plane = cv2.resize(plane.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    blocks = plane.reshape(cells, shuffle, cells, shuffle).transpose(0, 2, 1, 3)
    return blocks.reshape(cells, cells, shuffle**2)


def stream(
    mix: Mix, seed: int, first: int, count: int, threads: int = 1, ahead: int = 6
) -> Generator[tuple[Float, Float], None, None]:
    """Yield batches `first`, `first` + 1, ... made ahead of time in background threads. Endless; close it to stop.

    An error while making a batch is raised here, at the batch it belongs to.
    """
    cv2.setNumThreads(1)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="batches")
    try:
        waiting = deque(pool.submit(make_batch, mix, seed, first + i, count) for i in range(ahead))
        for number in itertools.count(first + ahead):
            waiting.append(pool.submit(make_batch, mix, seed, number, count))
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _real(mix: Mix, source: Source, rng: np.random.Generator) -> tuple[UInt8, UInt8]:
    rgb, mask, points = source.pictures[int(rng.integers(len(source.pictures)))]
    aim = None
    if len(points) and rng.random() < 0.8:
        y, x = points[int(rng.integers(len(points)))]
        aim = (int(y), int(x))
    return augment.random_crop(rng, rgb, mask, mix.crop_px, aim)


def _rendered(mix: Mix, rng: np.random.Generator, *, cracked: bool) -> tuple[UInt8, UInt8]:
    """Rendered ground, or real crack-free ground below a rendered crack; look-alikes first, the crack on top."""
    clean = [source for source in mix.sources if source.clean]
    if cracked and clean and rng.random() < 0.4:
        rgb, _ = _real(mix, clean[int(rng.integers(len(clean)))], rng)
    else:
        rgb = render.concrete(rng, mix.crop_px)
    rgb, _ = lookalikes.paint(rng, rgb, int(rng.integers(0, 3)) if cracked else int(rng.integers(1, 5)))
    if not cracked:
        return rgb, np.zeros(rgb.shape[:2], np.uint8)
    rgb, mask = render.draw_crack(rng, rgb)
    if rng.random() < 0.25:
        rgb, second = render.draw_crack(rng, rgb)
        mask |= second
    return rgb, mask
