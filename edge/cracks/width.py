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
from typing import NamedTuple

import cv2
import numpy as np

from edge.cracks.blur import Fit, fit
from edge.cracks.guide import Guide, evened, guided
from edge.cracks.lines import Flags, Floats, Lines, filled
from edge.cracks.moved import Moved, Ways, fit_moved
from edge.cracks.path import Paths, Reals
from edge.cracks.pooled import SLOW, Pooled, area_of, missing_light, pool
from edge.cracks.profile import Across, Picture, noise_of, normals, read
from edge.cracks.sharpening import Guessed, guess, undone
from edge.cracks.smear import Smear
from edge.cracks.valleys import GAP_PX, SPAN_PX, Valleys, valleys

LEAST_SIGMA_PX = 0.05
"""What reading between pixels leaves uncertain in the best of pictures."""
LEAST_SHARE = 0.005
"""What bends between the points leave uncertain, a share of the width."""
LENS_SHARE = 0.3
"""No lens blurs quite as a Gaussian does. The correction for blur grows with blur squared over width, and so does what
is uncertain of it: this share of that."""
ALONG = 1.2
"""Profiles are averaged along the crack with a Gaussian of this many points."""
INDEPENDENT = 2 * math.sqrt(math.pi) * ALONG
"""So many neighbouring points share what one of them knows, after that averaging."""
ONE_SIDED = 1.645
"""So many standard deviations above its mean a normal variable is in 1 of 20 cases."""
RESOLVED_PX, RESOLVED_SIGMAS = 2.25, 2.5
"""A crack narrower than so many pixels, or so many sigmas of the blur, is given an upper bound as well, ..."""
DOUBTFUL = 0.15
"""... and so is one whose shape leaves more than this open, a share of its width: what is usual would decide, not what
is seen."""


class Measured(NamedTuple):
    """Centrelines moved to the middle of their cracks, and the width at each of their points."""

    paths: Paths
    width_px: Floats
    """(N,)."""
    sigma_px: Floats
    """(L,): standard error of the mean width; NaN where the mask was measured: how it was drawn is not known."""
    at_most_px: Floats
    """(L,): upper bound of the mean width where it is below what the picture resolves; NaN otherwise."""
    by_profile: Flags
    """(L,): read on the grey profile; else the mask's own width."""


def measure(
    paths: Paths,
    picture: Picture,
    half_width: Floats,
    usable: Flags,
    *,
    by_profile: bool,
    smear: Smear | None = None,
) -> Measured:
    """Measure lines whose half-widths in the mask are ``half_width`` (L,), about.

    ``usable`` (N,) is False at points near a junction or an open end. Without ``by_profile``, and where fewer than half
    of a line's usable points lie in a dark valley, the run of mask along the normals is measured. ``smear``: how the
    picture moved during its exposure; None: not known, and taken as not at all.
    """
    guide = guided(paths, picture, half_width)
    exact, lines = _measure_profile(guide, picture, usable, smear) if by_profile else (None, None)
    if exact is None or lines is None:
        return _measure_mask(guide, usable)
    return exact if lines.all() else _put(_measure_mask(guide, usable), exact, lines)


def _measure_mask(guide: Guide, usable: Flags) -> Measured:
    known, rows = usable & guide.found, guide.paths.rows
    width = evened(filled(guide.right - guide.left, known, rows), guide.paths, ALONG)
    unknown = np.full(len(rows.count), np.nan)
    return Measured(guide.moved(guide.middle, known), width, unknown, unknown, np.zeros(len(unknown), np.bool_))


