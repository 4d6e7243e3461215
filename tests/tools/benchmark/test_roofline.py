"""A model taken apart, and who runs its operators."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edge.masks import Runtime, onnx
from edge.masks.bundle import default_bundle_path, load_bundle, load_golden
from edge.masks.interpreter import Operator, open_model
from edge.tools.benchmark.accuracy import card_accuracy
from edge.tools.benchmark.delegation import delegation, owned, refusal
from edge.tools.benchmark.roofline import roofline
from edge.tools.benchmark.subject import why_not
from edge.tools.benchmark.surgery import convolution, parts

CONTEXT = Path(__file__).parents[2] / "masks" / "fixtures" / "context"


def test_the_parts_one_after_the_other_give_the_answer_of_the_whole() -> None:
    """Oracle: the golden answer of the bundle, computed through the models of its single operators."""
    from ai_edge_litert.interpreter import Interpreter

    golden = load_golden(load_bundle(CONTEXT))
    content = (CONTEXT / "model.tflite").read_bytes()
    values: dict[str, np.ndarray] = {}
    for number, part in enumerate(parts(content)):
        alone = Interpreter(model_content=part.content, num_threads=1)
        alone.allocate_tensors()
        for detail in alone.get_input_details():
            alone.set_tensor(detail["index"], values.get(detail["name"], golden.input))
        alone.invoke()
        (out,) = alone.get_output_details()
        values[out["name"]] = last = np.array(alone.get_tensor(out["index"]))
        assert last.shape == part.output, number
    assert np.abs(last.astype(int) - golden.output).max() <= 2


def test_the_multiply_accumulates_are_those_of_the_card() -> None:
    bundle = load_bundle(default_bundle_path())
    found = parts(bundle.model_path.read_bytes())
    assert sum(part.macs for part in found) / 1e9 == pytest.approx(bundle.card.made["gmac"], abs=0.001)
    stem = found[0]
    height, width = bundle.card.input.height // 2, bundle.card.input.width // 2
    assert (stem.name, stem.output) == ("CONV_2D 3x3 s2", (1, height, width, 16))
    assert stem.macs == height * width * 16 * 9 * 3
    # input, output, weights and a bias of int32 each
    assert stem.moved_bytes == 4 * height * width * 3 + height * width * 16 + 16 * 27 + 4 * 16


def test_a_kernel_made_from_nothing_runs_on_the_fast_kernels() -> None:
    content, macs = convolution(8, 6, 32, 3)
    assert macs == 8 * 6 * 32 * 32 * 9
    network = open_model(content, 1)
    operators = network.operators()
    assert operators is not None
    assert delegation(operators).owned == 1
    network.run()
    assert network.output().shape == (8, 6, 32)
    assert len(np.unique(network.output())) > 10, "it computes"


def test_a_roofline_is_a_limit_and_every_operator_stands_in_it() -> None:
    content = (CONTEXT / "model.tflite").read_bytes()
    found = roofline(content, rounds=3)
    assert len(found.steps) == len(parts(content))
    assert found.machine.gmac_per_s > 0.1
    assert found.machine.near_gb_per_s > 0.1
    assert found.limit_ms == pytest.approx(sum(step.limit_ms for step in found.steps))
    for step, part in zip(found.steps, parts(content), strict=True):
        arithmetic = part.macs / found.machine.gmac_per_s / 1e6
        traffic = part.moved_bytes / found.machine.near_gb_per_s / 1e6
        assert step.limit_ms == pytest.approx(max(arithmetic, traffic))
    assert found.share > 0


def test_the_cpu_s_kernels_own_all_of_the_shipped_network() -> None:
    operators = open_model((default_bundle_path() / "model.tflite").read_bytes(), 1).operators()
    assert operators is not None
    found = delegation(operators)
    assert (found.owned, found.partitions) == (found.operators, 1)
    assert found.operators > 20


CONV, COMPILED = "CONV_2D", "edgetpu-custom-op"
GRAPHS = {
    # Everything in one compiled operator, taken over by the accelerator's delegate.
    "all": (Operator(COMPILED, (0,), (1,)), Operator("DELEGATE", (0,), (1,))),
    # One compiled operator, the rest on the CPU's kernels.
    "part": (
        Operator(COMPILED, (0,), (1,)),
        Operator(CONV, (1, 9), (2,)),
        Operator("DELEGATE", (0,), (1,)),
        Operator("DELEGATE", (1, 9), (2,)),
    ),
    # No compiled operator: what owns these is the CPU's delegate, whatever was loaded.
    "cpu only": (Operator(CONV, (0, 9), (1,)), Operator(CONV, (1, 9), (2,)), Operator("DELEGATE", (0, 9), (2,))),
    # The compiled operator is there and nobody took it.
    "nobody": (Operator(COMPILED, (0,), (1,)),),
}


@pytest.mark.parametrize(("graph", "refused"), [("all", False), ("part", False), ("cpu only", True), ("nobody", True)])
def test_an_edge_tpu_s_number_needs_an_operator_that_it_owns(graph: str, refused: bool) -> None:
    why = refusal("edgetpu", COMPILED, GRAPHS[graph])
    assert (why is not None) is refused
    if why is not None:
        assert "owns none of the" in why


def test_what_cannot_be_proved_is_refused_and_a_cpu_has_nothing_to_prove() -> None:
    assert "proves nothing" in (refusal("cuda", None, None) or "")
    assert refusal("cpu", None, None) is None
    assert [operator.name for operator in owned(GRAPHS["cpu only"])] == [CONV, CONV]


@pytest.mark.parametrize(("exclusive", "refused"), [(True, False), (False, True)])
def test_a_network_that_can_run_nowhere_else_needs_no_list_of_operators(exclusive: bool, refused: bool) -> None:
    runtime = Runtime(backend="onnx", library="onnxruntime 1", accelerator="tensorrt", threads=None)
    segmenter = SimpleNamespace(degraded=None, runtime=runtime, network=SimpleNamespace(exclusive=exclusive))
    assert (why_not(segmenter, onnx.TRAITS) is not None) is refused  # type: ignore[arg-type]


def test_constants_that_operators_share_stay_with_each_of_them() -> None:
    """Every part of the shipped network runs alone: no buffer was taken away from it."""
    for part in parts((default_bundle_path() / "model.tflite").read_bytes()):
        open_model(part.content, 1).run()


def test_the_card_s_accuracy_is_read_where_there_is_one() -> None:
    card = json.loads((default_bundle_path() / "card.json").read_text(encoding="utf-8"))
    found, plain = (card_accuracy(card["metrics"], scores) for scores in ("int8", "float"))
    assert found.keys() == plain.keys()
    assert found != plain, "an artefact that computes in float has the float network's accuracy"
    assert all(0 < value <= 1 for value in (*found.values(), *plain.values()))
    assert card_accuracy({"mine": {"int8": {"pooled": None}}, "other": 3}, "int8") == {}
    assert card_accuracy(None, "int8") == {}
