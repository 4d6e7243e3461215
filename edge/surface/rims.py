"""Rims of holes: a short line that runs around a circle is not a crack, even if many views show it."""

from __future__ import annotations

import numpy as np

from edge.surface.lines import Line
from edge.surface.overlay import SPACING_PX

LONGEST_PX = 120.0
"""Longer lines are not asked: what runs so far is not decided by its shape."""
TURN_DEG = 100.0
"""A rim turns by more. Cracks that the same pictures show turn by less, or leave the circle."""
OFF_CIRCLE = 0.05
"""Points of a rim lie on its circle but for this share of its radius, root mean square."""
STILL_TURN_DEG = 80.0
STILL_OFF_CIRCLE = 0.08
"""What was a rim is one until it turns by less, or leaves the circle by more: its state is not to flicker."""


def is_rim(line: Line, *, was: bool) -> bool:
    """Whether a line runs around a circle: one way, at one radius, by more than TURN_DEG. ``was``: it was one before.

    The circle is that of least squares in x² + y² = 2ax + 2by + c (Kåsa). It needs no scale, so that a rim is told also
    where no range is known.
    """
    count = len(line.xy)
    if count < 5 or count * SPACING_PX > LONGEST_PX:
        return False
    xy = line.xy - line.xy.mean(axis=0)
    terms = np.column_stack([2 * xy, np.ones(count)])
    solved, _, rank, _ = np.linalg.lstsq(terms, (xy**2).sum(axis=1), rcond=None)
    if rank < 3:
        return False
    spokes = xy - solved[:2]
    radius = float(np.sqrt(solved[2] + (solved[:2] ** 2).sum()))
    if (
        float(np.sqrt(((np.hypot(*spokes.T) - radius) ** 2).mean()))
        > (STILL_OFF_CIRCLE if was else OFF_CIRCLE) * radius
    ):
        return False
    angle = np.unwrap(np.arctan2(spokes[:, 1], spokes[:, 0]))
    return bool(abs(angle[-1] - angle[0]) > np.radians(STILL_TURN_DEG if was else TURN_DEG))
