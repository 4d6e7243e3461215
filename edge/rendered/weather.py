"""The colour map of a cast wall: panels, boards, weather, rust, lime, chalk dust and a cast shadow; all of it soft."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from edge.rendered.cracks import SurfaceCrack
from edge.rendered.texture import TONE_MM_PER_PX, Float32, UInt8, clouds, smooth_noise

_CEMENT = np.array([163.0, 160.0, 152.0], np.float32)
"""Colour of dry concrete in plain light, RGB."""
_WARM = np.array([163.0, 32.0, -182.0], np.float32)
"""How the colour shifts where the mix was a little yellower."""
_RUST = np.array([0.72, 0.52, 0.36], np.float32)
_DAMP = np.array([0.66, 0.67, 0.66], np.float32)
_ALGAE = np.array([0.62, 0.67, 0.56], np.float32)
_LIME = np.array([228.0, 226.0, 218.0], np.float32)
_SHADE = np.array([0.56, 0.59, 0.66], np.float32)
"""What the blue sky leaves where the sun does not reach, relative to sunlit."""


def paint(
    rng: np.random.Generator,
    shape: tuple[int, int],
    panels_mm: Sequence[tuple[float, float, float, float]],
    holes_mm: npt.NDArray[np.float64],
    cracks: Sequence[SurfaceCrack],
) -> UInt8:
    """Paint the colour map, uint8 RGB of ``shape`` at TONE_MM_PER_PX; a panel is x, y, width, height."""
    tone = 1 + 0.035 * clouds(rng, shape, _px(1400), 4, 0.75) + 0.022 * clouds(rng, shape, _px(120), 5, 0.8)
    for panel in panels_mm:
        tone[_window(panel)] *= 1 + 0.028 * float(rng.standard_normal())
    warmth = 0.008 * clouds(rng, shape, _px(900), 3, 0.7)
    rgb = np.stack([tone * (cement + warm * warmth) for cement, warm in zip(_CEMENT, _WARM, strict=True)], axis=2)
    _tint(rgb, _streaks(rng, shape), _DAMP)
    _tint(rgb, _splash(rng, shape), _ALGAE)
    _tint(rgb, _rust_runs(rng, shape, holes_mm), _RUST)
    _tint(rgb, _dirt(rng, shape, cracks), _DAMP)
    _cover(rgb, _lime_bloom(rng, shape, cracks), _LIME)
    _tint(rgb, _shadow(rng, shape), _SHADE)
    return np.asarray(np.clip(rgb, 0, 255, out=rgb), np.uint8)


def _px(mm: float) -> float:
    return mm / TONE_MM_PER_PX


def _window(panel_mm: tuple[float, float, float, float]) -> tuple[slice, slice]:
    x, y, width, height = (round(_px(value)) for value in panel_mm)
    return slice(max(0, y), y + height), slice(max(0, x), x + width)


def _tint(rgb: Float32, share: Float32, colour: Float32) -> None:
    """Multiply ``rgb``, in place, by ``colour`` where ``share`` is 1, by nothing where it is 0."""
    for channel, factor in enumerate(colour):  # one by one: a whole picture of temporary values is large
        rgb[..., channel] *= 1 + share * (factor - 1)


def _cover(rgb: Float32, share: Float32, colour: Float32) -> None:
    """Replace ``rgb``, in place, by ``colour`` where ``share`` is 1."""
    for channel, value in enumerate(colour):
        rgb[..., channel] += share * (value - rgb[..., channel])


def _soft_step(values: Float32, sharpness: float) -> Float32:
    return np.asarray(1 / (1 + np.exp(-sharpness * values)), np.float32)


def _streaks(rng: np.random.Generator, shape: tuple[int, int]) -> Float32:
    """Rain runs down from the top edge in threads that gather into bands, each with a length of its own."""
    share = np.zeros(shape, np.float32)
    width_mm, height_mm = shape[1] * TONE_MM_PER_PX, shape[0] * TONE_MM_PER_PX
    spouts = rng.uniform(0, width_mm, max(3, round(width_mm / 450)))
    for _ in range(round(width_mm / 45)):
        x = float(rng.choice(spouts) + 75 * rng.standard_normal())
        length, half = height_mm * float(rng.beta(1.3, 2.6)), float(np.exp(rng.normal(2.0, 0.6)))
        _run(rng, share, (x, -20.0), length, half, float(rng.uniform(0.06, 0.34)))
    return np.clip(share, 0, 0.85)


def _run(
    rng: np.random.Generator, share: Float32, start: tuple[float, float], length: float, half: float, strength: float
) -> None:
    """Add one run of water to ``share``: it starts at a point, widens and fades downwards, and wavers."""
    reach = 4 * half + 20
    left, top = max(0, round(_px(start[0] - reach))), max(0, round(_px(start[1])))
    part = share[top : max(top, round(_px(start[1] + length))), left : max(left, round(_px(start[0] + reach)))]
    if part.size == 0:
        return
    down = np.linspace(0, 1, part.shape[0], dtype=np.float32)[:, None]
    drift = (2 + 0.3 * half) * smooth_noise(rng, (part.shape[0], 1), (_px(160), 1.0)) * np.sqrt(down)
    across = (left + np.arange(part.shape[1], dtype=np.float32)) * TONE_MM_PER_PX - np.float32(start[0]) - drift
    spread = half * (0.55 + 0.6 * down) * (1 + 0.18 * smooth_noise(rng, (part.shape[0], 1), (_px(70), 1.0)))
    patchy = 1 + 0.28 * clouds(rng, (part.shape[0], part.shape[1]), _px(40), 3, 0.8)
    part += np.float32(strength) * np.exp(-(np.abs(across / spread) ** 2.4)) * (1 - down) ** 0.8 * patchy


def _splash(rng: np.random.Generator, shape: tuple[int, int]) -> Float32:
    """Green-black growth where the wall stays wet: along the foot and under the top edge."""
    height_mm = shape[0] * TONE_MM_PER_PX
    y = np.arange(shape[0], dtype=np.float32)[:, None] * TONE_MM_PER_PX
    wet = np.exp(-(height_mm - y) / 170) + 0.7 * np.exp(-y / 60)
    patchy = clouds(rng, shape, _px(420), 6, 0.8)
    return np.asarray(0.75 * wet * _soft_step(patchy + 0.3, 2.5), np.float32)


def _rust_runs(rng: np.random.Generator, shape: tuple[int, int], holes_mm: npt.NDArray[np.float64]) -> Float32:
    """Brown runs below some of the tie holes, widening and fading downwards."""
    share = np.zeros(shape, np.float32)
    for x, y in holes_mm[rng.random(len(holes_mm)) < 0.3]:
        _run(rng, share, (float(x), float(y)), rng.uniform(120, 520), rng.uniform(7, 15), rng.uniform(0.4, 0.85))
    return np.clip(share, 0, 1)


def _dirt(rng: np.random.Generator, shape: tuple[int, int], cracks: Sequence[SurfaceCrack]) -> Float32:
    """Damp dirt on both sides of the open cracks, in patches."""
    canvas = np.zeros(shape, np.uint8)
    for crack in cracks:
        if float(crack.width_mm.mean()) > 0.8:
            path = np.rint(_px(1) * crack.path_mm * 16).astype(np.int32)
            cv2.polylines(canvas, [path], False, 255, round(_px(9)), cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(canvas, (0, 0), _px(9)).astype(np.float32) / np.float32(255)
    return np.asarray(0.7 * soft * np.clip(0.35 + 0.5 * clouds(rng, shape, _px(150), 4, 0.8), 0, 1), np.float32)


def _lime_bloom(rng: np.random.Generator, shape: tuple[int, int], cracks: Sequence[SurfaceCrack]) -> Float32:
    """Efflorescence: white crust that water carried out of some cracks, with runs below it."""
    share = np.zeros(shape, np.float32)
    wet = [crack for crack in cracks if crack.parent is None and float(crack.width_mm.mean()) > 0.5]
    for crack in wet[1::3]:
        start = int(rng.integers(len(crack.path_mm) // 2))
        piece = np.rint(_px(1) * crack.path_mm[start : start + 160] * 16).astype(np.int32)
        crust = np.zeros(shape, np.uint8)
        cv2.polylines(crust, [piece], False, 255, round(_px(16)), cv2.LINE_AA, 4)
        share += _run_down(np.asarray(crust, np.float32) / np.float32(255))
    return np.asarray(0.62 * np.clip(share * (0.55 + 0.45 * clouds(rng, shape, _px(40), 4, 0.85)), 0, 1), np.float32)


def _run_down(crust: Float32) -> Float32:
    """Spread a crust a little to all sides and further downwards, fading."""
    soft = cv2.GaussianBlur(crust, (0, 0), _px(7))
    reach = round(_px(150))
    kernel = np.zeros((2 * reach + 1, 1), np.float32)
    kernel[reach:, 0] = np.exp(-np.arange(reach + 1) / _px(45))
    runs = cv2.filter2D(crust, -1, kernel[::-1] / kernel.sum())
    return np.asarray(soft + 1.3 * cv2.GaussianBlur(runs, (0, 0), _px(4)), np.float32)


def _shadow(rng: np.random.Generator, shape: tuple[int, int]) -> Float32:
    """Shadow of the deck and of a railing above: one slanted edge with a half-shadow, and slanted posts below it."""
    slope = float(rng.uniform(-0.06, 0.06))
    canvas = np.zeros(shape, np.uint8)
    height, width = shape
    edge = float(rng.uniform(0.10, 0.16)) * height
    rail = edge + _px(260)
    deck = [(0, 0), (width, 0), (width, edge + slope * width), (0, edge)]
    cv2.fillPoly(canvas, [_fixed(deck)], 255, cv2.LINE_AA, 4)
    _bar(canvas, (0, rail), (width, rail + slope * width), 42)
    lean = float(rng.uniform(-0.35, 0.35))
    for x in np.arange(-rail, width + rail, _px(1150)):
        _bar(canvas, (x, edge + slope * x), (x + lean * (rail - edge), rail + slope * x), 36)
    soft = cv2.GaussianBlur(canvas, (0, 0), _px(7))
    return np.asarray(soft, np.float32) / np.float32(255)


def _bar(canvas: UInt8, start: tuple[float, float], end: tuple[float, float], width_mm: float) -> None:
    begin, stop = _fixed([start, end])
    cv2.line(canvas, begin.tolist(), stop.tolist(), 255, round(_px(width_mm)), cv2.LINE_AA, 4)


def _fixed(points: Sequence[tuple[float, float]]) -> npt.NDArray[np.int32]:
    """Points in OpenCV's fixed point with 4 fractional bits."""
    return np.array([[math.floor(16 * x), math.floor(16 * y)] for x, y in points], np.int32)
