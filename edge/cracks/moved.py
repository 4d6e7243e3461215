"""What the shape of a crack's profile tells where the picture moved across the crack by a known way.

The model of edge/cracks/blur.py with one more average: a box of width w and depth d (share of the light that is
missing), blurred by a Gaussian of deviation s and averaged over the way a that the picture moved across the crack:

    m(t) = d / a * (C(t + a / 2) - C(t - a / 2)),    C(t) = Q(t + w / 2) - Q(t - w / 2),
    Q(t) = t Phi(t / s) + s phi(t / s),              phi and Phi: the normal density and its integral.

Without knowing a, a crack of width w < a looks like a paler one of width a with soft flanks; with a known only the
length of the flanks, w, and their softness, s, are left to tell apart. The full width at half depth F says nothing of w
then (it is a), so one parameter is not enough: every pair of w and s of a grid is weighed, for some values of a around
the known one, by how well its shape fits and how usual its blur and darkness are (Bayes' rule, densities over the
logarithms of w, s and d, and over a).
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from edge.cracks.blur import AT, BLUR_PX, FREE, MODEL_ERROR, MOST, Fit, outline, read_between, usual
from edge.cracks.lines import Flags, Floats, Lines
from edge.cracks.path import Paths, Reals
from edge.cracks.pooled import Pooled
from edge.cracks.profile import Across
from edge.cracks.skeleton import Points
from edge.cracks.smear import Smear

LEAST_PX = 1.5
"""Less motion across a crack than this is left to the family without motion: its deviation is 0.4 px, little beside
that of any lens."""
CALM = 0.4
"""The profile of a line is taken where this share of its points, or about, moved least across it."""
CLEAR, CLEAR_SIGMAS = 0.25, 2.0
"""A crack that is wider than its way and CLEAR_SIGMAS of the blur together has a flat floor and the width of its
profile at half depth. That is trusted fully where it is wider by the share CLEAR, less where by less."""
WRONG = 1e-4
"""Chance that the picture did not move across the line at all, whatever is known: a profile with flanks too steep for
the way that it should have moved says so."""
_NODES = np.array([-2.4, -1.2, 0.0, 1.2, 2.4])
"""Where the way is tried, in its standard uncertainties from where it is known to be, ..."""
_ALIKE, _WITHIN = np.array([0.97, 1.0, 1.03]), 3.0
"""... and as full widths at half depth, where these lie within so many uncertainties: a crack narrower than its way is
as wide as that at half depth, which tells the way far better than it was known."""
_LEAST_SHARE, _MOST_SHARE = 0.02, 1.15
"""Ways are tried between these, in full widths at half depth: noise alone makes a way longer than that width."""
_UNUSUAL = 2.7
"""Blurs so many deviations from the usual one are not tried."""
_NEVER = 1e3
_PER_AT = 4
_STEP, _REACH = 0.05 / _PER_AT, 2.0


class _Grid(NamedTuple):
    """Boxes blurred by a Gaussian, all lengths in full widths at half depth of the profile."""

    blur: Floats
    """(S,): sigma."""
    width: Floats
    """(K,)."""
    step: Floats
    """(K,): logarithm between neighbouring widths."""
    integral: Reals
    """(S, Z, K): C of the module's docstring at -_REACH, -_REACH + _STEP, ..."""


class MovedFit(NamedTuple):
    """What a line's profile and the same under other guesses (G of them) tell."""

    first: Fit
    """Of the first one, each (1,)."""
    width_px: Floats
    """(G,)."""
    evidence: Floats
    """(G,): as of ``Fit``, comparable among them alone."""


