"""Damaged areas: a mask's connected pieces as outlines with their size. Pure numpy and OpenCV, no device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class DamagedArea:
    """One connected piece of damage in frame pixels, as spalling or rust; its arrays are read-only."""

    outline_px: npt.NDArray[np.float32]
    """float32 (N, 2), N >= 3: the outer edge as a polygon that closes itself, x right and y down, along the outside of
    the piece's pixels; (0, 0) is the centre of the top-left pixel. Holes are not drawn."""
    middle_px: npt.NDArray[np.float32]
    """float32 (2,): mean x and y of the damaged pixels; of a ring it lies in its hole."""
    area_px: int
    """Pixels that are damaged; holes are not among them."""
    extent_px: float
    """Largest distance between two points of the outline, pixels."""
    perimeter_px: float
    """Length of the outline, holes not counted, pixels."""
    score: float
    """Mean score of the network over the damaged pixels, 0 to 1."""
    component: int
    """Number of the piece among those of its class and frame, from 0, largest first."""
    cut_by_frame: bool
    """True: it reaches the edge of the picture, so that all its sizes are lower bounds."""

    def __post_init__(self) -> None:
        if self.outline_px.ndim != 2 or self.outline_px.shape[1] != 2 or len(self.outline_px) < 3:
            raise ValueError(f"outline_px is (N, 2) with N >= 3, got {self.outline_px.shape}")
        known = (self.outline_px, self.middle_px, self.area_px, self.extent_px, self.perimeter_px, self.score)
        if not all(np.isfinite(value).all() for value in known):
            raise ValueError(f"a damaged area's numbers are finite, got {self}")
        self.outline_px.setflags(write=False)
        self.middle_px.setflags(write=False)
