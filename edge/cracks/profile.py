"""Light read across centrelines."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edge.cracks.light import Light
from edge.cracks.lines import Flags, Floats, Index, Lines
from edge.cracks.path import Paths, Reals, sample, sizes
from edge.cracks.skeleton import Bits, Points
from edge.frames import Tone

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
    inside: Flags | None
    """(N, M): the reading lies in the picture; None: all do."""
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
        longer = self.values.take(rows.reflected(reach), axis=0)
        values = cv2.GaussianBlur(longer, (1, 2 * reach + 1), sigmaX=1.0, sigmaY=points).reshape(longer.shape)
        return Across(np.asarray(rows.without(values[reach:-reach], reach)), self.inside, self.step_px)

    def only(self, rows: Flags | Index) -> Across:
        """Some ``rows`` of it, as flags (N,) or by number."""
        inside = None if self.inside is None else self.inside[rows]
        return Across(self.values[rows], inside, self.step_px[rows])


def normals(paths: Paths) -> Points:
    """Unit normals (N, 2) of evenly spaced lines: their direction turned by 90 degrees, x towards y."""
    xy, rows = paths.xy, paths.rows
    ahead, behind = np.empty_like(xy), np.empty_like(xy)
    ahead[:-1], behind[1:] = xy[1:], xy[:-1]
    ahead[rows.last] = xy.take(np.where(paths.closed, rows.first + 1, rows.last), axis=0)
    behind[rows.first] = xy.take(np.where(paths.closed, rows.last - 1, rows.first), axis=0)
    tangent = ahead - behind
    size = np.maximum(sizes(tangent), 1e-9)
    found = np.empty_like(xy)
    np.divide(-tangent[:, 1], size, out=found[:, 0])
    np.divide(tangent[:, 0], size, out=found[:, 1])
    return found


def read(image: Light | Bits, paths: Paths, normal: Points, reach_px: Floats, step_px: Floats) -> Across:
    """Read ``image`` (H, W) along each normal (N, 2), in steps of ``step_px`` (L,), at least as far as ``reach_px``.

    Outside, a mask is 0 and a picture goes on. Linear interpolation: bicubics overshoot at sharp borders, which makes
    cracks of 2 to 3 px a tenth too narrow.
    """
    half = math.ceil(float((reach_px / step_px).max()))
    farthest_px = half * float(step_px.max())
    step = step_px.take(paths.rows.owner)
    columns = np.arange(-half, half + 1, dtype=np.float32)
    xy = paths.xy.astype(np.float32)
    from_x, from_y = xy.T[:, :, None]
    along_x, along_y = (normal * step[:, None]).astype(np.float32).T[:, :, None]
    x, y = from_x + along_x * columns, from_y + along_y * columns
    values = image.sample(x, y) if isinstance(image, Light) else sample(image, x, y, cv2.BORDER_CONSTANT)
    return Across(values, _inside(image.shape, xy, farthest_px, x, y), step)


def _inside(shape: tuple[int, ...], xy: npt.NDArray[np.float32], reach_px: float, x: Reals, y: Reals) -> Flags | None:
    """Whether the readings ``x``, ``y`` (N, M), within ``reach_px`` of ``xy`` (N, 2), lie in a picture of ``shape``."""
    left, top, width, height = cv2.boundingRect(xy)
    spare = reach_px + 2  # of rounding, and of the rectangle's whole pixels
    if min(left, top) >= spare and left + width + spare <= shape[1] and top + height + spare <= shape[0]:
        return None
    bottom, right = (size - 0.5 for size in shape)
    inside: Flags = (x >= -0.5) & (x <= right) & (y >= -0.5) & (y <= bottom)
    return None if inside.all() else inside


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
