"""Real masks on real photographs: what the tracing makes of borders that nobody drew with a ruler.

Run with ``SPANHAWK_DATA`` naming a folder that holds the sets below, each with ``images`` and ``masks``.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge.cracks.skeleton import thin
from edge.cracks.trace import Traced, TraceOptions, trace
from tests.cracks.drawn import mask_of

pytestmark = pytest.mark.realdata

SETS = ("deepcrack/test", "walls/val", "bridge_deck_gray/val", "masonry/val", "concrete_closeup/val")
PHOTOS = 12


def photographs(folder: Path) -> list[tuple[npt.NDArray[np.bool_], Traced]]:
    """A few photographs of a set, spread over it: the labelled mask and what was traced in it."""
    images = sorted((folder / "images").iterdir())
    found = []
    for image in images[:: max(1, len(images) // PHOTOS)][:PHOTOS]:
        label = cv2.imread(str(folder / "masks" / f"{image.stem}.png"), cv2.IMREAD_GRAYSCALE)
        rgb = cv2.imread(str(image), cv2.IMREAD_COLOR)
        assert label is not None
        assert rgb is not None
        mask = label > 127
        found.append((mask, trace(mask_of(mask, cv2.cvtColor(rgb, cv2.COLOR_BGR2RGB)), TraceOptions())))
    return found


@pytest.mark.parametrize("name", SETS)
def test_centrelines_follow_the_labels_and_widths_come_from_the_picture(name: str, real_photos: Path) -> None:
    on_mask, covered, profiles = [], [], []
    for mask, traced in photographs(real_photos / name):
        assert traced.left_out == 0
        near = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8))
        line = np.ones(mask.shape, np.uint8)
        for crack in traced.cracks:
            x, y = np.clip(np.rint(crack.path_px).astype(int), 0, np.array(mask.shape[::-1]) - 1).T
            on_mask.append(near[y, x].mean())
            profiles.append(crack.width_method == "profile")
            cv2.polylines(line, [np.rint(crack.path_px * 16).astype(np.int32)], False, 0, 1, cv2.LINE_8, 4)
        if traced.cracks:
            off = cv2.distanceTransform(line, cv2.DIST_L2, cv2.DIST_MASK_5)
            covered.append(float((off[thin(traced.reported().astype(np.uint8)) > 0] <= 4).mean()))
    assert np.mean(on_mask) > 0.98
    assert np.mean(covered) > 0.85
    assert np.mean(profiles) > 0.6
