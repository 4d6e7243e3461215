"""How wide a crack is: the mask says where, the grey profile says how wide.

Every valley across the centreline is read at half depth, corrected for the picture's blur as its shape tells it
(edge/cracks/blur.py), and where it is too narrow for that, by its area: the light missing across the valley, which blur
does not change, over the full darkness of the crack.

Only dark valleys are measured. At a step, and at a bright line (a crack filled with efflorescence), the width is the
mask's own: the run of mask along the normal, which on a drawn bar is right at any angle where twice the distance
transform is off by a pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from edge.cracks.blur import fit
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

STEADY = 1.5
"""The centreline's distance from the skeleton is averaged with a Gaussian of this many points."""
LEAST_SIGMA_PX = 0.05
"""What reading between pixels leaves uncertain in the best of pictures."""
ALONG = 1.2
"""Profiles are averaged along the crack with a Gaussian of this many points."""
INDEPENDENT = 2 * math.sqrt(math.pi) * ALONG
"""So many neighbouring points share what one of them knows, after that averaging."""
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
    path = guide.moved(_steady(guide.middle, guide.found & usable, closed))
    return Measured(path, smooth(width[:, None], ALONG, closed=closed, hold_ends=False)[:, 0], None, None, "mask")


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
        """The centreline moved along its normals; a closed one stays closed."""
        if self.closed:
            offset[[0, -1]] = (offset[0] + offset[-1]) / 2
        return self.xy + self.normal * offset[:, None]


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
    path = guide.moved(_steady(rough.middle, rough.found & usable, closed))
    half = _filled(rough.width, rough.found) / 2
    reach = float(half.max()) + GAP_PX + SPAN_PX + 1
    raw = read(picture.grey, path, normals(path, closed), reach, max(0.5, half_width / 32))
    noise = noise_of(raw) / math.sqrt(INDEPENDENT)
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
    noise = noise_of(raw) / math.sqrt(INDEPENDENT)
    return valleys(across, guide.left, guide.right, start, noise)


def _steady(middle: Floats, known: Flags, closed: bool) -> Floats:
    """The offsets smoothed along the crack, interpolated where they are not ``known``."""
    return smooth(_filled(middle, known)[:, None], STEADY, closed=closed, hold_ends=False)[:, 0]


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
    slow = smooth(_filled(width_all, good)[:, None], 5.0, closed=False, hold_ends=False)[:, 0]
    widest = good & (slow >= 0.75 * np.sort(slow[good])[int(0.9 * good.sum())])
    pooled = across._replace(values=missing[widest].mean(axis=0, keepdims=True))
    light = float(surface[:, widest].mean())
    independent = max(1.0, widest.sum() / INDEPENDENT)
    usual = float(valley.middle[widest].mean()), float(width_all[widest].mean())
    found = fit(pooled, noise / light / math.sqrt(independent), usual)
    width = _filled(found.widths(np.where(good, width_all, 1.0), area), good)
    used = width[good]
    points = max(1.0, used.size / INDEPENDENT)
    mean = float(used.mean())
    sigma = math.hypot(float(used.std()) / math.sqrt(points), mean * found.doubt, LEAST_SIGMA_PX)
    at_most = None
    if mean < RESOLVED * max(1.0, found.blur_px):
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
