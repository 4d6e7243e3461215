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
    rings = _rings(inside)
    outer = [ring for ring in rings if _area(ring) > 0]
    holes: list[list[Ring]] = [[] for _ in outer]
    bounds = [(ring.min(axis=0), ring.max(axis=0)) for ring in outer]
    for ring in rings:
        if _area(ring) > 0:
            continue
        low, high = ring.min(axis=0), ring.max(axis=0)
        owners = [
            k
            for k, (least, most) in enumerate(bounds)
            if (least <= low).all() and (most >= high).all() and _holds(outer[k], ring)
        ]
        holes[min(owners, key=lambda k: _area(outer[k]))].append(ring)
    return [(ring, *inner) for ring, inner in zip(outer, holes, strict=True)]


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
    # The four cells around each point of the lattice, (H + 1, W + 1).
    nw, ne, sw, se = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    corner = ((nw ^ ne) | (sw ^ se)) & ((nw ^ sw) | (ne ^ se))
    follow: dict[Corner, list[tuple[Corner, Corner]]] = {}
    # Above, to the right of, below and to the left of cells: where a straight piece of border begins, and where it
    # ends. Along its line every piece ends before the next one begins: both are found in the same order.
    for way, begins, ends in (
        ((1, 0), se & ~ne, sw & ~nw),
        ((0, 1), sw & ~se, nw & ~ne),
        ((-1, 0), nw & ~sw, ne & ~se),
        ((0, -1), ne & ~nw, se & ~sw),
    ):
        starts, stops = (_in_order(corner & at, by_column=way[0] == 0) for at in (begins, ends))
        for start, stop in zip(starts, stops, strict=True):
            follow.setdefault(start, []).append((stop, way))
    return follow


def _in_order(at: npt.NDArray[np.bool_], *, by_column: bool) -> list[Corner]:
    """The True places as (x, y), row by row or column by column."""
    if by_column:
        x, y = np.nonzero(at.T)
    else:
        y, x = np.nonzero(at)
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _area(ring: Ring) -> float:
    x, y = ring[:, 0], ring[:, 1]
    return 0.5 * float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1]))


def _holds(outer: Ring, inner: Ring) -> bool:
    """Whether a point just beside the hole's border lies in ``outer``."""
    middle = (inner[0] + inner[1]) / 2
    along = (inner[1] - inner[0]) / np.linalg.norm(inner[1] - inner[0])
    x, y = middle + 0.25 * np.array([-along[1], along[0]])
    return cv2.pointPolygonTest(outer.astype(np.float32), (float(x), float(y)), False) > 0
