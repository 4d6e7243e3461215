"""Train the patch classifier: windows of the training pictures, each labelled by what its centre holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from models import augment, batches, overlay
from models.classifier import patch_classifier
from models.config import Config
from models.sources import load_mix
from models.task import DataSplit
from models.windows import Windows, cut_windows, label_patch, scores_of

if TYPE_CHECKING:
    import keras

UInt8 = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]

DAMAGED_SHARE = 0.5
"""Share of the windows of a batch that hold damage."""
TRIES = 20
"""Crops made in search of a window of the wanted kind before any window that has a label is taken."""
PATCHES_PER_PICTURE = 4
SHEET_PER_PANEL = 8


class Patches:
    """A `models.task.Task` for patch_classifier."""

    def __init__(self, config: Config, parts: DataSplit) -> None:
        """Decode all pictures. Raises DataError for those that cannot be used."""
        self._config, self._classes = config, config.model.classes
        self._mix = load_mix(config, parts, None, shuffle=1, stride=1)
        limit = config.train.validate_pictures * PATCHES_PER_PICTURE
        cut = [
            cut_windows(name, examples, config.crop_px, len(self._classes), limit)
            for name, examples in parts.held.items()
            if parts.labelled[name] & ((1 << len(self._classes)) - 1) == (1 << len(self._classes)) - 1
        ]
        self._panels = [panel for panel in cut if len(panel.labels)]
        self._panels.append(self._rendered(limit))

    def network(self, dtype: str | None = None) -> keras.Model:
        """Build the classifier."""
        wanted = self._config.model
        return patch_classifier(self._config.crop_px, len(self._classes), wanted.channels, dtype=dtype)

    def network_of_first_class(self) -> keras.Model | None:
        """None: a classifier answers for all its classes at once."""
        return None

    def judge(self, dtype: str | None = None) -> keras.Model:
        """Build the classifier again: it learns and is judged at one size."""
        return self.network(dtype)

    def loss(self) -> Any:
        """Cross-entropy of the softmax."""
        return "sparse_categorical_crossentropy"

    def batch(self, number: int) -> batches.Batch:
        """Make windows, half of them with damage at their centre, and their labels (count,)."""
        rng = np.random.default_rng([self._config.train.seed, number])
        made = [self._window(rng, damaged=rng.random() < DAMAGED_SHARE) for _ in range(self._config.train.batch)]
        images = np.stack([rgb for rgb, _ in made]).astype(np.float32) / np.float32(255)
        return images, np.array([label for _, label in made], np.int32)

    def teach(self, batch: batches.Batch) -> batches.Batch:
        """There is no teacher of windows."""
        return batch

    def score(self, judge: keras.Model) -> dict[str, float]:
        """Accuracy per set, and `score`: the mean over sets of the mean recall of the kinds that a set holds."""
        found, balanced = {}, []
        for panel, scores in zip(self._panels, self._scores(judge), strict=True):
            right = scores.argmax(axis=1) == panel.labels
            found[f"accuracy/{panel.name}"] = float(right.mean())
            balanced.append(np.mean([right[panel.labels == label].mean() for label in np.unique(panel.labels)]))
        return {**found, "score": float(np.mean(balanced))}

    def thresholds(self, judge: keras.Model) -> tuple[dict[str, float], dict[str, float]]:
        """Choose per class the threshold 0.20, 0.22 ... 0.80 with the best mean recall of windows with and without."""
        scores, labels = np.concatenate(self._scores(judge)), np.concatenate([panel.labels for panel in self._panels])
        tried, levels = [round(0.2 + 0.02 * i, 2) for i in range(31)], {}
        for index, name in enumerate(self._classes):
            true = labels == 1 + index
            gain = [
                float(fires[true].mean() if true.any() else 0) - float(fires[~true].mean() if (~true).any() else 0)
                for fires in (scores[:, 1 + index] >= level for level in tried)
            ]
            levels[name] = tried[int(np.argmax(gain))]
        return levels, self.score(judge)

    def sheet(self, judge: keras.Model) -> UInt8:
        """Draw a few windows of every set with the score of damage, and what is true."""
        pictures, titles = [], []
        for panel in self._panels:
            chosen = np.unique(np.linspace(0, len(panel.labels) - 1, SHEET_PER_PANEL).astype(int))
            for i, scores in zip(chosen, scores_of(judge, panel.images[chosen]), strict=True):
                true = ("sound", *self._classes)[panel.labels[i]]
                pictures.append(panel.images[i])
                titles.append(f"{1 - scores[0]:.2f} {true} ({panel.name})"[:32])
        return overlay.sheet(pictures, titles, columns=SHEET_PER_PANEL, side_px=200)

    def _window(self, rng: np.random.Generator, *, damaged: bool) -> tuple[UInt8, int]:
        spare: tuple[UInt8, int] | None = None
        while True:
            for _ in range(TRIES):
                rgb, mask, weights = batches.make_scene(self._mix, rng, aim_chance=1.0 if damaged else 0.3)
                label = label_patch(mask, len(self._classes))
                if label is None or (label == 0 and not weights.any(axis=(1, 2)).all()):
                    continue  # doubtful, or a class is not labelled here: it may be damaged after all
                spare = augment.photometric(rng, rgb), label
                if (label > 0) == damaged:
                    return spare
            if spare is not None:
                return spare

    def _rendered(self, count: int) -> Windows:
        """Rendered windows without damage: always there, so that validation sees joints, holes and shadows."""
        mix = batches.Mix(
            sources=[], crop_px=self._config.crop_px, shuffle=1, rendered_cracks=0, rendered_clean=1,
            lookalikes_on_cracked=0, lookalikes_on_clean=0,
        )  # fmt: skip
        rng = np.random.default_rng([self._config.train.seed, 2**31])
        images = np.stack([batches.make_crop(mix, rng)[0] for _ in range(min(count, 64))])
        zeros, order = np.zeros(len(images), np.int32), np.arange(len(images), dtype=np.int32)
        return Windows(name="rendered_clean", images=images, labels=zeros, pictures=order)

    def _scores(self, judge: keras.Model) -> list[Float]:
        return [scores_of(judge, panel.images) for panel in self._panels]
