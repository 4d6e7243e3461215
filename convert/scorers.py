"""The three forms of one network, scoring whole pictures through the drone's own tiling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convert.frames import Float
from convert.quantize import open_interpreter, run
from edge.masks.bundle import Bundle
from models.scoring import FloatScorer, Scorer, open_scorer

if TYPE_CHECKING:
    import keras

THREADS = 2


def open_rivals(bundle: Bundle, model: keras.Model, float_tflite: bytes, index: int = 0) -> dict[str, Scorer]:
    """Open the three forms: ``float`` (Keras), ``float_tflite``, ``int8`` (the bundle, by the drone's segmenter).

    They score the class number ``index`` of the card.
    """
    size = int(model.input_shape[1]), int(model.input_shape[2])
    interpreter = open_interpreter(float_tflite, threads=THREADS)
    kind, channels = bundle.card.damage[index], bundle.card.output.pixel_shuffle**2
    own = np.s_[..., index * channels : (index + 1) * channels]

    def by_keras(picture: Float) -> Float:
        return np.asarray(model.predict_on_batch(picture), np.float32)[own]

    def by_tflite(picture: Float) -> Float:
        answer: Any = run(interpreter, picture)
        return np.asarray(answer, np.float32)[own]

    return {
        "float": FloatScorer("float Keras", size, kind.threshold, by_keras),
        "float_tflite": FloatScorer("float TFLite", size, kind.threshold, by_tflite),
        "int8": open_scorer(bundle.folder, name=kind.name),
    }
