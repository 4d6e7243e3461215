"""What the reporting filter would hold back at other limits, so that one can be chosen with every new bundle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from edge.cracks.plausible import ReportOptions, Sifted, sift, traced
from edge.masks import preprocess
from models import DataError, Example, metrics
from models.data import plane, read_examples
from models.scoring import Scorer, measure_of


def sweep(scorer: Scorer, examples: Sequence[Example], limits_px: Sequence[float]) -> list[dict[str, Any]]:
    """Count, for each ``[report] sure_length_px``, what of all ``examples`` together would be reported.

    Pictures whose truth is empty are crack-free. ``found``: cracked pictures with a reported pixel within 2 px of the
    truth; ``true_pixels_lost``: share of the true pixels within 2 px of what is traced that are not within 2 px of what
    is reported, None where nothing true is traced; ``pieces_false``: reported pieces in cracked pictures of which no
    pixel lies within 2 px of the truth; ``fires``: crack-free pictures with any report. Raises DataError for a picture
    or mask that cannot be used, for a negative limit, and where what is scored is measured as areas.
    """
    if measure_of(scorer) == "area":
        raise DataError(
            f"{scorer.name}: the class is measured as areas, and [report] sure_length_px holds back lines alone; name "
            "a class of lines with --class, if the model knows one."
        )
    try:
        options = [ReportOptions(sure_length_px=limit) for limit in limits_px]
    except ValueError as error:
        raise DataError(f"--px: {error}.") from error
    level = preprocess.threshold_code(scorer.threshold)
    names = ("cracked", "found", "near_true", "pieces_true", "pieces_false", "crack_free", "fires")
    sums = [dict.fromkeys(names, 0) for _ in options]
    near_traced = 0
    for _, rgb, mask in read_examples(tqdm(examples, unit="image", mininterval=2), must_show=False):
        truth = plane(mask, 0) > 0
        whole = traced(scorer.score(rgb), rgb, level)
        near_traced += _near(whole.reported(), truth)
        for total, one in zip(sums, options, strict=True):
            for name, value in _counted(sift(whole, one), truth).items():
                total[name] += value
    return [_row(limit, total, near_traced) for limit, total in zip(limits_px, sums, strict=True)]


def _row(limit_px: float, total: dict[str, int], near_traced: int) -> dict[str, Any]:
    kept = total.pop("near_true")
    lost = round(1 - kept / near_traced, 5) if near_traced else None
    return {"sure_length_px": limit_px, **total, "true_pixels_lost": lost}


def _counted(kept: Sifted, truth: npt.NDArray[np.bool_]) -> dict[str, int]:
    if not truth.any():
        return {"crack_free": 1, "fires": int(bool(kept.traced.cracks))}
    near = metrics.grow(truth, metrics.EDGE_TOLERANCE_PX).reshape(-1)[kept.traced.pixels]
    pieces = np.unique(kept.traced.component)
    true = np.unique(kept.traced.component[near])
    return {
        "cracked": 1, "found": int(true.size > 0), "near_true": _near(kept.traced.reported(), truth),
        "pieces_true": int(true.size), "pieces_false": int(pieces.size - true.size),
    }  # fmt: skip


def _near(predicted: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> int:
    return int((truth & metrics.grow(predicted, metrics.EDGE_TOLERANCE_PX)).sum())
