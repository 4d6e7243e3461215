"""One line put at the end of another one: what both have is kept once, and nothing of theirs is lost."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.surface.lines import READING, UNMARKED, Line, directions, evenly
from edge.surface.nearest import nearest_points
from edge.surface.overlay import SPACING_PX

ALONG_COSINE = 0.8
BESIDE_PX = 45.0
"""Of a line that is joined to another, what runs along that one no farther off is dropped."""
DROPPED_PX, DROPPED_SHARE = 60.0, 0.35
"""Two lines are not joined where more than so many pixels, and more than this share, of the younger would be lost."""


def append(older: Line, younger: Line, gap_px: float) -> bool:
    """Put what the younger line has beyond the older one's ends to it; what lies beside it is dropped.

    False, and nothing is changed: what belongs to neither end is too much to be dropped.
    """
    ends = [
        (float(np.hypot(*(older.xy[0 if a == 0 else -1] - younger.xy[0 if b == 0 else -1]))), a, b)
        for a in (0, 1) for b in (0, 1)
    ]  # fmt: skip
    _, side, other = min(ends)
    away = younger.xy if other == 0 else younger.xy[::-1]
    marks = younger.last if other == 0 else younger.last[::-1]
    read = younger.read if other == 0 else younger.read[::-1]
    distance, at = nearest_points(away, older.xy)
    # What runs along the older line is it once more, and would fold it back on itself; its ends' points run past it.
    along = np.abs((directions(away) * directions(older.xy)[at]).sum(axis=1)) >= ALONG_COSINE
    inner = (at > 0) & (at < len(older.xy) - 1)
    beside = inner & along & (distance <= BESIDE_PX * older.step / SPACING_PX)
    runs = gaps((distance <= 2 * older.step) | beside)
    left = sum(last - first for first, last in runs)
    most = max(DROPPED_PX / SPACING_PX, DROPPED_SHARE * len(away))
    if not runs:
        return True
    first, last = max(runs, key=lambda run: run[1] - run[0])
    piece, end = away[first:last], older.xy[0 if side == 0 else -1]
    far = float(np.hypot(*(piece[0] - end)))
    if far > gap_px * older.step / SPACING_PX + 3 * older.step:
        return left <= most  # it leaves the older line somewhere in the middle: nothing that belongs to its end
    if left - (last - first) > most:
        return False
    marks, read = marks[first:last], read[first:last]
    if far > 1.5 * older.step:  # a faint stretch between the two: a straight line over it
        bridge = evenly(np.array([end, piece[0]]), older.step)[1:-1]
        piece = np.concatenate([bridge, piece])
        marks = np.concatenate([np.full(len(bridge), UNMARKED), marks])
        read = np.concatenate([np.zeros((len(bridge), READING), np.float32), read])
    older.extend(side, piece, marks, read)
    older.tidy()
    return True


def gaps(taken: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of False as (first, one past the last)."""
    if taken.all():
        return []
    edges = np.flatnonzero(np.diff(np.concatenate([[1], taken.astype(np.int8), [1]]))).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))
