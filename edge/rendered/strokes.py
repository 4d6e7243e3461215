"""Thin things drawn with their true area: the darkness summed across a stroke is its width, below one pixel too.

A stroke is the union of discs along a path. Each pixel takes the share of a stroke that a small symmetric kernel
(sensor area and lens together) gathers at its centre; such a kernel moves darkness about and never makes or loses any.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

KERNEL_PX = 1.5
"""Reach of the gathering kernel, the quadratic B-spline: deviation 0.5 pixel, as of a good lens and sensor. Its values
on a pixel grid add up to one wherever the grid lies, so the darkness of a stroke does not depend on its phase."""
_CHUNK = 1500


class Nearby(NamedTuple):
    """Pixels near the segments of a path, one row per pair of segment and pixel."""

    pixel: npt.NDArray[np.intp]
    """Flat index into the frame."""
    distance_px: Float32
    """From the pixel's centre to the segment."""
    side: npt.NDArray[np.floating]
    """+1 to the right of the direction of travel (y down), -1 to the left."""
    place: Float64
    """Position along the path in points: 3.25 lies a quarter of the way from point 3 to point 4."""


def project(homography: npt.ArrayLike, points: Float64) -> Float64:
    """Map points (N, 2) through a 3x3 homography."""
    mapped = np.column_stack([points, np.ones(len(points))]) @ np.asarray(homography).T
    return np.asarray(mapped[:, :2] / mapped[:, 2:], np.float64)


def half_widths_px(homography: Float64, path_mm: Float64, width_mm: Float64) -> Float64:
    """Return half the width of a stroke in pixels at each point, measured across it in the frame: exact under tilt."""
    along = np.gradient(path_mm, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.maximum(np.hypot(*along.T), 1e-9)[:, None]
    offset = 0.5 * width_mm[:, None] * normal
    ends = project(homography, path_mm - offset), project(homography, path_mm + offset)
    seen = np.gradient(project(homography, path_mm), axis=0)
    across = ends[1] - ends[0]
    cross = seen[:, 0] * across[:, 1] - seen[:, 1] * across[:, 0]
    return np.asarray(0.5 * np.abs(cross) / np.maximum(np.hypot(*seen.T), 1e-9), np.float64)


def gathered(edge_px: Float32) -> Float32:
    """Share of the kernel inside a straight edge ``edge_px`` away (positive: the pixel's centre lies inside)."""
    away = np.minimum(np.abs(edge_px), np.float32(KERNEL_PX))
    inner = away * (np.float32(0.75) - away * away * np.float32(1 / 3))
    outer = np.float32(0.5) - (np.float32(KERNEL_PX) - away) ** 3 * np.float32(1 / 6)
    return np.asarray(0.5 + np.copysign(np.where(away < 0.5, inner, outer), edge_px), np.float32)


def covered(distance_px: Float32, half_px: Float32) -> Float32:
    """Share of the kernel covered by a stroke of half width ``half_px`` whose middle is ``distance_px`` away."""
    return gathered(half_px - distance_px) - gathered(-half_px - distance_px)


class Trace(NamedTuple):
    """A stroke as a frame sees it."""

    path_px: Float64
    half_px: Float64
    """Half its width at each point, pixels."""
    inside: npt.NDArray[np.bool_]
    """Which points lie in the frame or just beside it."""
    runs: list[slice]
    """The runs of points that are inside, each with a neighbour on either side, so that no segment is lost."""


def trace(homography: Float64, path_mm: Float64, width_mm: Float64, shape: tuple[int, int]) -> Trace | None:
    """Project a stroke into a frame of ``shape``; None when nothing of it is seen."""
    path_px = project(homography, path_mm)
    margin = 24.0
    within = (path_px > -margin) & (path_px < np.array([shape[1], shape[0]]) + margin)
    inside = within[:, 0] & within[:, 1]
    if not inside.any():
        return None
    return Trace(path_px, half_widths_px(homography, path_mm, width_mm), inside, runs_of(inside))


def runs_of(chosen: npt.NDArray[np.bool_]) -> list[slice]:
    """Return the runs of True, each longer by one at both ends where there is room."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(np.int8)))
    return [slice(max(0, int(a) - 1), int(b) + 1) for a, b in zip(steps[::2], steps[1::2], strict=True)]


def nearby(path_px: Float64, run: slice, reach_px: float, shape: tuple[int, int]) -> list[Nearby]:
    """Find the pixels of a frame of ``shape`` within about ``reach_px`` of each segment of one run of a path (N, 2)."""
    stop = min(run.stop, len(path_px))
    chunks = [slice(i, min(i + _CHUNK + 1, stop)) for i in range(run.start, stop - 1, _CHUNK)]
    return [
        _near(path_px[c.start : c.stop - 1], path_px[c.start + 1 : c.stop], c.start, reach_px, shape) for c in chunks
    ]


def around(points_px: Float64, reach_px: float, shape: tuple[int, int]) -> Nearby:
    """Find the pixels within about ``reach_px`` of single points; ``place`` is the number of the point."""
    return _near(points_px, points_px, 0, reach_px, shape)


def _near(begin: Float64, end: Float64, first: int, reach_px: float, shape: tuple[int, int]) -> Nearby:
    step = (end - begin).astype(np.float32)
    middle = np.rint(0.5 * (begin + end)).astype(np.int32)
    radius = reach_px + 0.5 * float(np.hypot(*step.T).max()) + 0.75
    offset_y, offset_x = np.mgrid[-math.floor(radius) : radius + 1, -math.floor(radius) : radius + 1].astype(np.int32)
    disc = np.hypot(offset_x, offset_y) <= radius
    x, y = middle[:, :1] + offset_x[disc], middle[:, 1:] + offset_y[disc]
    segment, which = np.nonzero((x >= 0) & (y >= 0) & (x < shape[1]) & (y < shape[0]))
    x, y = x[segment, which], y[segment, which]
    from_x, from_y = x - begin[segment, 0].astype(np.float32), y - begin[segment, 1].astype(np.float32)
    square = np.maximum((step**2).sum(axis=1), np.float32(1e-12))
    step_x, step_y = step[segment, 0], step[segment, 1]
    t = np.clip((from_x * step_x + from_y * step_y) / square[segment], 0, 1)
    side = np.sign(step_x * from_y - step_y * from_x)
    distance = np.hypot(from_x - t * step_x, from_y - t * step_y).astype(np.float32)
    return Nearby(y.astype(np.intp) * shape[1] + x, distance, side, (segment + first + t).astype(np.float64))
