"""Cracks: a mask's connected pieces as measured centrelines. Pure numpy and OpenCV, no device."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class Crack:
    """One crack branch in frame pixels; its arrays are read-only."""

    path_px: npt.NDArray[np.float32]
    """float32 (N, 2), N >= 2: centreline, x right and y down; (0, 0) is the centre of the top-left pixel. The
    points are evenly spaced, so a mean over points is one along the crack; a closed path repeats its first point."""
    length_px: float
    """Length along the centreline, pixels."""
    width_px: npt.NDArray[np.float32]
    """float32 (N,): width across the centreline at each point, pixels; NaN never: see ``width_method``."""
    width_sigma_px: float | None
    """Standard error of the mean width, pixels; None when it could not be estimated."""
    width_method: str
    """``profile``: read on the grey profile, sub-pixel; ``mask``: no valley in the profile, the mask's own width."""
    score: float
    """Mean score of the network along the centreline, 0 to 1."""
    component: int
    """Branches with the same number belong to one connected piece of the mask."""
    width_at_most_px: float | None = None
    """Upper bound of the mean width where it is below what the picture resolves (``width_px`` is then an estimate);
    None where the width is resolved or was read off the mask."""

    def __post_init__(self) -> None:
        if self.path_px.ndim != 2 or self.path_px.shape[1] != 2 or len(self.path_px) < 2:
            raise ValueError(f"path_px is (N, 2) with N >= 2, got {self.path_px.shape}")
        if self.width_px.shape != (len(self.path_px),):
            raise ValueError(f"width_px is ({len(self.path_px)},), got {self.width_px.shape}")
        numbers = (self.length_px, self.score, self.width_sigma_px or 0.0)
        if not (all(map(math.isfinite, numbers)) and all(np.isfinite(v).all() for v in (self.path_px, self.width_px))):
            raise ValueError(f"a crack's numbers are finite, got {self}")
        self.path_px.setflags(write=False)
        self.width_px.setflags(write=False)
