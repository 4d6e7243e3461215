"""Rendered spalling: a piece of the surface has broken away, and the rusty, rough ground behind it shows."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from models.render import SUPERSAMPLE, Float, UInt8, average_down, fractal_noise

_CORNERS = 48
_RUST = np.array([118.0, 72.0, 44.0], np.float32)
"""Colour of rusty ground in daylight, red, green, blue."""


def draw_spalling(rng: np.random.Generator, rgb: UInt8) -> tuple[UInt8, UInt8]:
    """Break one piece out of a square picture (size, size, 3). Returns (picture, mask 0/1 (size, size))."""
    size = rgb.shape[0]
    fine = np.zeros((size * SUPERSAMPLE,) * 2, np.uint8)
    cv2.fillPoly(fine, [np.rint(_outline(rng, size) * SUPERSAMPLE).astype(np.int32)], 255)
    share = average_down(fine, size)
    ground = _ground(rng, size, float(rgb.mean()))
    # Light from above: the upper edge throws a shadow into the hole, the lower one catches light.
    drop = cv2.GaussianBlur(share, (0, 0), 0.012 * size + 0.5)
    slope = np.roll(drop, -2, axis=0) - np.roll(drop, 2, axis=0)
    ground -= (60 * np.clip(slope, -1, 1))[..., None]
    mixed = rgb * (1 - share[..., None]) + ground * share[..., None]
    return np.clip(mixed, 0, 255).astype(np.uint8), (share >= 0.5).astype(np.uint8)


def _outline(rng: np.random.Generator, size: int) -> npt.NDArray[np.float64]:
    """A jagged closed line (N, 2) in pixels, inside the picture."""
    radius = size * rng.uniform(0.09, 0.2)
    middle = rng.uniform(1.4 * radius, size - 1.4 * radius, 2)
    angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    rough = np.zeros(_CORNERS)
    for waves in (2, 3, 5, 9, 14):
        rough += rng.normal(0, 0.22 / waves) * np.cos(waves * angle + rng.uniform(0, 2 * np.pi))
    stretch = rng.uniform(0.7, 1.0)
    reach = radius * np.clip(1 + rough, 0.5, 1.35)
    return np.stack([middle[0] + reach * np.cos(angle), middle[1] + stretch * reach * np.sin(angle)], axis=1)


def _ground(rng: np.random.Generator, size: int, light: float) -> Float:
    """What lies behind the surface: float32 RGB (size, size, 3), as bright as a picture of mean ``light`` allows."""
    rust = _RUST * float(rng.uniform(0.8, 1.25)) * (0.5 + light / 280)
    coarse, fine = fractal_noise(rng, size, 14, 4), fractal_noise(rng, size, 48, 2)
    return np.asarray(rust * (1 + 0.22 * coarse + 0.14 * fine)[..., None], np.float32)
