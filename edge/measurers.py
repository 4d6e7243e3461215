"""From a mask to findings: each class is measured the way its card says, by a measurer found by that word.

A new way to measure is one more class here and its word in ``edge.masks.Measure``; a new kind of damage needs neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edge.areas import DamagedArea
from edge.areas.outline import AreaOptions, outline
from edge.cracks import Crack
from edge.cracks.plausible import ReportOptions, sift
from edge.cracks.smear import Smear
from edge.cracks.trace import TraceOptions, trace
from edge.masks import ClassMask, Measure
from edge.surface import AreaSize, CrackSize
from edge.surface.areas import area_size_of
from edge.surface.local import PlaceOptions
from edge.surface.plane import Plane
from edge.surface.scale import ScaleOptions, size_of
from edge.surface.structure import StructureOptions

Point = npt.NDArray[np.float32]
Damage = Crack | DamagedArea
"""What one finding shows: line damage or area damage."""
Size = CrackSize | AreaSize
"""The same on the surface."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """How masks become findings with sizes: the tables of the configuration."""

    trace: TraceOptions = field(default_factory=TraceOptions)
    areas: AreaOptions = field(default_factory=AreaOptions)
    report: ReportOptions = field(default_factory=ReportOptions)
    """Which of the traced cracks become detections."""
    scale: ScaleOptions = field(default_factory=ScaleOptions)
    place: PlaceOptions = field(default_factory=PlaceOptions)
    """From the position that is measured to the lens."""
    structure: StructureOptions = field(default_factory=StructureOptions)
    """The axes in which places are given where there are no satellites."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What the mask of one class came to."""

    kind: str
    """Name of the class."""
    damage: Sequence[Damage]
    """What is reported, largest first."""
    suppressed: Mapping[str, int]
    """How many were found and are not reported, by reason."""
    left_out: int
    """How many were not measured because a cap was reached; 0 on any sensible mask."""
    reported: Callable[[], npt.NDArray[np.bool_]]
    """Draws the pixels of ``damage``: bool (H, W) of the frame."""
    held_back: Sequence[Damage] = ()
    """What was found and is not reported of a single frame; several views together may yet report it."""


class Measurer(Protocol):
    """One way to measure damage; used by one thread."""

    def measure(self, mask: ClassMask, smear: Smear | None = None) -> Measured:
        """Find and measure the damage of one class; the same mask gives the same findings in the same order.

        ``smear``: how the frame moved during its exposure; None: not known, and taken as not at all.
        """

    def size(self, damage: Damage, plane: Plane | None) -> Size | None:
        """Its size on the plane that its frame looks at; None where there is none, or it cannot be cut."""

    def middle_px(self, damage: Damage) -> Point:
        """The point of the frame whose place stands for the damage: (2,), x and y in pixels."""


class LineMeasurer:
    """Cracks: centrelines with a width."""

    def __init__(self, options: Measures) -> None:
        self._options = options

    def measure(self, mask: ClassMask, smear: Smear | None = None) -> Measured:
        """Trace the mask and hold back what is no plausible crack."""
        sifted = sift(trace(mask, self._options.trace, smear), self._options.report, mask.kind.rule)
        found = sifted.traced
        return Measured(
            mask.kind.name, found.cracks, sifted.suppressed, found.left_out, found.reported, sifted.held_back
        )

    def size(self, damage: Damage, plane: Plane | None) -> CrackSize | None:
        """Length and width in millimetres."""
        assert isinstance(damage, Crack), "a measurer sizes what it measured"
        return size_of(damage, plane, self._options.scale)

    def middle_px(self, damage: Damage) -> Point:
        """The middle of the centreline."""
        assert isinstance(damage, Crack), "a measurer places what it measured"
        return np.asarray(damage.path_px[len(damage.path_px) // 2], np.float32)


class AreaMeasurer:
    """Everything that covers an area: outlines with an area."""

    def __init__(self, options: Measures) -> None:
        self._options = options

    def measure(self, mask: ClassMask, smear: Smear | None = None) -> Measured:
        """Outline the connected pieces of the mask; those that are too small are held back."""
        found = outline(mask, self._options.areas)
        return Measured(mask.kind.name, found.areas, {"small": found.small}, found.left_out, lambda: found.drawn)

    def size(self, damage: Damage, plane: Plane | None) -> AreaSize | None:
        """Area in square centimetres and largest extent in millimetres."""
        assert isinstance(damage, DamagedArea), "a measurer sizes what it measured"
        return area_size_of(damage, plane, self._options.scale)

    def middle_px(self, damage: Damage) -> Point:
        """The middle of its pixels."""
        assert isinstance(damage, DamagedArea), "a measurer places what it measured"
        return damage.middle_px


MEASURERS: Mapping[Measure, Callable[[Measures], Measurer]] = {"line": LineMeasurer, "area": AreaMeasurer}
"""The card's word for how a class is measured, and what measures it."""
