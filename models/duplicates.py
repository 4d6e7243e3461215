"""Near copies among pictures: so that nothing a model is validated or tested on was also learned from.

Each picture is shrunk to 32 x 32 px. A perceptual hash of it (the signs of the 63 lowest frequencies of its cosine
transform about their median, as in Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions")
finds candidates, in all eight turns and flips; the correlation of the small pictures confirms them. Re-encoded,
brightened, resized, turned and flipped copies are found. A different section of the same photograph is not: for that
there is the photo column of index.csv, see `models.data`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from models import DamagedError
from models.data import read_rgb

Floats = npt.NDArray[np.float32]

SIDE_PX = 32
HASH_SIDE = 8
MAX_DISTANCE = 10
"""Bits of 63 that may differ for a candidate."""
MIN_CORRELATION = 0.9
"""Correlation of the small pictures from which a candidate is a copy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """A picture that looks like another one."""

    picture: Path
    like: Path
    distance: int
    """Bits of 63 in which the hashes differ."""
    correlation: float
    """Of the small pictures, -1 to 1."""


@dataclass(frozen=True, slots=True)
class Prints:
    """Fingerprints of pictures."""

    paths: Sequence[Path]
    small: Floats
    """(N, 32, 32), mean 0, norm 1."""
    signs: Floats
    """(N, 63) of -1 and 1."""


def fingerprint(paths: Sequence[Path]) -> Prints:
    """Read pictures and fingerprint them, with a progress bar. Damaged ones are left out: nothing learns from them."""
    from tqdm import tqdm

    small = np.empty((len(paths), SIDE_PX, SIDE_PX), np.float32)
    sound = list[Path]()
    for path in tqdm(paths, unit="image", desc="fingerprints", mininterval=2, leave=False):
        try:
            grey = cv2.cvtColor(read_rgb(path), cv2.COLOR_RGB2GRAY)
        except DamagedError:  # named where the pictures are learned from
            continue
        small[len(sound)] = cv2.resize(grey, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
        sound.append(path)
    small = small[: len(sound)]
    return Prints(sound, _normalised(small), _signs(small))


def near_copies(pictures: Prints, held: Prints) -> list[Copy]:
    """List the pictures that look like a held-out one in any turn or flip, each with the one it is most like."""
    best: dict[int, Copy] = {}
    for turned in _turns(held.small):
        signs = _signs(turned)
        for first in range(0, len(pictures.paths), 512):
            rows = slice(first, first + 512)
            distance = (signs.shape[1] - pictures.signs[rows] @ signs.T) / 2
            for i, j in np.argwhere(distance <= MAX_DISTANCE):
                alike = float((pictures.small[first + i] * turned[j]).sum())
                known = best.get(first + int(i))
                if alike >= MIN_CORRELATION and (known is None or alike > known.correlation):
                    best[first + int(i)] = Copy(
                        picture=pictures.paths[first + int(i)], like=held.paths[j],
                        distance=round(float(distance[i, j])), correlation=alike,
                    )  # fmt: skip
    return [best[i] for i in sorted(best)]


def _turns(small: Floats) -> list[Floats]:
    turned = [np.rot90(small, quarter, (1, 2)) for quarter in range(4)]
    return [np.ascontiguousarray(one) for one in (*turned, *(one[:, :, ::-1] for one in turned))]


def _normalised(small: Floats) -> Floats:
    centred = small - small.mean((1, 2), keepdims=True)
    return np.asarray(centred / np.maximum(np.sqrt((centred**2).sum((1, 2), keepdims=True)), 1e-6), np.float32)


def _signs(small: Floats) -> Floats:
    low = np.stack([cv2.dct(one)[:HASH_SIDE, :HASH_SIDE].reshape(-1)[1:] for one in small])
    return np.where(low > np.median(low, axis=1, keepdims=True), 1, -1).astype(np.float32)
