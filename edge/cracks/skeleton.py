"""A mask thinned to lines one pixel wide, without losing or joining a piece or a hole, and walked line by line.

Thinning is the two-step parallel algorithm of Guo and Hall (Parallel thinning with two-subiteration algorithms,
Communications of the ACM 32(3), 1989, algorithm A1), run on lists of border pixels only, so that its cost follows the
outline of the cracks and not the size of the frame. A last pass in four subfields (pixels of one subfield are never
neighbours, so removing simple points among them is safe at once) takes away the corners of staircases: after it every
pixel is an end, a crossing, or has exactly two neighbours that do not touch each other.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edge.cracks.walks import walked

Bits = npt.NDArray[np.uint8]
Index = npt.NDArray[np.intp]
Points = npt.NDArray[np.float64]

# Neighbours clockwise from north, (row, column); bit k of a pixel's code says whether neighbour k is set.
NEIGHBOURS = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))

_BITS = (np.arange(256)[:, None] >> np.arange(8) & 1).astype(np.bool_)
_DEGREE = _BITS.sum(axis=1)
_SEEN_FROM = (1 << (np.arange(8) + 4) % 8).astype(np.uint8)  # the bit that stands for a pixel in neighbour k's code
_EULER = np.zeros(256, np.intp)
"""What a pixel adds to pieces less holes, by its neighbour code: itself, less the pairs, plus the triples, less the
fours of touching pixels that it begins in reading order."""
for _code in range(256):
    _e, _se, _s, _sw = (_code >> _k & 1 for _k in (2, 3, 4, 5))
    _EULER[_code] = 1 - (_e + _se + _s + _sw) + (_e & _se) + (_e & _s) + (_se & _s) + (_s & _sw) - (_e & _se & _s)


class _Tables(NamedTuple):
    """What to do with a pixel, by its neighbour code."""

    thin: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]
    """Removed by the first and the second half-step of Guo and Hall."""
    corner: npt.NDArray[np.bool_]
    """Removable without changing the topology, and no end: the corner of a staircase."""


@functools.lru_cache(maxsize=1)
def _tables() -> _Tables:
    code = np.arange(256)
    n, ne, e, se, s, sw, w, nw = ((code >> k & 1).astype(bool) for k in range(8))
    crossings = _count(~a & (b | c) for a, b, c in ((n, ne, e), (e, se, s), (s, sw, w), (w, nw, n)))
    pairs_a = _count(a | b for a, b in ((nw, n), (ne, e), (se, s), (sw, w)))
    pairs_b = _count(a | b for a, b in ((n, ne), (e, se), (s, sw), (w, nw)))
    fewest = np.minimum(pairs_a, pairs_b)
    removable = (crossings == 1) & (fewest >= 2) & (fewest <= 3)
    first, second = removable & ~((s | sw | ~nw) & w), removable & ~((n | ne | ~se) & e)
    return _Tables((first, second), (crossings == 1) & (_count((n, ne, e, se, s, sw, w, nw)) >= 2))


def _count(flags: Iterable[npt.NDArray[np.bool_]]) -> npt.NDArray[np.int64]:
    return np.asarray(np.array(list(flags)).sum(axis=0), np.int64)


class Canvas:
    """A mask with a frame of zeros around it, as a flat array, and every set pixel's neighbour code kept up to date."""

    def __init__(self, mask: Bits, pixels: Index | None = None) -> None:
        """``pixels``: flat indices of what is set in ``mask``, in rising order; None: they are looked for."""
        padded = np.asarray(cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0), np.uint8)
        self.columns = padded.shape[1]
        self.pixels: Bits = padded.ravel()
        self.steps = np.array([row * self.columns + column for row, column in NEIGHBOURS], np.intp)
        if pixels is None:
            self.set: Index = np.flatnonzero(self.pixels.view(bool))
        else:
            self.set = pixels + 2 * (pixels // mask.shape[1]) + self.columns + 1
        self.code: Bits = np.zeros(self.pixels.size, np.uint8)
        code = np.zeros(self.set.size, np.uint8)
        for k, step in enumerate(self.steps.tolist()):
            code |= self.pixels.take(self.set + step) << k
        self.code[self.set] = code
        self._seen_from = np.tile(_SEEN_FROM, self.set.size)
        self._stamp = np.empty(self.pixels.size, np.int32)  # touched only where used

    def clear(self, pixels: Index) -> None:
        """Remove ``pixels`` (no repeats) and tell their neighbours."""
        self.pixels[pixels] = 0
        # A neighbour that is set has this pixel's bit set; what becomes of the codes of other pixels, nobody reads.
        np.subtract.at(self.code, (pixels[:, None] + self.steps).ravel(), self._seen_from[: 8 * pixels.size])

    def alive(self, pixels: Index) -> Index:
        """Those of ``pixels`` that are still set, each once."""
        kept = self.still_set(pixels)
        order = np.arange(kept.size, dtype=np.int32)
        self._stamp[kept] = order
        unique: Index = kept[self._stamp.take(kept) == order]
        return unique

    def still_set(self, pixels: Index) -> Index:
        """Those of ``pixels`` that are still set."""
        return np.asarray(pixels[self.pixels.take(pixels).view(bool)])

    def thin(self) -> None:
        """Leave nothing but the skeleton."""
        _peel(self)
        self.set = self.still_set(self.set)
        _round_corners(self)

    @property
    def pieces_less_holes(self) -> int:
        """Pieces, by eight neighbours, less the holes in them: the Euler number."""
        return int(_EULER.take(self.code.take(self.set)).sum())

    @property
    def degree(self) -> Index:
        """How many neighbours each set pixel has."""
        return np.asarray(_DEGREE.take(self.code.take(self.set)))

    def numbers(self, pixels: Index) -> Index:
        """The place in ``set`` of each of ``pixels``, which are all in it."""
        self._stamp[self.set] = np.arange(self.set.size, dtype=np.int32)
        return self._stamp.take(pixels).astype(np.intp)

    def window_index(self) -> Index:
        """Flat indices of the set pixels in the mask without its frame of zeros."""
        rows, columns = np.divmod(self.set, self.columns)
        return np.asarray((rows - 1) * (self.columns - 2) + columns - 1)


def thin(mask: Bits) -> Bits:
    """Thin ``mask``, uint8 (H, W) of 0 and 1, to its skeleton of the same kind; an empty mask gives an empty one."""
    canvas = Canvas(mask)
    canvas.thin()
    framed = canvas.pixels.reshape(-1, canvas.columns)
    return np.ascontiguousarray(framed[1:-1, 1:-1])


def _peel(canvas: Canvas) -> None:
    """Remove border pixels, half-step by half-step, until two in a row change nothing.

    Only a pixel with an empty neighbour to the north, east, south or west can go, so the list to look at is the
    border and whatever the last half-step laid bare on these four sides.
    """
    tables, sides = _tables().thin, canvas.steps[::2]
    look: Index = canvas.set[canvas.code.take(canvas.set) != 255]
    half, idle = 0, 0
    while idle < 2:
        goes = tables[half].take(canvas.code.take(look))
        gone: Index = look[goes]
        canvas.clear(gone)
        look = canvas.alive(np.concatenate((look[~goes], (gone[:, None] + sides).ravel()))) if gone.size else look
        half, idle = 1 - half, 0 if gone.size else idle + 1


def _round_corners(canvas: Canvas) -> None:
    corner = _tables().corner
    left = canvas.set
    changed = True
    while changed:
        changed = False
        subfield = left // canvas.columns % 2 * 2 + left % canvas.columns % 2
        for k in range(4):
            candidates: Index = left[subfield == k]
            gone: Index = candidates[corner[canvas.code[candidates]]]
            canvas.clear(gone)
            changed |= gone.size > 0
        left = canvas.still_set(left)
    canvas.set = left


class Skeleton:
    """The pixels of a thinned mask and who touches whom.

    A pixel with one neighbour is an end, with two part of a line, with more part of a junction.
    """

    def __init__(self, canvas: Canvas) -> None:
        """``canvas``: thinned."""
        step = np.flatnonzero(_BITS.take(canvas.code.take(canvas.set), axis=0))
        rows, columns = np.divmod(canvas.set, canvas.columns)
        self.xy: Points = np.column_stack((columns - 1, rows - 1)).astype(np.float64)
        """float64 (N, 2): x right, y down, of every pixel."""
        self.degree: Index = canvas.degree
        """How many neighbours each pixel has."""
        self._owner: Index = step >> 3
        self._neighbours: Index = canvas.numbers(canvas.set.take(self._owner) + canvas.steps.take(step & 7))
        self.cluster: Index = self._clusters()
        """The junction a pixel belongs to, named by its smallest pixel number; any other pixel's own number."""

    def _clusters(self) -> Index:
        owner, cluster = self._owner, np.arange(len(self.degree))
        junction = self.degree > 2
        touching = junction[owner] & junction[self._neighbours]
        a, b = owner[touching], self._neighbours[touching]
        while (cluster[a] != cluster[b]).any():
            np.minimum.at(cluster, a, cluster[b])
        return cluster

    def lines(self) -> list[tuple[Index, bool]]:
        """Every line as pixel numbers, its ends or junction pixels included, and whether it is a closed loop.

        A loop repeats its first pixel at the end. A single pixel is a line of one.
        """
        return walked(self.degree, self._owner, self._neighbours, self.cluster)
