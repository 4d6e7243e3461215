"""Detections against the truth of a rendered flight: what was found, what was missed, what was never there.

Done in the pixels of each frame, where detections are: truth paths are projected through the frame's true homography.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.rendered.cracks import Bool, Float64, SurfaceCrack
from edge.rendered.strokes import half_widths_px, project

TOLERANCE_PX = 4.0
"""A detection may lie this far from the true centreline, or half the crack's width where that is more."""
FOUND_SHARE = 0.5
"""A crack counts as found when at least this share of the length that some frame showed was detected."""
FALSE_SHARE = 0.5
"""A detection is false when more than this share of its path lies near no crack."""
_SPACING_PX = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Where one frame looked."""

    surface_to_frame: Float64
    """float64 (3, 3): the true homography from surface millimetres to pixels."""
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class Width:
    """What one detection says about the width of the crack it follows, and the truth over the same stretch."""

    length_px: float
    measured_mm: float
    """Measured in the picture, brought to millimetres by the true scale."""
    true_mm: float
    stated_mm: float | None
    """As published, by the pipeline's own scale; None where it states none."""
    sigma_mm: float | None
    """Published standard uncertainty of ``stated_mm``."""
    at_most_mm: float | None
    """Published upper bound where the crack is too narrow to be measured."""

    @property
    def holds(self) -> bool | None:
        """Whether the truth lies within two sigma of what was stated, or below the bound; None: nothing was stated."""
        if self.stated_mm is not None and self.sigma_mm is not None:
            return abs(self.stated_mm - self.true_mm) <= 2 * self.sigma_mm
        return None if self.at_most_mm is None else self.true_mm <= self.at_most_mm


@dataclass(slots=True, eq=False)
class CrackScore:
    """One true crack (or branch) and what became of it."""

    truth: SurfaceCrack
    seen: Bool
    """bool (N,): which points of its path lay in at least one frame."""
    found: Bool
    """bool (N,): which points of its path lay near a detection."""
    widths: list[Width] = field(default_factory=list)
    """One for each detection that follows this crack more than any other."""

    @property
    def detections(self) -> int:
        """How many detections follow this crack more than any other."""
        return len(self.widths)

    @property
    def seen_mm(self) -> float:
        """Length that some frame showed."""
        return _length(self.truth.path_mm, self.seen)

    @property
    def found_mm(self) -> float:
        """Length that lies near detections."""
        return _length(self.truth.path_mm, self.found)

    @property
    def found_share(self) -> float:
        """Found of seen length, 0 to 1; 0 where nothing was seen."""
        return self.found_mm / self.seen_mm if self.seen_mm > 0 else 0.0

    @property
    def is_found(self) -> bool:
        """True from FOUND_SHARE on."""
        return self.found_share >= FOUND_SHARE

    @property
    def true_width_mm(self) -> float:
        """Mean true width of what some frame showed; of the whole crack where none did."""
        return float(self.truth.width_mm[self.seen if self.seen.any() else slice(None)].mean())

    @property
    def measured_mm(self) -> tuple[float, float] | None:
        """Measured and true mean width over the same stretches, weighted by length; None without any detection.

        Scale is the true one, so this judges the measurement in the picture alone.
        """
        return _weighted([(width.length_px, width.measured_mm, width.true_mm) for width in self.widths])

    @property
    def stated_mm(self) -> tuple[float, float] | None:
        """As ``measured_mm``, of what the detections state themselves; None when most of the length is only bounded."""
        stated = [(w.length_px, w.stated_mm, w.true_mm) for w in self.widths if w.stated_mm is not None]
        enough = sum(row[0] for row in stated) >= 0.5 * sum(width.length_px for width in self.widths)
        return _weighted(stated) if enough else None

    @property
    def at_most_mm(self) -> float | None:
        """Mean of the bounds that detections state; None without any."""
        bounds = _weighted([(w.length_px, w.at_most_mm, w.true_mm) for w in self.widths if w.at_most_mm is not None])
        return None if bounds is None else bounds[0]


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """A whole flight against its truth."""

    cracks: tuple[CrackScore, ...]
    """Every crack of the truth, in its order, the unseen ones too."""
    detections: int
    false: tuple[dict[str, Any], ...]
    """The detections that follow no crack."""

    @property
    def seen(self) -> tuple[CrackScore, ...]:
        """The cracks that some frame showed."""
        return tuple(crack for crack in self.cracks if crack.seen_mm > 0)

    @property
    def bounds_that_hold(self) -> tuple[int, int]:
        """How many stated widths and bounds hold (two sigma), and how many there are."""
        verdicts = [width.holds for crack in self.cracks for width in crack.widths if width.holds is not None]
        return sum(verdicts), len(verdicts)


