"""Grey values read across a centreline, and the valleys in them.

A valley is dark with a brighter surface on *both* sides. Its borders lie where the profile crosses half of its depth,
each side against its own background: for an evenly dark crack with a sharp or symmetrically blurred border that is the
true border, also where the surface is brighter on one side. A step (an edge, the rim of a shadow) is no valley.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edge.cracks.path import Floats, Image, Reals, sample
from edge.cracks.skeleton import Bits, Points

Flags = npt.NDArray[np.bool_]
Columns = npt.NDArray[np.intp]

GAP_PX = 2.5
"""The background is read from this far outside the border of the crack, where its blur has ended ..."""
SPAN_PX = 6.0
"""... over this length."""
LEAST_DEPTH = 3.0
"""A valley is at least this many grey levels deep on both sides, ..."""
LEAST_SNR = 3.0
"""... at least this many standard errors, ..."""
LEAST_BALANCE = 0.2
"""... and on its shallow side at least this share of the deep side; less is a step."""


class Picture(NamedTuple):
    """What a crack is measured on."""

    grey: npt.NDArray[np.float32]
    """float32 (H, W): luma of the frame, 0 to 255."""
    mask: Bits
    """uint8 (H, W): 0 or 255."""


class Across(NamedTuple):
    """Readings along the normals of a centreline."""

    t: Floats
    """(M,): distance from the centreline, pixels: evenly spaced, symmetrical, positive along the normal."""
    values: Reals
    """float32 (N, M)."""
    inside: Flags
    """(N, M): the reading lies in the picture."""

    @property
    def step_px(self) -> float:
        """Distance between neighbouring readings."""
        return float(self.t[1] - self.t[0])

    @property
    def centre(self) -> int:
        """Column of t = 0."""
        return len(self.t) // 2

    def averaged(self, points: float) -> Across:
        """The same, averaged along the crack with a Gaussian of ``points`` points."""
        rows = 2 * round(3 * points) + 1
        values = cv2.GaussianBlur(self.values, (1, rows), sigmaX=1.0, sigmaY=points, borderType=cv2.BORDER_REFLECT_101)
        return self._replace(values=np.asarray(values, np.float32).reshape(self.values.shape))


class Valleys(NamedTuple):
    """One valley per point of a centreline; where there is none ``found`` is False and the numbers may be NaN."""

    left: Floats
    """(N,): border at half depth, on the scale of ``Across.t``."""
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


def normals(xy: Points, closed: bool) -> Points:
    """Unit normals (N, 2) of an evenly spaced line: its direction turned by 90 degrees, x towards y."""
    around = np.concatenate((xy[-2:-1], xy, xy[1:2])) if closed else np.concatenate((xy[:1], xy, xy[-1:]))
    tangent = around[2:] - around[:-2]
    size = np.maximum(np.sqrt((tangent * tangent).sum(axis=1)), 1e-9)
    return np.column_stack((-tangent[:, 1] / size, tangent[:, 0] / size))


def read(image: Image, xy: Points, normal: Points, reach_px: float, step_px: float) -> Across:
    """Read ``image`` (H, W) along each normal as far as ``reach_px``; outside, a mask is 0 and a picture goes on.

    Linear interpolation: bicubics overshoot at sharp borders, which makes cracks of 2 to 3 px a tenth too narrow.
    """
    half = int(np.ceil(reach_px / step_px))
    t = np.arange(-half, half + 1, dtype=np.float64) * step_px
    from_x, from_y = xy.astype(np.float32).T[:, :, None]
    along_x, along_y = normal.astype(np.float32).T[:, :, None]
    x, y = from_x + along_x * t.astype(np.float32), from_y + along_y * t.astype(np.float32)
    border = cv2.BORDER_CONSTANT if image.dtype == np.uint8 else cv2.BORDER_REPLICATE
    return Across(t, sample(image, x, y, border), _inside(image, x, y))


def _inside(image: Image, x: Reals, y: Reals) -> Flags:
    bottom, right = (size - 0.5 for size in image.shape)
    if x.min() >= -0.5 and y.min() >= -0.5 and x.max() <= right and y.max() <= bottom:
        return np.broadcast_to(np.True_, x.shape)
    inside: Flags = (x >= -0.5) & (x <= right) & (y >= -0.5) & (y <= bottom)
    return inside


def borders(above: Reals, start: Columns, across: Across) -> tuple[Floats, Floats]:
    """Left and right end of the stretch around the columns ``start`` (N,) where ``above`` (N, M) is positive.

    Interpolated between readings; NaN where there is no such stretch or it does not end. ``across.t`` is symmetrical.
    """
    return _left(above, start, across), _right(above, start, across)


def _left(above: Reals, start: Columns, across: Across) -> Floats:
    return -_right(above[:, ::-1], above.shape[1] - 1 - start, across)


def _right(above: Reals, start: Columns, across: Across) -> Floats:
    first = int(start.min()) + 1
    falls = above[:, first:] <= 0
    falls &= np.arange(first, above.shape[1]) > start[:, None]
    rows, k = np.arange(len(above)), np.argmax(falls, axis=1)
    found = falls[rows, k]
    upper, lower = above[rows, k + first - 1], above[rows, k + first]
    good = found & (upper > 0)
    share = np.divide(upper, upper - lower, out=np.zeros(len(k)), where=good)
    return np.where(good, across.t[k + first - 1] + across.step_px * share, np.nan)


def background(across: Across, border: Floats, side: int) -> Floats:
    """Median reading beyond ``border`` (N,) on one side (-1 left, 1 right); NaN where that is not in the picture."""
    apart = max(1, round(1 / across.step_px))
    count = max(3, round(SPAN_PX / across.step_px / apart))
    first = (border + side * GAP_PX - across.t[0]) / across.step_px
    columns = np.rint(first).astype(np.intp)[:, None] + side * apart * np.arange(count)
    nearest, farthest = columns[:, 0], columns[:, -1]
    fits = (np.minimum(nearest, farthest) >= 0) & (np.maximum(nearest, farthest) < len(across.t))
    columns = np.where(fits[:, None], columns, 0)
    rows = np.arange(len(border))[:, None]
    fits &= across.inside[rows, columns].all(axis=1)
    level = np.sort(across.values[rows, columns], axis=1)[:, count // 2]
    return np.where(fits, level, np.nan)


def noise_of(across: Across) -> float:
    """Standard deviation of a single reading, from the differences of neighbouring profiles beside the crack."""
    beside = np.flatnonzero(np.abs(across.t) >= across.t[-1] - SPAN_PX / 2)
    some = across.values[:, beside[::2]]
    steps = np.abs(some[1:] - some[:-1]).ravel()
    steps = np.sort(steps[:: max(1, steps.size // 1000)])
    return float(1.4826 / np.sqrt(2) * steps[steps.size // 2]) if steps.size else 0.0


def _floor(across: Across, start: Columns, reach: Floats) -> Floats:
    """Value at the columns ``start`` of the parabola through the readings within ``reach`` (N,), at least 1 px."""
    reach = np.rint(np.maximum(reach, 1.0) / across.step_px)
    offset = np.arange(-int(reach.max()), int(reach.max()) + 1)
    columns = np.clip(start[:, None] + offset, 0, len(across.t) - 1)
    core = np.abs(offset) <= reach[:, None]
    square = (offset * offset) * core
    count, second, fourth = core.sum(axis=1), square.sum(axis=1), (square * square).sum(axis=1)
    weight = (fourth[:, None] * core - square * second[:, None]) / (count * fourth - second**2)[:, None]
    return np.asarray((across.values[np.arange(len(start))[:, None], columns] * weight).sum(axis=1))


def valleys(across: Across, left: Floats, right: Floats, start: Columns, noise: float) -> Valleys:
    """Find the valley around each column of ``start``; ``left`` and ``right`` are first guesses of its borders.

    ``noise``: standard error of a reading, grey levels.
    """
    surface_left, surface_right = background(across, left, -1), background(across, right, 1)
    dark = _floor(across, start, (right - left) / 8)
    shallow, deep = np.minimum(surface_left, surface_right) - dark, np.maximum(surface_left, surface_right) - dark
    found = shallow >= np.maximum(max(LEAST_DEPTH, LEAST_SNR * noise), LEAST_BALANCE * deep)
    low = _left(_above(across, surface_left, dark, found), start, across)
    high = _right(_above(across, surface_right, dark, found), start, across)
    found &= np.isfinite(low) & np.isfinite(high)
    return Valleys(low, high, dark, surface_left, surface_right, found)


def _above(across: Across, surface: Floats, dark: Floats, found: Flags) -> Reals:
    """How far each reading is darker than half way from surface to floor; nowhere where nothing was found."""
    level = np.where(found, (surface + dark) / 2, -1.0).astype(np.float32)
    return level[:, None] - across.values
