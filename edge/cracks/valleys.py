"""Valleys in the light across centrelines.

A valley is dark with a brighter surface on *both* sides. Its borders lie where the profile crosses half of its depth,
each side against its own background: for an evenly dark crack with a sharp or symmetrically blurred border that is the
true border, also where the surface is brighter on one side. A step (an edge, the rim of a shadow) is no valley.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from edge.cracks.lines import Flags, Floats, Index
from edge.cracks.path import Reals
from edge.cracks.profile import Across

GAP_PX = 2.5
"""The background is read from this far outside the border of the crack, where its blur has ended ..."""
SPAN_PX = 6.0
"""... over this length, in readings at least a pixel apart; at coarser steps over as many readings."""
LEAST_DEPTH = 0.004
"""A valley is at least this deep on both sides, in light (1 is white): one code of 8 linear bits, ..."""
LEAST_CONTRAST = 0.04
"""... at least this share of its surface's light, ..."""
LEAST_SNR = 3.0
"""... at least this many standard errors, ..."""
LEAST_BALANCE = 0.2
"""... and on its shallow side at least this share of the deep side; less is a step."""

_READINGS = 6
_SIDES = np.array([[-1], [1]])
_BESIDE = np.arange(_READINGS)[:, None, None]


class Valleys(NamedTuple):
    """One valley per point of a centreline; where there is none ``found`` is False and the numbers may be NaN."""

    left: Floats
    """(N,): border at half depth, pixels from the centreline."""
    right: Floats
    dark: Floats
    """(N,): grey value of the floor."""
    surface_left: Floats
    """(N,): grey value of the background on that side."""
    surface_right: Floats
    found: Flags

    @property
    def width(self) -> Floats:
        """Full width at half depth, pixels."""
        return self.right - self.left

    @property
    def middle(self) -> Floats:
        """Half way between the borders."""
        return (self.left + self.right) / 2

    def only(self, rows: Flags) -> Valleys:
        """Some ``rows`` (N,) of them."""
        left, right, dark = self.left[rows], self.right[rows], self.dark[rows]
        return Valleys(left, right, dark, self.surface_left[rows], self.surface_right[rows], self.found[rows])


def borders(across: Across, level: Reals, start: Index | None) -> tuple[Floats, Floats]:
    """Left and right end of the stretch around the columns ``start`` (N,) where readings lie above ``level`` (N,).

    ``start`` None: around the middle. Interpolated between readings; NaN where there is no such stretch or it does not
    end.
    """
    turned = across._replace(values=-across.values)
    return _rises(turned, -level, -level, start)


def _rises(across: Across, left: Reals, right: Reals, start: Index | None) -> tuple[Floats, Floats]:
    """Where readings that are below a level at the columns ``start`` (N,) rise to it: ``left`` (N,), and ``right``.

    ``start`` None: around the middle column, which both sides have the same number of readings beside.
    """
    if start is not None:
        mirrored = across.values.shape[1] - 1 - start
        return -_right(across.values[:, ::-1], left, mirrored, across), _right(across.values, right, start, across)
    values, centre = across.values, across.centre
    count = len(values)
    rises = np.empty((2, count, centre), np.bool_)
    np.greater_equal(values[:, centre - 1 :: -1], left[:, None], out=rises[0])
    np.greater_equal(values[:, centre + 1 :], right[:, None], out=rises[1])
    k = rises.argmax(axis=2)
    found = rises.ravel().take(k + np.arange(0, 2 * count * centre, centre).reshape(2, count))
    inner = _SIDES * k + np.arange(centre, values.size, values.shape[1])
    readings = values.ravel()
    level = np.concatenate((left, right)).reshape(2, count)
    upper, lower = level - readings.take(inner), level - readings.take(inner + _SIDES)
    good = found & (upper > 0)
    share = np.divide(upper, upper - lower, out=np.zeros((2, count)), where=good)
    at = np.where(good, across.step_px * (k + share), np.nan)
    return -at[0], at[1]


def _right(values: Reals, level: Reals, start: Index, across: Across) -> Floats:
    """Where ``values`` (N, M), which at the columns ``start`` are below their ``level`` (N,), rise to it."""
    first = int(start.min()) + 1
    rises = values[:, first:] >= level[:, None]
    if start.max() >= first:
        rises &= np.arange(first, values.shape[1]) > start[:, None]
    rows, k = np.arange(len(values)), rises.argmax(axis=1)
    before = k + (first - 1)
    upper, lower = level - values[rows, before], level - values[rows, before + 1]
    good = rises[rows, k] & (upper > 0)
    share = np.divide(upper, upper - lower, out=np.zeros(len(k)), where=good)
    return np.where(good, across.step_px * (before - across.centre + share), np.nan)


