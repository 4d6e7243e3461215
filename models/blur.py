"""Blur laid on a picture as a lens and a moving camera lay it: on light, not on codes, and under the sensor's noise."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from edge.frames.tone import light_of, srgb_codes
from models.sites import Tile

UInt8 = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

NOISE_CODES = (1.0, 2.0)
"""Least and greatest standard deviation of the noise, codes of 8 bits: blur takes a picture's own noise away."""
_STEPS_PER_PX = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Blur:
    """How far a picture is blurred, pixels."""

    motion_px: float = 0.0
    """Length of the straight way that every point moves during the exposure, in a direction of its own for each
    picture; its standard deviation is this over sqrt(12)."""
    defocus_px: float = 0.0
    """Gaussian sigma, the same in all directions."""

    def __bool__(self) -> bool:
        return self.motion_px > 0 or self.defocus_px > 0


def blurred_tiles(tiles: Sequence[Tile], blur: Blur) -> list[Tile]:
    """The held-out pictures with ``blur`` on them; labels stay. A picture is always blurred alike, whatever else is."""
    if not blur:
        return list(tiles)
    return [
        replace(tile, rgb=blurred(tile.rgb, blur, np.random.default_rng(_number(tile, blur)))) for tile in tiles
    ]  # fmt: skip


def blurred(rgb: UInt8, blur: Blur, rng: np.random.Generator) -> UInt8:
    """Blur sRGB codes uint8 (H, W, 3) in light, mirrored at the borders, and add noise to the codes."""
    light: Floats = light_of("srgb")[rgb]
    if blur.motion_px > 0:
        way = motion_kernel(blur.motion_px, float(rng.uniform(0, math.pi)))
        light = np.asarray(cv2.filter2D(light, -1, way, borderType=cv2.BORDER_REFLECT_101), np.float32)
    if blur.defocus_px > 0:
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), blur.defocus_px), np.float32)
    noise = rng.uniform(*NOISE_CODES) * rng.standard_normal(rgb.shape, np.float32)
    return np.asarray(np.clip(np.rint(srgb_codes(light) + noise), 0, 255), np.uint8)


def motion_kernel(length_px: float, direction_rad: float) -> Floats:
    """A straight line of ``length_px`` through the middle, float32 (n, n), n odd, its sum 1."""
    count = max(2, math.ceil(length_px * _STEPS_PER_PX))
    along = ((np.arange(count) + 0.5) / count - 0.5) * length_px
    reach = math.ceil(length_px / 2) + 1
    x, y = reach + along * math.cos(direction_rad), reach + along * math.sin(direction_rad)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right_part, low_part = x - left, y - top
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    for dy, down in ((0, 1 - low_part), (1, low_part)):
        for dx, across in ((0, 1 - right_part), (1, right_part)):
            np.add.at(kernel, (top + dy, left + dx), down * across)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _number(tile: Tile, blur: Blur) -> int:
    return zlib.crc32(f"{tile.site} {tile.image.name} {blur.motion_px:g} {blur.defocus_px:g}".encode())
