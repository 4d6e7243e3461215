"""The gate: a bundle against the float network it was made from, and its graph; the findings go into the bundle."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from convert import gate, report
from convert.bundle import golden_picture
from convert.classes import compare_classes
from convert.edgetpu import predict
from convert.folder import editing
from convert.frames import to_float
from convert.graph import read_graph
from convert.operators import check_operators
from convert.quantize import delegate_partitions, open_interpreter, to_float_tflite
from convert.scorers import open_rivals
from convert.source import CLASSIFIER, load_source
from edge.masks.artifacts import MODEL
from edge.masks.bundle import Bundle, load_bundle
from edge.support.clock import SystemClock

log = logging.getLogger(__name__)

REPORT, PAGE = "report.json", "report.html"
ROUNDS = 15


def verify(path: Path, model: Path, sets: Sequence[gate.DataSet]) -> dict[str, Any]:
    """Compare the bundle in `path` with its float `model` on `sets`; report and scores go into it.

    Returns the report: ``passed`` is false where anything is past the card's limits, ``failures`` says what. Raises
    BundleError for a bundle that is not sound, DataError for pictures or a float model that cannot be used.
    """
    bundle = load_bundle(path)
    content = bundle.model_path.read_bytes()
    check_operators(content)
    card = bundle.card
    source = load_source(model, (card.input.height, card.input.width), card.classes, pixels=card.made.get("pixels"))
    float_tflite = to_float_tflite(source.model)
    graph = inspect_graph(content)
    compared, picture = _compare(bundle, source.model, float_tflite, sets, source.kind == CLASSIFIER)
    failed = [one for name, each in compared.items() for one in gate.failures(name, each, card.limits)]
    failed += graph_failures(graph)
    found = {
        "model": bundle.model,
        "at": SystemClock().utc().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "passed": not failed,
        "failures": failed,
        "thresholds": {kind.name: kind.threshold for kind in card.damage},
        "limits": asdict(card.limits),
        "sets": compared,
        "graph": graph,
        "speed": speed(content, float_tflite),
    }
    _keep(bundle, found, picture)
    return found


def _compare(
    bundle: Bundle, model: Any, float_tflite: bytes, sets: Sequence[gate.DataSet], classifier: bool
) -> tuple[dict[str, Any], bytes | None]:
    card = bundle.card
    if classifier:
        return {one.name: compare_classes(bundle, model, float_tflite, one) for one in sets}, None
    compared: dict[str, Any] = {}
    picture = None
    for index, kind in enumerate(card.damage):
        rivals = open_rivals(bundle, model, float_tflite, index)
        for one in sets:
            name = one.name if len(card.damage) == 1 else f"{one.name}, {kind.name}"
            compared[name] = gate.compare(rivals, one.labelling(kind.name, first=index == 0), kind)
        picture = picture or report.draw(rivals, card.input.height, card.input.width)
    return compared, picture


def inspect_graph(content: bytes) -> dict[str, Any]:
    """What stands in an int8 file, JSON-ready."""
    graph, predicted = read_graph(content), predict(read_graph(content))
    partitions, whole = delegate_partitions(content)
    scales = [scale for tensor in graph.tensors for scale in tensor.scales]
    return {
        "operators": graph.counts(),
        "delegate_partitions": partitions,
        "whole_network_delegated": whole,
        "largest_tensor_bytes": graph.largest_activation.bytes,
        "peak_live_bytes": graph.peak_live_bytes,
        "weight_bytes": graph.weight_bytes,
        "scales_sound": bool(scales) and bool(np.isfinite(scales).all() and (np.array(scales) > 0).all()),
        "edgetpu_verdict": predicted.verdict,
    }


def graph_failures(graph: Mapping[str, Any]) -> list[str]:
    """What in the graph must not fly, a sentence each."""
    found = []
    if not graph["whole_network_delegated"]:
        found.append(
            f"the fast kernels take the network in {graph['delegate_partitions']} parts and leave some of it; "
            "an operator among them is slow on every CPU"
        )
    if not graph["scales_sound"]:
        found.append("a scale is zero or not finite; a channel is dead, train again")
    return found


def speed(content: bytes, float_tflite: bytes) -> dict[str, float]:
    """Least CPU time of one run on one thread, milliseconds, of both files in turn."""
    interpreters = {"int8": open_interpreter(content), "float": open_interpreter(float_tflite)}
    shape = interpreters["int8"].get_input_details()[0]["shape"]
    picture = golden_picture(int(shape[1]), int(shape[2]))
    inputs = {"int8": (picture ^ 0x80).view(np.int8)[None], "float": to_float(picture)}
    least = dict.fromkeys(interpreters, float("inf"))
    for name, interpreter in interpreters.items():
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs[name])
        interpreter.invoke()
    for _ in range(ROUNDS):
        for name, interpreter in interpreters.items():
            begun = time.process_time()
            interpreter.invoke()
            least[name] = min(least[name], time.process_time() - begun)
    return {
        "int8_ms": round(least["int8"] * 1e3, 2), "float_ms": round(least["float"] * 1e3, 2),
        "ratio": round(least["float"] / least["int8"], 2),
    }  # fmt: skip


def _keep(bundle: Bundle, found: Mapping[str, Any], picture: bytes | None) -> None:
    """Write the report into the bundle and the scores of labelled and crack-free sets onto its card."""
    with editing(bundle.folder) as (folder, card):
        (folder / REPORT).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        (folder / PAGE).write_text(report.page(found, picture), encoding="utf-8")
        for name, one in found["sets"].items():
            if one["scores"]:
                card["metrics"][name] = {form: one["scores"][form] for form in ("float", "int8")}
        card["made"]["verified"] = {
            "passed": found["passed"], "at": found["at"], "sets": list(found["sets"]), MODEL: bundle.sha256
        }  # fmt: skip
