"""Drawn figures, traced."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.cracks.trace import Traced, TraceOptions, trace
from tests.cracks.drawn import Floats, mask_of, picture

Bools = npt.NDArray[np.bool_]
OPTIONS = TraceOptions()
EVERYTHING = TraceOptions(min_length_px=2, min_area_px=1, min_elongation=0)


def traced(share: Floats, options: TraceOptions = OPTIONS, **how: float) -> Traced:
    """Trace a drawn picture, its mask being the pixels at least half covered."""
    return trace(mask_of(share >= 0.5, picture(share, **how)), options)  # type: ignore[arg-type]