def background(across: Across, left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Median reading beyond the borders (N,) on either side; NaN where that is not in the picture."""
    apart = np.maximum(1, np.rint(1 / across.step_px)).astype(np.intp) * _SIDES
    borders = np.concatenate((left - GAP_PX, right + GAP_PX)).reshape(2, -1)
    nearest = np.rint(borders / across.step_px).astype(np.intp) + across.centre
    farthest = nearest + apart * (_READINGS - 1)
    most = across.values.shape[1] - 1
    fits = (np.minimum(nearest, farthest) >= 0) & (np.maximum(nearest, farthest) <= most)
    if across.inside is not None:
        rows = np.arange(len(left))
        fits &= across.inside[rows, nearest * fits] & across.inside[rows, farthest * fits]
    columns = np.minimum(np.maximum(nearest + apart * _BESIDE, 0), most)
    columns += np.arange(0, across.values.size, most + 1)
    level = np.where(fits, _upper_median(*across.values.ravel().take(columns)), np.nan)
    return level[0], level[1]


def _upper_median(a: Reals, b: Reals, c: Reals, d: Reals, e: Reals, f: Reals) -> Reals:
    """The fourth smallest of six, everywhere: to compare whole arrays is quicker than to sort six numbers each time."""
    b, c = np.minimum(b, c), np.maximum(b, c)
    e, f = np.minimum(e, f), np.maximum(e, f)
    a, c = np.minimum(a, c), np.maximum(a, c)
    d, f = np.minimum(d, f), np.maximum(d, f)
    a, b = np.minimum(a, b), np.maximum(a, b)
    d, e = np.minimum(d, e), np.maximum(d, e)
    # a <= b <= c and d <= e <= f: the k-th smallest of both is the least of what bounds i of these and k - i of those.
    return np.asarray(np.minimum(np.minimum(np.maximum(a, f), np.maximum(b, e)), np.maximum(c, d)), np.float32)


def _floor(across: Across, start: Index | None, reach: Floats) -> Floats:
    """Value at the columns ``start`` of the parabola through the readings within ``reach`` (N,) px, 1 px at least."""
    steps = np.maximum(1.0, np.rint(np.maximum(reach, 1.0) / across.step_px)).astype(np.intp)
    most = int(steps.max())
    weight = _parabolas(most)
    offset = np.arange(-most, most + 1)
    last = across.values.shape[1] - 1
    if start is None:
        readings = across.values.take(np.minimum(np.maximum(across.centre + offset, 0), last), axis=1)
    else:
        columns = np.minimum(np.maximum(start[:, None] + offset, 0), last)
        columns += np.arange(0, across.values.size, last + 1)[:, None]
        readings = across.values.ravel().take(columns)
    return np.asarray((readings * weight.take(steps, axis=0)).sum(axis=1))


@functools.lru_cache(maxsize=64)
def _parabolas(most: int) -> Floats:
    """Weights (most + 1, 2 * most + 1) of the readings in the middle of the parabola through ``row`` on either side."""
    offset = np.arange(-most, most + 1)
    core = np.abs(offset) <= np.maximum(1, np.arange(most + 1))[:, None]
    square = (offset * offset) * core
    count, second, fourth = core.sum(axis=1), square.sum(axis=1), (square * square).sum(axis=1)
    weight: Floats = (fourth[:, None] * core - square * second[:, None]) / (count * fourth - second**2)[:, None]
    weight.setflags(write=False)
    return weight


def valleys(
    across: Across, left: Floats, right: Floats, start: Index | None, noise: Floats, flank: Floats | None = None
) -> Valleys:
    """Find the valley around each column of ``start``; ``left`` and ``right`` are first guesses of its borders.

    ``start`` None: around the middle.

    ``noise`` (N,): standard error of a reading, in light; ``flank`` (N,): so far beyond its border a crack may go on
    being dark because it moved; None: not at all.
    """
    beyond = 0.0 if flank is None else flank
    surface_left, surface_right = background(across, left - beyond, right + beyond)
    dark = _floor(across, start, (right - left) / 8)
    brighter = np.maximum(surface_left, surface_right)
    shallow, deep = np.minimum(surface_left, surface_right) - dark, brighter - dark
    least = np.maximum(LEAST_DEPTH, LEAST_CONTRAST * brighter)
    found = shallow >= np.maximum(np.maximum(least, LEAST_SNR * noise), LEAST_BALANCE * deep)
    half_way = _half_way(surface_left, dark, found), _half_way(surface_right, dark, found)
    low, high = _rises(across, *half_way, start)
    found &= np.isfinite(low) & np.isfinite(high)
    return Valleys(low, high, dark, surface_left, surface_right, found)


def _half_way(surface: Floats, dark: Floats, found: Flags) -> Reals:
    """The light half way from surface to floor (N,); none is darker where nothing was found."""
    return np.where(found, (surface + dark) / 2, -1.0).astype(np.float32)
