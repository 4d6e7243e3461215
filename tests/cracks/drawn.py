"""Cracks drawn with exact geometry, by a slow way that shares nothing with the code under test.

Coverage is exact along x (where the outline crosses a line of the picture) and supersampled along y.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
import numpy.typing as npt

from edge.frames import Frame
from edge.masks import ClassMask, DamageClass

Floats = npt.NDArray[np.float64]
UInt8 = npt.NDArray[np.uint8]

SUPERSAMPLE = 16
SURFACE, DARK = 170.0, 45.0


def outline(centre: Floats, width_px: Floats | float) -> Floats:
    """The polygon of a stroke along ``centre`` (N, 2) with butt ends."""
    tangent = np.gradient(centre, axis=0)
    tangent /= np.hypot(*tangent.T)[:, None]
    side = np.column_stack((-tangent[:, 1], tangent[:, 0])) * (np.broadcast_to(width_px, len(centre)) / 2)[:, None]
    return np.concatenate((centre + side, (centre - side)[::-1]))


def cover(polygon: Floats, shape: tuple[int, int]) -> Floats:
    """The share of every pixel that lies inside ``polygon`` (even-odd); pixel (0, 0) has its centre at (0, 0)."""
    height, width = shape
    share = np.zeros(shape)
    x0, y0 = polygon.T
    x1, y1 = np.roll(polygon, -1, axis=0).T
    left = np.arange(width) - 0.5
    first, last = max(0, int(y0.min()) - 1), min(height, int(y0.max()) + 3)
    for line in range(first * SUPERSAMPLE, last * SUPERSAMPLE):
        y = (line + 0.5) / SUPERSAMPLE - 0.5
        cut = (y0 <= y) != (y1 <= y)
        crossings = np.sort(x0[cut] + (y - y0[cut]) / (y1[cut] - y0[cut]) * (x1[cut] - x0[cut]))
        for a, b in zip(crossings[::2], crossings[1::2], strict=True):
            share[line // SUPERSAMPLE] += np.clip(np.minimum(left + 1, b) - np.maximum(left, a), 0, 1) / SUPERSAMPLE
    return share


def drawn(strokes: list[tuple[Floats, Floats | float]], size: int) -> Floats:
    """Cover (size, size) of several strokes, each a centreline and its width."""
    return np.max([cover(outline(centre, width), (size, size)) for centre, width in strokes], axis=0)


def straight(middle: tuple[float, float], angle_deg: float, length_px: float, points: int = 60) -> Floats:
    """Points along a straight line."""
    angle = np.radians(angle_deg)
    along = np.linspace(-length_px / 2, length_px / 2, points)[:, None]
    return np.asarray(middle) + along * np.array([np.cos(angle), np.sin(angle)])


def ray(start: tuple[float, float], angle_deg: float, length_px: float) -> Floats:
    """Points along a straight line from ``start``."""
    angle = np.radians(angle_deg)
    return np.asarray(start) + np.linspace(0, length_px, 60)[:, None] * np.array([np.cos(angle), np.sin(angle)])


def arc(middle: tuple[float, float], radius_px: float, from_deg: float, to_deg: float, points: int = 400) -> Floats:
    """Points along a circle."""
    angle = np.radians(np.linspace(from_deg, to_deg, points))
    return np.asarray(middle) + radius_px * np.column_stack((np.cos(angle), np.sin(angle)))


@functools.lru_cache(maxsize=256)
def bar(width_px: float, angle_deg: float, length_px: float = 150, size: int = 184) -> Floats:
    """Cover of one straight crack through the middle of a square picture, off the pixel grid."""
    share = cover(outline(straight(bar_middle(size), angle_deg, length_px), width_px), (size, size))
    share.setflags(write=False)
    return share


def bar_middle(size: int = 184) -> tuple[float, float]:
    """Where the middle of a ``bar`` lies."""
    return size / 2 + 0.3, size / 2 - 0.2


def picture(
    share: Floats,
    *,
    surface: float | Floats = SURFACE,
    dark: float = DARK,
    blur: float = 0,
    noise: float = 0,
    jpeg: int | None = None,
    seed: int = 0,
) -> UInt8:
    """Grey RGB (H, W, 3) of a surface with a crack of that cover, as a lens, a sensor and a file make it.

    ``surface``, ``dark`` and ``noise`` are sRGB codes; area and blur mix light.
    """
    light = to_light(np.asarray(surface)) * (1 - share) + to_light(np.asarray(dark)) * share
    if blur:
        light = cv2.GaussianBlur(light, (0, 0), blur, borderType=cv2.BORDER_REPLICATE)
    grey = to_srgb(light)
    grey = grey + np.random.default_rng(seed).normal(0, noise, grey.shape) if noise else grey
    rgb = np.repeat(np.clip(np.rint(grey), 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    if jpeg is not None:
        rgb = cv2.imdecode(cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, jpeg])[1], cv2.IMREAD_COLOR)
    return np.ascontiguousarray(rgb)


def to_light(code: Floats) -> Floats:
    """Light 0 to 1 of sRGB codes 0 to 255: IEC 61966-2-1."""
    return np.where(code <= 10.31475, code / 3294.6, ((code / 255 + 0.055) / 1.055) ** 2.4)


def to_srgb(light: Floats) -> Floats:
    """The inverse of ``to_light``."""
    return np.where(light <= 0.0031308, 3294.6 * light, 255 * (1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055))


def mask_of(crack: npt.NDArray[np.bool_], rgb: UInt8 | None = None) -> ClassMask:
    """A mask as a network would hand it over; without a picture the frame is flat grey (no valley anywhere)."""
    rgb = np.full((*crack.shape, 3), 128, np.uint8) if rgb is None else rgb
    frame = Frame(seq=1, exposed_ns=0, exposure_us=None, rgb=np.ascontiguousarray(rgb))
    score = np.where(crack, 204, 10).astype(np.uint8)
    return ClassMask(frame, DamageClass("crack", 0.5, "line"), score, np.array(crack, bool))
