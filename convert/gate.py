"""What int8 costs: the three forms of one network on the same pictures, per data set, against the card's limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from convert.frames import UInt8, find_pictures
from edge.cracks.trace import TraceOptions, trace
from edge.frames import Frame
from edge.masks import ClassMask, DamageClass, preprocess
from edge.masks.card import LimitsCard
from models import DataError, Example, metrics
from models.data import find_examples, read_example, read_rgb
from models.scoring import Scorer

Bool = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Kind = Literal["labelled", "crack_free", "unlabelled"]

MATCH_PX = 2.0
"""Centreline points of two masks this close are the same place of the same crack."""
RESAMPLES = 1000
TRACED = 80
"""Widths are compared on about this many pictures of a set, evenly spaced: tracing is slow, and its mean is stable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSet:
    """Pictures scored together."""

    name: str
    kind: Kind
    examples: Sequence[Example]
    """Labelled: with the masks of the network's first class."""
    by_class: Mapping[str, Sequence[Example]] = field(default_factory=dict)
    """The same pictures with the masks of a class, by its name, where there is a folder of masks per class."""

    def labelling(self, name: str, *, first: bool) -> DataSet:
        """What the set says about the class `name`, which is the network's first one or another."""
        if name in self.by_class:
            return replace(self, kind="labelled", examples=self.by_class[name])
        if self.kind == "labelled" and (self.by_class or not first):
            return replace(self, kind="unlabelled")
        return self


def find_set(folder: Path) -> DataSet:
    """A folder of pictures: labelled where it holds `images` and `masks`, else unlabelled (only compared, not scored).

    `masks` holds the masks of the first class, or a folder of masks per class, named as the class. Raises DataError for
    a missing or empty folder and for a picture without a mask.
    """
    name = "/".join(folder.parts[-2:]) or folder.resolve().name
    images, masks = folder / "images", folder / "masks"
    if images.is_dir() and masks.is_dir():
        kinds = sorted(path.name for path in masks.iterdir() if path.is_dir())
        by_class = {kind: find_examples(images, masks / kind) for kind in kinds}
        examples = by_class[kinds[0]] if kinds else find_examples(images, masks)
        return DataSet(name=name, kind="labelled", examples=examples, by_class=by_class)
    examples = [Example(image=path, mask=None, group=path.stem) for path in find_pictures(folder)]
    return DataSet(name=name, kind="unlabelled", examples=examples)


def named_set(name: str, images: Path, masks: Path | None, held: Mapping[str, Any] | None) -> DataSet:
    """A data set from a folder of images and one of masks (None: crack-free).

    `held` is the training record's entry for it where it held part of the folder out: only that part counts then.
    Raises DataError where the folder does not hold all of it.
    """
    examples = find_examples(images, masks)
    if held is not None:
        names = set(held["names"])
        examples = [example for example in examples if example.image.name in names]
        if len(examples) != held["images"]:
            raise DataError(
                f"{images} holds {len(examples)} of the {held['images']} pictures of {name}; give the same folder."
            )
    return DataSet(name=name, kind="labelled" if masks is not None else "crack_free", examples=examples)


def thinned(data: DataSet, most: int | None) -> DataSet:
    """At most `most` pictures, evenly spaced; None takes all."""
    if most is None or len(data.examples) <= most:
        return data
    kept = [round(i * (len(data.examples) - 1) / max(most - 1, 1)) for i in range(most)]
    by_class = {name: [examples[i] for i in kept] for name, examples in data.by_class.items()}
    return replace(data, examples=[data.examples[i] for i in kept], by_class=by_class)


