"""What the shape of a crack's profile tells about the picture's blur and the crack's darkness.

Half depth is the true border only where the crack is wide enough to show its full darkness. One narrower than about
three times the blur is not as dark as it could be, and half of the depth it reaches lies too far out.

The model is a box of width w and depth d (share of the light that is missing), blurred by a Gaussian of deviation s:

    m(t) = d / 2 * (erf((t + w / 2) / (s * sqrt(2))) - erf((t - w / 2) / (s * sqrt(2))))

Scaled to its own height and full width at half height, F, this family has one parameter, u = w / s. The profile gives F
and the height H; each u then stands for one (w, s, d): w = u F / f(u), s = F / f(u), d = H / p(u), where f(u) and p(u)
are width and height at s = d = 1. Bayes' rule weighs every u of a table: how well its shape fits, times how usual its s
and d are. The map from (log w, log s, log d) to (log u, log F, log H) has a determinant of 1, so densities over the
logarithms carry over as they are. A narrow valley always looks like the blur itself: there the usual decides, and the
doubt says so.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from edge.cracks.lines import Floats, Index
from edge.cracks.profile import Across
from edge.cracks.valleys import borders

DARKNESS = (0.85, 0.12)
"""Share of the light missing in the middle of a crack wide enough to show it: mean and deviation. In labelled photos,
cracks of 7 px and more, the medians of five sets run from 0.64 (worn decks) to 0.93 (masonry)."""
PALE = 0.4
"""Share of cracks that dirt or lime may have filled: of these any darkness is as usual as any other."""
BLUR_PX = (1.0, 0.6)
"""Gaussian sigma of a picture's blur, the pixel's own area included: median, and deviation of its logarithm."""
MODEL_ERROR = 0.015
"""How far, in shares of its depth, a real profile is from a box blurred by a Gaussian, at least."""
MOST = 0.985
"""How sure an upper bound is where the usual decides, which it does less well than this says."""
FREE = 4
"""Numbers that a fit is free to choose: middle, width, height and shape."""

AT = np.linspace(-1.25, 1.25, 51)
"""Where profiles are compared with shapes, in full widths at half depth."""

_BLOCK = 16


class Fit(NamedTuple):
    """Blur and darkness as cracks show them, each (L,)."""

    blur_px: Floats
    """Gaussian sigma of the picture's blur."""
    darkness: Floats
    """Share of the light that is missing where the crack is wide enough to show it."""
    doubt: Floats
    """Relative standard deviation of a width because of these two."""
    most: Floats
    """Widths are at most this many times the stated one, with the probability ``MOST``."""
    width_px: Floats
    """Width of the pooled profile."""
    evidence: Floats
    """Logarithm of how well the family explains the profile, up to a constant."""

    def put(self, line: int, other: Fit) -> None:
        """Replace what is told of ``line`` by ``other``, which is of one line."""
        for whole, part in zip(self, other, strict=True):
            whole[line] = part[0]

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
    ratio = np.geomspace(0.25, 60.0, 84)
    fwhm = np.array([_fwhm(u) for u in ratio])
    shape = np.array([[_blurred_box(z * f, u) for z in AT] for u, f in zip(ratio, fwhm, strict=True)])
    peak = np.array([_blurred_box(0.0, u) for u in ratio])
    return Shapes(ratio, peak, fwhm, AT, shape / np.sqrt((shape * shape).sum(axis=1))[:, None])


def _blurred_box(t: float, width: float) -> float:
    return 0.5 * (math.erf((t + width / 2) / math.sqrt(2)) - math.erf((t - width / 2) / math.sqrt(2)))


def _fwhm(width: float) -> float:
    low, high, half = 0.0, width + 3.0, _blurred_box(0.0, width) / 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _blurred_box(middle, width) > half else (low, middle)
    return 2 * low


class Weighed(NamedTuple):
    """Every shape's weight for each of N profiles."""

    weight: Floats
    """(N, K): they add up to 1."""
    blur: Floats
    """(N, K): the blur that a shape stands for ..."""
    darkness: Floats
    """... and the darkness."""
    mean: Floats
    """(N,): width, in full widths at half depth."""
    fwhm: Floats
    """(N,): full width at half depth, pixels."""
    evidence: Floats
    """(N,): as of ``Fit``."""

    @property
    def width_px(self) -> Floats:
        """(N,): width of each profile."""
        return self.mean * self.fwhm

    def first(self, count: int) -> Fit:
        """What the first ``count`` of the profiles tell."""
        table = shapes()
        weight, blur, darkness, mean, fwhm, evidence = (v[:count] for v in self)
        width = table.ratio / table.fwhm
        # The root mean square about the stated width, so it holds what that is off from the plain mean as well.
        doubt = np.sqrt(np.maximum(0.0, weight @ width**2 - mean**2)) / mean
        below = np.cumsum(weight, axis=1)
        most = width[np.argmax(below >= MOST, axis=1)] / mean
        # Means of logarithms: width is area over darkness, and neither is symmetrical about its mean.
        dark = np.exp((weight * np.log(darkness)).sum(axis=1))
        return Fit((weight * blur).sum(axis=1), dark, doubt, most, mean * fwhm, evidence)


