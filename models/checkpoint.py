"""Checkpoints of a training in one .npz file, replaced in one step: no kill and no full disk leaves half a file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.support.errors import TryAgainError
from models import DataError
from models.arrays import read_arrays

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """State needed to go on after a kill."""

    step: int
    seconds: float
    """Wall-clock time spent in training so far."""
    best: float
    """Best validation score so far; -inf before the first validation."""
    weights: Sequence[Array]
    ema: Sequence[Array]
    optimizer: Sequence[Array]

    def fits(self, weights: Sequence[Array], optimizer: Sequence[Array]) -> bool:
        """Whether it is of a network with arrays of these shapes, and of such an optimizer."""
        pairs = (self.weights, weights), (self.ema, weights), (self.optimizer, optimizer)
        return all([np.shape(one) for one in mine] == [np.shape(one) for one in theirs] for mine, theirs in pairs)


@contextlib.contextmanager
def replacing(path: Path, room: int = 0) -> Iterator[Path]:
    """Give a file to write beside `path`, of the same ending; it takes the place of `path` once it is whole on disk.

    `room` bytes are written there first and thrown away: HDF5 ends the whole process where a disk fills under it, so
    that the room for its files must be known to be there. Raises TryAgainError where it cannot be written: what stood
    at `path` stays as it was.
    """
    part = path.with_name(f"part-{path.name}")
    try:
        if room:
            part.write_bytes(bytes(room))
        yield part
        with part.open("rb") as stream:
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise TryAgainError(
            f"{path} cannot be written ({error.strerror or error}); what was there before is untouched: make room and "
            "run the same command again."
        ) from error


def room_for(weights: Sequence[Array]) -> int:
    """Bytes that an HDF5 file of these weights takes at most: the values, and 4 KiB of structure for each array."""
    return sum(array.nbytes for array in weights) + 4096 * len(weights) + (1 << 16)


def save(path: Path, state: Checkpoint) -> None:
    """Write a checkpoint and rename it into place. Raises TryAgainError as `replacing`."""
    arrays: dict[str, Array] = {
        "step": np.array(state.step), "seconds": np.array(state.seconds), "best": np.array(state.best)
    }  # fmt: skip
    for name, group in (("weights", state.weights), ("ema", state.ema), ("optimizer", state.optimizer)):
        arrays.update({f"{name}_{i:04d}": array for i, array in enumerate(group)})
    with replacing(path) as part, part.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]  # numpy types any keyword as allow_pickle


def load(path: Path, way_out: str) -> Checkpoint:
    """Read a checkpoint written by `save`.

    Raises DataError where it is damaged, cut off or another program's; `way_out` says what to do then.
    """
    arrays = read_arrays(path, "the checkpoint of a training", way_out)
    groups = {
        name: [arrays[key] for key in sorted(arrays) if key.startswith(f"{name}_")]
        for name in ("weights", "ema", "optimizer")
    }
    try:
        step, seconds, best = int(arrays["step"]), float(arrays["seconds"]), float(arrays["best"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is another program's file, no checkpoint of a training; {way_out}.") from error
    return Checkpoint(step=step, seconds=seconds, best=best, **groups)


class Average:
    """Exponential moving average over all weights, with a warm-up so that early averages are not stuck at the start.

    The decay after n updates is min(decay, (1 + n) / (10 + n)). BatchNorm statistics are averaged like the rest.
    """

    def __init__(self, weights: Sequence[Array], decay: float, every: int) -> None:
        """`decay` is per training step; `update` is called once every `every` steps."""
        self.values = [np.array(weight, np.float32) for weight in weights]
        self._decay = decay**every
        self._every = every

    def update(self, weights: Sequence[Array], step: int) -> None:
        """Mix in the weights of a step."""
        updates = step / self._every
        decay = min(self._decay, (1 + updates) / (10 + updates))
        for value, weight in zip(self.values, weights, strict=True):
            value *= decay
            value += (1 - decay) * weight
