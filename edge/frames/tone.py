"""What a code of a picture means in light, and back: the one place that knows.

sRGB is IEC 61966-2-1. A grey of R'G'B' codes (their weighted sum) is put through the curve as if it were one channel:
the curve is nearly a power, and where all of a crack has the surface's hue a power of the weighted sum is the power of
the light, times a constant. Chroma, which JPEG stores at half the resolution, then never reaches a profile.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
import numpy.typing as npt

from edge.frames import RGB, Tone

Floats = npt.NDArray[np.float32]


@functools.lru_cache(maxsize=2)
def light_of(tone: Tone) -> Floats:
    """Light of each code, float32 (256,), read-only: 0 to 1, 1 is white."""
    code = np.arange(256) / 255
    light = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4) if tone == "srgb" else code
    table = light.astype(np.float32)
    table.setflags(write=False)
    return table


def as_srgb(rgb: RGB, tone: Tone) -> RGB:
    """A picture in sRGB codes; the same array where it is in these already."""
    if tone == "srgb":
        return rgb
    table = np.rint(srgb_codes(light_of(tone))).astype(np.uint8)
    return np.asarray(cv2.LUT(rgb, table), np.uint8)


def srgb_codes(light: Floats) -> Floats:
    """sRGB codes, float32 0 to 255 and not rounded, of light 0 to 1; what is outside is cut off."""
    light = np.clip(light, 0, 1)
    # OpenCV's power of float32 is four times as fast as numpy's and as good to the seventh digit.
    power = np.asarray(cv2.pow(np.maximum(light, np.float32(0.0031308)), 1 / 2.4), np.float32).reshape(light.shape)
    return np.asarray(255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * power - 0.055), np.float32)