class Moved(NamedTuple):
    """How far the picture moved across N points of lines during its exposure."""

    way_px: Floats
    """(N,)."""
    sigma_px: float
    """Standard uncertainty of each."""

    @classmethod
    def of(cls, smear: Smear, paths: Paths, normal: Points) -> Moved | None:
        """At the points of ``paths``, with unit normals (N, 2); None where it is nowhere enough to be seen."""
        way = smear.across(paths.xy, normal)
        return cls(way, smear.sigma_px) if (way >= LEAST_PX).any() else None

    @property
    def flank(self) -> Floats:
        """(N,): so far beyond its border at half depth a crack may still be dark."""
        return np.where(self.way_px >= LEAST_PX, self.way_px / 2, 0.0)

    def farthest(self, rows: Lines) -> Floats:
        """The longest ``flank`` of each line, (L,)."""
        return np.asarray(np.maximum.reduceat(self.flank, rows.first))

    def only(self, points: Flags) -> Moved:
        """Some ``points`` (N,) of it."""
        return Moved(self.way_px[points], self.sigma_px)

    def calm(self, good: Flags, rows: Lines) -> Flags:
        """Of each line's ``good`` points (N,) those with the least motion across: profiles of one way, a short one."""
        order = np.lexsort((np.where(good, self.way_px, np.inf), rows.owner))
        low = self.way_px[order[rows.first + (CALM * rows.sums(good)).astype(np.intp)]]
        return np.asarray(good & (self.way_px <= (1.1 * low + 0.5)[rows.owner]))

    def widths(self, plain: Floats, fwhm: Floats, area: Floats, pooled: Flags, rows: Lines, found: Fit) -> Floats:
        """Widths at all points (N,), ``plain`` being those of a picture that stood still.

        ``fwhm`` and ``area`` as of ``Fit.widths``. Motion changes no area, so where half depth is not the border the
        area counts, on the scale on which it gives the ``pooled`` points the width that was ``found`` of their profile.
        """
        mean = rows.sums(np.where(pooled, area, 0.0)) / np.maximum(1, rows.sums(pooled))
        by_area = np.minimum(area * (found.width_px / np.maximum(mean, 1e-3))[rows.owner], fwhm)
        clear = by_area / (self.way_px + CLEAR_SIGMAS * found.blur_px[rows.owner])
        trust = np.where(self.way_px >= LEAST_PX, np.clip((clear - 1) / CLEAR, 0.0, 1.0), 1.0)
        return np.asarray(trust * plain + (1 - trust) * np.maximum(by_area, 0.1))

    def ways(self, points: Flags, rows: Lines) -> Ways:
        """The mean over ``points`` (N,) of each line; what the points differ by counts as uncertainty."""
        count = np.maximum(1, rows.sums(points))
        px = rows.sums(np.where(points, self.way_px, 0.0)) / count
        spread2 = rows.sums(np.where(points, self.way_px - px[rows.owner], 0.0) ** 2) / count
        return Ways(px, np.sqrt(self.sigma_px**2 + spread2))


class Ways(NamedTuple):
    """How far the picture moved across each of L lines during the exposure, where their profiles were taken."""

    px: Floats
    """(L,)."""
    sigma_px: Floats
    """(L,): standard uncertainty."""

    @property
    def lines(self) -> list[int]:
        """The lines whose profile shows it."""
        return np.flatnonzero(self.px >= LEAST_PX).tolist()


def fit_moved(found: Fit, pooled: Pooled, ways: Ways) -> None:
    """Put into ``found`` what the ``pooled`` profiles tell of the lines that moved."""
    for line in ways.lines:
        found.put(line, weigh_moved(pooled.missing.only(np.array([line])), pooled, line, ways).first)


