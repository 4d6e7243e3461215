"""The nearest points of one line to those of another one, in little memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]

_AT_ONCE = 1 << 16
"""So many distances are held: those of two lines of 4,000 points would take hundreds of megabytes."""


def nearest_points(points: Points, others: Points) -> tuple[Points, npt.NDArray[np.intp]]:
    """How far each of ``points`` (N, 2) is from the nearest of ``others`` (M, 2), and which that is: (N,) each.

    M is 1 or more; of several as near it is the first.
    """
    distance, index = np.empty(len(points)), np.empty(len(points), np.intp)
    x, y = np.ascontiguousarray(others.T)
    rows = max(1, _AT_ONCE // len(others))
    for first in range(0, len(points), rows):
        part = slice(first, first + rows)
        apart = np.hypot(points[part, :1] - x, points[part, 1:] - y)
        index[part] = apart.argmin(axis=1)
        distance[part] = apart[np.arange(len(apart)), index[part]]
    return distance, index
