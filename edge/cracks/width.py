"""How wide a crack is: the mask says where, the grey profile says how wide.

Half depth is the true border only where the crack is wide enough to show its full darkness. One narrower than about
three times the blur is not as dark as it could be, and half of the depth it reaches lies too far out. So the profile,
pooled over the widest third of the crack, is compared with boxes blurred by a Gaussian, whose shapes differ only in
width over blur: that says how much of its darkness the crack reaches. Where the shape cannot tell, because a narrow
valley always looks like the blur itself, what pictures and cracks usually are (``BLUR_PX``, ``DARKNESS``) takes over, and
the uncertainty says so. Narrow points are measured by area: the light missing across the valley, which blur does not
change, over the full darkness.

Only dark valleys are measured. At a step, and at a bright line (a crack filled with efflorescence), the width is the
mask's own: the run of mask along the normal, which on a drawn bar is right at any angle where twice the distance
transform is off by a pixel.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edge.cracks.path import Floats, Reals, smooth
from edge.cracks.profile import (
    GAP_PX,
    SPAN_PX,
    Across,
    Flags,
    Picture,
    Valleys,
    borders,
    noise_of,
    normals,
    read,
    valleys,
)
from edge.cracks.skeleton import Points

DARKNESS = (0.65, 0.18)
"""Share of the light missing in the middle of a crack wide enough to show it: mean and deviation over real photographs
(medians 0.43 on asphalt-dark decks to 0.79 on painted walls)."""
BLUR_PX = (0.9, 0.7)
"""Gaussian sigma of a picture's blur: median, and deviation of its logarithm."""
MODEL_ERROR = 0.02
"""How far, in shares of its depth, a real profile is from a box blurred by a Gaussian."""
LEAST_SIGMA_PX = 0.05
"""What reading between pixels leaves uncertain in the best of pictures."""
ALONG = 1.2
"""Profiles are averaged along the crack with a Gaussian of this many points."""
RESOLVED = 2.0
"""A crack narrower than this many sigmas of the blur, or this many pixels, is given an upper bound as well."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A centreline moved to the middle of the crack, and the width at each of its points."""

    xy: Points
    width_px: Floats
    sigma_px: float | None
    """Standard error of the mean width; None where the mask was measured: how it was drawn is not known."""
    at_most_px: float | None
    """Upper bound of the mean width where it is below what the picture resolves; None otherwise."""
    method: str
    """``profile`` or ``mask``."""


def measure_mask(xy: Points, closed: bool, picture: Picture, half_width: float, usable: Flags) -> Measured:
    """Measure the run of mask along the normals; ``usable`` (N,) is False at points near a junction."""
    guide = _guide(xy, closed, picture, half_width)
    width = _filled(guide.right - guide.left, usable & guide.found)
    return Measured(guide.moved(guide.middle), smooth(width[:, None], ALONG, closed=closed)[:, 0], None, None, "mask")


class _Guide(NamedTuple):
    """What the mask says."""

    xy: Points
    normal: Points
    closed: bool
    left: Floats
    right: Floats
    found: Flags

    @property
    def middle(self) -> Floats:
        return (self.left + self.right) / 2

    def moved(self, offset: Floats) -> Points:
        """The centreline moved along its normals and smoothed."""
        return smooth(self.xy + self.normal * offset[:, None], 1.5, closed=self.closed)


def _guide(xy: Points, closed: bool, picture: Picture, half_width: float) -> _Guide:
    normal = normals(xy, closed)
    across = read(picture.mask, xy, normal, 2 * half_width + 2, max(0.5, half_width / 24))
    start = np.full(len(xy), across.centre)
    left, right = borders(across.values - 127.5, start, across)
    found = np.isfinite(left) & np.isfinite(right)
    left, right = np.where(found, left, -half_width), np.where(found, right, half_width)
    return _Guide(xy, normal, closed, left, right, found)


