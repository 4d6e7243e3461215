"""What lens, sensor and firmware do to the light: fall-off, motion blur, noise; curve, sharpening, JPEG.

The curve stands here a second time (edge/frames/tone.py has the one that pictures are read with): a rendered camera
that shared it would hide a mistake in it.
"""

from __future__ import annotations

import functools
import math
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from edge.rendered.flightpath import Lens
from edge.rendered.strokes import Float32
from edge.rendered.texture import UInt8

Int16 = npt.NDArray[np.int16]
Tone = Literal["srgb", "linear"]

_SHOT, _READ = 3.3e-4, 2.3e-6
"""Noise variance in light, 1 is white: _SHOT of the light, plus _READ. Some 3,000 electrons fill a pixel, 2.4 codes of
noise on a middle grey."""
_LEVELS = 1 << 14
SHARPEN_RADIUS_PX = 1.0
_NOISE_MARGIN_PX = 48


def vignette(lens: Lens) -> Float32:
    """Light that falls off towards the corners: the natural cos⁴ of the lens and as much again of its barrel."""
    v, u = np.ogrid[: lens.height_px, : lens.width_px]
    square = (u - (lens.width_px - 1) / 2) ** 2 + (v - (lens.height_px - 1) / 2) ** 2
    return np.asarray(1.04 / (1 + square / lens.focal_px**2) ** 4, np.float32)


def smear(light: Float32, smear_px: tuple[float, float]) -> Float32:
    """Average along a straight line of the given extent, sub-pixel exact."""
    reach = math.ceil(max(abs(smear_px[0]), abs(smear_px[1])) / 2) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for share in (np.arange(16) + 0.5) / 16 - 0.5:
        x, y = reach + share * smear_px[0], reach + share * smear_px[1]
        column, row = math.floor(x), math.floor(y)
        dx, dy = x - column, y - row
        kernel[row : row + 2, column : column + 2] += np.outer([1 - dy, dy], [1 - dx, dx]).astype(np.float32) / 16
    return np.asarray(cv2.filter2D(light, -1, kernel, borderType=cv2.BORDER_REFLECT_101), np.float32)


def noise_table(seed: int, lens: Lens) -> Int16:
    """Standard normal noise times 256, int16, a little larger than a frame so that each frame cuts its own part."""
    rng = np.random.default_rng([seed, 41])
    shape = (lens.height_px + _NOISE_MARGIN_PX, lens.width_px + _NOISE_MARGIN_PX, 3)
    return np.asarray(np.clip(256 * rng.standard_normal(shape, dtype=np.float32), -2000, 2000), np.int16)


def with_noise(light: Float32, table: Int16, rng: np.random.Generator) -> Float32:
    """Add noise to the light (H, W, 3) on the sensor, from a place of the table that ``rng`` chooses."""
    top, left = rng.integers(0, _NOISE_MARGIN_PX, 2).tolist()
    part = table[top : top + light.shape[0], left : left + light.shape[1]]
    if rng.random() < 0.5:
        part = part[::-1]
    sigma = np.sqrt(np.maximum(light, 0) * np.float32(_SHOT) + np.float32(_READ))
    return np.asarray(light + sigma * part * np.float32(1 / 256), np.float32)


def developed(light: Float32, tone: Tone, sharpen: float, jpeg: int | None) -> UInt8:
    """The picture, RGB (H, W, 3), that a camera makes of the light on its sensor, 1 being white.

    ``sharpen``: amount of an unsharp mask of 1 pixel on the codes, as firmware does it; ``jpeg``: quality, None: none.
    """
    codes = _curve(tone)[(np.clip(light, 0, 1) * np.float32(_LEVELS - 1) + np.float32(0.5)).astype(np.intp)]
    if sharpen:
        blunt = cv2.GaussianBlur(codes, (0, 0), SHARPEN_RADIUS_PX)
        codes = np.asarray(codes + np.float32(sharpen) * (codes - blunt), np.float32)
    rgb = np.asarray(cv2.convertScaleAbs(np.maximum(codes, 0)), np.uint8)
    if jpeg is None:
        return rgb
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, jpeg])
    again = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(np.asarray(again), cv2.COLOR_BGR2RGB), np.uint8)


@functools.lru_cache(maxsize=2)
def _curve(tone: Tone) -> Float32:
    """The camera's curve: the code, not rounded, of each level of its converter."""
    level = np.arange(_LEVELS) / (_LEVELS - 1)
    if tone == "linear":
        return (255 * level).astype(np.float32)
    curved = 1.055 * np.maximum(level, 0.0031308) ** (1 / 2.4) - 0.055  # IEC 61966-2-1
    return (255 * np.where(level <= 0.0031308, 12.92 * level, curved)).astype(np.float32)
