"""Pictures of cracks whose width is known, made without any code of the package.

A crack is the set of points closer to its centreline than half its width. Every pixel takes the share of its area that
lies in it, in linear light; the lens and a moving camera blur that light, the sensor adds noise to it, and only then
comes what a camera does to make a picture: the sRGB curve, sharpening by an unsharp mask, rounding to 8 bits, JPEG.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from models.blur import motion_kernel

Floats = npt.NDArray[np.float64]
UInt8 = npt.NDArray[np.uint8]

SIZE_PX = 200
LENGTH_PX = 150.0
SHAPES = ("straight", "wavy", "tapered", "branched")
_POINT_PX = 0.05
_SUBPIXELS = 8
_LEAST_MASK_PX = 2.5
"""A mask thinner than this falls apart on the pixel grid; no network draws one."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a crack is photographed."""

    blur_px: float = 0.8
    """Gaussian sigma of the lens, besides the pixel's own area."""
    contrast: float = 0.8
    """How much darker a wide crack is than its surface, a share of the surface's sRGB code: what one sees in a picture.
    15, 35, 60 and 90 % are 31, 63, 88 and 99 % of the light."""
    noise: float = 0.0
    """Deviation of the noise on the surface, codes of 8 bits; shot noise, so less in the dark."""
    sharpen: float = 0.0
    """Amount of the unsharp mask."""
    radius_px: float = 1.0
    """Gaussian sigma of the unsharp mask."""
    jpeg: int | None = None
    """Quality, 0 to 100; None: not compressed."""
    srgb: bool = True
    """sRGB codes; else codes proportional to light."""
    surface: float = 0.45
    """Light of the surface, 1 is white."""
    texture: float = 0.0
    """Deviation of the surface's own brightness, a share."""
    motion_px: float = 0.0
    """Straight way of the picture on the sensor during the exposure."""
    motion_rad: float = 0.0
    """Its direction, from x towards y."""


@dataclass(frozen=True)
class Stroke:
    """A crack or a branch: its centreline in dense points (N, 2), and the width at each of them, pixels."""

    xy: Floats
    width_px: Floats


def strokes(shape: str, width_px: float, rng: np.random.Generator, *, wander: bool = False) -> list[Stroke]:
    """One crack of a shape, turned and shifted at random; the middle of a taper is ``width_px`` wide.

    With ``wander`` none is straight: networks learn that ruled lines are joints.
    """
    s = np.arange(-LENGTH_PX / 2, LENGTH_PX / 2, _POINT_PX)
    sideways, width = np.zeros_like(s), np.full_like(s, width_px)
    if shape == "wavy" or wander:
        sideways = rng.uniform(3, 7) * np.sin(2 * np.pi * s / rng.uniform(60, 110) + rng.uniform(0, 6))
    if shape == "tapered":
        width = width_px * (1 + rng.uniform(0.2, 0.5) * s / (LENGTH_PX / 2))
    lines = [(np.column_stack((s, sideways)), width)]
    if shape == "branched":
        along = np.arange(0, 0.45 * LENGTH_PX, _POINT_PX)
        angle = rng.uniform(0.7, 1.2)
        lines.append((np.outer(along, [np.cos(angle), np.sin(angle)]), np.full_like(along, max(1.0, 0.7 * width_px))))
    turn = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    middle = SIZE_PX / 2 + rng.uniform(-3, 3, 2)
    return [Stroke(xy @ rotation + middle, width) for xy, width in lines]


def coverage(lines: list[Stroke]) -> Floats:
    """The share of every pixel's area (SIZE_PX, SIZE_PX) that lies in the crack."""
    inside = np.zeros((SIZE_PX, SIZE_PX))
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX].astype(float)
    centres = np.column_stack((x.ravel(), y.ravel()))
    fine = (np.arange(_SUBPIXELS) + 0.5) / _SUBPIXELS - 0.5
    offsets = np.stack(np.meshgrid(fine, fine), axis=-1).reshape(-1, 2)
    for line in lines:
        tree = cKDTree(line.xy)
        beyond = _beyond(tree, line, centres)
        share = (beyond < 0).astype(float)
        edge = np.flatnonzero(np.abs(beyond) < 0.8)
        points = (centres[edge, None] + offsets).reshape(-1, 2)
        share[edge] = (_beyond(tree, line, points) < 0).reshape(len(edge), -1).mean(axis=1)
        inside = np.maximum(inside, share.reshape(inside.shape))
    return inside


