"""A trained U-Net that teaches another: its scores beside the labels, and labels for pictures that have none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge.masks.preprocess import pixel_shuffle, upsample
from models import UNKNOWN, DataError, Example
from models.data import read_examples

if TYPE_CHECKING:
    import keras

UInt8 = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]


class Teacher:
    """A `.keras` file of a fast or classic U-Net; it knows its first class."""

    def __init__(self, path: Path, weight: float, crop_px: int) -> None:
        """Open the file for crops of `crop_px`. Raises DataError where it is absent or no U-Net."""
        if path.suffix != ".keras" or not path.is_file():
            raise DataError(f"[teacher] model names {path}, which is not a .keras file; give a finished training's.")
        self.weight, self._path, self._crop_px = weight, path, crop_px
        self._model: keras.Model | None = None

    def scores(self, images: Float) -> Float:
        """Return scores (N, crop, crop) in 0..1 for pictures (N, crop, crop, 3) in 0..1."""
        if self._model is None:
            from models.unet import open_saved, resized

            self._model = resized(open_saved(self._path), self._crop_px, self._crop_px)
        raw = np.asarray(self._model.predict_on_batch(images), np.float32)
        shuffle = round(raw.shape[-1] ** 0.5)
        size = (self._crop_px, self._crop_px)
        logits = np.stack([np.asarray(upsample(pixel_shuffle(one, shuffle), *size), np.float32) for one in raw])
        return np.asarray(1 / (1 + np.exp(-logits)), np.float32)

    def draw(self, examples: list[Example], confidence: float) -> list[tuple[UInt8, UInt8]]:
        """Return (picture, mask) of unlabelled pictures: bit 0 where the score is at least `confidence`.

        UNKNOWN is set where the score lies between 1 - `confidence` and `confidence` (pseudo-labels as Lee 2013, with
        doubtful pixels left out).
        """
        from models.scoring import open_scorer

        scorer, pairs = open_scorer(self._path, threshold=confidence), []
        for _, rgb, _ in read_examples(examples):
            score = scorer.score(rgb).astype(np.float32) / 255
            sure = score >= confidence
            unsure = ~sure & (score > 1 - confidence)
            pairs.append((rgb, sure.astype(np.uint8) | unsure.astype(np.uint8) * np.uint8(UNKNOWN)))
        return pairs
