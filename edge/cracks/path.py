"""From a staircase of pixels to a smooth centreline: evenly spaced points, true length, ends where the mask ends."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import numpy.typing as npt

from edge.cracks.skeleton import Bits, Points

Floats = npt.NDArray[np.float64]
Reals = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8] | npt.NDArray[np.float32]

SPACING_PX = 3.0
"""Distance between the points that a crack is measured at."""

_REMAP_LIMIT = 32767  # cv2.remap keeps coordinates in 16 bits


def lengths(xy: Points) -> Floats:
    """Distance along the line from its first point to each point, float64 (N,), pixels."""
    steps = np.diff(xy, axis=0)
    total: Floats = np.concatenate((np.zeros(1), np.cumsum(np.sqrt((steps * steps).sum(axis=1)))))
    return total


def evenly(xy: Points, spacing_px: float) -> Points:
    """Put points at equal distances along a line, as near to ``spacing_px`` as its length allows, ends kept."""
    along = lengths(xy)
    count = max(1, round(float(along[-1]) / spacing_px)) + 1
    at = np.linspace(0.0, along[-1], count)
    return np.column_stack((np.interp(at, along, xy[:, 0]), np.interp(at, along, xy[:, 1])))


@functools.lru_cache(maxsize=64)
def _gauss(sigma: float) -> Floats:
    reach = int(np.ceil(3 * sigma))
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    bell.setflags(write=False)
    kernel: Floats = bell / bell.sum()
    return kernel


def smooth(values: Floats, sigma: float, *, closed: bool, hold_ends: bool = True) -> Floats:
    """Run a Gaussian of ``sigma`` samples over each column of float64 (N, K).

    A closed line (first sample = last) is continued round. An open one is continued by point reflection, which leaves
    its ends where they are, or, without ``hold_ends``, by its last value, which evens them out.
    """
    kernel = _gauss(sigma)
    reach = min(len(kernel) // 2, len(values) - 1)
    kernel = kernel[len(kernel) // 2 - reach : len(kernel) // 2 + reach + 1]
    if closed:
        before, after = values[-1 - reach : -1], values[1 : reach + 1]
    elif hold_ends:
        before, after = 2 * values[0] - values[reach:0:-1], 2 * values[-1] - values[-2 : -2 - reach : -1]
    else:
        before, after = np.repeat(values[:1], reach, axis=0), np.repeat(values[-1:], reach, axis=0)
    padded = np.concatenate((before, values, after))
    columns = [np.convolve(column, kernel, "valid") / kernel.sum() for column in padded.T]
    return np.column_stack(columns)


def trimmed(xy: Points, start_px: float, end_px: float) -> Points:
    """Cut a length off each end of a line; at least its middle two points stay."""
    along = lengths(xy)
    first = int(np.searchsorted(along, start_px))
    last = int(np.searchsorted(along, along[-1] - end_px, side="right")) - 1
    if last - first < 1:
        middle = len(xy) // 2
        first, last = max(0, middle - 1), min(len(xy) - 1, middle + 1)
    return xy[first : last + 1]


def extended(xy: Points, mask: Bits, at_start: bool, at_end: bool, reach_px: float) -> Points:
    """Prolong a line straight on to the border of ``mask`` (uint8, 0 or 255), at most by ``reach_px``."""
    pieces = [xy]
    if at_start and (tip := _tip(xy[::-1], mask, reach_px)) is not None:
        pieces.insert(0, tip)
    if at_end and (tip := _tip(xy, mask, reach_px)) is not None:
        pieces.append(tip)
    return np.concatenate(pieces)


def _tip(xy: Points, mask: Bits, reach_px: float) -> Points | None:
    """Where the straight continuation of a line's last stretch leaves the mask; None where it ends outside already."""
    along = lengths(xy)
    back = xy[np.searchsorted(along, along[-1] - max(reach_px / 2, 6.0))]
    dx, dy = xy[-1] - back
    size = float(np.hypot(dx, dy))
    if size == 0.0:
        return None
    step = np.arange(0.0, reach_px + 0.25, 0.25)
    ray = (xy[-1, :, None] + np.array([[dx], [dy]]) / size * step).astype(np.float32)
    inside = sample(mask, ray[:1], ray[1:], cv2.BORDER_CONSTANT)[0]
    out = np.flatnonzero(inside < 127.5)
    if out.size and out[0] == 0:
        return None
    k = int(out[0]) if out.size else len(step) - 1
    share = (inside[k - 1] - 127.5) / (inside[k - 1] - inside[k]) if out.size else 1.0
    beyond = step[k - 1] + 0.25 * share
    return np.array([[xy[-1, 0] + beyond * dx / size, xy[-1, 1] + beyond * dy / size]])


def simplified(xy: Points, values: Floats, tolerance_px: float) -> tuple[Points, Floats]:
    """Fewer points, still evenly spaced, none of the old ones further than ``tolerance_px`` from the new line.

    Each kept point carries the mean of ``values`` (N,) over its stretch, so the mean over points stays the mean along
    the line.
    """
    index = np.arange(len(xy))
    for step in (4, 2, 1):
        at = np.linspace(0, len(xy) - 1, max(1, round((len(xy) - 1) / step)) + 1)
        kept = np.column_stack((np.interp(at, index, xy[:, 0]), np.interp(at, index, xy[:, 1])))
        back = np.column_stack((np.interp(index, at, kept[:, 0]), np.interp(index, at, kept[:, 1])))
        if (((back - xy) ** 2).sum(axis=1) <= tolerance_px**2).all():
            break
    integral = np.concatenate((np.zeros(1), np.cumsum((values[1:] + values[:-1]) / 2)))
    low, high = (np.clip(at + side * at[1] / 2, 0, len(xy) - 1) for side in (-1, 1))
    return kept, (np.interp(high, index, integral) - np.interp(low, index, integral)) / (high - low)


def sample(image: Image, x: Reals, y: Reals, border: int) -> Reals:
    """Read ``image`` (H, W) linearly between its pixels at ``x`` and ``y`` (N, M); float32 (N, M)."""
    if max(*image.shape, len(x)) < _REMAP_LIMIT:
        return _remap(image, x, y, border)
    read = np.empty(x.shape, np.float32)
    for first in range(0, len(x), 1024):
        part = slice(first, first + 1024)
        left, top = (max(0, int(np.floor(v[part].min())) - 3) for v in (x, y))
        right, bottom = (int(np.ceil(v[part].max())) + 4 for v in (x, y))
        tile = image[top : max(top + 1, bottom), left : max(left + 1, right)]
        read[part] = _remap(tile, x[part] - np.float32(left), y[part] - np.float32(top), border)
    return read


def _remap(image: Image, x: Reals, y: Reals, border: int) -> Reals:
    read = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=border)
    return read.astype(np.float32, copy=False)
