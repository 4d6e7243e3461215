"""Outlines of cells along their own borders: what is drawn covers each cell wholly and no other one.

OpenCV's contours run through the middles of pixels and would leave a gap of a cell between two classes.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Ring = npt.NDArray[np.float64]
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
    padded = np.pad(inside, 1)
    follow: dict[tuple[int, int], list[tuple[int, int]]] = {}
    # One border after the other: above, below, left and right of a cell, each with its direction.
    for (dy, dx), (start, stop) in (
        ((-1, 0), ((0, 0), (1, 0))),
        ((0, 1), ((1, 0), (1, 1))),
        ((1, 0), ((1, 1), (0, 1))),
        ((0, -1), ((0, 1), (0, 0))),
    ):
        beside = padded[1 + dy : padded.shape[0] - 1 + dy, 1 + dx : padded.shape[1] - 1 + dx]
        for y, x in np.argwhere(inside & ~beside).tolist():
            follow.setdefault((x + start[0], y + start[1]), []).append((x + stop[0], y + stop[1]))
    rings = []
    while follow:
        first = here = next(iter(follow))
        way, walk = (0, 0), [first]
        while True:
            choices = follow[here]
            # Where two cells touch at a corner only: turn so that each keeps its own ring.
            right = (here[0] - way[1], here[1] + way[0])
            there = right if len(choices) > 1 and right in choices else choices[0]
            choices.remove(there)
            if not choices:
                del follow[here]
            step = there[0] - here[0], there[1] - here[1]
            if step == way:
                walk[-1] = there
            else:
                walk.append(there)
            way, here = step, there
            if here == first:
                break
        rings.append(np.array(walk, np.float64))
    return rings


def _area(ring: Ring) -> float:
    x, y = ring[:, 0], ring[:, 1]
    return 0.5 * float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1]))


def _holds(outer: Ring, inner: Ring) -> bool:
    """Whether a point just beside the hole's border lies in ``outer``."""
    middle = (inner[0] + inner[1]) / 2
    along = (inner[1] - inner[0]) / np.linalg.norm(inner[1] - inner[0])
    x, y = middle + 0.25 * np.array([-along[1], along[0]])
    return cv2.pointPolygonTest(outer.astype(np.float32), (float(x), float(y)), False) > 0
