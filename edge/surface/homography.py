"""Homographies between pictures and charts: where points go, how far two placements lie apart, what is shared."""

from __future__ import annotations

import math
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
"""float64 (3, 3)."""
Points = npt.NDArray[np.float64]
"""float64 (N, 2)."""

MAX_SCALE_STEP = 1.35
"""Between a keyframe and a frame the distance to the surface does not change by more than this."""


def project(matrix: Matrix, points: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Points (N, 2) through a homography (3, 3)."""
    mapped = points @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(mapped[:, :2] / mapped[:, 2:], np.float64)


def inverse(matrix: Matrix) -> Matrix:
    """Of a homography (3, 3); numpy needs six times as long for one so small. Raises LinAlgError for a singular one."""
    regular, inverted = cv2.invert(matrix)
    if not regular:
        raise np.linalg.LinAlgError("Singular matrix")
    return np.asarray(inverted, np.float64)


def frame_corners(shape: tuple[int, ...]) -> Points:
    """(4, 2): the corners of a picture of that many rows and columns, from the top left clockwise."""
    height, width = shape[:2]
    return np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float64)


def overlap(to_key: Matrix, shape: tuple[int, ...]) -> float:
    """Share of the keyframe that the frame shows."""
    height, width = shape[:2]
    return in_common(to_key, shape)[0] / max(1.0, (width - 1) * (height - 1))


def in_common(to_key: Matrix, shape: tuple[int, ...]) -> tuple[float, npt.NDArray[np.float32]]:
    """What the frame shows of the keyframe, both of ``shape``: area and corners (N, 1, 2), pixels of the keyframe."""
    frame, rows = _corners(shape[0], shape[1]), to_key.tolist()
    corners = np.array([put(rows, x, y) for x, y in frame.tolist()], np.float32)
    area, common = cv2.intersectConvexConvex(corners, frame)
    return float(area), np.asarray(common, np.float32)


@cache
def _corners(height: int, width: int) -> npt.NDArray[np.float32]:
    return frame_corners((height, width)).astype(np.float32)


def too_far(to_key: Matrix, shape: tuple[int, ...]) -> bool:
    """Whether so little is shared that phase correlation would be asked for nothing."""
    return overlap(to_key, shape) < 0.3


def shift(a: Matrix, b: Matrix, shape: tuple[int, ...]) -> float:
    """How far the middle of a frame lies apart under two placements, in their units."""
    (ax, ay), (bx, by) = middle_of(a, shape), middle_of(b, shape)
    return math.hypot(ax - bx, ay - by)


def middle_of(matrix: Matrix, shape: tuple[int, ...]) -> tuple[float, float]:
    """Where a placement puts the middle of a frame."""
    return put(matrix.tolist(), shape[1] / 2, shape[0] / 2)


def scale_at(matrix: Matrix, shape: tuple[int, ...]) -> float:
    """Units per pixel at the middle of the frame."""
    rows, x, y = matrix.tolist(), shape[1] / 2, shape[0] / 2
    (ox, oy), (rx, ry), (dx, dy) = put(rows, x, y), put(rows, x + 1, y), put(rows, x, y + 1)
    return math.sqrt(abs((rx - ox) * (dy - oy) - (ry - oy) * (dx - ox))) or 1e-9


def put(rows: list[list[float]], x: float, y: float) -> tuple[float, float]:
    """One point through a homography, as ``Matrix.tolist`` gives it: numpy needs ten times as long for a single one."""
    (a, b, c), (d, e, f), (g, h, i) = rows
    w = g * x + h * y + i
    return (a * x + b * y + c) / w, (d * x + e * y + f) / w


def sane(matrix: Matrix) -> bool:
    """Whether a frame may lie like that in its keyframe."""
    rows = matrix.tolist()
    (a, b, _), (c, d, _), _ = rows
    if not all(math.isfinite(value) for row in rows for value in row):
        return False
    return 1 / MAX_SCALE_STEP < math.sqrt(abs(a * d - b * c)) < MAX_SCALE_STEP


def zoom(size: float, shape: tuple[int, ...]) -> Matrix:
    """A picture of ``shape`` made ``size`` times as large around its middle."""
    x, y = (1 - size) * shape[1] / 2, (1 - size) * shape[0] / 2
    return np.array([[size, 0.0, x], [0.0, size, y], [0.0, 0.0, 1.0]])


def centred(matrix: Matrix, other: Matrix, shape: tuple[int, ...]) -> Matrix:
    """``matrix`` shifted so that it puts the middle of a frame where ``other`` does."""
    middle = np.array([[shape[1] / 2, shape[0] / 2]])
    move = np.eye(3)
    move[:2, 2] = (project(other, middle) - project(matrix, middle))[0]
    return move @ matrix


def pulled(
    measured: Matrix, chain_sigma_px: float, predicted: Matrix, pose_sigma_m: float, shape: tuple[int, ...]
) -> tuple[Matrix, float]:
    """The measured place drawn towards the pose's, as a Kalman filter weighs the chain's drift against the pose.

    Returns it with its standard uncertainty, in pixels of the small picture of ``shape``.
    """
    scale = scale_at(measured, shape)
    chain, pose = chain_sigma_px * scale, pose_sigma_m
    gain = chain**2 / (chain**2 + pose**2)
    middle = np.array([[shape[1] / 2, shape[0] / 2]])
    dx, dy = (project(predicted, middle) - project(measured, middle))[0] * gain
    pull = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy], [0.0, 0.0, 1.0]])
    return pull @ measured, math.sqrt(1 - gain) * chain_sigma_px
