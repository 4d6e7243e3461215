"""Mask to cracks: connected pieces, thinned, cleaned of artefacts, followed line by line and measured.

Two caps keep a mask that is noise from stalling the loop; what they leave out is counted and announced.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edge.cracks import Crack
from edge.cracks.graph import OPEN, Graph, Line
from edge.cracks.path import SPACING_PX, evenly, extended, lengths, simplified, smooth, trimmed
from edge.cracks.pieces import Pieces, cut_out, distance_to_outside, skeleton_of
from edge.cracks.profile import Flags, Picture
from edge.cracks.skeleton import Points
from edge.cracks.width import Measured, measure_mask, measure_profile
from edge.masks import Mask

logger = logging.getLogger(__name__)

MAX_TURN_DEG = 45.0
"""Two lines that meet with less of a turn than this may be one crack."""
NOISE = 16
"""This many times ``max_branches`` junction pixels in a frame are noise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TraceOptions:
    """How cracks are found in a mask: the table ``[cracks]``."""

    measure: Literal["profile", "mask"] = "profile"
    """``profile``: width read on the grey picture, the mask's own where there is no dark valley; ``mask``: always the
    mask's own."""
    min_length_px: float = 20.0
    """Shorter cracks are dropped, pixels along the centreline."""
    min_area_px: int = 30
    """Smaller connected pieces of the mask are dropped, pixels."""
    min_elongation: float = 2.0
    """A crack is at least this many times as long as it is wide in the mask; less is a blot and dropped."""
    fill_holes_px: int = 20
    """Holes in the mask of up to this many pixels are filled before thinning; 0 fills none."""
    spur_half_widths: float = 2.0
    """Side branches shorter than this many local half-widths of the crack are artefacts of thinning and cut off."""
    simplify_px: float = 0.25
    """The published path stays this close to the measured centreline, pixels."""
    max_pieces: int = 256
    """At most this many connected pieces of the mask are traced, the largest; the others are counted as left out."""
    max_branches: int = 256
    """At most this many branches are measured in a frame, the longest; the others are counted as left out."""

    def __post_init__(self) -> None:
        least = {"min_length_px": 2, "min_area_px": 1, "min_elongation": 0, "fill_holes_px": 0, "spur_half_widths": 0}
        least |= {"simplify_px": 0, "max_pieces": 1, "max_branches": 1}
        for name, bound in least.items():
            if not getattr(self, name) >= bound:
                raise ValueError(f"{name} is {getattr(self, name)}, must be {bound} or more")


@dataclass(frozen=True, slots=True, eq=False)
class Traced:
    """The cracks of one frame."""

    cracks: tuple[Crack, ...]
    """Longest first; ``component`` numbers the connected pieces in this order, from 0."""
    left_out: int
    """Pieces and branches not traced because a cap was reached; 0 on any sensible mask."""
    shape: tuple[int, int]
    """Rows and columns of the frame."""
    pixels: npt.NDArray[np.intp]
    """Flat indices into the frame of the mask's pixels in the connected pieces that hold at least one of ``cracks``."""

    def reported(self) -> npt.NDArray[np.bool_]:
        """Draw ``pixels``: bool (H, W), all False when there is no crack."""
        drawn = np.zeros(self.shape, np.bool_)
        drawn.reshape(-1)[self.pixels] = True
        return drawn


class _Found(NamedTuple):
    """A crack before it is numbered and moved into the frame."""

    measured: Measured
    length_px: float
    score: float
    piece: int


def trace(mask: Mask, options: TraceOptions) -> Traced:
    """Find and measure the cracks of ``mask``; the same mask gives the same cracks in the same order."""
    shape = (mask.frame.height_px, mask.frame.width_px)
    pieces = cut_out(mask.crack, options.min_area_px, options.max_pieces, options.fill_holes_px)
    if pieces is None:
        return Traced((), 0, shape, np.zeros(0, np.intp))
    found, left_out = _measure(mask, pieces, options)
    number: dict[int, int] = {}
    for crack in found:
        number.setdefault(crack.piece, len(number))
    if left_out:
        _announce(left_out, mask.frame.seq)
    cracks = tuple(_crack(crack, number[crack.piece], pieces, options.simplify_px) for crack in found)
    return Traced(cracks, left_out, shape, _reported(pieces, list(number), shape[1]))


def _measure(mask: Mask, pieces: Pieces, options: TraceOptions) -> tuple[list[_Found], int]:
    """The cracks, longest first, and how many pieces and branches were left out."""
    if not pieces.pixels.size:
        return [], pieces.left_out
    tracer = _Tracer(mask, pieces, options)
    return sorted(tracer.found(), key=lambda crack: -crack.length_px), tracer.left_out


_announced = itertools.count(1)


