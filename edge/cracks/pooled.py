"""A crack's profile as a whole: the readings of all the points where it is widest, averaged.

One profile is noisy; forty of them, each against its own background and around its own middle, show a shape.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edge.cracks.lines import Flags, Floats, filled
from edge.cracks.path import Paths, Reals, smooth
from edge.cracks.profile import Across
from edge.cracks.valleys import Valleys

WIDE = 0.75
"""Points at least this share as wide as the widest tenth of a crack tell its shape: narrower ones only show blur."""
SLOW = 5.0
"""How wide a crack is around a point: averaged with a Gaussian of this many points."""


class Pooled(NamedTuple):
    """One profile for each of L lines."""

    missing: Across
    """(L, M): share of the background's light that is missing."""
    light: Floats
    """(L,): light of the background."""
    error: Floats
    """(L,): standard error of ``missing``."""
    middle_px: Floats
    """(L,): mean over the points of where the middle lies."""
    fwhm_px: Floats
    """(L,): mean over the points of the full width at half depth."""
    points: Flags
    """(N,): the points that were averaged."""


def pool(
    paths: Paths, across: Across, missing: Reals, valley: Valleys, good: Flags, noise: Floats, independent: float
) -> Pooled:
    """Average ``missing`` (N, M), the shares of light missing at the readings ``across``, over ``good`` points (N,).

    ``noise`` (L,) is the standard error of a reading, in light; ``independent`` neighbouring points share one noise.
    """
    rows = paths.rows
    widest = _widest(valley.width, good, paths)
    of = rows.sums(widest)

    def mean(values: Floats) -> Floats:
        return np.asarray(rows.sums(np.where(widest, values, 0.0)) / of)

    shape: Reals = (rows.sums(missing * widest[:, None]) / of[:, None]).astype(np.float32)
    light = mean((valley.surface_left + valley.surface_right) / 2)
    error = noise / light / np.sqrt(np.maximum(1.0, of / independent))
    return Pooled(
        across.only(rows.first)._replace(values=shape), light, error, mean(valley.middle), mean(valley.width), widest
    )


def missing_light(across: Across, valley: Valleys) -> Reals:
    """Share of the background's light (N, M) that is missing at each reading, each side against its own."""
    missing = np.empty_like(across.values)
    for half, surface in (
        (np.s_[:, : across.centre], valley.surface_left),
        (np.s_[:, across.centre :], valley.surface_right),
    ):
        light = np.fmax(surface, 1e-3).astype(np.float32)  # NaN becomes a number: such points are not used
        missing[half] = 1 - across.values[half] / light[:, None]
    return missing


def area_of(across: Across, missing: Reals, valley: Valleys, beyond_px: Floats | float) -> Floats:
    """Integral of ``missing`` across each valley and ``beyond_px`` its borders: the width of a crack black all over."""
    t = across.t
    within = t >= (valley.left - beyond_px).astype(np.float32)[:, None]
    within &= t <= (valley.right + beyond_px).astype(np.float32)[:, None]
    return np.asarray((missing * within).sum(axis=1) * across.step_px, np.float64)


def _widest(width: Floats, good: Flags, paths: Paths) -> Flags:
    """Of each line's ``good`` points (N,) those where it is nearly as wide as anywhere."""
    rows = paths.rows
    open_ended = np.zeros(len(paths.closed), np.bool_)
    slow = smooth(filled(width, good, rows)[:, None], rows, open_ended, SLOW, hold_ends=False)[:, 0]
    order = np.lexsort((np.where(good, slow, np.inf), rows.owner))
    high = slow[order[rows.first + (0.9 * rows.sums(good)).astype(np.intp)]]
    return np.asarray(good & (slow >= WIDE * high[rows.owner]))
