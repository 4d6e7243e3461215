"""From staircases of pixels to smooth centrelines: evenly spaced points, true lengths, ends where the mask ends."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edge.cracks.lines import Flags, Floats, Index, Lines
from edge.cracks.skeleton import Bits, Points

Reals = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8] | npt.NDArray[np.float32]

SPACING_PX = 3.0
"""Distance between the points that a crack is measured at."""

_REMAP_LIMIT = 32767  # cv2.remap keeps coordinates in 16 bits
_RAY_PX = 0.25


class Paths(NamedTuple):
    """Lines of at least two points each, one after the other."""

    xy: Points
    """float64 (N, 2), x right and y down."""
    rows: Lines
    closed: Flags
    """(L,): the line is a ring and repeats its first point at its end."""

    @classmethod
    def of(cls, lines: Sequence[Points], closed: Sequence[bool]) -> Paths:
        """Put ``lines``, each (n, 2), one after the other."""
        rows = Lines(np.array([len(line) for line in lines], np.intp))
        return cls(np.concatenate(lines), rows, np.array(closed, np.bool_))

    def only(self, lines: Flags) -> Paths:
        """Some ``lines`` (L,) of them."""
        if lines.all():
            return self
        rows, kept = self.rows.only(lines)
        return Paths(self.xy[kept], rows, self.closed[lines])


def lengths(paths: Paths) -> Floats:
    """Distance along its line from the first point to each point, float64 (N,), pixels."""
    along = np.zeros(len(paths.xy))
    steps = paths.xy[1:] - paths.xy[:-1]
    np.add.accumulate(sizes(steps), out=along[1:])
    return along if len(paths.closed) == 1 else along - along.take(paths.rows.first).take(paths.rows.owner)


def sizes(vectors: Points) -> Floats:
    """Length of each of ``vectors`` (N, 2)."""
    x, y = vectors.T
    return np.asarray(np.sqrt(x * x + y * y))


def interpolated(at: Floats | Index, along: Floats | Index, xy: Points) -> Points:
    """The points at ``at`` (M,) of the line whose points ``xy`` (N, 2) lie at ``along`` (N,): (M, 2)."""
    found = np.empty((len(at), 2))
    found[:, 0] = np.interp(at, along, xy[:, 0])
    found[:, 1] = np.interp(at, along, xy[:, 1])
    return found


def evenly(paths: Paths, spacing_px: float) -> Paths:
    """Put points at equal distances along each line, as near to ``spacing_px`` as its length allows, ends kept."""
    rows, along = paths.rows, lengths(paths)
    total = along.take(rows.last)
    steps = np.maximum(1, np.rint(total / spacing_px)).astype(np.intp)
    spread = Lines(steps + 1)
    at = np.minimum(spread.at * (total / steps).take(spread.owner), total.take(spread.owner))
    if len(total) > 1:
        before = (total + 1).cumsum() - total - 1  # the lines laid end to end, a pixel apart, are one to np.interp
        at, along = at + before.take(spread.owner), along + before.take(rows.owner)
    return Paths(interpolated(at, along, paths.xy), spread, paths.closed)


@functools.lru_cache(maxsize=64)
def _gauss(sigma: float) -> Floats:
    reach = int(np.ceil(3 * sigma))
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel: Floats = bell / bell.sum()
    kernel.setflags(write=False)
    return kernel


def smooth(values: Floats, rows: Lines, closed: Flags, sigma: float, *, hold_ends: bool = True) -> Floats:
    """Run a Gaussian of ``sigma`` samples along each line, over each column of float64 (N, K).

    A closed line (first sample = last) is continued round. An open one is continued by point reflection, which leaves
    its ends where they are, or, without ``hold_ends``, by its last value, which evens them out.
    """
    kernel = _gauss(sigma)
    reach = len(kernel) // 2
    longer = _continued(values, rows, closed, reach, hold_ends)
    found = np.empty((len(longer) - 2 * reach, longer.shape[1]))
    for column in range(longer.shape[1]):
        found[:, column] = np.convolve(longer[:, column], kernel, "valid")
    return np.asarray(rows.without(found, reach))


def _continued(values: Floats, rows: Lines, closed: Flags, reach: int, hold_ends: bool) -> Floats:
    """The lines with ``reach`` more samples at either end, as ``smooth`` says: (N + 2 * reach * L, K)."""
    rings = closed.any()
    if not (hold_ends or rings):
        return values.take(rows.held(reach), axis=0)
    owner, place = rows.longer(reach)
    last = (rows.count - 1).take(owner)
    first = rows.first.take(owner)
    if not hold_ends:
        at = np.where(closed[owner], place % last, np.minimum(np.maximum(place, 0), last))
        return values.take(first + at, axis=0)
    turn = place // last
    within = place - turn * last
    odd = (turn & 1).astype(np.bool_)
    if rings:
        odd &= ~closed[owner]
    begin, end = values.take(rows.first, axis=0), values.take(rows.last, axis=0)
    # Reflected about an end as often as it takes, a line goes on rising from one end to the other as it did before.
    folded = values.take(first + np.where(odd, last - within, within), axis=0)
    folded = np.where(odd[:, None], (begin + end).take(owner, axis=0) - folded, folded)
    return np.asarray(folded + turn[:, None] * (end - begin).take(owner, axis=0))


def trimmed(paths: Paths, start_px: Floats, end_px: Floats) -> Paths:
    """Cut a length (L,) off each end of each line; at least its middle two points stay."""
    rows, along = paths.rows, lengths(paths)
    first = rows.sums(along < start_px[rows.owner])
    last = rows.sums(along <= (along[rows.last] - end_px)[rows.owner]) - 1
    gone, middle = last - first < 1, rows.count // 2
    first = np.where(gone, np.maximum(0, middle - 1), first)
    last = np.where(gone, np.minimum(rows.count - 1, middle + 1), last)
    kept = (rows.at >= first[rows.owner]) & (rows.at <= last[rows.owner])
    return Paths(paths.xy[kept], Lines(last - first + 1), paths.closed)


def extended(paths: Paths, mask: Bits, starts: Flags, ends: Flags, reach_px: Floats) -> Paths:
    """Prolong lines straight on to the border of ``mask`` (uint8, 0 or 255), each at most by its ``reach_px`` (L,).

    ``starts`` and ``ends`` (L,) say which lines, at which end.
    """
    rows, along = paths.rows, lengths(paths)
    stretch = np.maximum(reach_px / 2, 6.0)  # the last stretch of a line says where it is heading
    tail = rows.first + rows.sums(along < (along[rows.last] - stretch)[rows.owner])
    head = rows.first + rows.sums(along <= stretch[rows.owner]) - 1
    line = np.concatenate((np.flatnonzero(starts), np.flatnonzero(ends)))
    number = np.count_nonzero(starts)
    at = np.concatenate((rows.first[starts], rows.last[ends]))
    inner = np.concatenate((head[starts], tail[ends]))
    tips, out = _tips(paths.xy[at], paths.xy[inner], mask, reach_px[line])
    before, after = np.zeros(len(starts), np.intp), np.zeros(len(starts), np.intp)
    before[line[:number][out[:number]]] = 1
    after[line[number:][out[number:]]] = 1
    wider = Lines(rows.count + before + after)
    xy = np.empty((len(wider.at), 2))
    xy[rows.at + (wider.first + before)[rows.owner]] = paths.xy
    xy[wider.first[before > 0]] = tips[:number][out[:number]]
    xy[wider.last[after > 0]] = tips[number:][out[number:]]
    return Paths(xy, wider, paths.closed)


def _tips(ends: Points, inner: Points, mask: Bits, reach_px: Floats) -> tuple[Points, Flags]:
    """Where straight lines from ``inner`` through ``ends`` (E, 2) leave the mask, and which end does not outside it."""
    if not len(ends):
        return ends, np.zeros(0, np.bool_)
    ahead = ends - inner
    size = sizes(ahead)
    ahead /= np.maximum(size, 1e-9)[:, None]
    count = np.ceil((reach_px + _RAY_PX) / _RAY_PX).astype(np.intp)
    step = np.arange(int(count.max())) * _RAY_PX
    x, y = (ends[:, k, None] + ahead[:, k, None] * step for k in (0, 1))
    inside = sample(mask, x.astype(np.float32), y.astype(np.float32), cv2.BORDER_CONSTANT)
    beyond = (inside < 127.5) | (np.arange(len(step)) >= count[:, None])
    k = np.where(beyond.any(axis=1), np.argmax(beyond, axis=1), len(step))
    leaves = k < count
    k = np.clip(np.where(leaves, k, count - 1), 1, None)
    each = np.arange(len(ends))
    here, there = inside[each, k - 1], inside[each, np.minimum(k, len(step) - 1)]
    share = np.divide(here - 127.5, here - there, out=np.ones(len(ends)), where=leaves & (here > there))
    return ends + ahead * (step[k - 1] + _RAY_PX * share)[:, None], (size > 0) & ~beyond[:, 0]


def simplified(paths: Paths, values: Floats, tolerance_px: float) -> tuple[Paths, Floats]:
    """Fewer points, still evenly spaced, none of the old ones further than ``tolerance_px`` from the new line.

    Each kept point carries the mean of ``values`` (N,) over its stretch, so the mean over points stays the mean along
    the line.
    """
    step = np.full(len(paths.closed), 4)
    kept, at = _spread(paths, step)
    for finer in (2, 1):
        x, y = (interpolated(np.arange(len(paths.xy)), at, kept.xy) - paths.xy).T
        far = np.logical_or.reduceat(x * x + y * y > tolerance_px**2, paths.rows.first)
        if not far.any():
            break
        step[far] = finer
        kept, at = _spread(paths, step)
    return kept, _stretch_means(paths, values, kept, at)


def _spread(paths: Paths, step: Index) -> tuple[Paths, Floats]:
    """Every ``step``-th (L,) point of each line, about, and where in its rows these lie."""
    rows = paths.rows
    steps = np.maximum(1, np.rint((rows.count - 1) / step)).astype(np.intp)
    spread = Lines(steps + 1)
    at = spread.at * ((rows.count - 1) / steps).take(spread.owner) + rows.first.take(spread.owner)
    at = np.minimum(at, rows.last.take(spread.owner))
    return Paths(interpolated(at, np.arange(len(paths.xy)), paths.xy), spread, paths.closed), at


def _stretch_means(paths: Paths, values: Floats, kept: Paths, at: Floats) -> Floats:
    """Means of ``values`` over the stretches nearest to the ``kept`` points at the rows ``at``."""
    rows, spread = paths.rows, kept.rows
    integral = np.zeros(len(values))
    np.cumsum((values[1:] + values[:-1]) / 2, out=integral[1:])  # what lies between two lines is never asked for
    half = ((at[spread.first + 1] - at[spread.first]) / 2)[spread.owner]
    low = np.maximum(at - half, rows.first[spread.owner])
    high = np.minimum(at + half, rows.last[spread.owner])
    index = np.arange(len(values))
    return np.asarray((np.interp(high, index, integral) - np.interp(low, index, integral)) / (high - low))


def sample(image: Image, x: Reals, y: Reals, border: int) -> Reals:
    """Read ``image`` (H, W) linearly between its pixels at ``x`` and ``y`` (N, M); float32 (N, M)."""
    if max(*image.shape, len(x)) < _REMAP_LIMIT:
        return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=border).astype(np.float32, copy=False)
    if len(x) > 1:
        half = len(x) // 2
        halves = [sample(image, x[part], y[part], border) for part in (np.s_[:half], np.s_[half:])]
        return np.concatenate(halves)
    left, top = (max(0, int(np.floor(v.min())) - 3) for v in (x, y))
    right, bottom = (int(np.ceil(v.max())) + 4 for v in (x, y))
    near = image[top : max(top + 1, bottom), left : max(left + 1, right)]
    return sample(near, x - np.float32(left), y - np.float32(top), border)