def _announce(left_out: int, frame_seq: int) -> None:
    """Warn at the first, second, fourth, eighth, ... frame that hits a cap: a network gone wrong hits it in each."""
    times = next(_announced)
    if times & (times - 1) == 0:
        text = "frame %d: %d pieces or branches of the mask were left out, it looks like noise (so far %d such frames)"
        logger.warning(text, frame_seq, left_out, times)


def _crack(found: _Found, component: int, pieces: Pieces, simplify_px: float) -> Crack:
    measured = found.measured
    path, width = simplified(measured.xy, measured.width_px, simplify_px)
    return Crack(
        path_px=(path + np.array([pieces.left, pieces.top])).astype(np.float32),
        length_px=found.length_px,
        width_px=width.astype(np.float32),
        width_sigma_px=measured.sigma_px,
        width_method=measured.method,
        score=found.score,
        component=component,
        width_at_most_px=measured.at_most_px,
    )


def _reported(pieces: Pieces, numbers: list[int], columns: int) -> npt.NDArray[np.intp]:
    piece_of = pieces.labels.reshape(-1)[pieces.pixels]
    reported = np.zeros(int(piece_of.max(initial=0)) + 1, np.bool_)
    reported[numbers] = True
    rows, within = np.divmod(pieces.pixels[reported[piece_of]], pieces.bits.shape[1])
    return np.asarray((rows + pieces.top) * columns + within + pieces.left, np.intp)


class _Tracer:
    """One mask on its way from pieces to measured lines."""

    def __init__(self, mask: Mask, pieces: Pieces, options: TraceOptions) -> None:
        self.pieces, self.options = pieces, options
        rows, columns = pieces.bits.shape
        window = np.s_[pieces.top : pieces.top + rows, pieces.left : pieces.left + columns]
        skeleton, noise = skeleton_of(pieces, NOISE * options.max_branches)
        self.left_out = pieces.left_out + noise
        self.distance = distance_to_outside(pieces)
        self.graph = Graph(skeleton, self.distance)
        self.graph.prune(options.spur_half_widths)
        self.graph.contract_bridges()
        self.graph.join_straight(MAX_TURN_DEG)
        self.score = mask.score[window]
        grey = cv2.cvtColor(np.ascontiguousarray(mask.frame.rgb[window]), cv2.COLOR_RGB2GRAY)
        self.picture = Picture(grey.astype(np.float32), pieces.bits * np.uint8(255))

    def found(self) -> Iterator[_Found]:
        """Measure every line that is long enough, at most ``max_branches``; adds the others to ``left_out``."""
        long = [line for line in self.graph.lines if line.length_px >= self.options.min_length_px / 2]
        long.sort(key=lambda line: -line.length_px)
        self.left_out += max(0, len(long) - self.options.max_branches)
        for line in long[: self.options.max_branches]:
            crack = self._found(line)
            if crack is not None:
                yield crack

    def _found(self, line: Line) -> _Found | None:
        x, y = np.rint(line.xy).astype(np.intp).T
        half_width = float(np.sort(self.distance[y, x])[3 * len(x) // 4])
        xy = self._centreline(line, half_width)
        length = float(lengths(xy)[-1])
        if length < max(self.options.min_length_px, 2 * half_width * self.options.min_elongation):
            return None
        usable = self._usable(line, xy, half_width)
        measured = None
        if self.options.measure == "profile":
            measured = measure_profile(xy, line.closed, self.picture, half_width, usable)
        measured = measured or measure_mask(xy, line.closed, self.picture, half_width, usable)
        score = float(self.score[y, x].mean()) / 255
        piece = int(self.pieces.labels[y, x].max())
        return _Found(measured, float(lengths(measured.xy)[-1]), score, piece)

    def _centreline(self, line: Line, half_width: float) -> Points:
        """Evenly spaced points; open ends are cut back from where thinning bends, and led straight out again."""
        start, end = (side == OPEN and not line.closed for side in line.ends)
        bent = max(0.0, 1.5 * (half_width - 1))
        xy = evenly(trimmed(line.xy, bent * start, bent * end), 1.0)
        xy = smooth(xy, max(2.0, round(half_width) / 2), closed=line.closed)
        xy = extended(xy, self.picture.mask, start, end, 3 * half_width + 2)
        return evenly(xy, SPACING_PX)

    def _usable(self, line: Line, xy: Points, half_width: float) -> Flags:
        """False at points where something else than the crack's own width is seen: near junctions and open ends."""
        usable = np.ones(len(xy), np.bool_)
        for node in (self.graph.nodes[number] for number in line.nodes):
            away = np.hypot(xy[:, 0] - node.x, xy[:, 1] - node.y)
            usable &= away > 1.3 * node.half_width_px + 3
        rim = 1 + int(half_width / SPACING_PX)
        start, end = (side == OPEN and not line.closed for side in line.ends)
        usable[: rim * start] = False
        usable[len(xy) - rim * end :] = False
        return usable
