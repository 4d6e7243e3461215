"""What int8 costs a patch classifier: on how many pictures another class wins."""

from __future__ import annotations

from typing import Any

import numpy as np
from tqdm import tqdm

from convert.frames import Float, one_tile, to_float
from convert.gate import DataSet
from convert.quantize import open_interpreter, run
from edge.masks import preprocess
from edge.masks.bundle import Bundle
from models.data import read_pictures


def compare_classes(bundle: Bundle, model: Any, float_tflite: bytes, data: DataSet) -> dict[str, Any]:
    """Classify one patch of every picture with all three forms; JSON-ready, in the shape of `convert.gate.compare`.

    ``differing`` is the share of pictures on which another class wins than in the float Keras network.
    """
    card, rng = bundle.card, np.random.default_rng(0)
    int8, plain = open_interpreter(bundle.model_path.read_bytes()), open_interpreter(float_tflite)
    won: dict[str, list[int]] = {"float": [], "float_tflite": [], "int8": []}
    apart = 0.0
    paths = [example.image for example in data.examples]
    for rgb in read_pictures(tqdm(paths, desc=data.name, unit="image", mininterval=2)):
        patch = one_tile(rgb, card.input.height, card.input.width, rng)
        picture = to_float(patch)
        answers = {
            "float": np.asarray(model.predict_on_batch(picture), np.float32)[0],
            "float_tflite": run(plain, picture)[0],
            "int8": preprocess.dequantise(
                run(int8, (patch ^ 0x80).view(np.int8)[None])[0], card.output.scale, card.output.zero_point
            ),
        }
        for name, answer in answers.items():
            won[name].append(int(np.argmax(answer)))
        apart += float(np.abs(_softmax(answers["float"]) - _softmax(answers["int8"])).max())
    count = len(won["float"])
    differing = {name: round(float(np.mean(np.array(wins) != np.array(won["float"]))), 6) for name, wins in won.items()}
    return {
        "kind": "classes", "images": count, "pixels": count, "differing": differing, "f1_drop": None,
        "probability_difference": round(apart / count, 5), "images_that_fire": {}, "width_bias_px": None, "scores": {},
        "wins": {name: {card.classes[i]: wins.count(i) for i in set(wins)} for name, wins in won.items()},
    }  # fmt: skip


def _softmax(logits: Float) -> Float:
    raised = np.exp(logits - logits.max())
    return np.asarray(raised / raised.sum(), np.float32)