def compare(rivals: Mapping[str, Scorer], data: DataSet, kind: DamageClass) -> dict[str, Any]:
    """Score one set with all forms of the network; returns a JSON-ready object. `float` is what others are held to.

    The rivals score the class `kind`, and so do the masks of the set.
    """
    level = preprocess.threshold_code(kind.threshold)
    tally = _Tally(tuple(rivals), kind, max(1, len(data.examples) // TRACED))
    for example in tqdm(data.examples, desc=data.name, unit="image", mininterval=2):
        rgb, truth = _read(example, data.kind)
        scores = {name: scorer.score(rgb) for name, scorer in rivals.items()}
        tally.add(rgb, truth, scores, level)
    return {"kind": data.kind, **tally.report(data.kind)}


def failures(name: str, found: Mapping[str, Any], limits: LimitsCard) -> list[str]:
    """What in the comparison of one set is past the card's limits, a sentence each."""
    listed = []
    share, drop = found["differing"]["int8"], found["f1_drop"]
    if not share <= limits.pixels_differing:
        what = "patches" if found["kind"] == "classes" else "pixels"
        listed.append(
            f"{name}: {share:.3%} of the {what} differ between float and int8, more than {limits.pixels_differing:.3%}"
        )
    if drop is not None and not drop["value"] <= limits.f1_drop:
        listed.append(
            f"{name}: F1 drops by {drop['value']:.4f} from float to int8, more than {limits.f1_drop:.4f} "
            f"(95 % interval {drop['low']:.4f} to {drop['high']:.4f})"
        )
    return listed


def _read(example: Example, kind: Kind) -> tuple[UInt8, Bool | None]:
    if kind == "unlabelled":
        return read_rgb(example.image), None
    rgb, mask = read_example(example)
    return rgb, mask > 0


class _Tally:
    """Counts of one set, picture by picture."""

    def __init__(self, names: Sequence[str], kind: DamageClass, trace_every: int) -> None:
        self.kind, self.trace_every = kind, trace_every
        self.counts: dict[str, list[metrics.Counts]] = {name: [] for name in names}
        self.fires: dict[str, int] = dict.fromkeys(names, 0)
        self.differing: dict[str, int] = dict.fromkeys(names, 0)
        self.pixels = self.images = self.either = 0
        self.widths: list[Floats] = []

    def add(self, rgb: UInt8, truth: Bool | None, scores: Mapping[str, UInt8], level: int) -> None:
        masks = {name: score >= level for name, score in scores.items()}
        self.images += 1
        self.pixels += masks["float"].size
        self.either += int((masks["float"] | masks["int8"]).sum())
        for name, mask in masks.items():
            self.differing[name] += int((mask != masks["float"]).sum())
            self.fires[name] += int(mask.any())
            if truth is not None:
                self.counts[name].append(metrics.count(mask, truth))
        both = masks["float"].any() and masks["int8"].any()
        if self.kind.measure == "line" and self.images % self.trace_every == 0 and both:
            self.widths.append(_width_differences(rgb, self.kind, scores, masks))

    def report(self, kind: Kind) -> dict[str, Any]:
        scores = {name: _scores(counts, kind) for name, counts in self.counts.items()} if kind != "unlabelled" else {}
        drop = None
        if kind == "labelled" and scores["float"]["pooled"] is not None:
            drop = _f1_drop(self.counts["float"], self.counts["int8"])
        return {
            "images": self.images,
            "pixels": self.pixels,
            "differing": {name: round(count / self.pixels, 6) for name, count in self.differing.items()},
            "mask_iou": round(1 - self.differing["int8"] / self.either, 4) if self.either else 1.0,
            "f1_drop": drop,
            "images_that_fire": self.fires,
            "width_bias_px": _bias(self.widths),
            "scores": scores,
        }


def _scores(counts: Sequence[metrics.Counts], kind: Kind) -> dict[str, Any]:
    """As `models.evaluate` reports: pictures with an empty mask count as crack-free ones too."""
    empty = [one for one in counts if one.true_positive + one.false_negative == 0]
    labelled = counts if kind == "labelled" else ()
    return {**metrics.report(labelled), "crack_free": metrics.report_crack_free(empty)}


def _f1_drop(first: Sequence[metrics.Counts], second: Sequence[metrics.Counts]) -> dict[str, float]:
    """Pooled F1 of the first minus the second, with a paired bootstrap over pictures (95 %)."""
    a, b = (np.array([astuple(one) for one in counts], np.float64) for counts in (first, second))
    again = np.random.default_rng(0).integers(len(a), size=(RESAMPLES, len(a)))
    drawn = metrics.f1(a[again].sum(axis=1)) - metrics.f1(b[again].sum(axis=1))
    low, high = np.percentile(drawn, [2.5, 97.5])
    value = float(metrics.f1(a.sum(axis=0)) - metrics.f1(b.sum(axis=0)))
    return {"value": round(value, 5), "low": round(float(low), 5), "high": round(float(high), 5)}


def _width_differences(rgb: UInt8, kind: DamageClass, scores: Mapping[str, UInt8], masks: Mapping[str, Bool]) -> Floats:
    """int8 minus float width at every centreline point of the int8 cracks that the float cracks have too, pixels."""
    places, widths = {}, {}
    for name in ("float", "int8"):
        frame = Frame(seq=0, exposed_ns=0, exposure_us=None, rgb=rgb)
        mask = ClassMask(frame, kind, scores[name].copy(), masks[name].copy())
        cracks = trace(mask, TraceOptions()).cracks
        places[name] = np.concatenate([np.zeros((0, 2), np.float32), *(crack.path_px for crack in cracks)])
        widths[name] = np.concatenate([np.zeros(0, np.float32), *(crack.width_px for crack in cracks)])
    if not len(places["float"]) or not len(places["int8"]):
        return np.zeros(0)
    apart = np.hypot(*(places["int8"][:, None] - places["float"][None]).transpose(2, 0, 1))
    nearest = apart.argmin(axis=1)
    same = apart[np.arange(len(apart)), nearest] <= MATCH_PX
    return np.asarray(widths["int8"][same] - widths["float"][nearest[same]], np.float64)


def _bias(widths: Sequence[Floats]) -> dict[str, float] | None:
    """Mean width difference over all matched points, bootstrapped over pictures, and its 95th absolute percentile."""
    kept = [one for one in widths if len(one)]
    if not kept:
        return None
    sums, counts = np.array([one.sum() for one in kept]), np.array([len(one) for one in kept])
    again = np.random.default_rng(0).integers(len(kept), size=(RESAMPLES, len(kept)))
    low, high = np.percentile(sums[again].sum(axis=1) / counts[again].sum(axis=1), [2.5, 97.5])
    joined = np.concatenate(kept)
    return {
        "value": round(float(joined.mean()), 4), "low": round(float(low), 4), "high": round(float(high), 4),
        "p95_absolute": round(float(np.percentile(np.abs(joined), 95)), 4), "points": len(joined),
    }  # fmt: skip
