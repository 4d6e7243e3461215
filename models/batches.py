"""Turn sources into training batches: pick a source by weight, crop, add what is no crack, change the light.

Batch number n depends only on (seed, n), so a training resumed after a kill sees the same batches.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models import UNKNOWN, DataError, Example, augment, lookalikes, paste, render
from models.data import plane, read_examples

UInt8 = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]
Picture = tuple[UInt8, UInt8, npt.NDArray[np.int32]]
"""Picture RGB, mask with one bit per class, and up to `AIMS` damaged points (y, x)."""

Batch = tuple[Float, npt.NDArray[np.generic]]
"""Pictures 0..1 (count, H, W, 3) and what the network should answer."""

AIMS = 96
"""Damaged points remembered per picture, to aim crops at cracks without searching the mask each time."""
EVERY_CLASS = UNKNOWN - 1
"""All classes, as bits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Pictures of one kind, decoded in memory."""

    name: str
    weight: float
    """Share of the crops, relative to the other sources."""
    looseness_px: int
    """How far label edges may be off, in pixels of the source at scale 1."""
    clean: bool
    """True where the whole source is known to be free of damage."""
    pictures: list[Picture]
    labelled: int = EVERY_CLASS
    """Classes whose labels are complete in this source, as bits; the others teach nothing here."""


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
    pasted_cracks: float = 0.0
    """Weight of real cracks cut out and laid on crack-free ground."""
    gentle: float = 0.0
    """Share of crops left near their own scale and, mostly, in their own light: what the network meets in flight."""
    stride: int = 4
    """Pixels per cell of the network's output."""
    classes: int = 1


def load_source(
    name: str,
    examples: Sequence[Example],
    weight: float,
    looseness_px: int,
    rng: np.random.Generator,
    labelled: int = EVERY_CLASS,
) -> Source:
    """Decode all examples but the damaged ones. Raises DataError as `models.data.read_examples`."""
    pictures = [picture(rgb, mask, rng) for _, rgb, mask in read_examples(examples)]
    clean = all(example.clean for example in examples)
    return Source(
        name=name, weight=weight, looseness_px=looseness_px, clean=clean, pictures=pictures, labelled=labelled
    )


def picture(rgb: UInt8, mask: UInt8, rng: np.random.Generator) -> Picture:
    """Choose the points of a picture that crops are aimed at."""
    points = np.argwhere((mask & EVERY_CLASS) > 0).astype(np.int32)
    if len(points) > AIMS:
        points = points[rng.choice(len(points), AIMS, replace=False)]
    return rgb, mask, points


def make_batch(mix: Mix, seed: int, number: int, count: int) -> tuple[Float, Float]:
    """Make batch `number`: pictures (count, crop, crop, 3) 0..1 and targets (count, cells, cells, channels).

    cells = crop / stride. The targets hold the labels of all classes and then the weights of these labels, each in the
    channel order of the network's output: 2 * classes * shuffle ** 2 channels.
    """
    rng = np.random.default_rng([seed, number])
    images = np.empty((count, mix.crop_px, mix.crop_px, 3), np.float32)
    cells = mix.crop_px // mix.stride
    targets = np.empty((count, cells, cells, 2 * mix.classes * mix.shuffle**2), np.float32)
    for i in range(count):
        rgb, mask, weights = make_crop(mix, rng)
        images[i] = rgb
        planes = [*(plane(mask, index) for index in range(mix.classes)), *weights]
        targets[i] = np.concatenate([to_cells(plane, cells, mix.shuffle) for plane in planes], axis=-1)
    images /= 255
    return images, targets


def make_crop(mix: Mix, rng: np.random.Generator) -> tuple[UInt8, UInt8, Float]:
    """Make one crop: picture uint8 RGB, mask with one bit per class, label weights 0..1 (classes, crop, crop)."""
    gentle = rng.random() < mix.gentle
    rgb, mask, weights = make_scene(mix, rng, gentle=gentle)
    if not gentle or rng.random() < 0.4:
        rgb = augment.photometric(rng, rgb)
    return rgb, mask, weights