def _measure_profile(
    guide: Guide, picture: Picture, usable: Flags, smear: Smear | None
) -> tuple[Measured | None, Flags | None]:
    """Measure the lines that lie in a valley of the grey picture, and say which (L,); None where none does."""
    moved = None if smear is None else Moved.of(smear, guide.paths, guide.normal)
    rough = _locate(guide, picture, moved)
    seen = _enough(rough.found, usable, guide.paths.rows)
    if not seen.any():
        return None, None
    at = seen[guide.paths.rows.owner]
    some, usable, rough = guide.only(seen), usable[at], rough.only(at)
    paths = some.moved(rough.middle, rough.found & usable)
    half = filled(rough.width, rough.found, paths.rows) / 2
    step = np.maximum(0.5, some.half_width / 32)
    reach = np.maximum.reduceat(half, paths.rows.first) + GAP_PX + SPAN_PX * np.maximum(1, step) + 1
    normal = normals(paths)
    if moved is not None and smear is not None:
        moved = Moved.of(smear, paths, normal)
        reach += 0 if moved is None else moved.farthest(paths.rows)
    flank = None if moved is None else moved.flank
    raw = read(picture.light, paths, normal, reach, step)
    noise = noise_of(raw, paths.rows) / math.sqrt(INDEPENDENT)
    across = raw.averaged(ALONG, paths.rows)
    valley = valleys(across, -half, half, None, noise[paths.rows.owner], flank)
    clear = _enough(valley.found, usable, paths.rows)
    if not clear.any():
        return None, None
    kept = clear[paths.rows.owner]
    seen[seen] = clear
    paths, across, valley = paths.only(clear), across.only(kept), valley.only(kept)
    half, usable, noise = half[kept], usable[kept], noise[clear]
    moved = None if moved is None else moved.only(kept)
    flank = None if moved is None else moved.flank
    good = valley.found & usable
    profile = _profiles(paths, across, valley, good, noise, moved)
    told = guess(profile.pooled, picture.tone, profile.ways)
    found = told.plain
    if told.sharpening.amount:
        blunt = undone(across, told.sharpening, picture.tone)
        again = valleys(blunt, -half, half, None, noise[paths.rows.owner], flank)
        lost = ~_enough(again.found, usable, paths.rows)[paths.rows.owner]  # too faint without it: left as it was
        valley = Valleys(*(np.where(lost, old, new) for old, new in zip(valley, again, strict=True)))
        across = across._replace(values=np.where(lost[:, None], across.values, blunt.values))
        good = valley.found & usable
        profile = _profiles(paths, across, valley, good, noise, moved)
        pooled = profile.pooled
        found = fit(pooled.missing, pooled.error, pooled.middle_px, pooled.fwhm_px)
        if profile.ways is not None:
            fit_moved(found, pooled, profile.ways)
    area = area_of(across, profile.missing, valley, GAP_PX if flank is None else GAP_PX + flank)
    fwhm = np.where(good, valley.width, 1.0)
    width = found.widths(fwhm, area, paths.rows.owner)
    if moved is not None:
        width = moved.widths(width, fwhm, area, profile.pooled.points, paths.rows, found)
    return _read_off(paths, width, valley, good, found, told), seen


class _Profiles(NamedTuple):
    """What is left of readings across N points of L lines when the background is taken off."""

    missing: Reals
    """As of ``missing_light``."""
    pooled: Pooled
    ways: Ways | None
    """How far what was pooled moved across; None where nothing moved."""


def _profiles(
    paths: Paths, across: Across, valley: Valleys, good: Flags, noise: Floats, moved: Moved | None
) -> _Profiles:
    missing = missing_light(across, valley)
    calm = good if moved is None else moved.calm(good, paths.rows)
    pooled = pool(paths, across, missing, valley, calm, noise, INDEPENDENT)
    return _Profiles(missing, pooled, None if moved is None else moved.ways(pooled.points, paths.rows))


def _put(into: Measured, exact: Measured, lines: Flags) -> Measured:
    """``into`` with the ``lines`` (L,) that ``exact`` is about replaced."""
    at = lines[into.paths.rows.owner]
    for whole, part in ((into.paths.xy, exact.paths.xy), (into.width_px, exact.width_px)):
        whole[at] = part
    sigma, at_most = into.sigma_px.copy(), into.at_most_px.copy()
    sigma[lines], at_most[lines] = exact.sigma_px, exact.at_most_px
    return Measured(into.paths, into.width_px, sigma, at_most, lines)


