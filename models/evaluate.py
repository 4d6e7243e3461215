"""Score a bundle or a float model on pictures with masks, and on crack-free ones."""

from __future__ import annotations

from collections.abc import Sequence

from tqdm import tqdm

from edge.masks import preprocess
from models import Example, metrics
from models.data import read_example
from models.scoring import Scorer


def evaluate(scorer: Scorer, labelled: Sequence[Example], negatives: Sequence[Example] = ()) -> dict[str, object]:
    """Return one JSON-ready object: model, threshold, and the reports of `models.metrics`.

    `labelled` have masks; those whose mask is empty count in the pooled scores and again, with `negatives`, as
    crack-free ones. The threshold is the scorer's own and never depends on what is scored. Raises DataError for a
    picture or mask that cannot be used.
    """
    counts = count_all(scorer, labelled)
    empty = [one for one in counts if one.true_positive + one.false_negative == 0]
    return {
        "model": scorer.name,
        "threshold": scorer.threshold,
        **metrics.report(counts),
        "crack_free": metrics.report_crack_free(empty + count_all(scorer, negatives)),
        "definitions": {
            "pooled": "counts summed over all images with a mask, crack class only",
            "per_image": "mean over images that hold a crack",
            "f1_2px": "F1 where a pixel within 2 px of the other mask is right",
            "cl_iou_4px": "centreline IoU with 4 px tolerance",
            "crack_free": "fires: at least 1 px; fires_blob: a connected patch of at least 100 px",
            "low, high": "95 % bootstrap interval over images, 1000 resamples",
        },
    }


def count_all(scorer: Scorer, examples: Sequence[Example]) -> list[metrics.Counts]:
    """Score every example and count, with a progress bar on stderr."""
    level = preprocess.threshold_code(scorer.threshold)
    found = []
    for example in tqdm(examples, unit="image", mininterval=2):
        rgb, mask = read_example(example)
        found.append(metrics.count(scorer.score(rgb) >= level, mask > 0))
    return found
