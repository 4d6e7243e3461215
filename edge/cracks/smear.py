"""How a picture moved on the sensor during its exposure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.cracks.lines import Floats
from edge.cracks.skeleton import Points


@dataclass(frozen=True, slots=True, eq=False)
class Smear:
    """The way that each point of a frame moved during the exposure; its array is read-only.

    The way is the same to and fro: only its direction and length matter.
    """

    way: npt.NDArray[np.float64]
    """float64 (2, 3): from a pixel (x, y, 1) to the way (dx, dy) that what it shows moved, pixels."""
    sigma_px: float
    """Standard uncertainty of that along each axis, pixels."""

    def __post_init__(self) -> None:
        if self.way.shape != (2, 3) or not np.isfinite(self.way).all():
            raise ValueError(f"a way is (2, 3) and finite, got {self.way}")
        if not 0 <= self.sigma_px < np.inf:
            raise ValueError(f"sigma_px is {self.sigma_px}, must be 0 or more")
        self.way.setflags(write=False)

    @classmethod
    def alike(cls, x_px: float, y_px: float, sigma_px: float) -> Smear:
        """All points move alike: ``x_px`` to the right and ``y_px`` down."""
        return cls(np.array([[0, 0, x_px], [0, 0, y_px]], np.float64), sigma_px)

    def seen_from(self, left: int, top: int) -> Smear:
        """The same in a window of the frame that begins at that pixel."""
        way = self.way.copy()
        way[:, 2] += self.way[:, :2] @ np.array([left, top], np.float64)
        return Smear(way, self.sigma_px)

    def across(self, xy: Points, normal: Points) -> Floats:
        """How far what lies at ``xy`` (N, 2) moved along the unit vectors ``normal`` (N, 2): (N,), 0 or more."""
        way = xy @ self.way[:, :2].T + self.way[:, 2]
        return np.asarray(np.abs((way * normal).sum(axis=1)))

    def length_at(self, x_px: float, y_px: float) -> float:
        """How far what lies at that pixel moved, pixels."""
        return float(np.hypot(*(self.way @ np.array([x_px, y_px, 1.0]))))
