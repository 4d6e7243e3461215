"""Painted things that look like cracks and are none: joints, plank grain, tie holes, cables, stains, shadows, markings.

Every painter takes a generator and a square uint8 RGB picture and returns (picture, hidden): `hidden` is True where the
thing covers the surface, so that a crack below it can no longer be seen and must not be labelled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from models import formwork, lining
from models.render import SUPERSAMPLE, average_down, fractal_noise

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Float = npt.NDArray[np.float32]


def paint(rng: np.random.Generator, rgb: UInt8, count: int) -> tuple[UInt8, Bool]:
    """Paint `count` look-alikes of random kinds over each other."""
    hidden = np.zeros(rgb.shape[:2], np.bool_)
    for _ in range(count):
        painter = PAINTERS[int(rng.integers(len(PAINTERS)))]
        rgb, covered = painter(rng, rgb)
        hidden |= covered
    return rgb, hidden


def joints(rng: np.random.Generator, rgb: UInt8) -> tuple[UInt8, Bool]:
    """Straight joints or form-board lines: one, several parallel ones, or a grid; dark, sometimes with a lit edge."""
    size = rgb.shape[0]
    canvas = np.zeros((size * SUPERSAMPLE,) * 2, np.uint8)
    angle = float(rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)])) + float(rng.normal(0, 0.03))
    pitch, width_px = float(rng.uniform(0.12, 0.7)) * size, float(np.exp(rng.uniform(np.log(0.8), np.log(9))))
    families = [angle, angle + np.pi / 2] if rng.random() < 0.35 else [angle]
    for direction in families:
        count = int(rng.choice([1, 1, 2, 6]))
        first = float(rng.uniform(-0.5, 0.5)) * size
        for i in range(count):
            _line(canvas, direction, first + (i - count // 2) * pitch, width_px)
    return _darken(rng, rgb, canvas, float(rng.uniform(0.15, 0.9))), _nothing(rgb)


def planks(rng: np.random.Generator, rgb: UInt8) -> tuple[UInt8, Bool]:
    """Imprint of rough boards: fine, nearly parallel grain and a line between the boards."""
    size = rgb.shape[0]
    grain = rng.standard_normal((size, int(rng.integers(3, 24))), dtype=np.float32)
    lines = cv2.resize(grain, (size, size), interpolation=cv2.INTER_CUBIC)
    field = np.asarray(cv2.GaussianBlur(lines, (0, 0), sigmaX=3, sigmaY=float(rng.uniform(0.5, 1.5))), np.float32)
    pitch = int(rng.integers(20, 90))
    field[::pitch, :] -= float(rng.uniform(1, 4))
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), float(rng.choice([0, 90, rng.uniform(0, 180)])), 1.5)
    turned = cv2.warpAffine(field, turn, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return _clip(rgb + float(rng.uniform(3, 18)) * turned[..., None]), _nothing(rgb)


def holes(rng: np.random.Generator, rgb: UInt8) -> tuple[UInt8, Bool]:
    """Tie holes, bolt holes, drains: dark discs, often lit from one side, with a rim and a streak of rust below."""
    size = rgb.shape[0]
    disc, floor, rim, streak = (np.zeros((size, size), np.uint8) for _ in range(4))
    start, step = rng.uniform(0, size, 2), rng.uniform(-0.4, 0.4, 2) * size
    radius = float(rng.uniform(2, 18))
    light = rng.normal(0, 0.5, 2) * radius  # a wall in shadow: a crescent is left of the disc
    for i in range(int(rng.integers(1, 5))):
        middle = start + i * step
        centre, lit = np.rint(middle * 8).astype(int).tolist(), np.rint((middle + light) * 8).astype(int).tolist()
        cv2.circle(disc, centre, round(radius * 8), 255, -1, cv2.LINE_AA, 3)
        cv2.circle(floor, lit, round(radius * 8), 255, -1, cv2.LINE_AA, 3)
        cv2.circle(rim, centre, round((radius + 1.5) * 8), 255, int(rng.integers(1, 3)), cv2.LINE_AA, 3)
        foot = np.rint((middle + np.array([0, radius * rng.uniform(2, 9)])) * 8).astype(int).tolist()
        cv2.line(streak, centre, foot, 255, max(1, round(radius)), cv2.LINE_AA, 3)
    share = disc.astype(np.float32) / 255
    crescent = share * (1 - floor.astype(np.float32) / 255) if rng.random() < 0.6 else share
    dark = 1 - float(rng.uniform(0.3, 0.9)) * crescent - float(rng.uniform(0, 0.2)) * share
    dark *= 1 + float(rng.uniform(-0.3, 0.25)) * rim.astype(np.float32) / 255
    out = rgb * cv2.GaussianBlur(dark, (0, 0), float(rng.uniform(0.3, 1.0)))[..., None]
    if rng.random() < 0.4:
        soft = cv2.GaussianBlur(streak, (0, 0), max(0.8, radius / 3)).astype(np.float32)[..., None] / 255
        out = out * (1 - float(rng.uniform(0.1, 0.6)) * soft * rng.uniform(0.3, 1.0, 3))
    return _clip(out), np.asarray(disc > 127)


def cable(rng: np.random.Generator, rgb: UInt8) -> tuple[UInt8, Bool]:
    """A cable, pipe or wire in front of the surface: a smooth curve with a lit side and, often, a shadow."""
    size = rgb.shape[0]
    t = np.linspace(-0.1, 1.1, 40)[:, None]
    a, b, c = rng.uniform(0, size, 2), rng.uniform(0, size, 2), rng.uniform(0, size, 2)
    path = np.rint(((1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c) * 8).astype(np.int32)
    width = int(rng.integers(2, 10))
    core, light, shade = (np.zeros((size, size), np.uint8) for _ in range(3))
    cv2.polylines(core, [path], False, 255, width, cv2.LINE_AA, 3)
    cv2.polylines(light, [path - width], False, 255, max(1, width // 3), cv2.LINE_AA, 3)
    cv2.polylines(shade, [path + int(rng.integers(8, 80))], False, 255, width, cv2.LINE_AA, 3)
    out = rgb * (
        1 - float(rng.uniform(0, 0.45)) * cv2.GaussianBlur(shade, (0, 0), 1.5).astype(np.float32)[..., None] / 255
    )
    share = core.astype(np.float32)[..., None] / 255
    out = out * (1 - share) + share * rng.uniform(10, 120)
    out += float(rng.uniform(0, 70)) * share * light.astype(np.float32)[..., None] / 255
    return _clip(out), np.asarray(core > 127)


def stain(rng: np.random.Generator, rgb: UInt8) -> tuple[UInt8, Bool]:
    """Wet or rusty streaks and blotches with soft or hard edges."""
    size = rgb.shape[0]
    field = fractal_noise(rng, size, 2, 4)
    if rng.random() < 0.6:  # streaks run in one direction
        field = np.asarray(cv2.resize(field[: size // 8], (size, size), interpolation=cv2.INTER_LINEAR), np.float32)
        field = field if rng.random() < 0.8 else np.ascontiguousarray(field.T)
    sharp = float(rng.choice([1.5, 4, 20]))
    share = 0.5 + 0.5 * np.tanh(0.5 * sharp * (field - float(rng.uniform(0.2, 1.2))))
    colour = rng.uniform(0.5, 1.2) * (1 + rng.uniform(-0.12, 0.12, 3))
    return _clip(rgb * (1 + share[..., None] * (colour - 1))), _nothing(rgb)


def shadow(rng: np.random.Generator, rgb: UInt8) -> tuple[UInt8, Bool]:
    """Shadow of a railing, pylon or pole: darkened polygons or bars with a more or less soft edge."""
    size = rgb.shape[0]
    canvas = np.zeros((size, size), np.uint8)
    if rng.random() < 0.5:
        corners = rng.uniform(-0.3, 1.3, (int(rng.integers(3, 6)), 2)) * size
        cv2.fillPoly(canvas, [np.rint(corners).astype(np.int32)], 255, cv2.LINE_AA)
    else:
        angle, pitch = float(rng.uniform(0, np.pi)), float(rng.uniform(12, 90))
        fine = np.zeros((size * SUPERSAMPLE,) * 2, np.uint8)
        for i in range(-int(rng.integers(0, 5)), int(rng.integers(1, 5))):
            _line(fine, angle, i * pitch, float(rng.uniform(2, 12)))
        canvas = np.asarray(cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
    share = cv2.GaussianBlur(canvas, (0, 0), float(np.exp(rng.uniform(-0.5, 1.5)))).astype(np.float32) / 255
    return _clip(rgb * (1 - float(rng.uniform(0.1, 0.65)) * share[..., None])), _nothing(rgb)


def marking(rng: np.random.Generator, rgb: UInt8) -> tuple[UInt8, Bool]:
    """Chalk, paint or marker: straight strokes, arcs, letters, light or dark."""
    size = rgb.shape[0]
    canvas = np.zeros((size, size), np.uint8)
    width = int(rng.integers(1, 6))
    p, q = rng.integers(0, size, 2).tolist(), rng.integers(0, size, 2).tolist()
    kind = int(rng.integers(3))
    if kind == 0:
        cv2.line(canvas, p, q, 255, width, cv2.LINE_AA)
    elif kind == 1:
        axes = rng.integers(8, size, 2).tolist()
        cv2.ellipse(
            canvas, p, axes, float(rng.uniform(0, 180)), 0, float(rng.uniform(40, 360)), 255, width, cv2.LINE_AA
        )
    else:
        text = "".join(chr(int(c)) for c in rng.integers(48, 91, int(rng.integers(1, 6))))
        cv2.putText(canvas, text, p, int(rng.integers(0, 4)), float(rng.uniform(0.5, 3)), 255, width, cv2.LINE_AA)
    worn = np.clip(0.9 + 0.3 * fractal_noise(rng, size, 16, 3), 0.2, 1) * float(rng.uniform(0.4, 1))
    share = worn * canvas.astype(np.float32) / 255
    light = rng.random() < 0.6
    colour = rng.uniform(150, 255, 3) if light else rng.uniform(10, 90, 3)
    return _clip(rgb * (1 - share[..., None]) + share[..., None] * colour), np.asarray(share > 0.5)


def edge(rng: np.random.Generator, rgb: UInt8) -> tuple[UInt8, Bool]:
    """A step between two tones (parapet, patch, change of casting), sometimes with a thin dark line along it."""
    size = rgb.shape[0]
    canvas = np.zeros((size * SUPERSAMPLE,) * 2, np.uint8)
    angle, offset = float(rng.uniform(0, np.pi)), float(rng.uniform(-0.4, 0.4)) * size
    _line(canvas, angle, offset + size, 2.0 * size)
    side = average_down(canvas, size)[..., None]
    out = _clip(rgb * (1 + float(rng.uniform(-0.5, 0.4)) * side))
    if rng.random() < 0.5:
        canvas[:] = 0
        _line(canvas, angle, offset, float(rng.uniform(0.8, 4)))
        out = _darken(rng, out, canvas, float(rng.uniform(0.2, 0.8)))
    return out, _nothing(rgb)


Painter = Callable[[np.random.Generator, UInt8], tuple[UInt8, Bool]]
PAINTERS: tuple[Painter, ...] = (
    joints, joints, joints, planks, planks, holes, holes, cable, stain, shadow, marking, edge,
    formwork.form_joint, formwork.form_joint, formwork.form_joint, formwork.form_joint, formwork.cone,
    formwork.writing, formwork.gauge, lining.lining, lining.lining, lining.lining,
)  # fmt: skip
"""Listed as often as they are drawn: straight lines are what a crack detector is fooled by most."""


def _line(canvas: UInt8, angle: float, offset_px: float, width_px: float) -> None:
    """Draw an endless straight line on a fine canvas, at a distance from the middle."""
    size = canvas.shape[0]
    along = np.array([np.cos(angle), np.sin(angle)])
    middle = size / 2 + offset_px * SUPERSAMPLE * np.array([-along[1], along[0]])
    begin, end = np.rint(middle - 2 * size * along).astype(int), np.rint(middle + 2 * size * along).astype(int)
    cv2.line(canvas, begin.tolist(), end.tolist(), 255, max(1, round(width_px * SUPERSAMPLE)))


def _darken(rng: np.random.Generator, rgb: UInt8, fine: UInt8, depth: float) -> UInt8:
    size = rgb.shape[0]
    share = cv2.GaussianBlur(average_down(fine, size), (0, 0), float(rng.uniform(0.3, 1.0)))
    uneven = np.clip(1 + float(rng.uniform(0, 0.35)) * fractal_noise(rng, size, 6, 3), 0, 1.5)
    factor = 1 - np.clip(depth * uneven, 0, 0.95) * share
    if rng.random() < 0.3:  # lit edge beside the groove
        factor += float(rng.uniform(0.05, 0.3)) * np.roll(share, int(rng.integers(1, 4)), axis=int(rng.integers(2)))
    return _clip(rgb * factor[..., None])


def _clip(values: npt.NDArray[np.floating[Any]]) -> UInt8:
    return np.asarray(np.clip(values, 0, 255), np.uint8)


def _nothing(rgb: UInt8) -> Bool:
    return np.zeros(rgb.shape[:2], np.bool_)
