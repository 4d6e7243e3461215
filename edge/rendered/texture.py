"""The look of cast concrete: tones, weather and light on a coarse colour map, grain and board marks on fine tiles."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from edge.rendered.cells import NEUTRAL, Cells

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

TONE_MM_PER_PX = 2.0
"""Scale of the colour map: everything on it is soft; all that has sharp edges is drawn into each frame."""
GRAIN_MM_PER_PX = 0.35
TILE_PX = 2048
"""Rows and columns of the grain's tile."""
BOARD_STRETCH = 8
"""A column of the board tile is this many times as wide as a row is high."""
_BOARD_PX = 336
_BOARDS_PER_TILE = 6
_BOARD_TILE_PX = (_BOARDS_PER_TILE * _BOARD_PX, TILE_PX // BOARD_STRETCH)
LEVELS = 5
GRAIN_CELLS = Cells(stream=4, size=(512, 512), fade=(64, 64), step=(16, 16), turned=True)
BOARD_CELLS = Cells(stream=5, size=(_BOARD_PX, 128), fade=(0, 32), step=(_BOARD_PX, 16), turned=False)
"""Each board of the wall is one of the tile's, and passes into another one every 0.36 m."""
_COARSE = 4
"""Broad blots of the grain are made this many times coarser: their blur would cost most of the time."""


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cell_px: tuple[float, float]) -> Float32:
    """Return float32 noise of ``shape``, mean 0 and deviation about 1, with blobs of ``cell_px`` (down, across)."""
    cells = [math.ceil(side / cell) + 3 for side, cell in zip(shape, cell_px, strict=True)]
    grid = rng.standard_normal(cells, dtype=np.float32)
    return np.asarray(cv2.resize(grid, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC) * 1.35, np.float32)


def clouds(rng: np.random.Generator, shape: tuple[int, int], coarsest_px: float, octaves: int, gain: float) -> Float32:
    """Return octaves of smooth noise, each half as coarse and ``gain`` times as strong, of deviation about 1."""
    total = np.zeros(shape, np.float32)
    strength, power, cell = 1.0, 0.0, coarsest_px
    for _ in range(octaves):
        total += strength * smooth_noise(rng, shape, (cell, cell))
        power += strength**2
        strength, cell = strength * gain, cell / 2
    return total / np.float32(math.sqrt(power))


def grain_tile(rng: np.random.Generator) -> UInt8:
    """Cement paste, sand and pin holes: uint8 (TILE_PX, TILE_PX) that repeats without a seam."""
    tone = np.zeros((TILE_PX, TILE_PX), np.float32)
    for sigma_px, strength in ((0.7, 3.2), (1.8, 3.4)):
        tone += strength * _wrapped_blur(rng.standard_normal(tone.shape, dtype=np.float32), sigma_px, 1.0)
    coarse = np.zeros((TILE_PX // _COARSE, TILE_PX // _COARSE), np.float32)
    for sigma_px, strength in ((5.0, 2.6), (14.0, 2.0)):
        coarse += strength * _wrapped_blur(rng.standard_normal(coarse.shape, dtype=np.float32), sigma_px / _COARSE, 1.0)
    tone += _wrapped_enlargement(coarse)
    tone += (
        34 * _specks(rng, 2600, (0.8, 2.2)) - 62 * _specks(rng, 1500, (0.9, 2.6)) - 40 * _specks(rng, 5000, (0.5, 1.2))
    )
    return _as_tile(tone)


def board_tile(rng: np.random.Generator) -> UInt8:
    """Imprint of sawn boards lying flat: uint8 of _BOARD_TILE_PX, repeats without a seam.

    Its columns are BOARD_STRETCH times as wide as its rows are high: wood grain is long.
    """
    tone = np.zeros(_BOARD_TILE_PX, np.float32)
    for sigma_px, stretch, strength in ((0.8, 9.0, 3.4), (2.5, 8.0, 3.8), (7.0, 5.0, 2.2)):
        tone += strength * _wrapped_blur(rng.standard_normal(tone.shape, dtype=np.float32), sigma_px, stretch)
    for top in range(0, len(tone), _BOARD_PX):
        tone[top : top + _BOARD_PX] += 3.0 * float(rng.standard_normal())
        tone[top : top + 4] -= 26 * np.clip(0.6 + 0.5 * smooth_noise(rng, (1, tone.shape[1]), (1, 24)), 0, 1)
    return _as_tile(tone)


def mips(tile: UInt8) -> tuple[UInt8, ...]:
    """The tile at full, half, quarter ... size, LEVELS of them: a distant view averages instead of flickering."""
    out = [tile]
    for _ in range(LEVELS - 1):
        half = (out[-1].shape[1] // 2, out[-1].shape[0] // 2)
        out.append(np.asarray(cv2.resize(out[-1], half, interpolation=cv2.INTER_AREA), np.uint8))
    return tuple(out)


def _as_tile(tone: Float32) -> UInt8:
    return np.asarray(np.clip(NEUTRAL + tone - float(tone.mean()), 0, 255), np.uint8)


def _wrapped_blur(noise: Float32, sigma_px: float, stretch: float) -> Float32:
    """Blur with wrap-around, ``stretch`` times as far along the rows; the result has deviation 1."""
    reach_x, reach_y = math.ceil(3 * sigma_px * stretch), math.ceil(3 * sigma_px)
    padded = np.pad(noise, ((reach_y, reach_y), (reach_x, reach_x)), mode="wrap")
    blurred = cv2.GaussianBlur(padded, (0, 0), sigmaX=sigma_px * stretch, sigmaY=sigma_px)
    inner = blurred[reach_y : reach_y + noise.shape[0], reach_x : reach_x + noise.shape[1]]
    return np.asarray(inner / max(float(inner.std()), 1e-6), np.float32)


def _wrapped_enlargement(coarse: Float32) -> Float32:
    """Enlarge a repeating picture _COARSE times; it repeats without a seam again."""
    padded = np.pad(coarse, 2, mode="wrap")
    large = cv2.resize(padded, None, fx=_COARSE, fy=_COARSE, interpolation=cv2.INTER_LINEAR)
    return np.asarray(large[2 * _COARSE : -2 * _COARSE, 2 * _COARSE : -2 * _COARSE], np.float32)


def _specks(rng: np.random.Generator, count: int, radius_px: tuple[float, float]) -> Float32:
    """Sparse round specks, float32 0 to 1; the few on the tile's edge are cut off there."""
    canvas = np.zeros((TILE_PX, TILE_PX), np.uint8)
    centres = rng.uniform(0, TILE_PX, (count, 2))
    radii = rng.uniform(*radius_px, count)
    greys = rng.integers(90, 256, count)
    for (x, y), radius, grey in zip((centres * 16).astype(int).tolist(), radii.tolist(), greys.tolist(), strict=True):
        cv2.circle(canvas, (x, y), max(4, round(radius * 16)), grey, -1, cv2.LINE_AA, 4)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 0.6), np.float32) / np.float32(255)