def _enough(found: Flags, usable: Flags, rows: Lines) -> Flags:
    of = rows.sums(usable)
    return np.asarray((of > 0) & (2 * rows.sums(found & usable) >= of))


def _locate(guide: Guide, picture: Picture, moved: Moved | None) -> Valleys:
    """The valley nearest to the mask: around the darkest reading inside the mask, or a pixel beside it."""
    rows = guide.paths.rows
    widest = np.maximum(-np.minimum.reduceat(guide.left, rows.first), np.maximum.reduceat(guide.right, rows.first))
    step = np.maximum(1.0, guide.half_width / 16)
    reach = widest + GAP_PX + SPAN_PX * np.maximum(1, step) + 2
    reach += 0 if moved is None else moved.farthest(rows)
    raw = read(picture.light, guide.paths, guide.normal, reach, step)
    across = raw.averaged(ALONG, rows)
    level = _along_cores(across, guide.half_width[rows.owner])
    t = across.t
    near = (t >= (guide.left - 1).astype(np.float32)[:, None]) & (t <= (guide.right + 1).astype(np.float32)[:, None])
    start = np.argmin(np.where(near, level, np.inf), axis=1)
    noise = noise_of(raw, rows) / math.sqrt(INDEPENDENT)
    flank = None if moved is None else moved.flank
    return valleys(across, guide.left, guide.right, start, noise[rows.owner], flank)


def _along_cores(across: Across, half_width: Floats) -> Reals:
    """Readings averaged across over about half of the crack's half-width."""
    core = 2 * (half_width / 4 / across.step_px).astype(np.intp) + 1
    level = across.values
    for size in np.unique(core).tolist():
        if size > 1:
            some = core == size
            level = level.copy() if level is across.values else level
            level[some] = cv2.blur(across.values[some], (size, 1)).reshape(-1, level.shape[1])
    return level


def _read_off(paths: Paths, raw: Floats, valley: Valleys, good: Flags, found: Fit, told: Guessed) -> Measured:
    """Widths of lines that lie in valleys, from those read at single points, ``raw`` (N,), where these are ``good``.

    The variance of a mean width is the sum of three: what single points scatter around their neighbours, over how many
    of them are independent; what blur, darkness and sharpening leave open, each a share of the width; and that of
    reading: between pixels, along bends, through a lens that is no Gaussian.
    """
    rows = paths.rows
    width = filled(raw, good, rows) * (told.width_px / found.width_px)[rows.owner]
    count = rows.sums(good)
    average = rows.sums(np.where(good, width, 0.0)) / count
    scatter = rows.sums(np.where(good, width - evened(width, paths, SLOW), 0.0) ** 2) / count
    other2 = scatter / np.maximum(1.0, count / INDEPENDENT) + (average * told.doubt) ** 2 + LEAST_SIGMA_PX**2
    other2 += (LEAST_SHARE * average) ** 2 + (LENS_SHARE * found.blur_px**2 / np.maximum(average, 1.0)) ** 2
    sigma = np.sqrt(other2 + (average * found.doubt) ** 2)
    # Half depth is never narrower than the crack; the family's own quantile is skewed, all else is about normal.
    most = np.minimum(rows.sums(np.where(good, valley.width, 0.0)) / count, average * found.most)
    doubt = np.hypot(found.doubt, told.doubt)
    narrow = (average < np.maximum(RESOLVED_PX, RESOLVED_SIGMAS * found.blur_px)) | (doubt > DOUBTFUL)
    at_most = np.where(narrow, most + ONE_SIDED * np.sqrt(other2), np.nan)
    return Measured(paths, width, sigma, at_most, np.ones(len(count), np.bool_))
