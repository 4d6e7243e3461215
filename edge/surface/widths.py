"""The mean width of a crack from all views: kept at each point of its line, and averaged along the line.

A view sees a part of a crack, and which part belongs to which crack is decided by many views, at forks often by the
last. So what a view reads is kept where it was read, and goes with the points. A mean over views would count what most
views show, often the widest part, for more than its length, and would leave an arm's width with the crack that lost it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.cracks import Crack
from edge.surface import CrackSize
from edge.surface.lines import READING, Line, Readings, even_places

ONE_SIDED = 1.645
"""A normal value lies below its mean plus so many standard uncertainties in 19 of 20 cases."""
BELOW = 1.0
"""A width that the picture does not resolve is read too wide, by about so many of its standard uncertainties."""
SCALE_SHARE = 0.1
"""A view whose scale is as unsure as this, as a share, counts half of one whose scale is known."""
UNREAD_SIGMA_PX = 1.0
"""Standard uncertainty of a width whose profile could not be read: that of the mask's edge."""


def readings(crack: Crack, size: CrackSize | None, count: int, unit_per_px: float) -> Readings:
    """How wide one view has a crack at ``count`` even places along it, chart units: (count, 5).

    A view weighs by how well it is read: from near more than from afar.
    """
    places = even_places(len(crack.width_px) - 1.0, count)
    wide = np.interp(places, np.arange(len(crack.width_px)), crack.width_px) * unit_per_px
    sigma = max(crack.width_sigma_px if crack.width_sigma_px is not None else UNREAD_SIGMA_PX, 1e-3) * unit_per_px
    read = np.empty((count, READING))
    read[:, 0], read[:, 1] = wide, 1 / sigma**2
    at_most_px = crack.width_at_most_px
    if at_most_px is None and size is not None and size.width_at_most_mm is not None:  # ``[scale] min_width_px``
        at_most_px = size.width_at_most_mm / (size.across_mm_per_px * (1 + 2 * size.across_relative))
    if at_most_px is None:
        read[:, 2], read[:, 3], read[:, 4] = wide, wide + ONE_SIDED * sigma, 1
    else:
        value = np.maximum(0.0, wide - BELOW * sigma)
        # The bound is that of the mean: where the crack is narrower than its mean, so is the bound.
        bound = np.maximum(value, wide + at_most_px * unit_per_px - float(wide.mean()))
        read[:, 2], read[:, 3], read[:, 4] = value, bound, 0
    read[:, 2:] *= read[:, 1:2]
    return read.astype(np.float32)


def rescaled(read: Readings, factor: float) -> Readings:
    """Readings (N, 5) in other units, of which ``factor`` are as long as one of theirs."""
    return read * np.array([factor, factor**-2, 1 / factor, 1 / factor, factor**-2], np.float32)


@dataclass(frozen=True, slots=True)
class Along:
    """What all views say of the widths along one line, chart units."""

    mean: float
    """Mean width."""
    sigma: float
    """Standard uncertainty of ``mean`` from reading the pictures alone."""
    at_most: float
    """Upper end of the mean width."""
    measured: float
    """Share of what was read that was measured; of the rest only a bound is known."""


def along(line: Line) -> Along | None:
    """The mean width along a line; None where no view read one.

    Views of one crack share the lens, the light, the network and what the crack looks like, so that all of them
    together are no surer than they are on average.
    """
    known = line.read[line.read[:, 1] > 0].astype(np.float64)
    if not len(known):
        return None
    value, upper, measured = known[:, 2:].T / known[:, 1]
    mean, at_most, share = float(value.mean()), float(upper.mean()), float(measured.mean())
    # The upper end lies ONE_SIDED above a width that was measured, and BELOW more above one that was not.
    sigma = float(((upper - value) / (ONE_SIDED + BELOW * (1 - measured))).mean())
    return Along(mean, sigma, at_most, share)


@dataclass(slots=True)
class Across:
    """Millimetres per chart unit across one crack, from all views that know it, each for the length that it shows."""

    weight: float = 0.0
    """Sum of the weights, ..."""
    mm: float = 0.0
    """... of that times millimetres per chart unit, ..."""
    doubt: float = 0.0
    """... and of that times its relative standard uncertainty."""

    def add(self, crack: Crack, size: CrackSize, unit_per_px: float) -> None:
        """One view of ``size``."""
        weight = max(1.0, crack.length_px) / (1 + (size.across_relative / SCALE_SHARE) ** 2)
        self.weight, self.mm = self.weight + weight, self.mm + weight * size.across_mm_per_px / unit_per_px
        self.doubt += weight * size.across_relative

    def take(self, other: Across) -> None:
        """Add what the views of another line said, that proved to be a part of this crack."""
        self.weight, self.mm, self.doubt = self.weight + other.weight, self.mm + other.mm, self.doubt + other.doubt

    def rescale(self, factor: float) -> None:
        """The chart has other units now, of which ``factor`` are as long as one of those before."""
        self.mm /= factor

    def millimetres(self, of: Along) -> tuple[float, float, float] | None:
        """Mean width, its standard uncertainty and its upper end in millimetres; None where no view knew its scale."""
        if not self.weight:
            return None
        scale, share = self.mm / self.weight, self.doubt / self.weight
        sigma = float(np.hypot(of.sigma, share * of.mean))
        return scale * of.mean, scale * sigma, scale * of.at_most * (1 + ONE_SIDED * share)
