"""Rendered surfaces, cracks, and things that look like cracks and are none. Everything follows from the generator.

Rendered pictures fill two gaps of real sets: exact masks for hairlines, and crack-free surfaces full of straight
joints, holes, stains, shadows and drawn lines.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]

SUPERSAMPLE = 4
"""Cracks are drawn on a canvas this many times finer and averaged down, which gives widths in quarter pixels."""
LABEL_MIN_WIDTH_PX = 2.0
"""Labels of hairlines are drawn at least this wide, otherwise a crack of one pixel falls between label pixels."""


def fractal_noise(rng: np.random.Generator, size: int, coarsest: int, octaves: int) -> Float:
    """Return noise (size, size) of mean 0 and deviation about 1: octaves of smooth noise, each half as strong."""
    total = np.zeros((size, size), np.float32)
    cells, gain = coarsest, 1.0
    for _ in range(octaves):
        grid = rng.standard_normal((cells + 3, cells + 3), dtype=np.float32)
        total += gain * cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
        cells, gain = min(cells * 2, size), gain * 0.6
    return total / max(float(total.std()), 1e-6)


def wave(rng: np.random.Generator, length: int, period_px: float) -> Float:
    """Smooth noise (length,) of about -1 to 1 that changes over `period_px`."""
    knots = rng.uniform(-1, 1, int(length / period_px) + 3)
    return np.asarray(np.interp(np.arange(length) / period_px, np.arange(len(knots)), knots), np.float32)


def concrete(rng: np.random.Generator, size: int) -> UInt8:
    """Render a crack-free surface: a tone, cloudy and fine texture, pores. Returns uint8 RGB (size, size, 3)."""
    base = rng.uniform(60, 215)
    grey = base + rng.uniform(2, 14) * fractal_noise(rng, size, int(rng.integers(1, 5)), 5)
    grain = rng.standard_normal((size, size), dtype=np.float32)
    grey += rng.uniform(1, 9) * cv2.GaussianBlur(grain, (0, 0), float(rng.uniform(0.4, 1.2))) * 1.5
    if rng.random() < 0.5:
        grey -= rng.uniform(15, 60) * _pores(rng, size)
    tint = 1.0 + rng.uniform(-0.06, 0.06, 3).astype(np.float32)
    return np.asarray(np.clip(grey[..., None] * tint, 0, 255), np.uint8)


def draw_crack(rng: np.random.Generator, rgb: UInt8) -> tuple[UInt8, UInt8]:
    """Paint one wandering crack, often with branches, into a square picture. Returns (picture, mask 0/1)."""
    size = rgb.shape[0]
    cover = np.zeros((size * SUPERSAMPLE,) * 2, np.uint8)
    label = np.zeros_like(cover)
    width_px = float(np.exp(rng.uniform(np.log(0.6), np.log(rng.choice([2.0, 4.0, 9.0])))))
    path = _wander(rng, size)
    _stroke(rng, cover, label, path, width_px)
    for _ in range(int(rng.choice([0, 0, 1, 2]))):
        branch = _wander(rng, size, path[int(rng.integers(len(path)))])
        _stroke(rng, cover, label, branch[: len(branch) // 2 + 2], width_px * float(rng.uniform(0.4, 0.8)))
    share = average_down(cover, size)
    share = np.asarray(cv2.GaussianBlur(share, (0, 0), float(rng.uniform(0.3, 0.8))), np.float32)
    depth = float(rng.uniform(0.15, 0.8)) * (1 + 0.12 * fractal_noise(rng, size, 8, 2))
    dark = 1 - np.clip(depth, 0.15, 0.95) * share
    if rng.random() < 0.15:  # washed-out or limed rim
        dark += float(rng.uniform(0.04, 0.2)) * cv2.GaussianBlur(share, (0, 0), width_px + 1.5)
    mask = average_down(label, size) >= 0.5
    return np.asarray(np.clip(rgb * dark[..., None], 0, 255), np.uint8), mask.astype(np.uint8)


def average_down(fine: UInt8, size: int) -> Float:
    """Average a fine canvas (0 to 255) down to (size, size): the covered share of each pixel, 0 to 1."""
    share = cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(share, np.float32) / np.float32(255)


def _pores(rng: np.random.Generator, size: int) -> Float:
    canvas = np.zeros((size, size), np.uint8)
    for _ in range(int(rng.integers(3, 50))):
        centre = (int(rng.integers(size)), int(rng.integers(size)))
        axes = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
        cv2.ellipse(
            canvas, centre, axes, float(rng.uniform(0, 180)), 0, 360, int(rng.integers(100, 256)), -1, cv2.LINE_AA
        )
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 0.7), np.float32) / np.float32(255)


def _wander(
    rng: np.random.Generator, size: int, start: npt.NDArray[np.float64] | None = None
) -> npt.NDArray[np.float64]:
    """Return a path (N, 2) in pixels: a slow change of direction plus midpoint displacement at all scales."""
    first = rng.uniform(0, size, 2) if start is None else start
    angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 1.4) * size
    ends = np.stack([first, first + length * np.array([np.cos(angle), np.sin(angle)])])
    if start is None:
        ends -= 0.5 * (ends[1] - ends[0]) * rng.uniform(0.6, 1.4)
    path, rough = ends, rng.uniform(0.10, 0.28)
    for _ in range(6):
        step = path[1:] - path[:-1]
        normal = np.stack([-step[:, 1], step[:, 0]], axis=1)
        middle = (path[1:] + path[:-1]) / 2 + normal * rng.normal(0, rough, (len(step), 1))
        path = np.insert(path, np.arange(1, len(path)), middle, axis=0)
    return np.asarray(path, np.float64)


def _stroke(
    rng: np.random.Generator, cover: UInt8, label: UInt8, path: npt.NDArray[np.float64], width_px: float
) -> None:
    """Draw a path of varying width on the fine canvas `cover`, and at label width on `label`."""
    knots = rng.uniform(0.55, 1.25, 9)
    widths = width_px * np.interp(np.linspace(0, 8, len(path)), np.arange(9), knots)
    gap = rng.uniform(0, 1, 2) if rng.random() < 0.15 else None  # an interrupted crack
    points = np.rint(path * SUPERSAMPLE).astype(int)
    for i in range(len(points) - 1):
        if gap is not None and abs(i / len(points) - gap[0]) < 0.06 * gap[1]:
            continue
        begin, end = points[i].tolist(), points[i + 1].tolist()
        cv2.line(cover, begin, end, 255, max(1, round(widths[i] * SUPERSAMPLE)))
        cv2.line(label, begin, end, 255, round(max(widths[i], LABEL_MIN_WIDTH_PX) * SUPERSAMPLE))
