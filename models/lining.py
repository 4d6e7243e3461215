"""Painted traces of a lining of precast segments: ring joints, staggered joints between, bolt pockets, grout holes.

A painter as in `models.lookalikes`. Sizes are those of bored tunnels (joints of 3 to 15 mm, pockets of 10 to 25 cm,
rings of 1 to 2 m) at 0.3 to 3 mm a pixel. All that is done to a picture is to multiply, whatever its content.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from models.render import wave

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Float = npt.NDArray[np.float32]


def lining(rng: np.random.Generator, rgb: UInt8) -> tuple[UInt8, Bool]:
    """A ring joint across the picture with joints that end at it, pockets beside them and grout holes between.

    Everything lies in the frame of the lining, which is turned by any angle. In a fifth of the pictures the joint is
    outside, and only pockets or holes are seen, or nothing.
    """
    size = rgb.shape[0]
    angle, across, along = _frame(rng, size)
    factor, hidden = np.ones((size, size), np.float32), np.zeros((size, size), np.bool_)
    width = float(np.exp(rng.uniform(np.log(1.2), np.log(16))))
    if rng.random() < 0.8:
        factor *= _groove(rng, across, along, width)
        hidden |= np.abs(across) < width / 2
        for side in (-1.0, 1.0):
            if rng.random() < 0.45:  # the joint of the next ring: staggered, it ends at the ring joint
                at = along - float(rng.uniform(-0.45, 0.45)) * size
                beyond = np.clip(side * across + 0.5, 0, 1)
                factor *= 1 + beyond * (_groove(rng, at, across, width * float(rng.uniform(0.6, 1.1))) - 1)
                hidden |= (np.abs(at) < width / 2) & (side * across > 0)
    pocket = float(np.exp(rng.uniform(np.log(8), np.log(90))))
    first, pitch = float(rng.uniform(-0.5, 0.5)) * size, float(rng.uniform(1.8, 5)) * pocket
    side = float(rng.choice([-1, 1]))
    if rng.random() < 0.6:
        light, depth, splay = (
            float(rng.uniform(0, 2 * np.pi)),
            float(rng.uniform(0.2, 0.85)),
            float(rng.uniform(0, 0.35)),
        )
        away = side * (width / 2 + float(rng.uniform(0.6, 1.6)) * pocket)
        for i in range(int(rng.integers(1, 4))):
            u, v = along - first - i * pitch, across - away
            dark, inside = _pocket(u, v, pocket, splay, light - angle, depth)
            factor *= dark
            hidden |= inside
    if rng.random() < 0.4:
        u, v = along + first, across - side * float(rng.uniform(0.1, 0.5)) * size
        dark, inside = _hole(rng, u, v, pocket * float(rng.uniform(0.2, 0.6)))
        factor *= dark
        hidden |= inside
    soft = cv2.GaussianBlur(factor, (0, 0), float(rng.uniform(0.3, 1.2)))
    return np.asarray(np.clip(rgb * np.asarray(soft)[..., None], 0, 255), np.uint8), hidden


def _frame(rng: np.random.Generator, size: int) -> tuple[float, Float, Float]:
    """The lining's angle, and distances across and along its ring joint, px, (size, size) each."""
    angle = float(rng.choice([0, np.pi / 2])) + float(rng.normal(0, 0.06))
    if rng.random() < 0.25:
        angle = float(rng.uniform(0, np.pi))
    y, x = np.mgrid[:size, :size].astype(np.float32) - size / 2
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    offset = np.float32(rng.uniform(-0.35, 0.35) * size)
    return angle, np.asarray(y * cos - x * sin - offset, np.float32), np.asarray(x * cos + y * sin, np.float32)


def _groove(rng: np.random.Generator, distance: Float, along: Float, width: float) -> Float:
    """A joint `width` px wide: open and dark, or filled with mortar of another tone; edges chipped, one side lit."""
    place = np.clip(along + 2 * along.shape[0], 0, 4 * along.shape[0] - 1).astype(np.int32)
    rough = wave(rng, 4 * along.shape[0], float(rng.uniform(6, 40)))[place]
    half = width / 2 * (1 + float(rng.uniform(0, 0.5)) * rough)
    core = np.clip(half - np.abs(distance) + 0.5, 0, 1)
    filled = rng.random() < 0.35
    tone = float(rng.uniform(0.75, 1.3)) if filled else float(rng.uniform(0.1, 0.75))
    factor = 1 + (tone - 1) * core
    rim = np.clip(1.5 - np.abs(np.abs(distance) - half), 0, 1) * (0.6 + 0.4 * rough)
    shade = np.where(distance > 0, float(rng.uniform(-0.5, 0.3)), float(rng.uniform(-0.5, 0.3)))
    if filled or rng.random() < 0.6:  # thin dark lines where mortar shrinks away, or lit and shaded edges
        factor *= 1 + shade * rim
    if rng.random() < 0.4:  # segments that do not lie flush: one of them in half-shadow along the edge
        factor *= 1 - float(rng.uniform(0.05, 0.4)) * np.exp(-np.clip(distance, 0, None) / float(rng.uniform(2, 20)))
    if rng.random() < 0.35:  # leakage: dark and wet, or white with lime, in places
        band = np.exp(-np.square(distance / (width + float(rng.uniform(4, 40)))))
        wet = np.clip(wave(rng, 4 * along.shape[0], float(rng.uniform(30, 150)))[place], 0, 1)
        factor *= 1 + float(rng.uniform(-0.5, 0.45)) * band * wet
    return np.asarray(factor, np.float32)


def _pocket(u: Float, v: Float, side: float, splay: float, light: float, depth: float) -> tuple[Float, Bool]:
    """A bolt pocket: a trapezium with round corners, its floor shaded from one side. Returns factor and where it is."""
    narrow = 1 - splay * np.clip(v / side, -0.5, 0.5) * 2
    du, dv = np.abs(u) / narrow - side / 2, np.abs(v) - side / 2
    corner = 0.15 * side
    outside = np.hypot(np.clip(du + corner, 0, None), np.clip(dv + corner, 0, None)) - corner
    distance = np.maximum(outside, np.minimum(np.maximum(du, dv), 0))
    inside = np.clip(0.5 - distance, 0, 1)
    slope = np.clip((u * np.cos(light) + v * np.sin(light)) / side + 0.5, 0, 1)
    rim = np.clip(1.5 - np.abs(distance), 0, 1)
    factor = (1 - depth * slope * inside) * (1 - 0.35 * depth * rim * (1 - slope))
    return np.asarray(factor, np.float32), np.asarray(distance < 0)


def _hole(rng: np.random.Generator, u: Float, v: Float, radius: float) -> tuple[Float, Bool]:
    """A grout hole or a lifting socket: a plug with a dark ring, or an open hole with a rim of another tone."""
    distance = np.hypot(u, v)
    ring = np.clip(float(rng.uniform(0.8, 2.5)) - np.abs(distance - radius), 0, 1)
    inside = np.clip(radius - distance + 0.5, 0, 1)
    factor = (1 - float(rng.uniform(0.2, 0.8)) * ring) * (1 + (float(rng.uniform(0.2, 1.15)) - 1) * inside)
    if rng.random() < 0.5:
        wide = np.clip(1.5 * radius - distance + 0.5, 0, 1)
        factor *= 1 + float(rng.uniform(-0.2, 0.25)) * wide
    return np.asarray(factor, np.float32), np.asarray(distance < radius)