def _beyond(tree: cKDTree, line: Stroke, points: Floats) -> Floats:
    """How far outside the crack each point lies, pixels; negative inside."""
    distance, nearest = tree.query(points, distance_upper_bound=float(line.width_px.max()) / 2 + 2)
    return np.asarray(distance - line.width_px[np.minimum(nearest, len(line.xy) - 1)] / 2)


def true_mask(lines: list[Stroke], share: Floats) -> npt.NDArray[np.bool_]:
    """The pixels that are at least half covered; a thin crack is drawn as thick as a mask can be without gaps."""
    mask = share >= 0.5
    if any(line.width_px.min() < _LEAST_MASK_PX for line in lines):
        mask |= coverage([Stroke(line.xy, np.maximum(line.width_px, _LEAST_MASK_PX)) for line in lines]) >= 0.5
    return mask


def true_width(lines: list[Stroke], path_px: Floats) -> tuple[float, float]:
    """Mean width of the stroke that a path (N, 2) follows, over the path's points, and the median distance to it."""
    trees = [cKDTree(line.xy) for line in lines]
    found = [tree.query(path_px) for tree in trees]
    own = min(range(len(lines)), key=lambda k: float(np.median(found[k][0])))
    return float(lines[own].width_px[found[own][1]].mean()), float(np.median(found[own][0]))


def photograph(share: Floats, look: Look, rng: np.random.Generator) -> UInt8:
    """RGB (H, W, 3) of a surface with a crack that covers ``share`` (H, W) of each pixel."""
    dark = to_light((1 - look.contrast) * to_srgb(np.array(look.surface)))
    light = look.surface + (dark - look.surface) * share
    if look.texture:
        grain = sum(_blurred(rng.standard_normal(share.shape), sigma, unit=True) for sigma in (0.8, 2.5, 8.0))
        light = light * (1 + look.texture * grain / np.sqrt(3))
    light = _blurred(light, look.blur_px)
    if look.motion_px:
        way = motion_kernel(look.motion_px, look.motion_rad).astype(np.float64)
        light = np.asarray(cv2.filter2D(light, -1, way, borderType=cv2.BORDER_REFLECT_101), np.float64)
    if look.noise:
        slope = (
            1.0
            if not look.srgb
            else float(to_srgb(np.array(look.surface + 1e-3)) - to_srgb(np.array(look.surface))) / 1e-3
        )
        sigma = look.noise / 255 / slope * np.sqrt(np.maximum(0, 0.1 + 0.9 * light / look.surface))
        light = light + sigma * rng.standard_normal(share.shape)
    light = np.clip(light, 0, 1)
    code = 255 * (to_srgb(light) if look.srgb else light)
    if look.sharpen:
        code = code + look.sharpen * (code - _blurred(code, look.radius_px))
    grey = np.clip(np.rint(code), 0, 255).astype(np.uint8)
    rgb = np.ascontiguousarray(np.repeat(grey[..., None], 3, axis=2))
    if look.jpeg is not None:
        packed = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, look.jpeg])[1]
        rgb = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(rgb)


def to_srgb(light: Floats) -> Floats:
    """IEC 61966-2-1: light 0 to 1 to a code 0 to 1."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)


def to_light(code: Floats) -> Floats:
    """The inverse of ``to_srgb``."""
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def _blurred(image: Floats, sigma_px: float, *, unit: bool = False) -> Floats:
    reach = max(1, int(np.ceil(4 * sigma_px)))
    size = (2 * reach + 1, 2 * reach + 1)
    out = cv2.GaussianBlur(image, size, sigma_px, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(out / out.std() if unit else out)
