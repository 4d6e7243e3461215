"""Compare a bundle with the float model it was made from, pixel by pixel, through the drone's own preprocessing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from edge.masks import preprocess
from models.data import read_rgb
from models.scoring import Scorer


def compare(first: Scorer, second: Scorer, pictures: Sequence[Path]) -> dict[str, float]:
    """Return how far the masks of two models differ at the threshold of the second (the bundle).

    `differing`: share of all pixels on which the masks differ. `mask_iou`: pixels in both masks over those in either (1
    where both are empty). `score_difference`: mean absolute difference of the scores, 0..1. Raises DataError for a
    picture that cannot be read.
    """
    level = preprocess.threshold_code(second.threshold)
    pixels = differing = either = 0
    apart = 0.0
    for path in tqdm(pictures, unit="image", mininterval=2):
        rgb = read_rgb(path)
        one, other = first.score(rgb), second.score(rgb)
        pixels += one.size
        differing += int(((one >= level) != (other >= level)).sum())
        either += int(((one >= level) | (other >= level)).sum())
        apart += float(np.abs(one.astype(np.float32) - other).sum()) / 255
    return {
        "images": len(pictures),
        "pixels": pixels,
        "differing": round(differing / pixels, 6),
        "mask_iou": round(1 - differing / either, 4) if either else 1.0,
        "score_difference": round(apart / pixels, 5),
    }
