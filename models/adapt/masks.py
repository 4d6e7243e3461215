"""Whether masks lie on anything in their photographs: those of other photographs would teach anything but cracks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from models import DataError
from models.adapt.intake import Photo, UInt8
from models.metrics import grow

Float = npt.NDArray[np.float32]

CHECKED = 6
"""Cracked photographs whose masks are compared with what is there, about."""
SHIFTS_PX = (24, 48)
"""Masks are moved this far, all eight ways, to see whether they lie where something is."""
LIES_ON = 1.15
"""What a mask lies on stands out more, or is scored higher, than what it would lie on when moved, by this factor."""


def check_masks(photos: Sequence[Photo], score: Callable[[UInt8], UInt8]) -> None:
    """Raise DataError where the masks seem to belong to other photographs; some of the cracked ones are looked at.

    `score` gives the old network's answer (H, W) to a picture. Cracks differ in brightness from what is around them, or
    at least are suspected by the network: moved masks must lie on something that stands out less. One sign of the two
    is enough, over all photographs together. Without a cracked photograph there is nothing to check.
    """
    cracked = [photo for photo in photos if photo.cracked]
    signs = {"contrast": [0.0, 0.0], "score": [0.0, 0.0]}
    worst: tuple[float, str] = (np.inf, "")
    for photo in cracked[:: max(1, len(cracked) // CHECKED)]:
        grey = np.asarray(cv2.cvtColor(photo.rgb, cv2.COLOR_RGB2GRAY), np.float32)
        contrast = np.asarray(np.abs(cv2.GaussianBlur(grey, (0, 0), 8) - grey), np.float32)
        crack = (photo.mask & 1) > 0
        for name, plane in (("contrast", contrast), ("score", score(photo.rgb).astype(np.float32))):
            here, elsewhere = _mean(plane, crack), float(np.mean([_mean(plane, moved) for moved in _moved(crack)]))
            signs[name][0] += here
            signs[name][1] += elsewhere
            if name == "contrast" and here / (elsewhere + 0.1) < worst[0]:
                worst = here / (elsewhere + 0.1), photo.example.image.name
    if cracked and all(on < LIES_ON * off + 0.1 for on, off in signs.values()):
        raise DataError(
            "The masks do not lie on anything in their photos: what they cover stands out no more than what is beside "
            f"it, and looks no more like a crack. Do they belong to other photos? Look at {worst[1]} first."
        )


def _moved(crack: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.bool_]]:
    near = grow(crack, 4)
    found = []
    for far in SHIFTS_PX:
        for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)):
            moved = np.roll(crack, (dy * far, dx * far), (0, 1)) & ~near
            if moved.any():
                found.append(moved)
    return found or [crack]


def _mean(plane: Float, where: npt.NDArray[np.bool_]) -> float:
    return float(plane[where].mean()) if where.any() else 0.0