def fit(pooled: Across, noise: Floats, usual_middle: Floats, usual_fwhm: Floats) -> Fit:
    """What each crack's ``pooled`` profile (L, M) tells; arguments as of ``weigh``."""
    return weigh(pooled, noise, usual_middle, usual_fwhm).first(len(noise))


def weigh(pooled: Across, noise: Floats, usual_middle: Floats, usual_fwhm: Floats) -> Weighed:
    """Weigh every shape by how well it fits each crack's ``pooled`` profile (L, M) and how usual it would be.

    ``noise`` (L,): standard error of a pooled profile. ``usual_middle`` and ``usual_fwhm`` (L,): means over the points
    of the middle and the width at half depth: where to look, and the answer for a profile too ragged to show its own.
    """
    table = shapes()
    reached, middle, fwhm = outline(pooled, usual_middle, usual_fwhm)
    seen = read_between(pooled, middle[:, None] + table.at * fwhm[:, None])
    # Some rows at a time: numpy starts threads for a large product, and waiting for these costs more than the product.
    likeness = np.concatenate([seen[k : k + _BLOCK] @ table.shape.T for k in range(0, len(seen), _BLOCK)])
    misfit = (seen * seen).sum(axis=1)[:, None] - likeness**2
    independent = np.minimum(1.0, fwhm * float(table.at[1] - table.at[0]))
    blur, darkness = fwhm[:, None] / table.fwhm, reached[:, None] / table.peak
    # Where no shape fits as well as it should, the picture is worse than its noise says (JPEG, a rough border).
    spare = np.maximum(1.0, independent * len(table.at) - FREE)
    expected = noise**2 + (MODEL_ERROR * reached) ** 2
    variance = np.maximum(expected, misfit.min(axis=1) * independent / spare)
    chi2 = misfit * (independent / variance)[:, None]
    chi2 += (np.log(blur / BLUR_PX[0]) / BLUR_PX[1]) ** 2 - 2 * np.log(usual(darkness))
    chi2[:, :-1][darkness[:, :-1] > 1.05] = np.inf  # nothing is darker than black; the widest stays as a last resort
    least = chi2.min(axis=1, keepdims=True)
    weight = np.exp(-0.5 * (chi2 - least))
    # log of the integral over u, by which guesses about the picture are compared (edge/cracks/sharpening.py)
    evidence = np.log(weight.sum(axis=1)) - 0.5 * least[:, 0] - 0.5 * spare * np.log(variance / expected)
    weight /= weight.sum(axis=1, keepdims=True)
    width = table.ratio / table.fwhm
    mean = np.exp(weight @ np.log(width))
    return Weighed(weight, blur, darkness, mean, fwhm, evidence)


def usual(darkness: Floats) -> Floats:
    """Density over the logarithm of a darkness, up to a constant: most cracks are nearly black, some are pale."""
    mean, sigma = DARKNESS
    black = np.exp(-0.5 * ((darkness - mean) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))
    return np.asarray((1 - PALE) * black + PALE)


def read_between(across: Across, t: Floats) -> Floats:
    """Profiles read linearly at ``t`` (L, Z), pixels; beyond their ends they go on as they end."""
    last = across.values.shape[1] - 1
    column = np.clip(t / across.step_px[:, None] + across.centre, 0, last)
    low = np.minimum(column.astype(np.intp), last - 1)
    rows = np.arange(len(t))[:, None]
    below, above = across.values[rows, low], across.values[rows, low + 1]
    return np.asarray(below + (above - below) * (column - low))


def outline(pooled: Across, middle: Floats, fwhm: Floats) -> tuple[Floats, Floats, Floats]:
    """Depth, middle and full width at half depth of each pooled profile."""
    near = np.where(
        np.abs(pooled.t - middle[:, None]) <= np.maximum(1, pooled.step_px)[:, None], pooled.values, -np.inf
    )
    reached = np.maximum(1e-3, near.max(axis=1)).astype(np.float64)
    left, right = borders(pooled, (reached / 2).astype(np.float32), np.argmax(near, axis=1))
    known = np.isfinite(left) & np.isfinite(right)
    return reached, np.where(known, (left + right) / 2, middle), np.where(known, right - left, fwhm)
