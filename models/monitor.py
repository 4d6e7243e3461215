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
from models import Example
from models.data import read_example

if TYPE_CHECKING:
    import keras

UInt8 = npt.NDArray[np.uint8]

CANVAS_PX = 384
"""Validation pictures are cut or padded to this square, so that one compiled graph serves all."""
FIRES_PX = 50
"""A crack-free picture counts as firing from this many false pixels on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """Pictures of one validation set on the fixed canvas."""

    name: str
    images: UInt8
    """(N, 384, 384, 3) RGB."""
    masks: UInt8
    """(N, 384, 384): 0 sound, 1 crack, 2 outside the picture."""


def load_panel(name: str, examples: Sequence[Example], limit: int) -> Panel:
    """Decode at most `limit` examples, evenly spread over the list."""
    chosen = [examples[i] for i in np.unique(np.linspace(0, len(examples) - 1, min(limit, len(examples))).astype(int))]
    pairs = [_on_canvas(*read_example(example)) for example in chosen]
    return Panel(name=name, images=np.stack([pair[0] for pair in pairs]), masks=np.stack([pair[1] for pair in pairs]))


def score(model: keras.Model, panels: Sequence[Panel], shuffle: int) -> dict[str, float]:
    """Return pooled F1 per cracked set, the firing share per crack-free set, and `score`, their summary.

    `score` is the mean F1 minus half the mean share of crack-free pictures that fire; higher is better.
    """
    return _summary(panels, [_predict(model, panel.images, shuffle) > 0 for panel in panels])


def choose_threshold(model: keras.Model, panels: Sequence[Panel], shuffle: int) -> tuple[float, dict[str, float]]:
    """Return the threshold 0.20, 0.22 ... 0.80 of the best `score` on the panels, and the scores there."""
    logits = [_predict(model, panel.images, shuffle) for panel in panels]
    tried = [round(0.2 + 0.02 * i, 2) for i in range(31)]
    found = [_summary(panels, [one > math.log(level / (1 - level)) for one in logits]) for level in tried]
    best = int(np.argmax([one["score"] for one in found]))
    return tried[best], found[best]


def _summary(panels: Sequence[Panel], masks: Sequence[npt.NDArray[np.bool_]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for panel, hits in zip(panels, masks, strict=True):
        crack, inside = panel.masks == 1, panel.masks != 2
        if crack.any():
            both = float((hits & crack).sum())
            found[f"f1/{panel.name}"] = 2 * both / max(float((hits & inside).sum() + crack.sum()), 1.0)
        else:
            found[f"fires/{panel.name}"] = float(((hits & inside).sum((1, 2)) >= FIRES_PX).mean())
    f1 = [value for key, value in found.items() if key.startswith("f1/")] or [0.0]
    fires = [value for key, value in found.items() if key.startswith("fires/")] or [0.0]
    found["score"] = float(np.mean(f1) - 0.5 * np.mean(fires))
    return found


def _predict(model: keras.Model, images: UInt8, shuffle: int, batch: int = 8) -> npt.NDArray[np.float16]:
    found: list[npt.NDArray[np.float32]] = []
    for first in range(0, len(images), batch):
        part = images[first : first + batch].astype(np.float32) / 255
        short = batch - len(part)  # pad the last batch: a new shape would compile a new graph
        logits = model.predict_on_batch(np.pad(part, ((0, short), (0, 0), (0, 0), (0, 0))))[: len(part)]
        full = [pixel_shuffle(one, shuffle) for one in np.asarray(logits, np.float32)]
        size = (CANVAS_PX, CANVAS_PX)
        found += [np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_LINEAR), np.float32) for one in full]
    return np.stack(found).astype(np.float16)


def _on_canvas(rgb: UInt8, mask: UInt8) -> tuple[UInt8, UInt8]:
    top, left = max(0, (rgb.shape[0] - CANVAS_PX) // 2), max(0, (rgb.shape[1] - CANVAS_PX) // 2)
    rgb, mask = (plane[top : top + CANVAS_PX, left : left + CANVAS_PX] for plane in (rgb, mask))
    down, right = CANVAS_PX - rgb.shape[0], CANVAS_PX - rgb.shape[1]
    rgb = np.asarray(cv2.copyMakeBorder(rgb, 0, down, 0, right, cv2.BORDER_REFLECT_101), np.uint8)
    mask = np.asarray(cv2.copyMakeBorder(mask, 0, down, 0, right, cv2.BORDER_CONSTANT, value=2), np.uint8)
    return rgb, mask