def measure_profile(xy: Points, closed: bool, picture: Picture, half_width: float, usable: Flags) -> Measured | None:
    """Measure the valley in the grey picture; None where fewer than half of the ``usable`` points lie in one."""
    guide = _guide(xy, closed, picture, half_width)
    rough = _locate(guide, picture, half_width)
    if not _enough(rough.found, usable):
        return None
    path = guide.moved(_steady(rough.middle, rough.found, guide.middle, closed))
    half = _filled(rough.width, rough.found) / 2
    reach = float(half.max()) + GAP_PX + SPAN_PX + 1
    raw = read(picture.grey, path, normals(path, closed), reach, max(0.5, half_width / 32))
    noise = noise_of(raw) / math.sqrt(2 * math.sqrt(math.pi) * ALONG)
    across = raw.averaged(ALONG)
    valley = valleys(across, -half, half, np.full(len(path), across.centre), noise)
    good = valley.found & usable
    if not _enough(valley.found, usable):
        return None
    return _measured(path, across, valley, good, noise)


def _enough(found: Flags, usable: Flags) -> bool:
    return bool(usable.any()) and 2 * int((found & usable).sum()) >= int(usable.sum())


def _locate(guide: _Guide, picture: Picture, half_width: float) -> Valleys:
    """The valley nearest to the mask: around the darkest reading inside the mask, or a pixel beside it."""
    reach = float(max(-guide.left.min(), guide.right.max())) + GAP_PX + SPAN_PX + 2
    raw = read(picture.grey, guide.xy, guide.normal, reach, max(1.0, half_width / 16))
    across = raw.averaged(ALONG)
    core = 2 * int(half_width / 4 / across.step_px) + 1
    level = cv2.blur(across.values, (core, 1)).reshape(across.values.shape)
    near = (across.t >= guide.left[:, None] - 1) & (across.t <= guide.right[:, None] + 1)
    start = np.argmin(np.where(near, level, np.inf), axis=1)
    noise = noise_of(raw) / math.sqrt(2 * math.sqrt(math.pi) * ALONG)
    return valleys(across, guide.left, guide.right, start, noise)


def _steady(middle: Floats, found: Flags, fallback: Floats, closed: bool) -> Floats:
    """Smooth the valley's offsets along the crack; where there is none for a while, the mask's middle."""
    weight = found.astype(np.float64)
    offset = np.where(found, middle, 0.0)
    sums = smooth(np.column_stack((weight, offset)), 2.0, closed=closed)
    share = np.clip(sums[:, 0], 0.0, 1.0)
    return np.where(share > 0.2, sums[:, 1] / np.maximum(share, 0.2), fallback)


def _filled(values: Floats, known: Flags) -> Floats:
    """Interpolate along the crack over the points that are not ``known``; all points where none is."""
    known = known if known.any() else np.isfinite(values)
    at = np.arange(len(values))
    return np.interp(at, at[known], values[known])


def _measured(path: Points, across: Across, valley: Valleys, good: Flags, noise: float) -> Measured:
    surface = np.stack((valley.surface_left, valley.surface_right))
    missing = _missing(across, surface)
    area = _area(across, missing, valley)
    width_all = valley.width
    slow = smooth(_filled(width_all, good)[:, None], 5.0, closed=False)[:, 0]
    widest = good & (slow >= 0.75 * np.sort(slow[good])[int(0.9 * good.sum())])
    pooled = across._replace(t=across.t - float(valley.middle[widest].mean()), values=missing[widest].mean(axis=0)[None])
    light = float(surface[:, widest].mean())
    independent = max(1.0, widest.sum() / (2 * math.sqrt(math.pi) * ALONG))
    fit = _fit(pooled, noise / light / math.sqrt(independent), float(width_all[widest].mean()))
    width = _filled(_corrected(width_all, area, fit), good)
    used = width[good]
    points = max(1.0, used.size / (2 * math.sqrt(math.pi) * ALONG))
    mean = float(used.mean())
    sigma = math.hypot(float(used.std()) / math.sqrt(points), mean * fit.doubt, LEAST_SIGMA_PX)
    at_most = None
    if mean < RESOLVED * max(1.0, fit.blur_px):
        at_most = min(float(width_all[good].mean()), mean + 1.645 * sigma)
    return Measured(path, width, sigma, at_most, "profile")


def _missing(across: Across, surface: Floats) -> Reals:
    """Share of the background's light (2, N) that is missing at each reading, each side against its own."""
    light = np.fmax(surface, 1.0).astype(np.float32)  # NaN becomes 1: such points are not used
    missing = np.empty_like(across.values)
    for half, side in ((np.s_[:, : across.centre], 0), (np.s_[:, across.centre :], 1)):
        missing[half] = 1 - across.values[half] / light[side][:, None]
    return missing


