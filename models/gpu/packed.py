"""Read packs: what `models/gpu/pack.py` gathered, where the GPU is.

A pack is one `.npz` with two arrays: `blob`, the encoded files one after the other (WebP pictures, PNG masks), and
`index`, JSON: one entry per picture with source, photograph, whether the photograph belongs to the unseen site, and
where its bytes lie. A mask holds 0 sound, 1 crack, 128 (`models.UNKNOWN`) where nobody knows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from models import DataError
from models.arrays import read_arrays

UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One picture of a pack."""

    source: str
    name: str
    photo: str
    held: bool
    """Belongs to the unseen site."""
    image: tuple[int, int]
    """Where its bytes begin and end in the blob."""
    mask: tuple[int, int] | None
    """None: free of cracks, or unlabelled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """One encoded picture."""

    entry: Entry
    image: bytes
    mask: bytes | None

    def decode(self) -> tuple[UInt8, UInt8]:
        """Return uint8 RGB (H, W, 3) and the mask (H, W), all 0 where there is none."""
        bgr = cv2.imdecode(np.frombuffer(self.image, np.uint8), cv2.IMREAD_COLOR)
        if bgr is None:
            raise DataError(f"The pack's picture {self.entry.name} cannot be decoded; pack it again.")
        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        if self.mask is None:
            return np.asarray(rgb, np.uint8), np.zeros(rgb.shape[:2], np.uint8)
        mask = cv2.imdecode(np.frombuffer(self.mask, np.uint8), cv2.IMREAD_GRAYSCALE)
        return np.asarray(rgb, np.uint8), np.asarray(mask, np.uint8)


def read_packs(paths: Sequence[Path]) -> list[Packed]:
    """Read packs, still encoded. Raises DataError for a file that cannot be read or is none."""
    found = []
    for path in paths:
        pack = read_arrays(path, "a pack of pictures")
        try:
            blob, index = pack.pop("blob").tobytes(), json.loads(pack["index"].tobytes())
            entries = [
                Entry(**{**one, "image": tuple(one["image"]), "mask": tuple(one["mask"]) if one["mask"] else None})
                for one in index
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is no pack of pictures; make it with `python -m models gpu-pack`.") from error
        for entry in entries:
            mask = blob[slice(*entry.mask)] if entry.mask else None
            found.append(Packed(entry=entry, image=blob[slice(*entry.image)], mask=mask))
    return found
