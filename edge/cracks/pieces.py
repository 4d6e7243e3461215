"""The connected pieces of a mask that are worth tracing, cut out of the frame.

Everything costs what the crack pixels cost; only the count and the labelling see every pixel of the box around them.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edge.cracks.lines import Index
from edge.cracks.runs import numbered
from edge.cracks.skeleton import Bits, Canvas, Skeleton

MARGIN_PX = 32
"""So much of the frame around the mask is kept, for the background beside a crack."""
MAX_COVER = 0.35
"""A piece that covers more of the frame than this is no crack (a dark frame, a lens cap, a failed network); in real
close-ups it is at most a fifth."""
MANY_PX = 500_000
"""A mask of more pixels than this, as of noise, is sooner labelled as a picture."""
MAX_EDGES = 200_000
"""A mask with more changes than this along its rows is noise, and looking for its holes takes seconds; real ones have
some thousand."""


class Pieces(NamedTuple):
    """Connected pieces of a mask, 8-connected, in a window of the frame."""

    left: int
    top: int
    """Top-left pixel of the window in the frame."""
    bits: Bits
    """uint8 (h, w): 0 or 1, small holes filled."""
    pixels: Index
    """Flat indices (P,) into the window of the mask's pixels, in rising order."""
    piece: Index
    """(P,): number of the piece that each of ``pixels`` belongs to, from 0."""
    filled: Index
    """The same of the pixels of holes that were filled: flat indices (F,), in rising order, ..."""
    filled_piece: Index
    """... and numbers of their pieces (F,)."""
    left_out: int
    """Pieces not taken although large enough: too many, or too large."""
    canvas: Canvas
    """``bits``, ready to be thinned."""

    def piece_at(self, at: Index) -> Index:
        """Number of the piece at flat indices ``at`` (N,) into the window; -1 outside the pieces."""
        found = np.full(len(at), -1)
        for pixels, piece in ((self.pixels, self.piece), (self.filled, self.filled_piece)):
            if pixels.size:
                place = np.minimum(np.searchsorted(pixels, at), pixels.size - 1)
                found = np.where(pixels[place] == at, piece[place], found)
        return found


def cut_out(mask: npt.NDArray[np.bool_], min_area_px: int, max_pieces: int, fill_holes_px: int) -> Pieces | None:
    """Take the largest ``max_pieces`` pieces of at least ``min_area_px``; None where ``mask`` (H, W) holds no crack."""
    frame = np.ascontiguousarray(mask).view(np.uint8)
    if cv2.countNonZero(frame) == 0:
        return None
    left, top, window, pixels = _window(frame)
    piece = numbered(pixels, window.shape[1]) if pixels.size <= MANY_PX else _labelled(window, pixels)
    area = np.bincount(piece)
    large = np.flatnonzero((area >= min_area_px) & (area <= MAX_COVER * frame.size))
    taken = large[np.argsort(-area[large], kind="stable")][:max_pieces]
    left_out = int((area >= min_area_px).sum()) - len(taken)
    bits, none = window, np.zeros(0, np.intp)
    if len(taken) < len(area):
        keep = np.zeros(len(area), np.bool_)
        keep[taken] = True
        kept = keep[piece]
        bits.reshape(-1)[pixels[~kept]] = 0
        pixels, piece = pixels[kept], piece[kept]
    pieces = Pieces(left, top, bits, pixels, piece, none, none, left_out, Canvas(bits, pixels))
    if fill_holes_px and pieces.canvas.pieces_less_holes < len(taken):
        return _without_holes(pieces, fill_holes_px)
    return pieces


def _labelled(window: Bits, pixels: Index) -> Index:
    """What ``numbered`` gives, by a labelled picture; pieces may be numbered in another order."""
    _, labels = cv2.connectedComponents(window, connectivity=8, ltype=cv2.CV_32S)
    return np.asarray(labels.reshape(-1)[pixels] - 1, np.intp)


def _window(frame: Bits) -> tuple[int, int, Bits, Index]:
    """Top-left pixel of what lies around the mask, a copy of that, and flat indices into it of the mask's pixels."""
    columns = frame.shape[1]
    found = np.flatnonzero(frame.view(np.bool_))
    rows = found // columns
    x = found - rows * columns
    left, top = max(0, int(x.min()) - MARGIN_PX), max(0, int(rows[0]) - MARGIN_PX)
    right, bottom = int(x.max()) + 1 + MARGIN_PX, int(rows[-1]) + 1 + MARGIN_PX
    window = frame[top:bottom, left:right].copy()
    return left, top, window, (rows - top) * window.shape[1] + x - left


def _without_holes(pieces: Pieces, up_to_px: int) -> Pieces:
    """The pieces with holes of at most ``up_to_px`` pixels filled: each would become a loop of the skeleton.

    The pixels inside an outline follow from its area and its own pixels by Pick's theorem. What lies in a hole becomes
    part of the piece around it.
    """
    bits, pieces = pieces.bits, pieces._replace(piece=pieces.piece.copy())
    if np.count_nonzero(bits[:, 1:] != bits[:, :-1]) > MAX_EDGES:
        return pieces
    outlines, tree = cv2.findContours(bits, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    filled: list[Index] = []
    numbers: list[Index] = []
    inside_px = {
        i: cv2.contourArea(outlines[i]) - len(outlines[i]) / 2 + 1 for i in np.flatnonzero(tree[0][:, 3] >= 0).tolist()
    }
    # The largest first: a hole in what lies in a hole goes with that one.
    for i in sorted((i for i, area in inside_px.items() if area <= up_to_px), key=lambda i: -inside_px[i]):
        x, y, width, height = cv2.boundingRect(outlines[i])
        inside = np.zeros((height, width), np.uint8)
        cv2.drawContours(inside, [outlines[i]], 0, 1, cv2.FILLED, offset=(-x, -y))
        rows, columns = np.nonzero(inside)
        at = (rows + y) * bits.shape[1] + columns + x
        rim_x, rim_y = outlines[i][0, 0].tolist()
        around = int(pieces.piece_at(np.array([rim_y * bits.shape[1] + rim_x]))[0])
        was_set = bits.reshape(-1)[at] > 0
        pieces.piece[np.searchsorted(pieces.pixels, at[was_set & (pieces.piece_at(at) >= 0)])] = around
        bits.reshape(-1)[at] = 1
        filled.append(at[~was_set])
        numbers.append(np.full(len(filled[-1]), around))
    new, of = (np.concatenate([np.zeros(0, np.intp), *parts]) for parts in (filled, numbers))
    order = np.argsort(new)
    return pieces._replace(filled=new[order], filled_piece=of[order], canvas=Canvas(bits))


def skeleton_of(pieces: Pieces, max_crossings: int) -> tuple[Skeleton, int]:
    """Thin the pieces on their canvas; returns the skeleton and how many pieces were left out as noise.

    Those with the most junction pixels go, until all together have at most ``max_crossings``.
    """
    canvas = pieces.canvas
    canvas.thin()
    junction = canvas.degree > 2
    number = junction.sum()
    if number <= max_crossings:
        return Skeleton(canvas), 0
    piece = pieces.piece_at(canvas.window_index())
    crossings = np.bincount(piece[junction])
    worst = np.argsort(-crossings, kind="stable")
    noise = worst[np.cumsum(crossings[worst][::-1])[::-1] > max_crossings]
    canvas.clear(canvas.set[np.isin(piece, noise)])
    canvas.set = canvas.still_set(canvas.set)
    return Skeleton(canvas), len(noise)
