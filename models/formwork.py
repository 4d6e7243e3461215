"""Painted traces of formwork and of inspectors: joints between boards, tie cones, handwriting, crack gauges.

Painters as in `models.lookalikes`. All that they do to a picture is to multiply and to add, whatever its content.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from models.render import wave

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Float = npt.NDArray[np.float32]


def form_joint(rng: np.random.Generator, rgb: UInt8) -> tuple[UInt8, Bool]:
    """Joints between form boards: straight across the picture at a regular pitch, or ending at a joint across.

    Worn away in places, with an offset that shades one side, and fines that have bled out along the line.
    """
    size = rgb.shape[0]
    turn = float(rng.choice([0, np.pi / 2])) if rng.random() < 0.75 else float(rng.uniform(0, np.pi))
    angle, factor = turn + float(rng.normal(0, 0.02)), np.ones((size, size), np.float32)
    across = rng.random() < 0.3
    stop = float(rng.uniform(-0.3, 0.3)) * size if across else None
    pitch, first = float(rng.uniform(0.15, 0.8)) * size, float(rng.uniform(-0.5, 0.5)) * size
    for i in range(int(rng.choice([1, 1, 1, 2, 4]))):
        factor *= _joint(rng, size, angle, first + i * pitch, stop)
    if stop is not None:
        factor *= _joint(rng, size, angle + np.pi / 2, -stop, None)
    return _clip(rgb * factor[..., None]), _nothing(size)


def cone(rng: np.random.Generator, rgb: UInt8) -> tuple[UInt8, Bool]:
    """Tie holes with the rim of a cone or filled with a plug: rings, thin and dark, around a disc of another tone."""
    size = rgb.shape[0]
    y, x = np.mgrid[:size, :size].astype(np.float32)
    factor, hidden = np.ones((size, size), np.float32), _nothing(size)
    start, step = rng.uniform(0, size, 2), rng.uniform(-0.5, 0.5, 2) * size
    radius, plug = float(np.exp(rng.uniform(np.log(4), np.log(26)))), float(rng.uniform(0.75, 1.2))
    thin, depth = float(rng.uniform(0.6, 2.5)), float(rng.uniform(0.15, 0.7))
    hole, light = rng.random() < 0.5, float(rng.uniform(0, 2 * np.pi))
    for i in range(int(rng.integers(1, 4))):
        cy, cx = start + i * step
        distance = np.hypot(y - cy, x - cx)
        lit = 0.6 + 0.4 * np.cos(np.arctan2(y - cy, x - cx) - light)
        inside = np.clip(radius - distance + 0.5, 0, 1)
        ring = np.clip(0.5 + thin / 2 - np.abs(distance - radius), 0, 1)
        factor *= (1 + (plug - 1) * inside) * (1 - depth * ring * lit)
        if hole:
            core = np.clip(0.45 * radius - distance + 0.5, 0, 1)
            factor *= 1 - float(rng.uniform(0.4, 0.9)) * core
        hidden |= distance < radius
    return _clip(rgb * factor[..., None]), hidden


def writing(rng: np.random.Generator, rgb: UInt8) -> tuple[UInt8, Bool]:
    """Numbers, letters and strokes as inspectors write them beside cracks: pen or crayon, at any angle."""
    size = rgb.shape[0]
    canvas = np.zeros((size, size), np.uint8)
    scale, width = float(rng.uniform(0.4, 2.0)), int(rng.integers(1, 4))
    at = rng.integers(0, size, 2)
    for line in range(int(rng.integers(1, 4))):
        text = "".join(rng.choice(list("0123456789,.-/RBWmxABCE+> "), int(rng.integers(2, 9))))
        font = int(rng.choice([cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_PLAIN]))
        place = (int(at[0]) - size // 4, int(at[1]) + round(line * scale * 34))
        cv2.putText(canvas, text, place, font, scale, 255, width, cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 3))):
        begin = rng.integers(0, size, 2)
        end = begin + rng.normal(0, 0.2 * size, 2)
        cv2.line(canvas, begin.tolist(), np.rint(end).astype(int).tolist(), 255, width, cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), float(rng.normal(0, 25)), 1.0)
    share = np.asarray(cv2.warpAffine(canvas, turn, (size, size), flags=cv2.INTER_LINEAR), np.float32) / 255
    share *= float(rng.uniform(0.4, 1.0)) * (0.6 + 0.4 * wave(rng, size, 24)[None, :])
    ink = rng.uniform(0, 110, 3) if rng.random() < 0.7 else rng.uniform(130, 255, 3)
    return _blend(rgb, share, ink), np.asarray(share > 0.3)


def gauge(rng: np.random.Generator, rgb: UInt8) -> tuple[UInt8, Bool]:
    """A crack gauge or ruler: a bright or clear card with ticks, lines of growing width and numbers."""
    size = rgb.shape[0]
    length, height = float(rng.uniform(0.2, 0.7)) * size, float(rng.uniform(0.04, 0.2)) * size
    card, ink = np.zeros((size, size), np.uint8), np.zeros((size, size), np.uint8)
    left, top = (size - length) / 2, (size - height) / 2
    cv2.rectangle(card, (round(left), round(top)), (round(left + length), round(top + height)), 255, -1)
    pitch, thick = float(rng.uniform(4, 16)), int(rng.integers(1, 4))
    for i in range(int(length / pitch)):
        x = round(left + i * pitch)
        down = height * (0.9 if i % 10 == 0 else 0.6 if i % 5 == 0 else 0.35)
        cv2.line(ink, (x, round(top)), (x, round(top + down)), 255, thick if i % 5 else 1, cv2.LINE_AA)
    label = "".join(rng.choice(list("0123456789.,m"), 8))
    cv2.putText(ink, label, (round(left), round(top + height)), cv2.FONT_HERSHEY_PLAIN, 1.0, 255, 1, cv2.LINE_AA)
    move = cv2.getRotationMatrix2D((size / 2, size / 2), float(rng.uniform(0, 360)), 1.0)
    move[:, 2] += rng.uniform(-0.4, 0.4, 2) * size
    planes = [np.asarray(cv2.warpAffine(one, move, (size, size)), np.float32) / 255 for one in (card, ink)]
    cover = float(rng.uniform(0.3, 1.0))
    out = _blend(rgb, planes[0] * cover, rng.uniform(150, 255, 3))
    return _blend(out, planes[1] * float(rng.uniform(0.5, 1.0)), rng.uniform(0, 90, 3)), np.asarray(planes[0] > 0.5)


def _joint(rng: np.random.Generator, size: int, angle: float, offset: float, stop: float | None) -> Float:
    """Factor (size, size) of one joint at `offset` px from the middle; beyond `stop` along it there is none."""
    y, x = np.mgrid[:size, :size].astype(np.float32) - size / 2
    along = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
    spread = 2 * size
    at = np.clip(along + size, 0, spread - 1).astype(np.int32)
    wobble = float(rng.uniform(0, 0.8)) * wave(rng, spread, 60)
    distance = y * np.float32(np.cos(angle)) - x * np.float32(np.sin(angle)) - np.float32(offset) + wobble[at]
    width = float(np.exp(rng.uniform(np.log(0.7), np.log(5)))) * (1 + 0.35 * wave(rng, spread, 40))[at]
    line = np.clip(0.5 + width / 2 - np.abs(distance), 0, 1) * np.clip(width, 0, 1)
    worn = np.ones(spread, np.float32)
    if rng.random() < 0.6:
        worn = np.clip(0.5 + float(rng.uniform(0.5, 2)) * wave(rng, spread, float(rng.uniform(20, 120)))
                       + float(rng.uniform(-0.4, 0.6)), 0, 1)  # fmt: skip
    factor = 1 - float(rng.uniform(0.12, 0.85)) * worn[at] * line
    side = np.clip(distance + 0.5, 0, 1)
    if rng.random() < 0.4:
        factor *= 1 + float(rng.uniform(-0.15, 0.15)) * side
    if rng.random() < 0.4:
        factor *= 1 - float(rng.uniform(0.05, 0.3)) * side * np.exp(-np.abs(distance) / float(rng.uniform(1.5, 10)))
    if rng.random() < 0.3:
        factor += float(rng.uniform(0.05, 0.3)) * np.clip(1.2 - np.abs(distance - width), 0, 1)
    if rng.random() < 0.4:
        band = np.exp(-np.square(distance / float(rng.uniform(3, 25))))
        factor *= 1 + float(rng.uniform(-0.3, 0.2)) * band * np.clip(0.5 + wave(rng, spread, 50), 0, 1)[at]
    if stop is not None:
        factor = np.where(along < stop, factor, np.float32(1))
    return np.asarray(factor, np.float32)


def _blend(rgb: npt.NDArray[Any], share: npt.NDArray[np.floating[Any]], colour: npt.NDArray[np.float64]) -> UInt8:
    return _clip(rgb * (1 - share[..., None]) + share[..., None] * colour)


def _clip(values: npt.NDArray[np.floating[Any]]) -> UInt8:
    return np.asarray(np.clip(values, 0, 255), np.uint8)


def _nothing(size: int) -> Bool:
    return np.zeros((size, size), np.bool_)
