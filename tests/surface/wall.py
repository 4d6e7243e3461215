"""A flat wall of grain that is photographed by cutting windows out of it: where each window lies is known exactly."""

from __future__ import annotations

import cv2
import numpy as np

from edge.cracks import Crack
from edge.surface.registration import Registered

WIDTH, HEIGHT = 640, 360


def wall(seed: int = 1, size: tuple[int, int] = (1400, 3200)) -> np.ndarray:
    """Grain of several sizes, uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    picture = np.full(size, 128, np.float32)
    for grain, strength in ((3, 14), (9, 12), (40, 16)):
        coarse = rng.standard_normal((size[0] // grain + 2, size[1] // grain + 2)).astype(np.float32)
        picture += strength * cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.repeat(np.clip(picture, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def window(picture: np.ndarray, left: float, top: float, turn_deg: float = 0.0, scale: float = 1.0) -> np.ndarray:
    """What a camera at that place sees: uint8 (HEIGHT, WIDTH, 3)."""
    to_wall = to_wall_of(left, top, turn_deg, scale)
    seen = cv2.warpPerspective(
        picture, to_wall, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT
    )
    return np.ascontiguousarray(seen)


def to_wall_of(left: float, top: float, turn_deg: float = 0.0, scale: float = 1.0) -> np.ndarray:
    """Homography (3, 3) from pixels of that window to pixels of the wall, turned about its middle."""
    cosine, sine = scale * np.cos(np.radians(turn_deg)), scale * np.sin(np.radians(turn_deg))
    middle = np.array([WIDTH / 2, HEIGHT / 2])
    turn = np.array([[cosine, -sine], [sine, cosine]])
    shift = np.array([left, top]) + middle - turn @ middle
    return np.array([[*turn[0], shift[0]], [*turn[1], shift[1]], [0.0, 0.0, 1.0]])


def crack(path_px: np.ndarray, score: float = 0.95, component: int = 0) -> Crack:
    """A centreline as the tracer would give it, in pixels of a frame."""
    path = np.asarray(path_px, np.float32)
    length = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
    return Crack(path, length, np.full(len(path), 3.0, np.float32), 0.2, "profile", score, component)


def seen_in(line: np.ndarray, left: float, top: float) -> np.ndarray | None:
    """The part of a line (N, 2) of the wall that an unturned window shows, in its pixels; None where it is short."""
    local = line - np.array([left, top])
    inside = ((local > 2) & (local < np.array([WIDTH, HEIGHT]) - 2)).all(axis=1)
    return local[inside] if inside.sum() >= 12 else None


def placed(left: float, top: float, moved: float = 1.0) -> Registered:
    """The truth of an unturned window, on a chart whose pixels are the wall's."""
    return Registered(1, to_wall_of(left, top), "px", 1.0, 0.3, "measured", None, moved)


def zigzag(start: tuple[float, float], step: tuple[float, float], count: int, seed: int = 0) -> np.ndarray:
    """A wandering line, points 4 px apart along ``step`` with noise across it."""
    rng = np.random.default_rng(seed)
    along = np.array(step, float) / np.hypot(*step)
    across = np.array([-along[1], along[0]])
    wander = np.cumsum(rng.normal(0, 0.7, count))
    wander -= np.linspace(0, wander[-1], count)
    return np.array(start, float) + 4 * np.arange(count)[:, None] * along + wander[:, None] * across
