"""Mask to cracks: connected pieces, thinned, cleaned of artefacts, followed line by line and measured.

Two caps keep a mask that is noise from stalling the loop; what they leave out is counted and announced.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge.cracks import Crack
from edge.cracks.distance import Distances
from edge.cracks.graph import OPEN, Graph, Line
from edge.cracks.light import Light
from edge.cracks.lines import Flags, Floats, Index
from edge.cracks.path import SPACING_PX, Paths, evenly, extended, lengths, simplified, smooth, trimmed
from edge.cracks.pieces import Pieces, cut_out, skeleton_of
from edge.cracks.profile import Picture
from edge.cracks.smear import Smear
from edge.cracks.width import Measured, measure
from edge.masks import ClassMask

logger = logging.getLogger(__name__)

MAX_TURN_DEG = 45.0
"""Two lines that meet with less of a turn than this may be one crack."""
CAPS_PER_PX = 1_000_000
"""Pixels of a frame that ``max_pieces`` and ``max_branches`` are meant for."""
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
    """At most this many connected pieces of the mask are traced in a frame of up to a megapixel, and in a larger one in
    proportion to its area; the largest ones, the others are counted as left out."""
    max_branches: int = 256
    """At most this many branches are measured, in the same proportion; the longest, the others are counted as left
    out."""

    def __post_init__(self) -> None:
        least = {"min_length_px": 2, "min_area_px": 1, "min_elongation": 0, "fill_holes_px": 0, "spur_half_widths": 0}
        least |= {"simplify_px": 0, "max_pieces": 1, "max_branches": 1}
        for name, bound in least.items():
            if not getattr(self, name) >= bound:
                raise ValueError(f"{name} is {getattr(self, name)}, must be {bound} or more")

    def for_frame(self, shape: tuple[int, int]) -> TraceOptions:
        """The same with the caps of a frame of ``shape`` (rows, columns): a wall seen whole has more cracks."""
        times = shape[0] * shape[1] / CAPS_PER_PX
        if times <= 1:
            return self
        caps = (math.ceil(self.max_pieces * times), math.ceil(self.max_branches * times))
        return dataclasses.replace(self, max_pieces=caps[0], max_branches=caps[1])


@dataclass(frozen=True, slots=True, eq=False)
class Traced:
    """The cracks of one frame."""

    cracks: tuple[Crack, ...]
    """Longest first; ``component`` numbers the connected pieces in this order, from 0."""
    left_out: int
    """Pieces and branches not traced because a cap was reached; 0 on any sensible mask."""
    shape: tuple[int, int]
    """Lines and columns of the frame."""
    pixels: npt.NDArray[np.intp]
    """Flat indices (P,) into the frame of the mask's pixels in the connected pieces that hold at least one of
    ``cracks``."""
    component: npt.NDArray[np.intp]
    """(P,): the ``component`` that each of ``pixels`` belongs to."""

    def reported(self) -> npt.NDArray[np.bool_]:
        """Draw ``pixels``: bool (H, W), all False when there is no crack."""
        drawn = np.zeros(self.shape, np.bool_)
        drawn.reshape(-1)[self.pixels] = True
        return drawn


def trace(mask: ClassMask, options: TraceOptions, smear: Smear | None = None) -> Traced:
    """Find and measure the cracks of ``mask``; the same mask gives the same cracks in the same order.

    ``smear``: how the frame moved during its exposure; None: not known, and taken as not at all.
    """
    shape = (mask.frame.height_px, mask.frame.width_px)
    options = options.for_frame(shape)
    pieces = cut_out(mask.damage, options.min_area_px, options.max_pieces, options.fill_holes_px)
    if pieces is None:
        return Traced((), 0, shape, np.zeros(0, np.intp), np.zeros(0, np.intp))
    cracks, numbers, left_out = _measure(mask, pieces, options, smear)
    if left_out:
        _announce(left_out, mask.frame.seq)
    return Traced(cracks, left_out, shape, *_reported(pieces, numbers, shape[1]))


def _measure(
    mask: ClassMask, pieces: Pieces, options: TraceOptions, smear: Smear | None
) -> tuple[tuple[Crack, ...], list[int], int]:
    """The cracks, longest first, the numbers of their pieces, and how many pieces and branches were left out."""
    if not pieces.pixels.size:
        return (), [], pieces.left_out
    tracer = _Tracer(mask, pieces, options, smear)
    return *tracer.cracks(), tracer.left_out


_announced = itertools.count(1)


def _announce(left_out: int, frame_seq: int) -> None:
    """Warn at the first, second, fourth, eighth, ... frame that hits a cap: a network gone wrong hits it in each."""
    times = next(_announced)
    if times & (times - 1) == 0:
        text = "frame %d: %d pieces or branches of the mask were left out, it looks like noise (so far %d such frames)"
        logger.warning(text, frame_seq, left_out, times)


def _reported(pieces: Pieces, numbers: list[int], columns: int) -> tuple[Index, Index]:
    """Flat indices into the frame of the pixels of the pieces ``numbers``, and the place there of each pixel's."""
    place = np.full(int(pieces.piece.max(initial=0)) + 1, -1, np.intp)
    place[numbers] = np.arange(len(numbers))
    component = place[pieces.piece]
    kept = component >= 0
    rows, within = np.divmod(pieces.pixels[kept], pieces.bits.shape[1])
    return np.asarray((rows + pieces.top) * columns + within + pieces.left, np.intp), component[kept]


