"""Mask to cracks: connected pieces, thinned, cleaned of artefacts, followed line by line and measured.

Cost follows the crack pixels, not the frame: an empty mask is done after one count, and everything else happens inside
the box around what is left once specks are gone. Two caps keep a mask that is noise from stalling the loop; what they
leave out is counted and announced.
"""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edge.cracks import Crack
from edge.cracks.graph import OPEN, Graph, Line
from edge.cracks.path import SPACING_PX, evenly, extended, lengths, simplified, smooth, trimmed
from edge.cracks.profile import Flags, Picture
from edge.cracks.skeleton import Bits, Points, Skeleton, thin
from edge.cracks.width import Measured, measure_mask, measure_profile
from edge.masks import Mask

logger = logging.getLogger(__name__)

MARGIN_PX = 32
"""So much of the picture around the mask is looked at for the background beside a crack."""
MAX_COVER = 0.5
"""A piece of mask that covers more of the frame than this is no crack."""
MAX_TURN_DEG = 45.0
"""Two lines that meet with less of a turn than this may be one crack."""


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
    """Holes in the mask up to about this area are filled before thinning, pixels; 0 fills none."""
    spur_half_widths: float = 2.0
    """Side branches shorter than this many local half-widths of the crack are artefacts of thinning and cut off."""
    simplify_px: float = 0.5
    """The published path stays this close to the measured centreline, pixels."""
    max_pieces: int = 256
    """At most this many connected pieces of the mask are traced, the largest; the others are counted as left out."""
    max_branches: int = 512
    """At most this many cracks are measured in a frame, the longest; a piece with more than eight times as many
    crossing points is noise and left out."""

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
    """Pieces and branches that were not traced because a cap of TraceOptions was reached; 0 on any sensible mask."""
    shape: tuple[int, int]
    """Rows and columns of the frame."""
    pixels: npt.NDArray[np.intp]
    """Flat indices of the mask's pixels in the connected pieces that hold at least one of ``cracks``."""

    def reported(self) -> npt.NDArray[np.bool_]:
        """Draw ``pixels``: bool (H, W), all False when there is no crack."""
        drawn = np.zeros(self.shape, np.bool_)
        drawn.reshape(-1)[self.pixels] = True
        return drawn


class _Pieces(NamedTuple):
    """The connected pieces of a mask that are worth tracing, cut out of the frame."""

    x: int
    y: int
    """Top-left pixel of the cut-out in the frame."""
    bits: Bits
    """uint8 (h, w): 0 or 1, small holes filled."""
    labels: npt.NDArray[np.int32]
    """int32 (h, w): number of the connected piece, 0 outside."""
    left_out: int


def trace(mask: Mask, options: TraceOptions) -> Traced:
    """Find and measure the cracks of ``mask``. Pure: the same mask gives the same cracks in the same order."""
    shape = (mask.frame.height_px, mask.frame.width_px)
    pieces = _pieces(mask, options)
    if pieces is None:
        return Traced((), 0, shape, np.zeros(0, np.intp))
    ...
