"""Run on the board: the golden answer of the bundle that ships, counted. Prints one JSON object."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import numpy as np

import edge.masks
from edge.masks.artifacts import TFLITE
from edge.masks.bundle import load_bundle, load_golden
from edge.masks.interpreter import open_network

bundle = load_bundle(Path(edge.masks.__file__).parent / "bundles" / "fast-unet")
network, golden = open_network(bundle, TFLITE, 1), load_golden(bundle, TFLITE)
np.copyto(network.input(), golden.input[0])
network.run()
off = np.abs(network.output().astype(np.int16) - golden.output[0])
print(
    json.dumps({
        "machine": platform.machine(), "model": bundle.model, "answers": off.size,
        "differing": int(np.count_nonzero(off)), "allowed": 0, "largest": int(off.max()),
    })
)  # fmt: skip