class _Tracer:
    """One mask on its way from pieces to measured cracks."""

    def __init__(self, mask: ClassMask, pieces: Pieces, options: TraceOptions, smear: Smear | None) -> None:
        self.pieces, self.options = pieces, options
        self.smear = None if smear is None else smear.seen_from(pieces.left, pieces.top)
        rows, columns = pieces.bits.shape
        window = np.s_[pieces.top : pieces.top + rows, pieces.left : pieces.left + columns]
        skeleton, noise = skeleton_of(pieces, NOISE * options.max_branches)
        self.left_out = pieces.left_out + noise
        self.distance = Distances(pieces.bits)
        self.graph = Graph(skeleton, self.distance)
        self.graph.prune(options.spur_half_widths)
        self.graph.contract_bridges()
        self.graph.join_straight(MAX_TURN_DEG)
        self.score = mask.score[window]
        light = Light(mask.frame.rgb[window], mask.frame.tone)
        self.picture = Picture(light, pieces.bits * np.uint8(255), mask.frame.tone)

    def cracks(self) -> tuple[tuple[Crack, ...], list[int]]:
        """Measure every line that is long enough, at most ``max_branches``; adds the others to ``left_out``.

        Returns the cracks, longest first, and the numbers of their pieces, each once, in order.
        """
        long = [line for line in self.graph.lines if line.length_px >= self.options.min_length_px / 2]
        long.sort(key=lambda line: -line.length_px)
        self.left_out += max(0, len(long) - self.options.max_branches)
        lines = long[: self.options.max_branches]
        if not lines:
            return (), []
        pixels = Paths.of([line.xy for line in lines], [line.closed for line in lines])
        half_width = self._half_widths(pixels)
        paths = self._centrelines(pixels, lines, half_width)
        length = lengths(paths)[paths.rows.last]
        taken = length >= np.maximum(self.options.min_length_px, 2 * half_width * self.options.min_elongation)
        if not taken.any():
            return (), []
        lines = [line for line, kept in zip(lines, taken.tolist(), strict=True) if kept]
        pixels, paths, half_width = pixels.only(taken), paths.only(taken), half_width[taken]
        usable = self._usable(paths, lines, half_width)
        by_profile = self.options.measure == "profile"
        measured = measure(paths, self.picture, half_width, usable, by_profile=by_profile, smear=self.smear)
        return self._describe(measured, *self._read_maps(pixels))

    def _half_widths(self, pixels: Paths) -> Floats:
        """Three quarters of each line's pixels are no farther from the outside of the mask than this: (L,)."""
        x, y = pixels.xy.astype(np.intp).T
        distance, rows = self.distance.at(x, y), pixels.rows
        order = np.lexsort((distance, rows.owner))
        return np.asarray(distance[order[rows.first + 3 * rows.count // 4]], np.float64)

    def _centrelines(self, pixels: Paths, lines: list[Line], half_width: Floats) -> Paths:
        """Evenly spaced points; open ends are cut back from where thinning bends, and led straight out again."""
        starts, ends = _open_ends(lines)
        bent = np.maximum(0.0, 1.5 * (half_width - 1))
        paths = evenly(trimmed(pixels, bent * starts, bent * ends), 1.0)
        sigma = np.maximum(2.0, np.rint(half_width) / 2)
        for value in set(sigma.tolist()):
            some = paths.only(sigma == value)
            paths.xy[(sigma == value).take(paths.rows.owner)] = smooth(some.xy, some.rows, some.closed, value)
        return evenly(extended(paths, self.picture.mask, starts, ends, 3 * half_width + 2), SPACING_PX)

    def _usable(self, paths: Paths, lines: list[Line], half_width: Floats) -> Flags:
        """False at points where something else than the crack's own width is seen: near junctions and open ends."""
        rows = paths.rows
        starts, ends = _open_ends(lines)
        # A round end is half a width long, and profiles are averaged over some points on either side.
        rim = np.minimum(1 + np.ceil(1.5 * half_width / SPACING_PX).astype(np.intp), rows.count // 3)
        usable = rows.at >= (rim * starts)[rows.owner]
        usable &= rows.at < (rows.count - rim * ends)[rows.owner]
        for line, first, last in zip(lines, rows.first.tolist(), rows.last.tolist(), strict=True):
            own = np.s_[first : last + 1]
            for node in (self.graph.nodes[number] for number in line.nodes):
                away = np.hypot(paths.xy[own, 0] - node.x, paths.xy[own, 1] - node.y)
                usable[own] &= away > 1.3 * node.half_width_px + 3
        return usable

    def _read_maps(self, pixels: Paths) -> tuple[Floats, Index]:
        """Mean score, 0 to 1, and number of the piece of each line."""
        x, y = pixels.xy.astype(np.intp).T
        score = pixels.rows.sums(self.score[y, x].astype(np.float64)) / (255 * pixels.rows.count)
        piece = self.pieces.piece_at(y * self.pieces.bits.shape[1] + x)
        return score, np.maximum.reduceat(piece, pixels.rows.first)

    def _describe(self, measured: Measured, score: Floats, piece: Index) -> tuple[tuple[Crack, ...], list[int]]:
        length = lengths(measured.paths)[measured.paths.rows.last]
        kept, mean_width = simplified(measured.paths, measured.width_px, self.options.simplify_px)
        xy = (kept.xy + np.array([self.pieces.left, self.pieces.top])).astype(np.float32)
        width = mean_width.astype(np.float32)
        component: dict[int, int] = {}
        cracks = []
        for line in np.argsort(-length, kind="stable").tolist():
            own = np.s_[kept.rows.first[line] : kept.rows.last[line] + 1]
            by_profile = bool(measured.by_profile[line])
            at_most = float(measured.at_most_px[line])
            crack = Crack(
                path_px=xy[own],
                length_px=float(length[line]),
                width_px=width[own],
                width_sigma_px=float(measured.sigma_px[line]) if by_profile else None,
                width_method="profile" if by_profile else "mask",
                score=float(score[line]),
                component=component.setdefault(int(piece[line]), len(component)),
                width_at_most_px=None if math.isnan(at_most) else at_most,
            )
            cracks.append(crack)
        return tuple(cracks), list(component)


def _open_ends(lines: list[Line]) -> tuple[Flags, Flags]:
    """Which lines begin, and which end, without meeting another: (L,) each."""
    ends = np.array([[side == OPEN and not line.closed for side in line.ends] for line in lines])
    return ends[:, 0], ends[:, 1]
