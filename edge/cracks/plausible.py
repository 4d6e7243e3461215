"""Which of the traced cracks are reported: the shorter a mark, the surer the network must be that it is one.

A test about a connected piece of the mask as a whole; what it holds back is counted by reason. Other tests were
measured on photographs and are not here: closed rings (rims of tie holes) are hardly ever traced, straight lines of
constant width and steps of the grey profile are true cracks about as often as not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge.cracks import Crack
from edge.cracks.trace import Traced, TraceOptions, trace
from edge.frames import Frame
from edge.masks import ClassMask, DamageClass

Reason = Literal["weak"]
REASONS: tuple[Reason, ...] = ("weak",)
"""Why a crack is not reported. ``weak``: its piece is too short for its score."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportOptions:
    """Which of the traced cracks are reported: the table ``[report]``."""

    sure_length_px: float = 1200.0
    """A piece shorter than this, all its branches together, is reported only where their mean score is at least
    1 - length / sure_length_px: 20 px need 0.98, 100 px 0.92. 0: everything is reported. Chosen for the shipped
    bundles (docs/accuracy.md); weights that are less sure of themselves need less."""
    detections: Literal["all", "new", "none"] = "all"
    """Which detections of cracks are sent; ``all``: each; ``new``: those whose frame makes or changes a revision of
    their crack, for a thin radio link; ``none``: none, the flight's cracks alone. Findings of a class that is not
    followed from frame to frame are sent always: nothing else would tell of them."""

    def __post_init__(self) -> None:
        if not self.sure_length_px >= 0:
            raise ValueError(f"sure_length_px is {self.sure_length_px}, must be 0 or more")


@dataclass(frozen=True, slots=True, eq=False)
class Sifted:
    """What became of the traced cracks of one frame."""

    traced: Traced
    """Those that are reported, their pieces numbered anew from 0."""
    suppressed: Mapping[str, int]
    """How many cracks are not, for each of ``REASONS``; with the reported ones they are all that was traced."""
    held_back: tuple[Crack, ...] = ()
    """Those that are not reported: several views together may yet make a crack of one."""


def sift(found: Traced, options: ReportOptions) -> Sifted:
    """Hold back the pieces that are no plausible crack, each with all of its branches."""
    pieces: dict[int, list[Crack]] = {}
    for crack in found.cracks:
        pieces.setdefault(crack.component, []).append(crack)
    suppressed: dict[str, int] = dict.fromkeys(REASONS, 0)
    number: dict[int, int] = {}
    held_back: list[Crack] = []
    for piece, branches in pieces.items():
        reason = implausible(branches, options)
        if reason is None:
            number[piece] = len(number)
        else:
            suppressed[reason] += len(branches)
            held_back += branches
    return Sifted(found if len(number) == len(pieces) else _only(found, number), suppressed, tuple(held_back))


def implausible(branches: Sequence[Crack], options: ReportOptions) -> Reason | None:
    """Why a piece with these branches (at least one) is not reported; None where it is."""
    length_px = sum(crack.length_px for crack in branches)
    score = sum(crack.length_px * crack.score for crack in branches) / length_px
    return "weak" if length_px < options.sure_length_px * (1 - score) else None


def traced(
    score: npt.NDArray[np.uint8],
    rgb: npt.NDArray[np.uint8],
    threshold_code: int,
    tracing: TraceOptions | None = None,
) -> Traced:
    """The cracks that the pipeline traces, before any is held back.

    ``score`` (H, W), 0 to 255, is crack from ``threshold_code`` on (edge/masks/preprocess.py has it from the card's
    threshold); ``rgb`` (H, W, 3) is the picture. ``tracing`` None: the defaults of ``[cracks]``.
    """
    # Views: a frame and a mask make their arrays read-only, and these are the caller's.
    frame = Frame(seq=0, exposed_ns=0, exposure_us=None, rgb=np.ascontiguousarray(rgb).view())
    kind = DamageClass("crack", threshold_code / 255, "line")
    mask = ClassMask(frame, kind, score.view(), score >= threshold_code)
    return trace(mask, tracing or TraceOptions())


def reported_mask(
    score: npt.NDArray[np.uint8],
    rgb: npt.NDArray[np.uint8],
    threshold_code: int,
    options: ReportOptions,
    tracing: TraceOptions | None = None,
) -> npt.NDArray[np.bool_]:
    """The pixels of the cracks that the pipeline would report: bool (H, W); arguments as of ``traced``."""
    return sift(traced(score, rgb, threshold_code, tracing), options).traced.reported()


def _only(found: Traced, number: Mapping[int, int]) -> Traced:
    """Some pieces of it, under new numbers."""
    cracks = tuple(
        replace(crack, component=number[crack.component]) for crack in found.cracks if crack.component in number
    )
    renumbered = np.full(1 + max(crack.component for crack in found.cracks), -1, np.intp)
    renumbered[list(number)] = list(number.values())
    component = renumbered[found.component]
    kept = component >= 0
    return replace(found, cracks=cracks, pixels=found.pixels[kept], component=component[kept])
