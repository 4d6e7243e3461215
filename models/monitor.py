"""Validation while training: a small fixed set of pictures per source, scored at 0.5 with the averaged weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from edge.masks.preprocess import pixel_shuffle
from models import UNKNOWN, Example
from models.batches import EVERY_CLASS
from models.data import read_examples
from models.parallel import devices

if TYPE_CHECKING:
    import keras

UInt8 = npt.NDArray[np.uint8]
Logits = npt.NDArray[np.float16]

CANVAS_PX = 384
"""Validation pictures are cut or padded to this square, so that one compiled graph serves all."""
BATCH = 8
FIRES_PX = 50
"""A crack-free picture counts as firing from this many false pixels on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """Pictures of one validation set on the fixed canvas."""

    name: str
    images: UInt8
    """(N, 384, 384, 3) RGB."""
    masks: UInt8
    """(N, 384, 384): one bit per class; UNKNOWN outside the picture and where nobody knows."""
    labelled: int = EVERY_CLASS
    """Classes whose labels are complete here, as bits."""


def load_panel(name: str, examples: Sequence[Example], limit: int, labelled: int = EVERY_CLASS) -> Panel:
    """Decode at most `limit` examples, evenly spread over the list; damaged ones are left out."""
    chosen = [examples[i] for i in np.unique(np.linspace(0, len(examples) - 1, min(limit, len(examples))).astype(int))]
    pairs = [_on_canvas(rgb, mask) for _, rgb, mask in read_examples(chosen, must_show=False)]
    images, masks = np.stack([pair[0] for pair in pairs]), np.stack([pair[1] for pair in pairs])
    return Panel(name=name, images=images, masks=masks, labelled=labelled)


def score(logits: Sequence[Logits], panels: Sequence[Panel], classes: Sequence[str]) -> dict[str, float]:
    """Return pooled F1 per set with damage, the firing share per set without, and `score`, their summary, at 0.5.

    `logits` are those of `predict`, one array per panel. `score` is the mean F1 minus half the mean share of pictures
    without damage that fire; higher is better. Of several classes each is scored, and named where there are several.
    """
    found = [_summary(panels, [one[..., k] > 0 for one in logits], k) for k in range(len(classes))]
    if len(classes) == 1:
        return found[0]
    named = {
        f"{key}/{name}": value
        for name, scores in zip(classes, found, strict=True)
        for key, value in scores.items()
        if key != "score"
    }
    return {**named, "score": float(np.mean([scores["score"] for scores in found]))}


def choose_threshold(logits: Sequence[Logits], panels: Sequence[Panel], index: int) -> tuple[float, dict[str, float]]:
    """Return the threshold 0.20, 0.22 ... 0.80 of the best `score` of one class on the panels, and the scores there."""
    tried = [round(0.2 + 0.02 * i, 2) for i in range(31)]
    found = [
        _summary(panels, [one[..., index] > math.log(level / (1 - level)) for one in logits], index) for level in tried
    ]
    best = int(np.argmax([one["score"] for one in found]))
    return tried[best], found[best]


def _summary(panels: Sequence[Panel], masks: Sequence[npt.NDArray[np.bool_]], index: int) -> dict[str, float]:
    found: dict[str, float] = {}
    for panel, hits in zip(panels, masks, strict=True):
        if not panel.labelled >> index & 1:
            continue
        inside = (panel.masks & UNKNOWN) == 0
        crack = (panel.masks >> index & 1 > 0) & inside
        if crack.any():
            both = float((hits & crack).sum())
            found[f"f1/{panel.name}"] = 2 * both / max(float((hits & inside).sum() + crack.sum()), 1.0)
        else:
            found[f"fires/{panel.name}"] = float(((hits & inside).sum((1, 2)) >= FIRES_PX).mean())
    f1 = [value for key, value in found.items() if key.startswith("f1/")] or [0.0]
    fires = [value for key, value in found.items() if key.startswith("fires/")] or [0.0]
    found["score"] = float(np.mean(f1) - 0.5 * np.mean(fires))
    return found


def predict(model: keras.Model, images: UInt8, shuffle: int) -> Logits:
    """Return the logits of pictures (N, 384, 384, 3): float16 (N, 384, 384, classes)."""
    batch = math.lcm(BATCH, devices())
    found: list[npt.NDArray[np.float32]] = []
    for first in range(0, len(images), batch):
        part = images[first : first + batch].astype(np.float32) / 255
        short = batch - len(part)  # pad the last batch: a new shape would compile a new graph
        logits = model.predict_on_batch(np.pad(part, ((0, short), (0, 0), (0, 0), (0, 0))))[: len(part)]
        found += [_full_size(one, shuffle) for one in np.asarray(logits, np.float32)]
    return np.stack(found).astype(np.float16)


def _full_size(logits: npt.NDArray[np.float32], shuffle: int) -> npt.NDArray[np.float32]:
    parts = np.split(logits, logits.shape[-1] // shuffle**2, axis=-1)
    size = (CANVAS_PX, CANVAS_PX)
    planes = [cv2.resize(pixel_shuffle(one, shuffle), size, interpolation=cv2.INTER_LINEAR) for one in parts]
    return np.stack(planes, axis=-1)


def _on_canvas(rgb: UInt8, mask: UInt8) -> tuple[UInt8, UInt8]:
    top, left = max(0, (rgb.shape[0] - CANVAS_PX) // 2), max(0, (rgb.shape[1] - CANVAS_PX) // 2)
    rgb, mask = (plane[top : top + CANVAS_PX, left : left + CANVAS_PX] for plane in (rgb, mask))
    down, right = CANVAS_PX - rgb.shape[0], CANVAS_PX - rgb.shape[1]
    rgb = np.asarray(cv2.copyMakeBorder(rgb, 0, down, 0, right, cv2.BORDER_REFLECT_101), np.uint8)
    mask = np.asarray(cv2.copyMakeBorder(mask, 0, down, 0, right, cv2.BORDER_CONSTANT, value=UNKNOWN), np.uint8)
    return rgb, mask
