"""Which of the traced cracks are reported: what a connected piece of the mask looks like decides, as a whole.

Without more knowledge the rule is one of length: the shorter a piece, the surer the network must be. A bundle's card
may give more: the ``ReportRule`` fitted to its weights (``python -m models report-rule``) adds up five signs,

* length: ln of the length of all its branches, px;
* sureness: -ln(1 - mean score + 0.004), which is about ln of 1 over the doubt;
* bend: ln(0.3 + rms distance of its longest branch from the best straight line, px): what runs dead straight is mostly
  the joint of a form or the edge of a beam;
* reach: distance from end to end of the longest branch over its length: what comes back to itself is a rim or letter;
* company: 1 where it touches a longer piece, 0 where the next one is 60 px or more from its ends: a crack is often
  traced in several pieces, a false mark stands alone.

A piece of 300 px or more that the rule of length reports is reported by every card: the signs were learned on marks
seen whole in small pictures, and a long crack that turns back on itself is no letter.

What is held back is counted by reason. Other signs were measured and are not here
because they add little (docs/experiments.md): steps and valleys of the grey profile, a line that goes on beyond the
ends, alignment with the edges of the picture, steady width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge.cracks import Crack
from edge.cracks.trace import Traced, TraceOptions, trace
from edge.frames import Frame
from edge.masks import ClassMask, DamageClass, ReportRule

Reason = Literal["weak", "straight", "curled", "alone"]
BY_LENGTH: tuple[Reason, ...] = ("weak",)
REASONS: tuple[Reason, ...] = ("weak", "straight", "curled", "alone")
"""Why a crack is not reported. ``weak``: its piece is too short for its score. By the rule of a card also ``straight``,
``curled`` and ``alone``: a usual ``bend``, ``reach`` or ``company`` would have been enough to report it; where that is
true of several, the one that speaks most against it."""
SURE_LENGTH_PX = 1200.0
"""The limit of the rule of length where neither the settings nor the card give another rule. Chosen for the bundles
that came without one (docs/accuracy.md)."""

LONG_PX = 300.0
"""From this length on a card's rule holds nothing back that the rule of length reports."""
LEAST_DOUBT = 0.004
"""A score of 255 of 255 is not certainty: one code of doubt is left."""
LEAST_BEND_PX = 0.3
MOST_STRICTER = 5.0
STEP_PX = 2.0
"""The course of a branch is read at points so far apart."""
COMPANY_PX = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportOptions:
    """Which of the traced cracks are reported: the table ``[report]``."""

    sure_length_px: float | None = None
    """A piece shorter than this, all its branches together, is reported only where their mean score is at least
    1 - length / sure_length_px: at 1200, 20 px need 0.98, 100 px 0.92. 0: everything is reported. Left out: the rule on
    the bundle's card, and where it has none 1200 px. A number here overrules the card."""
    stricter: float = 0.0
    """So much more evidence is asked for than card or limit do, in natural logarithms of odds: at 1 fewer false pieces
    are reported and more hairlines missed, at -1 the other way round. The limit in px is multiplied by e to this."""
    detections: Literal["all", "new", "none"] = "all"
    """Which detections of cracks are sent; ``all``: each; ``new``: those whose frame makes or changes a revision of
    their crack, for a thin radio link; ``none``: none, the flight's cracks alone. Findings of a class that is not
    followed from frame to frame are sent always: nothing else would tell of them."""

    def __post_init__(self) -> None:
        if self.sure_length_px is not None and not self.sure_length_px >= 0:
            raise ValueError(f"sure_length_px is {self.sure_length_px}, must be 0 or more")
        if not abs(self.stricter) <= MOST_STRICTER:
            raise ValueError(f"stricter is {self.stricter}, must be from -{MOST_STRICTER:g} to {MOST_STRICTER:g}")


@dataclass(frozen=True, slots=True, eq=False)
class Sifted:
    """What became of the traced cracks of one frame."""

    traced: Traced
    """Those that are reported, their pieces numbered anew from 0."""
    suppressed: Mapping[str, int]
    """How many cracks are not, for each reason that the rule knows; with the reported ones they are all that was
    traced."""
    held_back: tuple[Crack, ...] = ()
    """Those that are not reported: several views together may yet make a crack of one."""


def sift(found: Traced, options: ReportOptions, rule: ReportRule | None = None) -> Sifted:
    """Hold back the pieces that are no plausible crack, each with all of its branches; ``rule`` is the card's."""
    pieces: dict[int, list[Crack]] = {}
    for crack in found.cracks:
        pieces.setdefault(crack.component, []).append(crack)
    listed = list(pieces.values())
    if rule is None or options.sure_length_px is not None:
        limit = SURE_LENGTH_PX if options.sure_length_px is None else options.sure_length_px
        limit *= math.exp(options.stricter)
        reasons, known = [_too_short(branches, limit) for branches in listed], BY_LENGTH
    else:
        rule = replace(rule, constant=rule.constant - options.stricter)
        reasons, known = judged(signs_of(listed), rule), REASONS
    suppressed: dict[str, int] = dict.fromkeys(known, 0)
    number: dict[int, int] = {}
    held_back: list[Crack] = []
    for (piece, branches), reason in zip(pieces.items(), reasons, strict=True):
        if reason is None:
            number[piece] = len(number)
        else:
            suppressed[reason] += len(branches)
            held_back += branches
    return Sifted(found if len(number) == len(pieces) else _only(found, number), suppressed, tuple(held_back))


