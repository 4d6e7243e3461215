"""Crack-class scores of binary masks, counted per picture so that they can be pooled, averaged and bootstrapped.

All scores are about the crack class alone; a mean over crack and background would flatter every model by 10 points or
more. Pooled scores sum the counts over all pictures first (Liu et al. 2019, DeepCrack, Neurocomputing 338: 139-153, at
one fixed threshold). Per-picture scores average over the pictures that hold a crack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
import numpy.typing as npt

from edge.cracks.skeleton import thin

Bool = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

EDGE_TOLERANCE_PX = 2
LINE_TOLERANCE_PX = 4
BLOB_PX = 100
"""A crack-free picture counts as firing with a blob when one connected false patch has at least this many pixels."""
RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What one picture contributes; pixel counts of the crack class."""

    pixels: int
    true_positive: int
    false_positive: int
    false_negative: int
    near_predicted: int
    """Predicted pixels within 2 px of truth."""
    near_true: int
    """True pixels within 2 px of the prediction."""
    line_true_positive: int
    """True centreline pixels within 4 px of the predicted centreline."""
    line_false_positive: int
    line_false_negative: int
    largest_blob: int
    """Pixels of the largest connected predicted patch."""


def count(predicted: Bool, truth: Bool) -> Counts:
    """Compare two masks of the same size. Raises ValueError where sizes differ."""
    if predicted.shape != truth.shape:
        raise ValueError(f"the prediction is {predicted.shape} but the truth is {truth.shape}")
    both = int((predicted & truth).sum())
    line, true_line = centreline(predicted), centreline(truth)
    line_hits = int((true_line & grow(line, LINE_TOLERANCE_PX)).sum())
    return Counts(
        pixels=truth.size,
        true_positive=both,
        false_positive=int(predicted.sum()) - both,
        false_negative=int(truth.sum()) - both,
        near_predicted=int((predicted & grow(truth, EDGE_TOLERANCE_PX)).sum()),
        near_true=int((truth & grow(predicted, EDGE_TOLERANCE_PX)).sum()),
        line_true_positive=line_hits,
        line_false_positive=int((line & ~grow(true_line, LINE_TOLERANCE_PX)).sum()),
        line_false_negative=int(true_line.sum()) - line_hits,
        largest_blob=_largest_blob(predicted),
    )


def grow(mask: Bool, radius_px: int) -> Bool:
    """Dilate by a disk: all pixels whose centre lies within `radius_px` of a mask pixel."""
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disk(radius_px)) > 0)


def disk(radius_px: int) -> npt.NDArray[np.uint8]:
    """0/1 (2 * radius_px + 1, the same): 1 where the centre lies within `radius_px` of the middle one's."""
    across = np.arange(-radius_px, radius_px + 1)
    return (across[:, None] ** 2 + across[None] ** 2 <= radius_px**2).astype(np.uint8)


def centreline(mask: Bool) -> Bool:
    """Thin a mask to lines one pixel wide."""
    return thin(mask.astype(np.uint8)) > 0


def precision(c: Floats) -> Floats:
    """TP / (TP + FP); 0 where nothing was predicted."""
    return _ratio(_of(c, "true_positive"), _of(c, "true_positive") + _of(c, "false_positive"))


def recall(c: Floats) -> Floats:
    """TP / (TP + FN)."""
    return _ratio(_of(c, "true_positive"), _of(c, "true_positive") + _of(c, "false_negative"))


def f1(c: Floats) -> Floats:
    """2 TP / (2 TP + FP + FN); the same number as Dice on binary masks."""
    double = 2 * _of(c, "true_positive")
    return _ratio(double, double + _of(c, "false_positive") + _of(c, "false_negative"))


def iou(c: Floats) -> Floats:
    """TP / (TP + FP + FN): IoU of the crack class, not the mean over two classes."""
    hit = _of(c, "true_positive")
    return _ratio(hit, hit + _of(c, "false_positive") + _of(c, "false_negative"))


def f1_2px(c: Floats) -> Floats:
    """F1 with a tolerance: a pixel is right when a pixel of the other mask lies within 2 px (a disk).

    Precision over predicted and recall over true pixels, as in the CrackForest protocol (Shi et al. 2016, IEEE T-ITS
    17: 3434-3445, which allows 5 px).
    """
    p = _ratio(_of(c, "near_predicted"), _of(c, "true_positive") + _of(c, "false_positive"))
    r = _ratio(_of(c, "near_true"), _of(c, "true_positive") + _of(c, "false_negative"))
    return _ratio(2 * p * r, p + r)


