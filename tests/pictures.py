"""Frames with a drawn crack, for tests that need no bridge."""

from __future__ import annotations

import cv2
import numpy as np

from edge.frames import Frame

PATH_PX = np.array([[20, 60], [110, 110], [200, 105], [300, 170]], np.int32)


def concrete(height_px: int = 240, width_px: int = 320, *, cracked: bool = True, seed: int = 1) -> np.ndarray:
    """RGB: light, slightly noisy concrete; ``cracked`` draws one dark crack, about 7 px wide, from left to right."""
    rng = np.random.default_rng(seed)
    rgb = np.clip(rng.normal(180, 3, (height_px, width_px, 1)), 0, 255).repeat(3, axis=2).astype(np.uint8)
    if cracked:
        cv2.polylines(rgb, [PATH_PX.reshape(-1, 1, 2)], False, (40, 40, 40), 6, cv2.LINE_AA)
    return rgb


def frame(seq: int = 0, exposed_ns: int = 0, *, cracked: bool = True) -> Frame:
    """``concrete`` as a frame."""
    return Frame(seq, exposed_ns, 500, concrete(cracked=cracked))