def evidence(signs: npt.NDArray[np.float64], rule: ReportRule) -> npt.NDArray[np.float64]:
    """What each sign adds: (N, 5) for ``signs`` (N, 5) as of ``signs_of``; with ``rule.constant`` their sum decides."""
    terms = [getattr(rule, name) for name in ReportRule.signs()]
    weight, typical = np.array([[term.weight, term.typical] for term in terms]).T
    return np.asarray((signs - typical) * weight)


def long_enough(signs: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which pieces are reported by every card, whatever their course: (N,) for ``signs`` (N, 5)."""
    length_px, doubt = np.exp(signs[:, 0]), np.exp(-signs[:, 1]) - LEAST_DOUBT
    return np.asarray((length_px >= LONG_PX) & (length_px >= SURE_LENGTH_PX * doubt))


def judged(signs: npt.NDArray[np.float64], rule: ReportRule) -> list[Reason | None]:
    """Why each piece is not reported; None where it is. ``signs`` (N, 5) as of ``signs_of``."""
    adds = evidence(signs, rule)
    total = rule.constant + adds.sum(axis=1)
    # Length and sureness are two sides of one question, and the answer where no other sign alone would have saved it.
    course = adds[:, 2:]
    saved = np.where(total[:, None] - course >= 0, course, 0.0)
    worst = np.where((saved < 0).any(axis=1), 1 + saved.argmin(axis=1), 0)
    reported = ((total >= 0) | long_enough(signs)).tolist()
    return [None if good else REASONS[at] for good, at in zip(reported, worst.tolist(), strict=True)]


def signs_of(pieces: Sequence[Sequence[Crack]]) -> npt.NDArray[np.float64]:
    """The signs of pieces, each with its branches (at least one), in the order of ``ReportRule.signs()``: (N, 5)."""
    lengths = [sum(crack.length_px for crack in branches) for branches in pieces]
    signs = np.zeros((len(pieces), len(ReportRule.signs())))
    for row, branches, length_px, company in zip(signs, pieces, lengths, _company(pieces, lengths), strict=True):
        doubt = 1 - sum(crack.length_px * crack.score for crack in branches) / length_px
        longest = max(branches, key=lambda crack: crack.length_px)
        bend_px, reach = _course(longest)
        row[:] = (
            math.log(length_px),
            -math.log(doubt + LEAST_DOUBT),
            math.log(bend_px + LEAST_BEND_PX),
            reach,
            company,
        )
    return signs


def _course(crack: Crack) -> tuple[float, float]:
    """Rms distance from the best straight line, px, and distance from end to end over length."""
    path = crack.path_px.astype(np.float64)
    steps = path[1:] - path[:-1]
    along = np.concatenate(([0.0], np.cumsum(np.sqrt((steps * steps).sum(axis=1)))))
    at = np.linspace(0, along[-1], max(2, round(float(along[-1]) / STEP_PX) + 1))
    x, y = np.interp(at, along, path[:, 0]), np.interp(at, along, path[:, 1])
    x, y = x - x.mean(), y - y.mean()
    # The smaller eigenvalue of the scatter matrix is the mean square across the best line.
    xx, yy, xy = float((x * x).mean()), float((y * y).mean()), float((x * y).mean())
    across = (xx + yy) / 2 - math.hypot((xx - yy) / 2, xy)
    first, last = path[0], path[-1]
    reach = math.hypot(*(last - first).tolist()) / max(crack.length_px, 1.0)
    return math.sqrt(max(0.0, across)), min(1.0, reach)


def _company(pieces: Sequence[Sequence[Crack]], lengths: Sequence[float]) -> list[float]:
    """1 less the distance from the ends of each piece to the nearest longer one, over ``COMPANY_PX``; 0 at least."""
    found = [0.0] * len(pieces)
    order = sorted(range(len(pieces)), key=lambda i: -lengths[i])
    paths = [np.concatenate([crack.path_px for crack in pieces[i]]) for i in order]
    last = np.cumsum([len(path) for path in paths])
    x, y = np.ascontiguousarray(np.concatenate(paths).T) if paths else np.zeros((2, 0), np.float32)
    for rank, i in enumerate(order[1:], 1):
        ends = np.array([end for crack in pieces[i] for end in (crack.path_px[0], crack.path_px[-1])])
        dx, dy = x[: last[rank - 1]] - ends[:, :1], y[: last[rank - 1]] - ends[:, 1:]
        nearest = math.sqrt(float((dx * dx + dy * dy).min()))
        found[i] = 1 - min(nearest, COMPANY_PX) / COMPANY_PX
    return found


def _too_short(branches: Sequence[Crack], sure_length_px: float) -> Reason | None:
    """Why a piece with these branches (at least one) is not reported by the rule of length; None where it is."""
    length_px = sum(crack.length_px for crack in branches)
    score = sum(crack.length_px * crack.score for crack in branches) / length_px
    return "weak" if length_px < sure_length_px * (1 - score) else None


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
    rule: ReportRule | None = None,
) -> npt.NDArray[np.bool_]:
    """The pixels of the cracks that the pipeline would report: bool (H, W); arguments as of ``traced`` and ``sift``."""
    return sift(traced(score, rgb, threshold_code, tracing), options, rule).traced.reported()


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
