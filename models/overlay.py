"""Pictures for people: what a network found, on the photo, and many of them on one sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

# Okabe and Ito's palette (2008), distinguishable without red-green vision; RGB.
RIGHT, FALSE, MISSED = (0, 158, 115), (213, 94, 0), (86, 180, 233)
"""Green: found and true; orange: found but not true; blue: true but not found."""


def compare(rgb: UInt8, found: Bool, truth: Bool) -> UInt8:
    """Colour the pixels of a picture (H, W, 3) by what was found and what is true, each (H, W)."""
    out = rgb.copy()
    for where, colour in ((found & truth, RIGHT), (found & ~truth, FALSE), (truth & ~found, MISSED)):
        out[where] = (0.25 * out[where] + 0.75 * np.array(colour)).astype(np.uint8)
    return out


def sheet(pictures: Sequence[UInt8], titles: Sequence[str], columns: int, side_px: int = 240) -> UInt8:
    """Lay pictures of any size out in a grid, each shrunk into a square of `side_px` below its title."""
    rows, head = math.ceil(len(pictures) / columns), 18
    out = np.full((rows * (side_px + head), columns * side_px, 3), 24, np.uint8)
    for i, (rgb, title) in enumerate(zip(pictures, titles, strict=True)):
        top, left = i // columns * (side_px + head), i % columns * side_px
        scale = (side_px - 4) / max(rgb.shape[:2])
        size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
        small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
        out[top + head : top + head + size[1], left + 2 : left + 2 + size[0]] = small
        cv2.putText(out, title, (left + 4, top + 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (230, 230, 230), 1, cv2.LINE_AA)
    return out
