"""Cracks and look-alikes rendered beforehand by all processors, as what they do to any picture.

A crack darkens: a factor and a mask. A look-alike multiplies and adds, whatever lies below; painted on two even
grounds, both can be read off. Arrays stay in files of memory that processes share.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from models import DataError, lookalikes, render
from models.arrays import read_arrays
from models.checkpoint import replacing
from models.gpu.recipe import Recipe

UInt8 = npt.NDArray[np.uint8]

SIZE_PX = 512
"""Side of what is rendered."""
FACTOR_SCALE = 100.0
"""A factor of 1 is stored as 100: factors of 0 to 2.55."""
OFFSET = 64.0
"""An addition of 0 is stored as 64, in steps of 1 up to 191."""
_GROUNDS = (40, 160)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """Pictures of (count, SIZE_PX, SIZE_PX, channels), uint8."""

    cracks: UInt8
    """Channels: factor * FACTOR_SCALE, mask 0/255."""
    lookalikes: UInt8
    """Channels: factors of red, green and blue * FACTOR_SCALE, additions to them + OFFSET, hidden 0/255."""


def crack(rng: np.random.Generator, size: int = SIZE_PX) -> UInt8:
    """Render a crack: (size, size, 2), see `Rendered.cracks`."""
    ground = np.full((size, size, 3), 200, np.uint8)
    out, mask = render.draw_crack(rng, ground)
    if rng.random() < 0.3:
        out, second = render.draw_crack(rng, out)
        mask = mask | second
    factor = np.asarray(out[..., 0], np.float32) / 200
    return np.stack([_code(factor * FACTOR_SCALE), mask * np.uint8(255)], axis=-1)


def lookalike(rng: np.random.Generator, size: int = SIZE_PX) -> UInt8:
    """Render one look-alike: (size, size, 7), see `Rendered.lookalikes`."""
    painter = lookalikes.PAINTERS[int(rng.integers(len(lookalikes.PAINTERS)))]
    seed, low, high = int(rng.integers(2**31)), *_GROUNDS
    painted = [painter(np.random.default_rng(seed), np.full((size, size, 3), grey, np.uint8)) for grey in (low, high)]
    dark, light = (np.asarray(one[0], np.float32) for one in painted)
    factor = np.clip((light - dark) / (high - low), 0, 2.55)
    added = dark - factor * low
    hidden = painted[0][1].astype(np.uint8)[..., None] * np.uint8(255)
    return np.concatenate([_code(factor * FACTOR_SCALE), _code(added + OFFSET), hidden], axis=-1)


def render_all(cracks: int, wanted_lookalikes: int, seed: int, processes: int) -> Rendered:
    """Render in `processes` processes. Two calls with one seed and one number of things give the same."""
    made = []
    for kind, count, channels in ((0, cracks, 2), (1, wanted_lookalikes, 7)):
        shape = (count, SIZE_PX, SIZE_PX, channels)
        memory = SharedMemory(create=True, size=max(1, int(np.prod(shape))))
        try:
            jobs = [(kind, memory.name, shape, seed, first) for first in range(0, count, _CHUNK)]
            # spawned, not forked: a forked child would hold the parent's threads of OpenCV and PyTorch half alive
            with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
                for _ in pool.map(_render_chunk, jobs):
                    pass
            made.append(np.ndarray(shape, np.uint8, memory.buf).copy())
        finally:
            memory.close()
            memory.unlink()
    return Rendered(cracks=made[0], lookalikes=made[1])


def rendered_once(path: Path | None, recipe: Recipe, processes: int) -> Rendered:
    """Read what `path` holds; render by the recipe and write it there where it does not exist, or is None.

    Raises DataError for a file that holds something else, and where there is no folder to keep one in.
    """
    if path is not None and path.exists():
        arrays = read_arrays(path, "rendered things")
        if arrays.keys() != {"cracks", "lookalikes"}:
            raise DataError(f"{path} holds {', '.join(arrays) or 'nothing'}, no rendered things; name another file.")
        return Rendered(cracks=arrays["cracks"], lookalikes=arrays["lookalikes"])
    if path is not None and not path.parent.is_dir():
        raise DataError(f"{path} cannot be kept: there is no folder {path.parent}; make it.")
    made = render_all(recipe.run.cracks, recipe.run.lookalikes, recipe.run.seed, processes)
    if path is not None:
        with replacing(path) as part, part.open("wb") as stream:
            np.savez(stream, cracks=made.cracks, lookalikes=made.lookalikes)
    return made


_CHUNK = 32


def _render_chunk(job: tuple[int, str, tuple[int, int, int, int], int, int]) -> None:
    kind, name, shape, seed, first = job
    cv2.setNumThreads(1)
    memory = SharedMemory(name=name)
    try:
        out = np.ndarray(shape, np.uint8, memory.buf)
        for i in _chunk(first, shape[0]):
            rng = np.random.default_rng([seed, kind, i])
            out[i] = crack(rng) if kind == 0 else lookalike(rng)
        del out  # the memory cannot be closed while an array looks at it
    finally:
        memory.close()


def _chunk(first: int, count: int) -> Iterator[int]:
    yield from range(first, min(first + _CHUNK, count))


def _code(values: npt.NDArray[np.floating[Any]]) -> UInt8:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)
