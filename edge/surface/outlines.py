"""Outlines of cells along their own borders: what is drawn covers each cell wholly and no other one.

OpenCV's contours run through the middles of pixels and would leave a gap of a cell between two classes.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Ring = npt.NDArray[np.float64]
Corner = tuple[int, int]
Polygon = tuple[Ring, ...]
"""The outer ring, counter-clockwise where y points up the page (RFC 7946 in a frame whose y points down: see rings),
then its holes the other way round; every ring is closed and float64 (N, 2), x and y in cells."""


def outlines(inside: npt.NDArray[np.bool_]) -> list[Polygon]:
    """The outlines of the True cells (H, W); cell (x, y) covers x to x + 1 and y to y + 1.

    Cells that touch at a corner only belong to different outlines.
    """
    rings = [(ring, _area(ring)) for ring in _rings(inside)]
    outer = [(ring, area) for ring, area in rings if area > 0]
    holes: list[list[Ring]] = [[] for _ in outer]
    if len(outer) < len(rings):
        least, most = (np.array([end(ring) for ring, _ in outer]) for end in (_low, _high))
        for ring in (ring for ring, area in rings if area <= 0):
            around = (least <= _low(ring)).all(axis=1) & (most >= _high(ring)).all(axis=1)
            owners = (k for k in np.flatnonzero(around).tolist() if _holds(outer[k][0], ring))
            holes[min(owners, key=lambda k: outer[k][1])].append(ring)
    return [(ring, *inner) for (ring, _), inner in zip(outer, holes, strict=True)]


def _rings(inside: npt.NDArray[np.bool_]) -> list[Ring]:
    """Closed walks along the borders, cells to the left of the way when y points up: outer rings have area above 0."""
    follow = _follow(inside)
    rings = []
    while follow:
        first = here = next(iter(follow))
        way, walk = (0, 0), [first]
        while True:
            choices = follow[here]
            # Where two cells touch at a corner only: turn to the right so that each keeps its own ring.
            right = -way[1], way[0]
            there, way = next((one for one in choices if one[1] == right), choices[0])
            choices.remove((there, way))
            if not choices:
                del follow[here]
            walk.append(there)
            here = there
            if here == first:
                break
        rings.append(np.array(walk, np.float64))
    return rings


def _follow(inside: npt.NDArray[np.bool_]) -> dict[Corner, list[tuple[Corner, Corner]]]:
    """From each corner of a border the next ones, and the ways (x, y) to them; two where cells touch at it only."""
    padded = np.pad(inside, 1)
    # The four cells around each point of the lattice, (H + 1, W + 1); a border turns where neither pair is alike.
    cells = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    nw, ne, sw, se = cells
    y, x = np.divmod(np.flatnonzero(((nw ^ ne) | (sw ^ se)) & ((nw ^ sw) | (ne ^ se))), padded.shape[1] - 1)
    nw, ne, sw, se = (cell[y, x] for cell in cells)
    points = list(zip(x.tolist(), y.tolist(), strict=True))
    by_row, by_column = np.arange(len(x)), np.argsort(x, kind="stable")
    follow: dict[Corner, list[tuple[Corner, Corner]]] = {}
    # Above, to the right of, below and to the left of cells: where a straight piece of border begins, and where it
    # ends. Along its line every piece ends before the next one begins: both are found in the same order.
    for way, order, begins, ends in (
        ((1, 0), by_row, se & ~ne, sw & ~nw),
        ((0, 1), by_column, sw & ~se, nw & ~ne),
        ((-1, 0), by_row, nw & ~sw, ne & ~se),
        ((0, -1), by_column, ne & ~nw, se & ~sw),
    ):
        starts, stops = order[begins[order]].tolist(), order[ends[order]].tolist()
        for start, stop in zip(starts, stops, strict=True):
            follow.setdefault(points[start], []).append((points[stop], way))
    return follow


def _low(ring: Ring) -> Ring:
    return np.asarray(ring.min(axis=0), np.float64)


def _high(ring: Ring) -> Ring:
    return np.asarray(ring.max(axis=0), np.float64)


def _area(ring: Ring) -> float:
    x, y = ring[:, 0], ring[:, 1]
    return 0.5 * float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1]))


def _holds(outer: Ring, inner: Ring) -> bool:
    """Whether a point just beside the hole's border lies in ``outer``."""
    middle = (inner[0] + inner[1]) / 2
    along = (inner[1] - inner[0]) / np.linalg.norm(inner[1] - inner[0])
    x, y = middle + 0.25 * np.array([-along[1], along[0]])
    return cv2.pointPolygonTest(outer.astype(np.float32), (float(x), float(y)), False) > 0