def make_scene(
    mix: Mix, rng: np.random.Generator, aim_chance: float = 0.8, *, gentle: bool = False
) -> tuple[UInt8, UInt8, Float]:
    """Make one crop as `make_crop`, before its light is changed; `aim_chance` of real crops look at damage.

    `gentle`: real crops stay near the scale and the shape they were photographed in.
    """
    made = [mix.rendered_cracks, mix.rendered_clean, mix.pasted_cracks]
    weights = np.array([source.weight for source in mix.sources] + made)
    pick = int(rng.choice(len(weights), p=weights / weights.sum()))
    if pick >= len(mix.sources):
        kind = pick - len(mix.sources)
        rgb, mask = _pasted(mix, rng) if kind == 2 else _rendered(mix, rng, cracked=kind == 0)
        return rgb, mask, np.ones((mix.classes, *mask.shape), np.float32)
    source = mix.sources[pick]
    rgb, mask = _real(mix, source, rng, aim_chance, gentle=gentle)
    chance = mix.lookalikes_on_clean if source.clean else mix.lookalikes_on_cracked
    trust = _label_weights(mix, source, mask)
    if rng.random() < chance:
        rgb, hidden = lookalikes.paint(rng, rgb, int(rng.integers(1, 4)) if source.clean else 1)
        for index in range(mix.classes):
            trust[index][hidden & (plane(mask, index) > 0)] = 0.0
    return rgb, mask, trust


def _label_weights(mix: Mix, source: Source, mask: UInt8) -> Float:
    weights = np.zeros((mix.classes, *mask.shape), np.float32)
    known = (mask & UNKNOWN) == 0
    for index in range(mix.classes):
        if source.labelled >> index & 1:
            weights[index] = known * augment.label_weight(plane(mask, index), source.looseness_px)
    return weights


def to_cells(plane: npt.NDArray[np.generic], cells: int, shuffle: int) -> npt.NDArray[np.generic]:
    """Space-to-depth of (H, W) to (cells, cells, shuffle ** 2), channel = dy * shuffle + dx.

    Averaged first where H is larger than cells * shuffle.
    """
    size = cells * shuffle
    if plane.shape[0] != size:
        plane = cv2.resize(plane.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    blocks = plane.reshape(cells, shuffle, cells, shuffle).transpose(0, 2, 1, 3)
    return blocks.reshape(cells, cells, shuffle**2)


def stream(make: Callable[[int], Batch], first: int, threads: int = 1, ahead: int = 6) -> Generator[Batch, None, None]:
    """Yield batches `first`, `first` + 1, ... made ahead of time in background threads. Endless; close it to stop.

    An error while making a batch is raised here, at the batch it belongs to.
    """
    cv2.setNumThreads(1)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="batches")
    try:
        waiting = deque(pool.submit(make, first + i) for i in range(ahead))
        for number in itertools.count(first + ahead):
            waiting.append(pool.submit(make, number))
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _real(
    mix: Mix, source: Source, rng: np.random.Generator, aim_chance: float = 0.8, *, gentle: bool = False
) -> tuple[UInt8, UInt8]:
    rgb, mask, points = source.pictures[int(rng.integers(len(source.pictures)))]
    aim = None
    if len(points) and rng.random() < aim_chance:
        y, x = points[int(rng.integers(len(points)))]
        aim = (int(y), int(x))
    return augment.random_crop(rng, rgb, mask, mix.crop_px, aim, gentle=gentle)


def _rendered(mix: Mix, rng: np.random.Generator, *, cracked: bool) -> tuple[UInt8, UInt8]:
    """Rendered ground, or real crack-free ground below a rendered crack; look-alikes first, the crack on top."""
    rgb = _ground(mix, rng, 0.4 if cracked else 0.0)
    rgb, _ = lookalikes.paint(rng, rgb, int(rng.integers(0, 3)) if cracked else int(rng.integers(1, 5)))
    if not cracked:
        return rgb, np.zeros(rgb.shape[:2], np.uint8)
    rgb, mask = render.draw_crack(rng, rgb)
    if rng.random() < 0.25:
        rgb, second = render.draw_crack(rng, rgb)
        mask |= second
    return rgb, mask


def _pasted(mix: Mix, rng: np.random.Generator) -> tuple[UInt8, UInt8]:
    """A real crack on other ground: crack-free photos where there are any, look-alikes below it now and then."""
    cracked = [source for source in mix.sources if not source.clean and source.labelled & 1]
    if not cracked:
        raise DataError("[mix] pasted_cracks needs a source with masks of cracks; add one or set it to 0.")
    rgb, mask = _real(mix, cracked[int(rng.integers(len(cracked)))], rng, aim_chance=1.0)
    ground = _ground(mix, rng, 0.8)
    if rng.random() < 0.4:
        ground, _ = lookalikes.paint(rng, ground, 1)
    return paste.crack(rng, rgb, plane(mask, 0), ground)


def _ground(mix: Mix, rng: np.random.Generator, real_chance: float) -> UInt8:
    """Crack-free ground: with a chance a photo, where a source has crack-free ones, otherwise rendered concrete."""
    clean = [source for source in mix.sources if source.clean]
    if real_chance and clean and rng.random() < real_chance:
        return _real(mix, clean[int(rng.integers(len(clean)))], rng)[0]
    return render.concrete(rng, mix.crop_px)
