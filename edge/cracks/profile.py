"""Light read across centrelines, and the valleys in it.

A valley is dark with a brighter surface on *both* sides. Its borders lie where the profile crosses half of its depth,
each side against its own background: for an evenly dark crack with a sharp or symmetrically blurred border that is the
true border, also where the surface is brighter on one side. A step (an edge, the rim of a shadow) is no valley.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import cv2
import numpy as np

from edge.cracks.light import Light
from edge.cracks.lines import Flags, Floats, Index, Lines
from edge.cracks.path import Paths, Reals, sample
from edge.cracks.skeleton import Bits, Points
from edge.frames import Tone

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
_NOISE_SAMPLE = 1000


class Picture(NamedTuple):
    """What a crack is measured on."""

    light: Light
    """Luma of the frame in linear light, (H, W)."""
    mask: Bits
    """uint8 (H, W): 0 or 255."""
    tone: Tone
    """What the frame's codes stood for."""


class Across(NamedTuple):
    """Readings along the normals of centrelines, evenly spaced on each, the one in the middle on the centreline.

    Positions across are in pixels, positive along the normal.
    """

    values: Reals
    """float32 (N, M)."""
    inside: Flags
    """(N, M): the reading lies in the picture."""
    step_px: Floats
    """(N,): distance between neighbouring readings."""

    @property
    def centre(self) -> int:
        """Column of the reading on the centreline."""
        return int(self.values.shape[1]) // 2

    @property
    def t(self) -> Reals:
        """(N, M): position of each reading."""
        columns = np.arange(self.values.shape[1], dtype=np.float32) - self.centre
        return np.asarray(self.step_px.astype(np.float32)[:, None] * columns)

    def averaged(self, points: float, rows: Lines) -> Across:
        """The same, averaged along each line, which is reflected at its ends, with a Gaussian of ``points`` points."""
        reach = round(3 * points)
        owner, place = rows.longer(reach)
        period = np.maximum(2 * (rows.count - 1), 1)[owner]
        place = np.abs(place) % period
        longer = rows.first[owner] + np.minimum(place, period - place)
        size = (1, 2 * reach + 1)
        values = cv2.GaussianBlur(self.values[longer], size, sigmaX=1.0, sigmaY=points).reshape(len(longer), -1)
        return self._replace(values=np.asarray(values[np.arange(len(rows.at)) + reach + 2 * reach * rows.owner]))

    def only(self, rows: Flags | Index) -> Across:
        """Some ``rows`` of it, as flags (N,) or by number."""
        return Across(self.values[rows], self.inside[rows], self.step_px[rows])


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


def normals(paths: Paths) -> Points:
    """Unit normals (N, 2) of evenly spaced lines: their direction turned by 90 degrees, x towards y."""
    xy, rows = paths.xy, paths.rows
    ahead, behind = np.roll(xy, -1, axis=0), np.roll(xy, 1, axis=0)
    ahead[rows.last] = np.where(paths.closed[:, None], xy[rows.first + 1], xy[rows.last])
    behind[rows.first] = np.where(paths.closed[:, None], xy[rows.last - 1], xy[rows.first])
    tangent = ahead - behind
    size = np.maximum(np.sqrt((tangent * tangent).sum(axis=1)), 1e-9)
    return np.column_stack((-tangent[:, 1] / size, tangent[:, 0] / size))


def read(image: Light | Bits, paths: Paths, normal: Points, reach_px: Floats, step_px: Floats) -> Across:
    """Read ``image`` (H, W) along each normal (N, 2), in steps of ``step_px`` (L,), at least as far as ``reach_px``.

    Outside, a mask is 0 and a picture goes on. Linear interpolation: bicubics overshoot at sharp borders, which makes
    cracks of 2 to 3 px a tenth too narrow.
    """
    half = math.ceil(float((reach_px / step_px).max()))
    step = step_px[paths.rows.owner]
    columns = np.arange(-half, half + 1, dtype=np.float32)
    from_x, from_y = paths.xy.astype(np.float32).T[:, :, None]
    along_x, along_y = (normal * step[:, None]).astype(np.float32).T[:, :, None]
    x, y = from_x + along_x * columns, from_y + along_y * columns
    values = image.sample(x, y) if isinstance(image, Light) else sample(image, x, y, cv2.BORDER_CONSTANT)
    return Across(values, _inside(image.shape, x, y), step)


def _inside(shape: tuple[int, ...], x: Reals, y: Reals) -> Flags:
    bottom, right = (size - 0.5 for size in shape)
    # The outermost readings tell: those between them lie between them.
    ends = (np.s_[:, 0], np.s_[:, -1])
    if all(v[end].min() >= -0.5 and v[end].max() <= most for v, most in ((x, right), (y, bottom)) for end in ends):
        return np.broadcast_to(np.True_, x.shape)
    inside: Flags = (x >= -0.5) & (x <= right) & (y >= -0.5) & (y <= bottom)
    return inside


