"""Which views of a crack are worth reading its profile in: those that add to what its width is known by.

Views of one crack share the lens, the light and the network, so together they are never stated better than half of the
best one's uncertainty (`record.CORRELATED`). Four views of a kind reach that. A further one adds where it is better
than all that were read, or shows the crack from another place: there other parts of it are in the frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge.surface.matching import project
from edge.surface.registration import Registered

FIRST = 4
"""The first views are read whatever they are: 1 / CORRELATED squared."""
BETTER = 1.25
"""A better view is read where its quality (`record.Best`) is this many times the best one's that was read, ..."""
ELSEWHERE = 0.25
"""... and another one where the frame moved by this share of its width since the crack was read last."""


@dataclass(slots=True)
class Readings:
    """The views in which one crack was read."""

    count: int = 0
    best: float = 0.0
    """Largest quality of these."""
    last: tuple[int, float, float] | None = None
    """Chart, and the middle of the frame on it, of the newest; None where that is not known."""

    def worth(self, quality: float, placed: Registered, shape: tuple[int, int]) -> bool:
        """Whether a view of that ``quality``, in a frame of ``shape`` (H, W) that lies at ``placed``, is to be read."""
        if self.count < FIRST or quality > BETTER * self.best or self.last is None or self.last[0] != placed.chart:
            return True
        x, y = _middle(placed, shape)
        return math.hypot(x - self.last[1], y - self.last[2]) >= ELSEWHERE * shape[1] * placed.unit_per_px

    def note(self, quality: float, placed: Registered, shape: tuple[int, int]) -> None:
        """The view was read."""
        self.count, self.best = self.count + 1, max(self.best, quality)
        self.last = (placed.chart, *_middle(placed, shape))


def _middle(placed: Registered, shape: tuple[int, int]) -> tuple[float, float]:
    x, y = project(placed.to_chart, np.array([[shape[1] / 2, shape[0] / 2]]))[0].tolist()
    return x, y
