"""Mask to damaged areas: connected pieces with outline, area and largest extent.

A cap keeps a mask that is noise from stalling the loop; what it leaves out is counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.areas import DamagedArea
from edge.masks import ClassMask

UInt8 = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float32]

# A contour traced at twice the size runs this far inside the outside of the piece's pixels.
_QUARTER_PX = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class AreaOptions:
    """How damaged areas are found in a mask: the table ``[areas]``."""

    min_area_px: int = 200
    """Smaller connected pieces of the mask are not reported, pixels; they are counted as suppressed."""
    fill_holes_px: int = 20
    """Holes of up to this many pixels count as damaged; 0 fills none."""
    simplify_px: float = 0.5
    """The published outline stays this close to the mask's, pixels."""
    max_pieces: int = 64
    """At most this many pieces are reported in a frame, the largest; the others are counted as left out."""

    def __post_init__(self) -> None:
        for name, least in (("min_area_px", 1), ("fill_holes_px", 0), ("simplify_px", 0), ("max_pieces", 1)):
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} is {getattr(self, name)}, must be {least} or more")


@dataclass(frozen=True, slots=True, eq=False)
class Outlined:
    """The damaged areas of one class in one frame."""

    areas: tuple[DamagedArea, ...]
    """Largest first."""
    small: int
    """Pieces below ``min_area_px``."""
    left_out: int
    """Pieces not measured because the cap was reached."""
    drawn: npt.NDArray[np.bool_]
    """bool (H, W) of the frame: the pixels of ``areas``."""


def outline(mask: ClassMask, options: AreaOptions) -> Outlined:
    """Find and measure the damaged areas of ``mask``; the same mask gives the same areas in the same order."""
    bits = mask.damage.view(np.uint8)
    drawn = np.zeros(bits.shape, np.bool_)
    if cv2.countNonZero(bits) == 0:
        return Outlined((), 0, 0, drawn)
    bits = _without_holes(bits, options.fill_holes_px)
    count, numbered, stats, middles = cv2.connectedComponentsWithStats(bits, connectivity=8, ltype=cv2.CV_32S)
    size = stats[1:, cv2.CC_STAT_AREA]
    large = np.flatnonzero(size >= options.min_area_px) + 1
    taken = large[np.argsort(-size[large - 1], kind="stable")][: options.max_pieces]
    areas = tuple(
        _measure(mask, np.asarray(numbered, np.int32), number, stats[number], middles[number], place, options, drawn)
        for place, number in enumerate(taken.tolist())
    )
    return Outlined(areas, count - 1 - len(large), len(large) - len(taken), drawn)


def _without_holes(bits: UInt8, up_to_px: int) -> UInt8:
    """``bits`` (H, W) of 0 and 1 with its small holes filled: 4-connected pieces of the background that are small."""
    if not up_to_px:
        return bits
    _, numbered, stats, _ = cv2.connectedComponentsWithStats(1 - bits, connectivity=4, ltype=cv2.CV_32S)
    height, width = bits.shape
    left, top = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    right, bottom = left + stats[:, cv2.CC_STAT_WIDTH], top + stats[:, cv2.CC_STAT_HEIGHT]
    inside = (left > 0) & (top > 0) & (right < width) & (bottom < height)
    hole = inside & (stats[:, cv2.CC_STAT_AREA] <= up_to_px)
    hole[0] = False  # number 0 is the damage itself
    return np.asarray(bits | hole[numbered].view(np.uint8), np.uint8)


def _measure(
    mask: ClassMask,
    numbered: npt.NDArray[np.int32],
    number: int,
    stats: npt.NDArray[np.int32],
    middle: npt.NDArray[np.float64],
    place: int,
    options: AreaOptions,
    drawn: npt.NDArray[np.bool_],
) -> DamagedArea:
    left, top, width, height, area_px = stats.tolist()
    window = np.s_[top : top + height, left : left + width]
    piece = numbered[window] == number
    drawn[window] |= piece
    edge = _edge_of(piece.view(np.uint8)) + np.array([left, top], np.float32)
    polygon = cv2.approxPolyDP(edge[:, None], options.simplify_px, closed=True)[:, 0]
    if len(polygon) < 3:
        polygon = edge
    rows, columns = numbered.shape
    return DamagedArea(
        outline_px=np.ascontiguousarray(polygon, np.float32),
        middle_px=middle.astype(np.float32),
        area_px=area_px,
        extent_px=extent(edge),
        perimeter_px=float(cv2.arcLength(edge[:, None], closed=True)),
        score=float(mask.score[window][piece].mean()) / 255,
        component=place,
        cut_by_frame=left == 0 or top == 0 or left + width == columns or top + height == rows,
    )


def _edge_of(piece: UInt8) -> Points:
    """The outside of one piece (h, w) of 0 and 1, in its own pixels: float32 (N, 2).

    OpenCV joins the centres of a piece's outermost pixels, half a pixel inside its true edge all around. Traced at
    twice the size these centres lie a quarter of a pixel inside; the corners are then moved out by that quarter.
    """
    twice = np.repeat(np.repeat(piece, 2, axis=0), 2, axis=1)
    framed = cv2.copyMakeBorder(twice, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    found, _ = cv2.findContours(framed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = max(found, key=len)[:, 0].astype(np.int32)
    # Which of the four neighbours at twice the size is outside says in which direction the edge lies.
    x, y = contour.T
    right, left = framed[y, x + 1] == 0, framed[y, x - 1] == 0
    below, above = framed[y + 1, x] == 0, framed[y - 1, x] == 0
    out = np.column_stack([right.astype(np.float32) - left, below.astype(np.float32) - above])
    return np.asarray((contour - 1.0) / 2 - _QUARTER_PX + _QUARTER_PX * out, np.float32)


def extent(points: Points) -> float:
    """Largest distance between two of ``points`` (N, 2), in their unit; only corners of the hull can be farthest."""
    hull = cv2.convexHull(np.asarray(points, np.float32)[:, None])[:, 0].astype(np.float64)
    return float(np.sqrt(((hull[:, None] - hull[None]) ** 2).sum(axis=-1).max()))
