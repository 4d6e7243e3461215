"""Real cracks laid on other ground: cut-and-paste in the ratio of brightness, so that the ground shows through."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]

RIM_PX = 2
"""A mask is grown by this much before the surroundings of the crack are filled in: brushes are often too thin."""


def crack(rng: np.random.Generator, rgb: UInt8, mask: UInt8, ground: UInt8) -> tuple[UInt8, UInt8]:
    """Lay the crack of a picture on crack-free ground of the same size; both uint8 RGB (H, W, 3), `mask` 0/1.

    The crack is taken as a factor: its brightness over that of its surroundings, which are filled in from outside the
    mask. Multiplied with the ground it keeps the ground's colour and texture (the paste of Ghiasi et al. 2021,
    "Simple Copy-Paste", in ratio instead of in pixels). Pixels where the crack would be less than 4 % darker leave the
    mask: on dark ground nothing can be seen there. Returns (picture, mask 0/1).
    """
    if not mask.any():
        return ground, mask
    factor, wide = ratio(rgb, mask), _widen(mask)
    share = np.asarray(cv2.GaussianBlur(wide.astype(np.float32), (0, 0), 1.0), np.float32)
    strength = float(rng.uniform(0.7, 1.15))
    change = 1 + share * strength * (factor - 1)
    pasted = np.clip(ground * np.clip(change, 0.03, 1.6)[..., None], 0, 255).astype(np.uint8)
    seen = np.asarray(cv2.blur(change.astype(np.float32), (3, 3))) < 0.96
    return pasted, mask & seen.astype(np.uint8)


def ratio(rgb: UInt8, mask: UInt8) -> npt.NDArray[np.float32]:
    """Brightness over that of the surroundings, filled in from outside the mask: (H, W), 0.05 to 1.6."""
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.float32)
    around = _fill_in(grey, _widen(mask))
    return np.asarray(np.clip((grey + 4.0) / (around + 4.0), 0.05, 1.6), np.float32)


def _widen(mask: UInt8) -> UInt8:
    return np.asarray(cv2.dilate(mask, np.ones((2 * RIM_PX + 1,) * 2, np.uint8)), np.uint8)


def _fill_in(grey: npt.NDArray[np.float32], hole: UInt8) -> npt.NDArray[np.float32]:
    """Brightness around the hole, carried into it: a wide blur of what is outside, normalised by its share."""
    outside = (hole == 0).astype(np.float32)
    sigma = max(3.0, 0.04 * grey.shape[0])
    total = np.asarray(cv2.GaussianBlur(grey * outside, (0, 0), sigma), np.float32)
    share = np.asarray(cv2.GaussianBlur(outside, (0, 0), sigma), np.float32)
    return np.asarray(total / np.maximum(share, 1e-3), np.float32)
