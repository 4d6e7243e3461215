"""Which view shows a crack best: the one whose picture a person looks at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from edge.frames import RGB

BETTER = 1.25
"""A view with a picture gives way to one that is better by this factor: it bounds how many pictures a crack takes."""
BANDS = 24
"""A picture's sharpness is read along so many rows."""


@dataclass(frozen=True, slots=True)
class Best:
    """The view that shows a crack best."""

    frame_seq: int
    frame_name: str | None
    evidence_sha256: str | None
    quality: float
    """Visible length in pixels times sharpness; only its order means something."""
    gsd_mm_per_px: float | None

    def or_better(
        self,
        frame_seq: int,
        frame_name: str | None,
        quality: float,
        gsd_mm_per_px: float | None,
        picture: Callable[[], str | None],
        *,
        pictured: bool,
    ) -> Best:
        """The better one of this view and another; ``picture`` keeps that one's, ``pictured``: this one's is kept.

        A view with a picture beats every one without.
        """
        if pictured and quality <= BETTER * self.quality:
            return self
        sha256 = picture()
        if sha256 is None and (self.evidence_sha256 is not None or quality <= self.quality):
            return self
        return Best(frame_seq, frame_name, sha256, quality, gsd_mm_per_px)


def sharpness(rgb: RGB) -> float:
    """Mean absolute Laplacian along rows spread over the picture, grey levels; only its order means something."""
    height = rgb.shape[0]
    bands = range(0, height - 2, max(3, height // BANDS))
    rows = np.ascontiguousarray(rgb[[top + i for top in bands for i in range(3)], :, 1])
    bent = cv2.Laplacian(rows, cv2.CV_16S)[1::3]  # the other rows have a neighbour of another band
    return cv2.norm(bent, cv2.NORM_L1) / bent.size + 1e-3