def _area(across: Across, missing: Reals, valley: Valleys) -> Floats:
    """Integral of ``missing`` across the valley, pixels: the width of a crack that is black all over."""
    t = across.t.astype(np.float32)
    within = t >= (valley.left - GAP_PX).astype(np.float32)[:, None]
    within &= t <= (valley.right + GAP_PX).astype(np.float32)[:, None]
    return np.asarray((missing * within).sum(axis=1) * across.step_px, np.float64)


class _Fit(NamedTuple):
    """What the shape of a crack's profile tells about picture and crack."""

    blur_px: float
    """Gaussian sigma of the picture's blur."""
    darkness: float
    """Share of the light that is missing where the crack is wide enough."""
    doubt: float
    """Relative standard deviation of the width because of these two."""


class _Shapes(NamedTuple):
    """Boxes blurred by a Gaussian, told apart by width over sigma of the blur."""

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
def _shapes() -> _Shapes:
    ratio = np.geomspace(0.25, 16.0, 64)
    at = np.linspace(-1.25, 1.25, 51)
    fwhm = np.array([_bisect_fwhm(u) for u in ratio])
    shape = np.array([[_blurred_box(z * f, u) for z in at] for u, f in zip(ratio, fwhm, strict=True)])
    peak = np.array([_blurred_box(0.0, u) for u in ratio])
    return _Shapes(ratio, peak, fwhm, at, shape / np.sqrt((shape * shape).sum(axis=1))[:, None])


def _blurred_box(t: float, width: float) -> float:
    return 0.5 * (math.erf((t + width / 2) / math.sqrt(2)) - math.erf((t - width / 2) / math.sqrt(2)))


def _bisect_fwhm(width: float) -> float:
    low, high, half = 0.0, width + 3.0, _blurred_box(0.0, width) / 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _blurred_box(middle, width) > half else (low, middle)
    return 2 * low


def _fit(pooled: Across, noise: float, usual_fwhm: float) -> _Fit:
    """Weigh every shape by how well it fits the pooled profile (1, M) and how usual it would be.

    ``usual_fwhm``: mean over the points, for a pooled profile too ragged to have one.
    """
    table = _shapes()
    profile = pooled.values[0]
    core = np.abs(pooled.t) <= 1
    reached = max(1e-3, float(profile[core].max()))
    start = np.array([int(np.argmax(np.where(core, profile, -np.inf)))])
    left, right = borders(pooled.values - np.float32(reached / 2), start, pooled)
    fwhm, middle = float(right[0] - left[0]), float(right[0] + left[0]) / 2
    if not math.isfinite(fwhm):
        fwhm, middle = usual_fwhm, 0.0
    seen = np.interp(middle + table.at * fwhm, pooled.t, profile)
    misfit = float(seen @ seen) - (table.shape @ seen) ** 2
    independent = min(1.0, fwhm * float(table.at[1] - table.at[0]))
    chi2 = misfit * independent / (noise**2 + (MODEL_ERROR * reached) ** 2)
    blur, dark = fwhm / table.fwhm, reached / table.peak
    chi2 += ((dark - DARKNESS[0]) / DARKNESS[1]) ** 2 + (np.log(blur / BLUR_PX[0]) / BLUR_PX[1]) ** 2
    chi2 = np.where(dark > 1.0, np.inf, chi2) if reached < 1 else chi2
    weight = np.exp(-0.5 * (chi2 - chi2.min()))
    weight /= weight.sum()
    width = table.ratio / table.fwhm
    mean = float(weight @ width)
    doubt = math.sqrt(max(0.0, float(weight @ width**2) - mean**2)) / mean
    return _Fit(float(weight @ blur), float(weight @ dark), doubt)


def _corrected(fwhm: Floats, area: Floats, fit: _Fit) -> Floats:
    """Width at each point from its full width at half depth where that is resolved, from its area where not."""
    table = _shapes()
    over_blur = np.nan_to_num(fwhm) / fit.blur_px
    ratio = np.interp(over_blur, table.fwhm, table.ratio)
    by_border = np.where(over_blur > table.fwhm[-1], fwhm, ratio * fit.blur_px)
    by_area = np.minimum(np.maximum(area / fit.darkness, 0.1), fwhm)
    trust = np.clip((ratio - 1.5) / 1.5, 0.0, 1.0)
    return trust * by_border + (1 - trust) * by_area