def cl_iou_4px(c: Floats) -> Floats:
    """Centreline IoU with 4 px tolerance, as defined with OmniCrack30k (Benz and Rodehorst 2024, CVPR Workshops).

    Both masks are thinned. TP are true line pixels within 4 px of the predicted line, FN the other true ones, FP
    predicted line pixels farther than 4 px from the true line; TP / (TP + FP + FN).
    """
    hit = _of(c, "line_true_positive")
    return _ratio(hit, hit + _of(c, "line_false_positive") + _of(c, "line_false_negative"))


POOLED: Mapping[str, Callable[[Floats], Floats]] = {
    "precision": precision, "recall": recall, "f1": f1, "iou": iou, "dice": f1,
    "f1_2px": f1_2px, "cl_iou_4px": cl_iou_4px,
}  # fmt: skip
"""Scores of counts; each takes (..., fields of Counts) and returns (...)."""


def report(counts: Sequence[Counts], seed: int = 0) -> dict[str, object]:
    """Score pictures with masks: pooled over all of them, and averaged over those that hold a crack.

    Each score is {value, low, high}: low and high bound the 95 % percentile interval of 1,000 bootstrap resamples of
    the pictures (Efron 1979). Scores are null where no picture holds a crack.
    """
    if not counts:
        return {"images": 0, "images_with_crack": 0, "pixels": 0, "pooled": None, "per_image": None}
    table = _table(counts)
    cracked = table[_of(table, "true_positive") + _of(table, "false_negative") > 0]
    found: dict[str, object] = {
        "images": len(table), "images_with_crack": len(cracked), "pixels": int(_of(table, "pixels").sum())
    }  # fmt: skip
    if not len(cracked):
        return {**found, "pooled": None, "per_image": None}
    rng = np.random.default_rng(seed)
    drawn = table[rng.integers(len(table), size=(RESAMPLES, len(table)))].sum(axis=1)
    found["pooled"] = {name: interval(float(score(table.sum(axis=0))), score(drawn)) for name, score in POOLED.items()}
    again = rng.integers(len(cracked), size=(RESAMPLES, len(cracked)))
    found["per_image"] = {
        name: interval(float(score(cracked).mean()), score(cracked)[again].mean(axis=1))
        for name, score in POOLED.items()
    }
    return found


def report_crack_free(counts: Sequence[Counts], seed: int = 0) -> dict[str, object]:
    """Score crack-free pictures: how many fire with at least one pixel, and with a blob of at least 100 px.

    Returns images, fires and fires_blob as counts, and the shares as {value, low, high} like `report`.
    """
    if not counts:
        return {"images": 0, "fires": 0, "fires_blob": 0, "share": None, "share_blob": None}
    table = _table(counts)
    fires, blob = _of(table, "false_positive") > 0, _of(table, "largest_blob") >= BLOB_PX
    again = np.random.default_rng(seed).integers(len(table), size=(RESAMPLES, len(table)))
    return {
        "images": len(table),
        "fires": int(fires.sum()),
        "fires_blob": int(blob.sum()),
        "share": interval(float(fires.mean()), fires[again].mean(axis=1)),
        "share_blob": interval(float(blob.mean()), blob[again].mean(axis=1)),
    }


def report_found(counts: Sequence[Counts], seed: int = 0) -> dict[str, object]:
    """Score pictures that hold a crack: how many are found, with at least one predicted pixel within 2 px of it.

    Returns images and found as counts, and the share as {value, low, high} like `report`; null where there is none.
    """
    if not counts:
        return {"images": 0, "found": 0, "share": None}
    found = _of(_table(counts), "near_predicted") > 0
    again = np.random.default_rng(seed).integers(len(found), size=(RESAMPLES, len(found)))
    share = interval(float(found.mean()), found[again].mean(axis=1))
    return {"images": len(found), "found": int(found.sum()), "share": share}


NAMES = tuple(item.name for item in fields(Counts))
"""Fields of `Counts`, in order."""


def _table(counts: Sequence[Counts]) -> Floats:
    return np.array([[getattr(one, name) for name in NAMES] for one in counts], np.float64)


def _of(table: Floats, name: str) -> Floats:
    return np.asarray(table[..., NAMES.index(name)])


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=np.asarray(whole) > 0)


def interval(value: float, drawn: Floats) -> dict[str, float]:
    """{value, low, high}: the 95 % percentile interval of bootstrap values."""
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {"value": round(value, 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def _largest_blob(mask: Bool) -> int:
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return int(stats[1:, cv2.CC_STAT_AREA].max(initial=0))