def borders(across: Across, level: Reals, start: Index) -> tuple[Floats, Floats]:
    """Left and right end of the stretch around the columns ``start`` (N,) where readings lie above ``level`` (N,).

    Interpolated between readings; NaN where there is no such stretch or it does not end.
    """
    values, level = -across.values, -level
    return _left(values, level, start, across), _right(values, level, start, across)


def _left(values: Reals, level: Reals, start: Index, across: Across) -> Floats:
    return -_right(values[:, ::-1], level, values.shape[1] - 1 - start, across)


def _right(values: Reals, level: Reals, start: Index, across: Across) -> Floats:
    """Where ``values`` (N, M), which at the columns ``start`` are below their ``level`` (N,), rise to it."""
    first = int(start.min()) + 1
    rises = values[:, first:] >= level[:, None]
    if start.max() >= first:
        rises &= np.arange(first, values.shape[1]) > start[:, None]
    rows, k = np.arange(len(values)), np.argmax(rises, axis=1)
    upper, lower = level - values[rows, k + first - 1], level - values[rows, k + first]
    good = rises[rows, k] & (upper > 0)
    share = np.divide(upper, upper - lower, out=np.zeros(len(k)), where=good)
    return np.where(good, across.step_px * (k + first - 1 - across.centre + share), np.nan)


def background(across: Across, left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Median reading beyond the borders (N,) on either side; NaN where that is not in the picture."""
    apart = np.maximum(1, np.rint(1 / across.step_px)).astype(np.intp) * _SIDES
    borders = np.stack((left - GAP_PX, right + GAP_PX))
    nearest = np.rint(borders / across.step_px).astype(np.intp) + across.centre
    farthest = nearest + apart * (_READINGS - 1)
    most = across.values.shape[1] - 1
    fits = (np.minimum(nearest, farthest) >= 0) & (np.maximum(nearest, farthest) <= most)
    rows = np.arange(len(left))
    fits &= across.inside[rows, nearest * fits] & across.inside[rows, farthest * fits]
    columns = np.clip(nearest[..., None] + apart[..., None] * np.arange(_READINGS), 0, most)
    level = np.where(fits, np.sort(across.values[rows[:, None], columns], axis=2)[..., _READINGS // 2], np.nan)
    return level[0], level[1]


def noise_of(across: Across, rows: Lines) -> Floats:
    """Standard deviation of a single reading on each line (L,): from differences of neighbouring profiles beside it."""
    beside = np.concatenate((across.values[:, 0:7:2], across.values[:, -7::2]), axis=1)
    steps = np.abs(beside[1:] - beside[:-1])
    noise = np.zeros(len(rows.count))
    for line, (first, last) in enumerate(zip(rows.first.tolist(), rows.last.tolist(), strict=True)):
        some = steps[first:last].ravel()
        some = some[:: max(1, some.size // _NOISE_SAMPLE)]
        noise[line] = np.partition(some, some.size // 2)[some.size // 2]
    return np.asarray(noise * 1.4826 / math.sqrt(2))


def _floor(across: Across, start: Index, reach: Floats) -> Floats:
    """Value at the columns ``start`` of the parabola through the readings within ``reach`` (N,) px, 1 px at least."""
    steps = np.maximum(1.0, np.rint(np.maximum(reach, 1.0) / across.step_px)).astype(np.intp)
    weight = _parabolas(int(steps.max()))
    offset = np.arange(weight.shape[1]) - weight.shape[1] // 2
    columns = np.clip(start[:, None] + offset, 0, across.values.shape[1] - 1)
    readings = across.values[np.arange(len(start))[:, None], columns]
    return np.asarray((readings * weight[steps]).sum(axis=1))


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


def valleys(across: Across, left: Floats, right: Floats, start: Index, noise: Floats) -> Valleys:
    """Find the valley around each column of ``start``; ``left`` and ``right`` are first guesses of its borders.

    ``noise`` (N,): standard error of a reading, in light.
    """
    surface_left, surface_right = background(across, left, right)
    dark = _floor(across, start, (right - left) / 8)
    shallow, deep = np.minimum(surface_left, surface_right) - dark, np.maximum(surface_left, surface_right) - dark
    least = np.maximum(LEAST_DEPTH, LEAST_CONTRAST * np.maximum(surface_left, surface_right))
    found = shallow >= np.maximum(np.maximum(least, LEAST_SNR * noise), LEAST_BALANCE * deep)
    low = _left(across.values, _half_way(surface_left, dark, found), start, across)
    high = _right(across.values, _half_way(surface_right, dark, found), start, across)
    found &= np.isfinite(low) & np.isfinite(high)
    return Valleys(low, high, dark, surface_left, surface_right, found)


def _half_way(surface: Floats, dark: Floats, found: Flags) -> Reals:
    """The light half way from surface to floor (N,); none is darker where nothing was found."""
    return np.where(found, (surface + dark) / 2, -1.0).astype(np.float32)
