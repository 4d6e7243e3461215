"""Score a bundle or a float model on pictures with masks, and on crack-free ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from edge.cracks.plausible import ReportOptions, reported_mask
from edge.masks import preprocess
from models import Example, metrics
from models.data import plane, read_examples
from models.scoring import Scorer, measure_of, rule_of

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

ReportingFilter = Callable[[UInt8, UInt8], Bool]
"""Turns a score map (H, W) and its picture (H, W, 3) into the mask (H, W) of the cracks that would be reported."""

DEFINITIONS = {
    "pooled": "counts summed over all images with a mask, crack class only",
    "per_image": "mean over images that hold a crack",
    "f1_2px": "F1 where a pixel within 2 px of the other mask is right",
    "cl_iou_4px": "centreline IoU with 4 px tolerance",
    "crack_free": "fires: at least 1 px; fires_blob: a connected patch of at least 100 px",
    "found": "images with a crack of which at least one predicted pixel lies within 2 px",
    "reported": "the same, of the cracks that a drone would report (traced, [report]); null where nothing is filtered, "
    "and for a class that is measured as areas",
    "low, high": "95 % bootstrap interval over images, 1000 resamples",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """One picture, scored."""

    example: Example
    counts: metrics.Counts
    reported: metrics.Counts | None
    """After the reporting filter; None where there is none."""
    true_scores: npt.NDArray[np.int64]
    """(256,): how many pixels of true damage have each score."""
    all_scores: npt.NDArray[np.int64]
    """(256,): how many pixels have each score."""

    @property
    def cracked(self) -> bool:
        """The truth holds at least one pixel."""
        return self.counts.true_positive + self.counts.false_negative > 0


def evaluate(
    scorer: Scorer,
    labelled: Sequence[Example],
    negatives: Sequence[Example] = (),
    reported: ReportingFilter | None = None,
) -> dict[str, object]:
    """Return one JSON-ready object: model, threshold, and the reports of `models.metrics`.

    `labelled` have masks; those whose mask is empty count in the pooled scores and again, with `negatives`, as
    crack-free ones. The threshold is the scorer's own and never depends on what is scored. Where a reporting filter is
    given, what it leaves is counted beside. Raises DataError for a picture or mask that cannot be used.
    """
    looks, clean = look(scorer, labelled, reported), look(scorer, negatives, reported)
    return {
        "model": scorer.name,
        "threshold": scorer.threshold,
        **summary(looks, clean),
        "definitions": DEFINITIONS,
    }


def summary(looks: Sequence[Look], negatives: Sequence[Look]) -> dict[str, Any]:
    """Scores of pictures that were looked at: see `evaluate`."""
    clean = [one for one in looks if not one.cracked] + list(negatives)
    cracked = [one for one in looks if one.cracked]
    after = [one.reported for one in clean if one.reported is not None]
    kept = [one.reported for one in cracked if one.reported is not None]
    whole = [one.reported for one in looks if one.reported is not None]
    return {
        **metrics.report([one.counts for one in looks]),
        "reported": metrics.report(whole) if whole else None,
        "found": {
            **metrics.report_found([one.counts for one in cracked]),
            "reported": metrics.report_found(kept) if kept else None,
        },
        "crack_free": {
            **metrics.report_crack_free([one.counts for one in clean]),
            "reported": metrics.report_crack_free(after) if after else None,
        },
    }


def reporting_filter(scorer: Scorer) -> ReportingFilter | None:
    """What the drone would report of the scorer's maps, at its threshold and with the defaults of ``[cracks]`` and
    ``[report]``.

    None for a class that is measured as areas: they are not traced, and that filter is not theirs.
    """
    if measure_of(scorer) == "area":
        return None
    level, rule = preprocess.threshold_code(scorer.threshold), rule_of(scorer)
    return lambda score, rgb: reported_mask(score, rgb, level, ReportOptions(), rule=rule)


def look(scorer: Scorer, examples: Sequence[Example], reported: ReportingFilter | None = None) -> list[Look]:
    """Score every example and count, with a progress bar on stderr.

    Damaged ones are left out by name. Raises DataError for a mask that cannot be used, and where not one shows damage.
    """
    level = preprocess.threshold_code(scorer.threshold)
    read = read_examples(tqdm(examples, unit="image", mininterval=2))
    return [_look(scorer, example, rgb, mask, level, reported) for example, rgb, mask in read]


def precision_recall(looks: Sequence[Look]) -> list[dict[str, float]]:
    """Pooled strict precision and recall at every score threshold that changes them, from high to low thresholds."""
    true = np.sum([one.true_scores for one in looks], axis=0)[::-1].cumsum()
    predicted = np.sum([one.all_scores for one in looks], axis=0)[::-1].cumsum()
    points: list[dict[str, float]] = []
    for i, (hit, fired) in enumerate(zip(true.tolist(), predicted.tolist(), strict=True)):
        if fired and (not points or fired != predicted[i - 1]):
            recall = hit / max(int(true[-1]), 1)
            points.append({"threshold": (255 - i) / 255, "precision": hit / fired, "recall": recall})
    return points


def _look(
    scorer: Scorer, example: Example, rgb: UInt8, mask: UInt8, level: int, reported: ReportingFilter | None
) -> Look:
    truth = plane(mask, 0) > 0
    score = scorer.score(rgb)
    kept = None if reported is None else metrics.count(reported(score, rgb), truth)
    return Look(
        example=example,
        counts=metrics.count(score >= level, truth),
        reported=kept,
        true_scores=np.bincount(score[truth], minlength=256),
        all_scores=np.bincount(score.ravel(), minlength=256),
    )