def score(detections: Iterable[dict[str, Any]], cracks: Sequence[SurfaceCrack], views: Mapping[int, View]) -> Score:
    """Judge ``detections`` (published Features) by the truth; ``views`` has every frame flown, by ``frame_seq``.

    Raises KeyError for a detection of a frame that ``views`` does not know.
    """
    scores = tuple(
        CrackScore(crack, np.zeros(len(crack.path_mm), bool), np.zeros(len(crack.path_mm), bool)) for crack in cracks
    )
    by_frame: dict[int, list[dict[str, Any]]] = {seq: [] for seq in views}
    for detection in detections:
        by_frame[int(detection["properties"]["frame_seq"])].append(detection)
    false: list[dict[str, Any]] = []
    for seq, found in by_frame.items():
        shown = [_show(crack, views[seq]) for crack in scores]
        near = [part for part in shown if part.inside.any()]
        false += [detection for detection in found if not _judge(detection["properties"], near)]
    return Score(scores, sum(map(len, by_frame.values())), tuple(false))


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """A true crack as one frame shows it."""

    score: CrackScore
    path_px: Float64
    half_px: Float64
    inside: Bool


def _show(crack: CrackScore, view: View) -> _Shown:
    path = project(view.surface_to_frame, crack.truth.path_mm)
    within = (path >= 0) & (path <= np.array([view.width_px - 1, view.height_px - 1]))
    inside = np.asarray(within[:, 0] & within[:, 1])
    crack.seen |= inside
    return _Shown(crack, path, half_widths_px(view.surface_to_frame, crack.truth.path_mm, crack.truth.width_mm), inside)


def _judge(properties: Mapping[str, Any], shown: Sequence[_Shown]) -> bool:
    """Credit one detection to the cracks it follows; False when it follows none."""
    line = _dense(np.array(properties["crack"]["path_px"], np.float64))
    covered = np.zeros(len(line), bool)
    best: tuple[int, _Shown, Bool] | None = None
    for part in shown:
        on_truth, on_line = _meet(part, line)
        part.score.found |= on_truth
        covered |= on_line
        if on_line.any() and (best is None or int(on_line.sum()) > best[0]):
            best = int(on_line.sum()), part, on_truth
    if best is None or covered.mean() < 1 - FALSE_SHARE:
        return False
    _, part, on_truth = best
    part.score.widths.append(_width(properties, part, on_truth))
    return True


def _width(properties: Mapping[str, Any], part: _Shown, on_truth: Bool) -> Width:
    true_mm = float(part.score.truth.width_mm[on_truth].mean())
    mm_per_px = true_mm / (2 * float(part.half_px[on_truth].mean()))
    crack, size = properties["crack"], properties["size"] or {}
    return Width(
        length_px=float(crack["length_px"]),
        measured_mm=float(crack["width_px"]["mean"]) * mm_per_px,
        true_mm=true_mm,
        stated_mm=size.get("width_mm"),
        sigma_mm=size.get("width_sigma_mm"),
        at_most_mm=size.get("width_at_most_mm"),
    )


def _meet(part: _Shown, line: Float64) -> tuple[Bool, Bool]:
    """Which points of the truth lie near the line, and which points of the line near the truth."""
    reach = np.maximum(TOLERANCE_PX, part.half_px)
    most = float(reach.max())
    low, high = line.min(axis=0) - most, line.max(axis=0) + most
    within = (part.path_px >= low) & (part.path_px <= high)
    index = np.flatnonzero(within[:, 0] & within[:, 1] & part.inside)
    on_truth = np.zeros(len(part.path_px), bool)
    if index.size == 0:
        return on_truth, np.zeros(len(line), bool)
    apart = part.path_px[index].astype(np.float32)[:, None] - line.astype(np.float32)
    close = np.hypot(apart[..., 0], apart[..., 1]) <= reach[index, None]
    on_truth[index] = close.any(axis=1)
    return on_truth, np.asarray(close.any(axis=0))


def _dense(path: Float64) -> Float64:
    """Put points every _SPACING_PX or so along a path."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    places = np.linspace(0, along[-1], max(2, round(along[-1] / _SPACING_PX) + 1))
    return np.stack([np.interp(places, along, path[:, i]) for i in (0, 1)], axis=1)


def _length(path: npt.NDArray[np.float64], chosen: Bool) -> float:
    """Length of the pieces between neighbouring chosen points."""
    steps = np.hypot(*np.diff(path, axis=0).T)
    return float(steps[chosen[1:] & chosen[:-1]].sum())


def _weighted(rows: Sequence[tuple[float, float, float]]) -> tuple[float, float] | None:
    """Means of the second and third column, weighted by the first; None without rows."""
    if not rows:
        return None
    weight, first, second = np.array(rows, np.float64).T
    return float(np.average(first, weights=weight)), float(np.average(second, weights=weight))
