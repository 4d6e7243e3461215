"""The int8 answer of each bundle that may fly on this processor, against its golden one, made on x86-64."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import numpy as np
import pytest

from edge.masks.artifacts import TFLITE
from edge.masks.bundle import load_bundle, load_golden
from edge.masks.interpreter import open_network

CARDS = sorted((Path(__file__).parents[2] / "models/bundles").glob("*/card.json"))
# A patch classifier does not fly: no backend opens it.
BUNDLES = [card.parent for card in CARDS if json.loads(card.read_bytes())["output"]["kind"] == "logits"]


@pytest.mark.parametrize("folder", BUNDLES, ids=[folder.name for folder in BUNDLES])
def test_int8_answer_is_the_same_to_the_bit(folder: Path) -> None:
    assert platform.machine() == "aarch64", "this is about another processor than the one that made the answer"
    bundle = load_bundle(folder)
    network, golden = open_network(bundle, TFLITE, 1), load_golden(bundle, TFLITE)
    np.copyto(network.input(), golden.input[0])
    network.run()
    off = np.abs(network.output().astype(np.int16) - golden.output[0])
    differing = f"{np.count_nonzero(off)} of {off.size} answers differ, at most {off.max()}"
    print(f"\n{bundle.model} on {network.library}: {differing}")
    assert not off.any()
