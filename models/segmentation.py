"""Train a U-Net: one logit per pixel and class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from models import UNKNOWN, batches, monitor, overlay, rendered
from models.config import Config
from models.losses import crack_loss
from models.sources import load_mix
from models.task import DataSplit
from models.unet import FAST_STRIDE, classic_unet, fast_unet

if TYPE_CHECKING:
    import keras

    from models.teacher import Teacher

UInt8 = npt.NDArray[np.uint8]

RENDERED_PICTURES = 24
"""Rendered pictures in validation, at most: as many with a crack as without."""
SHEET_PER_PANEL = 4


class Segmentation:
    """A `models.task.Task` for fast_unet and unet."""

    def __init__(self, config: Config, parts: DataSplit, teacher: Teacher | None) -> None:
        """Decode all pictures. Raises DataError for those that cannot be used."""
        self._config, self._teacher = config, teacher
        self._shuffle = config.model.shuffle if config.model.kind == "fast_unet" else 1
        stride = FAST_STRIDE if config.model.kind == "fast_unet" else 1
        self._mix = load_mix(config, parts, teacher, self._shuffle, stride)
        self._parts = parts
        self._panels = self._load_panels(config.train.validate_pictures)

    def network(self, dtype: str | None = None) -> keras.Model:
        """Build the U-Net at the size of the crops."""
        return self._build(self._config.crop_px, dtype)

    def network_of_first_class(self) -> keras.Model | None:
        """The same U-Net with the head of the first class alone; None where there is no other class."""
        return self._build(self._config.crop_px, None, 1) if len(self._config.model.classes) > 1 else None

    def judge(self, dtype: str | None = None) -> keras.Model:
        """Build the U-Net at the size of the validation canvas."""
        return self._build(monitor.CANVAS_PX, dtype)

    def loss(self) -> Any:
        """Weighted sum of the terms that [loss] names."""
        wanted, teacher = self._config.loss, self._config.teacher
        return crack_loss(
            wanted.bce if wanted.bce is not None else self._config.train.bce_weight,
            wanted.dice, wanted.tversky, wanted.cl_dice, teacher.weight if teacher is not None else 0.0,
            tversky_false_positives=wanted.tversky_false_positives,
            tversky_false_negatives=wanted.tversky_false_negatives,
            cl_dice_iterations=wanted.cl_dice_iterations,
            shuffle=self._shuffle, classes=len(self._config.model.classes),
        )  # fmt: skip

    def batch(self, number: int) -> batches.Batch:
        """Make crops and their labels: see `models.batches.make_batch`."""
        return batches.make_batch(self._mix, self._config.train.seed, number, self._config.train.batch)

    def teach(self, batch: batches.Batch) -> batches.Batch:
        """Append the teacher's scores to the targets."""
        if self._teacher is None or not self._teacher.weight:
            return batch
        images, targets = batch
        scores = [batches.to_cells(one, targets.shape[1], self._shuffle) for one in self._teacher.scores(images)]
        return images, np.concatenate([targets, np.stack(scores)], axis=-1)

    def score(self, judge: keras.Model) -> dict[str, float]:
        """Score at 0.5: see `models.monitor.score`."""
        return monitor.score(self._logits(judge), self._panels, self._config.model.classes)

    def thresholds(self, judge: keras.Model) -> tuple[dict[str, float], dict[str, float]]:
        """Choose one threshold per class: see `models.monitor.choose_threshold`."""
        panels = self._load_panels(self._config.train.threshold_pictures)
        logits = [monitor.predict(judge, panel.images, self._shuffle) for panel in panels]
        names = self._config.model.classes
        found = [monitor.choose_threshold(logits, panels, index) for index in range(len(names))]
        return {name: level for name, (level, _) in zip(names, found, strict=True)}, found[0][1]

    def sheet(self, judge: keras.Model) -> UInt8:
        """Draw a few pictures of every panel: green found, orange false, blue missed; all classes together, at 0.5."""
        pictures, titles = [], []
        for panel in self._panels:
            chosen = np.unique(np.linspace(0, len(panel.images) - 1, SHEET_PER_PANEL).astype(int))
            logits = monitor.predict(judge, panel.images[chosen], self._shuffle)
            for i, answer in zip(chosen, logits, strict=True):
                known = (panel.masks[i] & UNKNOWN) == 0
                found, truth = (answer > 0).any(axis=-1) & known, (panel.masks[i] > 0) & known
                pictures.append(overlay.compare(panel.images[i], found, truth))
                titles.append(panel.name)
        return overlay.sheet(pictures, titles, columns=SHEET_PER_PANEL * 2)

    def _build(self, size_px: int, dtype: str | None, heads: int | None = None) -> keras.Model:
        wanted, classes = self._config.model, heads or len(self._config.model.classes)
        if wanted.kind == "fast_unet":
            return fast_unet(size_px, size_px, wanted.channels, wanted.shuffle, dtype=dtype, classes=classes)
        return classic_unet(size_px, size_px, wanted.channels, wanted.depth, dtype=dtype, classes=classes)

    def _load_panels(self, limit: int) -> list[monitor.Panel]:
        held, labelled = self._parts.held, self._parts.labelled
        panels = [monitor.load_panel(name, items, limit, labelled[name]) for name, items in held.items()]
        return [*panels, *_rendered_panels(self._config, min(limit, RENDERED_PICTURES))]

    def _logits(self, judge: keras.Model) -> Sequence[monitor.Logits]:
        return [monitor.predict(judge, panel.images, self._shuffle) for panel in self._panels]


def _rendered_panels(config: Config, count: int) -> list[monitor.Panel]:
    """Rendered validation pictures, with cracks and crack-free; always there, so that a threshold sees clean ones."""
    panels = []
    for name, cracked in (("rendered", True), ("rendered_clean", False)):
        if cracked and config.model.classes[0] != "crack":
            continue
        rng = np.random.default_rng([config.train.held_by, 2**31])
        pairs = [rendered.picture(monitor.CANVAS_PX, rng, cracked=cracked) for _ in range(count)]
        images, masks = np.stack([pair[0] for pair in pairs]), np.stack([pair[1] for pair in pairs])
        panels.append(monitor.Panel(name=name, images=images, masks=masks))
    return panels
