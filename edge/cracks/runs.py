"""Connected pieces of a mask from its pixels alone: what it costs follows the damage and not the size of the frame.

A labelled picture of a 12-megapixel frame is 48 MB to write and to read; a crack is some ten thousand pixels.
"""

from __future__ import annotations

import numpy as np

from edge.cracks.lines import Index


def numbered(pixels: Index, columns: int) -> Index:
    """Number of the piece, 8-connected, of each of ``pixels`` (P,): from 0, in reading order of their first pixels.

    ``pixels``: flat indices, in rising order, into an array with that many ``columns``.
    """
    if not pixels.size:
        return pixels
    begins = np.ones(len(pixels), np.bool_)
    begins[1:] = (pixels[1:] - pixels[:-1] != 1) | (pixels[1:] % columns == 0)
    starts = np.flatnonzero(begins)
    first, last = pixels[starts], pixels[np.append(starts[1:], len(pixels)) - 1]
    above, below = _touching(first, last, columns)
    piece = _joined(len(starts), above, below)
    run = np.cumsum(begins) - 1
    return np.asarray(piece[run])


def _touching(first: Index, last: Index, columns: int) -> tuple[Index, Index]:
    """Pairs of runs in neighbouring rows that touch, the upper one and the lower one; corners count."""
    next_row = (first // columns + 1) * columns
    left = np.maximum(first + columns - 1, next_row)
    right = np.minimum(last + columns + 1, next_row + columns - 1)
    begin, end = np.searchsorted(last, left), np.searchsorted(first, right, side="right")
    count = np.maximum(0, end - begin)
    upper = np.repeat(np.arange(len(first)), count)
    within = np.arange(len(upper)) - np.repeat(np.cumsum(count) - count, count)
    return upper, begin[upper] + within


def _joined(count: int, a: Index, b: Index) -> Index:
    """The set that each of ``count`` things belongs to when ``a`` and ``b`` are pairs of one set each; numbered from 0.

    Every set's smallest member is its root: pairs hang the larger root below the smaller one, then all paths are cut
    short to their roots, until no pair has two.
    """
    root = np.arange(count)
    while a.size:
        low, high = np.minimum(root[a], root[b]), np.maximum(root[a], root[b])
        np.minimum.at(root, high, low)
        while (shorter := root[root]).tobytes() != root.tobytes():
            root = shorter
        apart = root[a] != root[b]
        a, b = a[apart], b[apart]
    is_root = root == np.arange(count)
    return np.asarray((np.cumsum(is_root) - 1)[root])
