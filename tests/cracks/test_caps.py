"""The caps on what is traced grow with the frame: a wall in one photo of 12 megapixels has many cracks."""

from __future__ import annotations

import numpy as np

from edge.cracks.trace import TraceOptions, trace
from tests.cracks.tracing import mask_of


def dashes(rows: int, columns: int) -> tuple[np.ndarray, int]:
    """Cracks of 30 by 3 px, side by side."""
    mask = np.zeros((rows, columns), bool)
    count = 0
    for top in range(4, rows - 4, 16):
        for left in range(4, columns - 34, 40):
            mask[top : top + 3, left : left + 30] = True
            count += 1
    return mask, count


def test_a_frame_of_a_megapixel_has_the_cap_itself():
    mask, count = dashes(800, 1200)
    result = trace(mask_of(mask), TraceOptions())
    assert count > 256
    assert len(result.cracks) == 256
    assert result.left_out == count - 256


def test_a_larger_frame_has_more_in_proportion():
    mask, count = dashes(1600, 2500)  # 4 megapixels
    result = trace(mask_of(mask), TraceOptions())
    assert count > 1024
    assert len(result.cracks) == 1024
    assert result.left_out == count - 1024
    assert TraceOptions().for_frame((3000, 4000)).max_branches == 3072
    assert TraceOptions().for_frame((240, 320)) == TraceOptions()
