"""Frames of any size through a network of one size: where the tiles lie, and how their answers are joined.

Tiles are spread evenly at native scale. Two neighbours fade into each other over the middle half of their smallest
overlap; the outer quarters, where a network sees least around a pixel, are not used. Weights are integers that add up
to 256, so a constant stays that constant and equal answers stay equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from edge.masks.preprocess import UInt8

MAX_OVERLAP_PART = 4
"""The overlap is at most the tile's size divided by this: then no pixel is shared by more than two tiles of a row."""


@dataclass(frozen=True, slots=True)
class Span:
    """One tile along one axis, all in frame pixels."""

    start_px: int
    """First pixel the tile sees."""
    size_px: int
    """How many it sees: the network's size, or all of a smaller frame (the rest is reflection)."""
    from_px: int
    """First pixel it has a say in."""
    alone_px: int
    """First pixel it decides alone; [from_px, alone_px) fades over from the tile before."""
    stop_px: int
    """One past the last pixel it has a say in; its end fades over to the tile after."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One run of the network."""

    rows: Span
    columns: Span


def plan(height_px: int, width_px: int, tile_h_px: int, tile_w_px: int, overlap_px: int) -> list[Tile]:
    """Cover a frame with tiles, row by row; neighbours overlap by ``overlap_px`` or more.

    A frame no larger than the tile gets one. Raises ValueError for an overlap above a quarter of the tile.
    """
    columns = _spans(width_px, tile_w_px, overlap_px)
    return [Tile(row, column) for row in _spans(height_px, tile_h_px, overlap_px) for column in columns]


def fitted(
    frame_px: tuple[int, int], own_px: tuple[int, int], step_px: tuple[int, int], overlap_px: int, largest: float
) -> tuple[int, int]:
    """The tile (height, width) that covers a frame with the fewest pixels computed, for a network of any size.

    Tiles of the network's ``own_px`` rarely fit a frame: they overlap by more than they have to. Others are multiples
    of ``step_px``, no smaller than three quarters of ``own_px`` either way, and of at most ``largest`` times its area.
    Its own size stays where that is as good within a twentieth, and where the frame fits into it.
    """
    if all(extent <= own for extent, own in zip(frame_px, own_px, strict=True)):
        return own_px
    heights, widths = (_lengths(*axis, overlap_px) for axis in zip(frame_px, own_px, step_px, strict=True))
    most = largest * own_px[0] * own_px[1]
    usual = [len(_spans(extent, own, overlap_px)) for extent, own in zip(frame_px, own_px, strict=True)]
    best, least = own_px, int(0.95 * usual[0] * own_px[0] * usual[1] * own_px[1])
    for height, rows in heights.items():
        for width, columns in widths.items():
            computed = rows * height * columns * width
            if height * width <= most and (computed, height * width) < (least, best[0] * best[1]):
                best, least = (height, width), computed
    return best


def _lengths(frame_px: int, own_px: int, step_px: int, overlap_px: int) -> dict[int, int]:
    """Tile lengths worth a thought along one axis, and how many such tiles it takes."""
    shortest = max(3 * own_px // 4, MAX_OVERLAP_PART * overlap_px)
    found: dict[int, int] = {}
    for count in range(1, frame_px + 1):
        needed = -(-(frame_px + overlap_px * (count - 1)) // count)
        length = -(-max(needed, shortest) // step_px) * step_px
        found.setdefault(length, count)
        if needed <= shortest:
            break
    return found


def fill_reflected(array: npt.NDArray[np.int8], height_px: int, width_px: int) -> None:
    """Fill ``array`` (H, W, 3) below and to the right of its first ``height_px`` x ``width_px`` pixels, in place.

    By reflection about the last pixel, as often as it takes: black borders would make a network fire.
    """
    if width_px < array.shape[1]:
        array[:height_px, width_px:] = array[:height_px, _reflected(width_px, array.shape[1])]
    if height_px < array.shape[0]:
        array[height_px:] = array[_reflected(height_px, array.shape[0])]


class Mosaic:
    """Joins the tiles of one plan, in the plan's order, holding one row of them."""

    def __init__(self, tiles: list[Tile]) -> None:
        self.tiles = tiles
        self.height_px = tiles[-1].rows.stop_px
        self.width_px = tiles[-1].columns.stop_px
        self._band = np.empty((tiles[0].rows.size_px, self.width_px), np.uint8)

    def add(self, tile: Tile, codes: UInt8, out: UInt8) -> None:
        """Join ``codes``, uint8 of the tile's size (or more, by its padding), into ``out`` (height_px, width_px).

        ``out`` is complete after the last tile; rows below the tiles added so far are undefined.
        """
        rows, columns = tile.rows, tile.columns
        piece = codes[_inside(rows), _inside(columns)]
        band = self._band[: len(piece)]
        _join(band[:, columns.from_px : columns.stop_px].T, piece.T, columns.alone_px - columns.from_px)
        if columns.stop_px == self.width_px:
            _join(out[rows.from_px : rows.stop_px], band, rows.alone_px - rows.from_px)


def _spans(size_px: int, tile_px: int, overlap_px: int) -> list[Span]:
    if not 0 <= overlap_px <= tile_px // MAX_OVERLAP_PART:
        raise ValueError(
            f"overlap_px is 0 to {tile_px // MAX_OVERLAP_PART} for a tile of {tile_px} px, got {overlap_px}"
        )
    if size_px <= tile_px:
        return [Span(0, size_px, 0, 0, size_px)]
    steps = -((tile_px - size_px) // (tile_px - overlap_px))  # ceiling of what is left over what a tile adds
    starts = [i * (size_px - tile_px) // steps for i in range(steps + 1)]
    fades = [(0, 0)] + [_fade(left, right, tile_px, overlap_px) for left, right in pairwise(starts)]
    stops = [alone for _, alone in fades[1:]] + [size_px]
    return [
        Span(start, tile_px, first, alone, stop)
        for start, (first, alone), stop in zip(starts, fades, stops, strict=True)
    ]


def _fade(left_px: int, right_px: int, tile_px: int, overlap_px: int) -> tuple[int, int]:
    """Where the tile at ``right_px`` takes over from the one at ``left_px``: the middle of what both see."""
    length = overlap_px // 2
    first = (right_px + left_px + tile_px - length) // 2
    return first, first + length


def _inside(span: Span) -> slice:
    return slice(span.from_px - span.start_px, span.stop_px - span.start_px)


def _join(into: UInt8, piece: UInt8, fade: int) -> None:
    """Write ``piece`` over ``into``, fading over the first ``fade`` rows."""
    into[fade:] = piece[fade:]
    if fade:
        into[:fade] = _crossfade(into[:fade], piece[:fade])


def _crossfade(old: UInt8, new: UInt8) -> npt.NDArray[np.uint16]:
    count = len(old)
    weight = ((2 * np.arange(count) + 1) * 128 // count).astype(np.uint16)[:, None]
    mixed = old * (256 - weight)
    mixed += new * weight
    mixed += 128  # at most 255 * 256 + 128: fits 16 bits
    mixed >>= 8
    return mixed


def _reflected(size: int, total: int) -> npt.NDArray[np.intp]:
    """Indices 0..size-1 that continue a row of ``size`` up to ``total`` by reflection about its last pixel."""
    period = max(2 * (size - 1), 1)
    index = np.arange(size, total) % period
    return np.minimum(index, period - index)
