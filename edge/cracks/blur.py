"""What the shape of a crack's profile tells about the picture's blur and the crack's darkness.

Half depth is the true border only where the crack is wide enough to show its full darkness. One narrower than about
three times the blur is not as dark as it could be, and half of the depth it reaches lies too far out. The profiles of
boxes blurred by a Gaussian form one family, told apart by width over blur alone; where in this family a crack's pooled
profile belongs says how much of its darkness it reaches. A narrow valley always looks like the blur itself: there what
pictures and cracks usually are (``BLUR_PX``, ``DARKNESS``) takes over, and the doubt says so.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from edge.cracks.profile import Across, borders
from edge.cracks.rows import Floats, Index

DARKNESS = (0.65, 0.18)
"""Share of the light missing in the middle of a crack wide enough to show it: mean and deviation over real photographs
(medians from 0.43 on dark decks to 0.79 on painted walls)."""
BLUR_PX = (0.9, 0.7)
"""Gaussian sigma of a picture's blur: median, and deviation of its logarithm."""
MODEL_ERROR = 0.02
"""How far, in shares of its depth, a real profile is from a box blurred by a Gaussian."""


class Fit(NamedTuple):
    """Blur and darkness as cracks show them, each (L,)."""

    blur_px: Floats
    """Gaussian sigma of the picture's blur."""
    darkness: Floats
    """Share of the light that is missing where the crack is wide enough to show it."""
    doubt: Floats
    """Relative standard deviation of a width because of these two."""

    def widths(self, fwhm: Floats, area: Floats, owner: Index) -> Floats:
        """Widths (N,) from full widths at half depth where these are resolved, from areas (light missing) where not.

        ``owner`` (N,) is the crack of each. Between 1.5 and 3 sigmas of the blur the two are blended. Nothing is wider
        than its full width at half depth.
        """
        table, blur = shapes(), self.blur_px[owner]
        over_blur = fwhm / blur
        ratio = np.interp(over_blur, table.fwhm, table.ratio)
        by_border = np.where(over_blur > table.fwhm[-1], fwhm, ratio * blur)
        by_area = np.clip(area / self.darkness[owner], 0.1, np.maximum(fwhm, 0.1))
        trust = np.clip((ratio - 1.5) / 1.5, 0.0, 1.0)
        widths: Floats = trust * by_border + (1 - trust) * by_area
        return widths


class Shapes(NamedTuple):
    """Boxes blurred by a Gaussian, by width over sigma of the blur."""

    ratio: Floats
    """(K,): width over sigma."""
    peak: Floats
    """(K,): share of the box's depth that is reached."""
    fwhm: Floats
    """(K,): full width at half of the depth reached, over sigma."""
    at: Floats
    """(Z,): where the shapes are sampled, in full widths at half depth."""
    shape: Floats
    """(K, Z): normalised to a sum of squares of 1."""


@functools.lru_cache(maxsize=1)
def shapes() -> Shapes:
    """The table of shapes, computed once."""
    ratio = np.geomspace(0.25, 16.0, 64)
    at = np.linspace(-1.25, 1.25, 51)
    fwhm = np.array([_fwhm(u) for u in ratio])
    shape = np.array([[_blurred_box(z * f, u) for z in at] for u, f in zip(ratio, fwhm, strict=True)])
    peak = np.array([_blurred_box(0.0, u) for u in ratio])
    return Shapes(ratio, peak, fwhm, at, shape / np.sqrt((shape * shape).sum(axis=1))[:, None])


def _blurred_box(t: float, width: float) -> float:
    return 0.5 * (math.erf((t + width / 2) / math.sqrt(2)) - math.erf((t - width / 2) / math.sqrt(2)))


def _fwhm(width: float) -> float:
    low, high, half = 0.0, width + 3.0, _blurred_box(0.0, width) / 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _blurred_box(middle, width) > half else (low, middle)
    return 2 * low


def fit(pooled: Across, noise: Floats, usual_middle: Floats, usual_fwhm: Floats) -> Fit:
    """Weigh every shape by how well it fits each crack's ``pooled`` profile (L, M) and how usual it would be.

    ``noise`` (L,): standard error of a pooled profile. ``usual_middle`` and ``usual_fwhm`` (L,): means over the points
    of the middle and the width at half depth: where to look, and the answer for a profile too ragged to show its own.
    """
    table = shapes()
    reached, middle, fwhm = _outline(pooled, usual_middle, usual_fwhm)
    seen = _read_between(pooled, middle[:, None] + table.at * fwhm[:, None])
    misfit = (seen * seen).sum(axis=1)[:, None] - (seen @ table.shape.T) ** 2
    independent = np.minimum(1.0, fwhm * float(table.at[1] - table.at[0]))
    blur, darkness = fwhm[:, None] / table.fwhm, reached[:, None] / table.peak
    chi2 = misfit * (independent / (noise**2 + (MODEL_ERROR * reached) ** 2))[:, None]
    chi2 += ((darkness - DARKNESS[0]) / DARKNESS[1]) ** 2 + (np.log(blur / BLUR_PX[0]) / BLUR_PX[1]) ** 2
    chi2[:, :-1][darkness[:, :-1] > 1.0] = np.inf  # nothing is darker than black; the widest stays as a last resort
    weight = np.exp(-0.5 * (chi2 - chi2.min(axis=1, keepdims=True)))
    weight /= weight.sum(axis=1, keepdims=True)
    width = table.ratio / table.fwhm
    mean = weight @ width
    doubt = np.sqrt(np.maximum(0.0, weight @ width**2 - mean**2)) / mean
    return Fit((weight * blur).sum(axis=1), (weight * darkness).sum(axis=1), doubt)


def _read_between(across: Across, t: Floats) -> Floats:
    """Profiles read linearly at ``t`` (L, Z), pixels; beyond their ends they go on as they end."""
    last = across.values.shape[1] - 1
    column = np.clip(t / across.step_px[:, None] + across.centre, 0, last)
    low = np.minimum(column.astype(np.intp), last - 1)
    rows = np.arange(len(t))[:, None]
    below, above = across.values[rows, low], across.values[rows, low + 1]
    return np.asarray(below + (above - below) * (column - low))


def _outline(pooled: Across, middle: Floats, fwhm: Floats) -> tuple[Floats, Floats, Floats]:
    """Depth, middle and full width at half depth of each pooled profile."""
    near = np.where(
        np.abs(pooled.t - middle[:, None]) <= np.maximum(1, pooled.step_px)[:, None], pooled.values, -np.inf
    )
    reached = np.maximum(1e-3, near.max(axis=1)).astype(np.float64)
    above = pooled.values - (reached / 2).astype(np.float32)[:, None]
    left, right = borders(above, np.argmax(near, axis=1), pooled)
    known = np.isfinite(left) & np.isfinite(right)
    return reached, np.where(known, (left + right) / 2, middle), np.where(known, right - left, fwhm)