def weigh_moved(tried: Across, pooled: Pooled, line: int, ways: Ways) -> MovedFit:
    """Weigh every shape for the profile of ``line`` under G guesses of the picture's sharpening, ``tried`` (G, M)."""
    grid = _grid()
    middles, fwhms = (np.full(len(tried.values), v[line]) for v in (pooled.middle_px, pooled.fwhm_px))
    reached, middle, fwhm = outline(tried, middles, fwhms)
    scale = float(fwhm[0])
    seen = read_between(tried, middle[:, None] + scale * AT)
    unusual = (np.log(scale * grid.blur / BLUR_PX[0]) / BLUR_PX[1]) ** 2
    first, last = np.flatnonzero(unusual <= max(_UNUSUAL**2, float(unusual.min())))[[0, -1]].tolist()
    blur, unusual = grid.blur[first : last + 1], unusual[first : last + 1]
    tries, unlikely = _tries(ways.px[line] / scale, ways.sigma_px[line] / scale)
    shape = np.stack([_shapes(grid.integral[first : last + 1], way) for way in tries.tolist()])  # (A, S, Z, K)
    size = np.sqrt((shape * shape).sum(axis=2))  # (A, S, K)
    # Depths are fitted: likeness is the depth of the best one, times the size of its shape.
    likeness = np.stack([np.asarray(one @ shape) for one in seen.astype(np.float32)]) / size  # (G, A, S, K)
    misfit = np.asarray((seen * seen).sum(axis=1), np.float32)[:, None, None, None] - likeness**2
    darkness = np.maximum(likeness / size, 1e-3)
    independent = min(1.0, scale * float(AT[1] - AT[0]))
    spare = max(1.0, independent * len(AT) - FREE)
    expected = pooled.error[line] ** 2 + (MODEL_ERROR * reached) ** 2
    variance = np.maximum(expected, misfit.min(axis=(1, 2, 3)) * independent / spare)
    chi2 = misfit * (independent / variance)[:, None, None, None] - 2 * np.log(usual(darkness))
    chi2[darkness > 1.05] += _NEVER  # nothing is darker than black
    chi2 += unlikely[:, None, None] + unusual[:, None] - 2 * np.log(grid.step)
    least = chi2.min(axis=(1, 2, 3))
    weight = np.exp(-0.5 * (chi2 - least[:, None, None, None]))
    total = weight.sum(axis=(1, 2, 3))
    evidence = np.log(total) - 0.5 * least - 0.5 * spare * np.log(variance / expected)
    by_width = weight.sum(axis=(1, 2)) / total[:, None]
    width, log_width = scale * grid.width, np.log(scale * grid.width)
    mean = np.exp(by_width @ log_width)
    own = weight[0] / total[0]
    doubt = np.sqrt(np.maximum(0.0, by_width[:1] @ width**2 - mean[:1] ** 2)) / mean[:1]
    most = width[np.argmax(np.cumsum(by_width[:1], axis=1) >= MOST, axis=1)] / mean[:1]
    dark = np.exp((own * np.log(darkness[0])).sum(keepdims=True)).ravel()
    soft = scale * (own.sum(axis=(0, 2)) @ blur[:, None])
    return MovedFit(Fit(soft, dark, doubt, most, mean[:1], evidence[:1]), mean, evidence)


def _tries(way: float, sigma: float) -> tuple[Floats, Floats]:
    """Ways to try (A,), the last one as good as no motion, and -2 times the logarithm of how likely each is; in full
    widths at half depth."""
    sigma = max(sigma, 1e-3)
    tries = way + sigma * _NODES
    if abs(1 - way) < _WITHIN * sigma:
        tries = np.unique(np.concatenate([tries, _ALIKE]))
    usual_step = 2 * np.log(np.gradient(tries))
    tries = np.clip(tries, _LEAST_SHARE, _MOST_SHARE)
    unlikely = ((tries - way) / sigma) ** 2 - usual_step
    none = -2 * math.log(WRONG * math.sqrt(2 * math.pi) * sigma)
    return np.append(tries, _LEAST_SHARE), np.append(unlikely, none)


def _shapes(integral: Reals, way: float) -> Reals:
    """Blurred boxes, by their ``integral`` (S, Z, K), averaged over ``way``, at ``AT``: (S, len(AT), K)."""

    def at(offset: float) -> Reals:
        """The integral at ``AT`` + ``offset``: all points lie equally far beyond one of the table."""
        low, share = divmod((float(AT[0]) + offset + _REACH) / _STEP, 1.0)
        rows = [slice(int(low) + k, int(low) + k + _PER_AT * len(AT), _PER_AT) for k in (0, 1)]
        below, above = (integral[:, one] for one in rows)
        return np.asarray(below * np.float32(1 - share) + above * np.float32(share))

    return np.asarray((at(way / 2) - at(-way / 2)) / np.float32(way))


@functools.lru_cache(maxsize=1)
def _grid() -> _Grid:
    width = np.concatenate([np.geomspace(0.03, 0.25, 9)[:-1], np.geomspace(0.25, 1.1, 48)])
    blur = np.geomspace(0.015, 0.8, 20)
    z = np.arange(-_REACH, _REACH + 0.1, _STEP)
    integral = _q(z[:, None] + width / 2, blur) - _q(z[:, None] - width / 2, blur)
    return _Grid(blur, width, np.gradient(np.log(width)), integral.astype(np.float32))


def _q(t: Floats, sigma: Floats) -> Floats:
    """Q of the module's docstring at ``t`` (Z, K) for each of ``sigma`` (S,): (S, Z, K)."""
    u = t / sigma[:, None, None]
    table = np.linspace(-8, 8, 3201)
    normal = np.interp(u, table, [0.5 * (1 + math.erf(x / math.sqrt(2))) for x in table.tolist()])
    density = np.exp(-0.5 * u * u) / math.sqrt(2 * math.pi)
    return np.asarray(t * normal + sigma[:, None, None] * density)
