"""Draw what a camera sees of a scene: soft colour from the map, everything sharp as a gain on top of it."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.rendered.cells import NEUTRAL, Cells
from edge.rendered.cracks import SurfaceCrack
from edge.rendered.scene import Chalk, Joint, Scene
from edge.rendered.strokes import (
    KERNEL_PX,
    Float32,
    Float64,
    Trace,
    around,
    covered,
    gathered,
    nearby,
    project,
    runs_of,
    trace,
)
from edge.rendered.texture import BOARD_CELLS, BOARD_STRETCH, GRAIN_CELLS, GRAIN_MM_PER_PX, TONE_MM_PER_PX, UInt8

EYE = 2.2
"""Power from how bright something looks, which is how it was painted, to its light."""
_SUN = (-0.6, -0.8)
"""Where the light comes from, in surface directions: upper left."""


def colours(scene: Scene, surface_to_frame: Float64, shape: tuple[int, int]) -> Float32:
    """Return the soft colours as light, float32 RGB of ``shape`` (height, width), 1 is white.

    The homography leads from mm to pixels.
    """
    painted = _warp(scene.tone, surface_to_frame @ np.diag([TONE_MM_PER_PX, TONE_MM_PER_PX, 1.0]), shape)
    return np.asarray(cv2.LUT(painted, (np.arange(256) / 255) ** EYE).astype(np.float32))


def gain(scene: Scene, surface_to_frame: Float64, shape: tuple[int, int]) -> Float32:
    """Return what their light is multiplied by, float32 ``shape``: grain, joints, pores, holes, chalk, cracks."""
    out = 1 + _tile(scene, scene.grain, GRAIN_CELLS, 1, surface_to_frame, shape)
    _boards(out, scene, surface_to_frame)
    for joint in scene.joints:
        _joint(out, joint, surface_to_frame)
    for x, y in scene.holes_mm:
        _hole(out, (float(x), float(y)), surface_to_frame)
    _pores(out, scene.pores_mm, surface_to_frame)
    for stroke in scene.chalk:
        _chalk(out, stroke, surface_to_frame)
    # All of that was painted as it looks; a crack takes light, and in light alone is its area its width.
    out = np.asarray(cv2.pow(np.maximum(out, 0), EYE), np.float32)
    _cracks(out, scene, surface_to_frame)
    return out


def px_per_mm(surface_to_frame: Float64, shape: tuple[int, int]) -> float:
    """Pixels per millimetre in the middle of a frame of ``shape``: the root of the homography's area scale there."""
    middle = project(np.linalg.inv(surface_to_frame), np.array([[(shape[1] - 1) / 2, (shape[0] - 1) / 2]]))[0]
    corner = project(surface_to_frame, middle + np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    (a, b), (c, d) = corner[1] - corner[0], corner[2] - corner[0]
    return math.sqrt(abs(a * d - b * c))


def _warp(picture: UInt8 | Float32, matrix: Float64, shape: tuple[int, int]) -> npt.NDArray[Any]:
    size = (shape[1], shape[0])
    return cv2.warpPerspective(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def _tile(
    scene: Scene,
    levels: tuple[UInt8, ...],
    cells: Cells,
    stretch: int,
    surface_to_frame: Float64,
    shape: tuple[int, int],
) -> Float32:
    """Warp the level of a tile that is as fine as the frame, float32 shares of the tone; only what is in view is laid.

    A column of the tile is ``stretch`` times as wide as a row is high.
    """
    scale = px_per_mm(surface_to_frame, shape)
    level = min(len(levels) - 1, max(0, math.floor(math.log2(max(1.0, 1.3 / (scale * GRAIN_MM_PER_PX))))))
    tile, mm = levels[level], GRAIN_MM_PER_PX * 2**level
    size = np.array([mm * stretch, mm])
    corners = np.array([[0, 0], [shape[1], 0], [0, shape[0]], [shape[1], shape[0]]], np.float64)
    seen = project(np.linalg.inv(surface_to_frame), corners) / size
    low = (np.floor(seen.min(axis=0)).astype(int) - 2).tolist()
    high = (np.ceil(seen.max(axis=0)).astype(int) + 3).tolist()
    part = cells.lay(tile, level, scene.seed, (low[1], low[0]), (high[1], high[0]))
    place = np.array([[size[0], 0, low[0] * size[0]], [0, size[1], low[1] * size[1]], [0, 0, 1]])
    return np.asarray(_warp(part, surface_to_frame @ place, shape) * np.float32(1 / NEUTRAL), np.float32)


def _boards(out: Float32, scene: Scene, surface_to_frame: Float64) -> None:
    shape = (out.shape[0], out.shape[1])
    mask = np.zeros(shape, np.uint8)
    for x, y, width, height in scene.boards_mm:
        corners = np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]])
        seen = project(surface_to_frame, corners)
        cv2.fillConvexPoly(mask, np.rint(seen * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    if mask.any():
        boards = _tile(scene, scene.board, BOARD_CELLS, BOARD_STRETCH, surface_to_frame, shape)
        out *= 1 + boards * (mask * np.float32(1 / 255))


def _region(out: Float32, points_px: Float64, margin_px: float) -> tuple[slice, slice] | None:
    """Lines and columns of the frame that hold the points with a margin; None when they lie outside."""
    low = np.maximum(np.floor(points_px.min(axis=0) - margin_px), 0).astype(int)
    high = np.minimum(np.ceil(points_px.max(axis=0) + margin_px) + 1, (out.shape[1], out.shape[0])).astype(int)
    return None if (low >= high).any() else (slice(low[1], high[1]), slice(low[0], high[0]))


def _surface_grid(region: tuple[slice, slice], surface_to_frame: Float64) -> tuple[Float32, Float32]:
    """Surface x and y in mm of every pixel of a region."""
    back = np.linalg.inv(surface_to_frame)
    v, u = np.ogrid[region]
    third = back[2, 0] * u + back[2, 1] * v + back[2, 2]
    x = (back[0, 0] * u + back[0, 1] * v + back[0, 2]) / third
    y = (back[1, 0] * u + back[1, 1] * v + back[1, 2]) / third
    return x.astype(np.float32), y.astype(np.float32)


def _joint(out: Float32, joint: Joint, surface_to_frame: Float64) -> None:
    ends = np.array([joint.start_mm, joint.end_mm])
    scale = px_per_mm(surface_to_frame, (out.shape[0], out.shape[1]))
    region = _region(out, project(surface_to_frame, ends), 4 + 6 * scale)
    if region is None:
        return
    x, y = _surface_grid(region, surface_to_frame)
    length = math.dist(*ends)
    along = (ends[1] - ends[0]) / length
    place = (x - ends[0, 0]) * along[0] + (y - ends[0, 1]) * along[1]
    away = (y - ends[0, 1]) * along[0] - (x - ends[0, 0]) * along[1]
    knots = np.linspace(0, length, len(joint.depth))
    away += np.interp(place, knots, joint.offset_mm)
    half = np.interp(place, knots, 0.5 * joint.width_mm)
    on = (place >= 0) & (place <= length)
    share = covered((scale * np.abs(away)).astype(np.float32), (scale * half).astype(np.float32)) * on
    lip = np.exp(-(((away - half - 1.0) / 1.0) ** 2)) * on
    out[region] *= (1 - np.interp(place, knots, joint.depth) * share) * (1 + 0.06 * lip).astype(np.float32)


def _hole(out: Float32, centre_mm: tuple[float, float], surface_to_frame: Float64) -> None:
    """A tie hole: a cone of 26 mm across, closed by a sunk mortar plug."""
    scale = px_per_mm(surface_to_frame, (out.shape[0], out.shape[1]))
    region = _region(out, project(surface_to_frame, np.array([centre_mm])), 18 * scale + 2)
    if region is None:
        return
    x, y = _surface_grid(region, surface_to_frame)
    dx, dy = x - centre_mm[0], y - centre_mm[1]
    radius = np.hypot(dx, dy)
    lit = (dx * _SUN[0] + dy * _SUN[1]) / np.maximum(radius, 1e-3)
    cone = gathered((scale * (13.0 - radius)).astype(np.float32))
    plug = gathered((scale * (8.5 - radius)).astype(np.float32))
    wall = cone - plug
    out[region] *= 1 - wall * (0.34 + 0.30 * lit) - 0.20 * plug - 0.22 * plug * np.clip(lit, 0, 1) * (radius / 8.5) ** 2


def _pores(out: Float32, pores_mm: Float64, surface_to_frame: Float64) -> None:
    """Air voids: their sunward wall lies in shade, the far lip catches light."""
    shape = (out.shape[0], out.shape[1])
    scale = px_per_mm(surface_to_frame, shape)
    centres = project(surface_to_frame, pores_mm[:, :2])
    reach = pores_mm[:, 2] * scale + 3
    seen = ((centres > -reach[:, None]) & (centres < np.array([shape[1], shape[0]]) + reach[:, None])).all(axis=1)
    delta = np.zeros(out.size, np.float32)
    for low, high in ((0.0, 2.0), (2.0, 6.0)):
        chosen = seen & (pores_mm[:, 2] >= low) & (pores_mm[:, 2] < high)
        if chosen.any():
            _voids(delta, centres[chosen], (pores_mm[chosen, 2] * scale).astype(np.float32), shape)
    out *= np.maximum(1 + delta.reshape(shape), np.float32(0.2))


def _voids(delta: Float32, centres_px: Float64, radius_px: Float32, shape: tuple[int, int]) -> None:
    near = around(centres_px, float(radius_px.max()) + 2, shape)
    which = near.place.astype(np.intp)
    offset = np.stack([near.pixel % shape[1], near.pixel // shape[1]], axis=1) - centres_px[which]
    lit = (offset[:, 0] * _SUN[0] + offset[:, 1] * _SUN[1]) / np.maximum(near.distance_px, np.float32(1e-3))
    radius = radius_px[which]
    hollow = gathered(radius - near.distance_px) * np.minimum(1, radius)
    lip = np.exp(-((near.distance_px - radius - 0.6) ** 2)) * np.clip(-lit, 0, 1)
    np.add.at(delta, near.pixel, (-hollow * (0.42 + 0.22 * lit) + 0.10 * lip).astype(np.float32))


def _chalk(out: Float32, stroke: Chalk, surface_to_frame: Float64) -> None:
    seen = trace(surface_to_frame, stroke.path_mm, stroke.width_mm, (out.shape[0], out.shape[1]))
    if seen is None:
        return
    light = np.zeros_like(out)
    _draw(light, seen, stroke.cover)
    # Chalk sits on the high grain and leaves the low: scale it by the grain already in the picture.
    out += light * np.clip(0.22 + 4.0 * (out - 1), 0, 0.5)


def _cracks(out: Float32, scene: Scene, surface_to_frame: Float64) -> None:
    dark, chip = np.zeros_like(out), np.zeros_like(out)
    shape = (out.shape[0], out.shape[1])
    for crack in scene.cracks:
        seen = trace(surface_to_frame, crack.path_mm, crack.width_mm, shape)
        if seen is not None:
            _draw(dark, seen, crack.depth)
            _chip(chip, seen, crack, px_per_mm(surface_to_frame, shape))
    if chip.any():
        # A chipped rim shows fresh, lighter concrete; its outer edge is a small step in shade.
        edge = cv2.GaussianBlur(chip, (0, 0), 1.2) - chip
        out *= (1 + 0.13 * chip - 0.35 * np.clip(edge, 0, 1)) ** EYE
    out *= 1 - dark


def _draw(layer: Float32, seen: Trace, strength: Float64) -> None:
    """Raise ``layer`` to the covered share times ``strength`` along a path."""
    flat = layer.reshape(-1)
    places = np.arange(len(seen.path_px))
    for run in seen.runs:
        for near in nearby(
            seen.path_px, run, float(seen.half_px[run].max()) + KERNEL_PX, (layer.shape[0], layer.shape[1])
        ):
            half = np.interp(near.place, places, seen.half_px).astype(np.float32)
            share = covered(near.distance_px, half) * np.interp(near.place, places, strength)
            np.maximum.at(flat, near.pixel, share.astype(np.float32))


def _chip(layer: Float32, seen: Trace, crack: SurfaceCrack, scale: float) -> None:
    """Raise ``layer`` to 1 where the rim to the right of the opening is chipped away."""
    flat = layer.reshape(-1)
    places = np.arange(len(seen.path_px))
    reach_px = scale * crack.spalled * (2.2 + 1.8 * np.sin(0.9 * places) + 1.2 * np.sin(0.37 * places))
    for run in runs_of(crack.spalled & seen.inside):
        for near in nearby(
            seen.path_px, run, float(seen.half_px[run].max()) + 6 * scale, (layer.shape[0], layer.shape[1])
        ):
            beyond = near.distance_px - np.interp(near.place, places, seen.half_px)
            reach = np.interp(near.place, places, reach_px)
            chipped = gathered((reach - beyond).astype(np.float32)) * (near.side > 0) * (reach > 0.3)
            np.maximum.at(flat, near.pixel, chipped.astype(np.float32))
