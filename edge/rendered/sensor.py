"""What lens and sensor do to the light: fall-off, motion blur, shot and read noise."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from edge.rendered.flightpath import Lens
from edge.rendered.strokes import Float32
from edge.rendered.texture import UInt8

Int16 = npt.NDArray[np.int16]

_SHOT, _READ = 0.035, 0.8
"""Noise variance in grey levels squared: _SHOT per grey level, plus _READ."""
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


def with_noise(picture: UInt8, table: Int16, rng: np.random.Generator) -> UInt8:
    """Add noise to a picture, uint8 RGB, from a place of the table that ``rng`` chooses."""
    top, left = rng.integers(0, _NOISE_MARGIN_PX, 2).tolist()
    part = table[top : top + picture.shape[0], left : left + picture.shape[1]]
    if rng.random() < 0.5:
        part = part[::-1]
    sigma = np.rint(256 * np.sqrt(_SHOT * np.arange(256) + _READ)).astype(np.int16)
    grains = cv2.multiply(np.ascontiguousarray(part), cv2.LUT(picture, sigma), scale=1 / 65536)
    return np.asarray(cv2.add(picture, grains, dtype=cv2.CV_8U), np.uint8)
