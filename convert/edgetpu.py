"""Predict, without the vendor's compiler, which operators of a .tflite file an Edge TPU takes.

The rules are Coral's published operator table and general requirements (coral.ai/docs/edgetpu/models-intro) and the
operator versions seen mapped in Coral's own pairs of source and compiled models. Sizes are this project's reading of
published refusals; no limit is documented. So a pass is "expected to map", never "compiled": only edgetpu_compiler
can say that, and what it says stands on the card (see `convert.compiler`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from convert.graph import Graph, Operator, Tensor

MAPS, UNKNOWN, STAYS = "expected to map", "unknown", "will not map"
_ORDER = (MAPS, UNKNOWN, STAYS)

MIB = 1024 * 1024
DOUBTFUL_TENSOR_BYTES, TOO_LARGE_TENSOR_BYTES = 1 * MIB, 2 * MIB
DOUBTFUL_LIVE_BYTES = 3 * MIB
"""The 8 MiB of the chip hold the program, the cached weights and the activations."""
STREAMED_WEIGHT_BYTES, TOO_LARGE_WEIGHT_BYTES = 3 * MIB, 6 * MIB
RESIZE_SIDE_PX = 128
TRANSPOSED_SIDE_PX = 64
MEAN_SIDE_PX = 64
SOFTMAX_ELEMENTS = 16_000
RESHAPE_BYTES = 64 * 1024

NEWEST_VERSION = {
    "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "TRANSPOSE_CONV": 3, "FULLY_CONNECTED": 4, "RESIZE_BILINEAR": 3,
    "RESIZE_NEAREST_NEIGHBOR": 3, "CONCATENATION": 2, "ADD": 2, "SUB": 2, "MUL": 2, "MINIMUM": 2, "MAXIMUM": 2,
    "MAX_POOL_2D": 2, "AVERAGE_POOL_2D": 2, "MEAN": 2, "PAD": 2, "LOGISTIC": 2, "TANH": 2, "RELU": 2, "RELU6": 2,
    "RELU_N1_TO_1": 2, "SOFTMAX": 2, "QUANTIZE": 1, "RESHAPE": 1, "SQUEEZE": 1, "SPACE_TO_DEPTH": 1, "SPLIT": 2,
    "SLICE": 2, "PRELU": 1, "L2_NORMALIZATION": 2, "EXPAND_DIMS": 1,
}  # fmt: skip
"""Operators of the table with the newest version seen mapped, or published as taken."""

_REFUSED = {
    "DEQUANTIZE": "gives float, which the Edge TPU does not compute",
    "ARG_MAX": "is not in the table; Coral's own segmentation models leave it on the CPU",
    "DEPTH_TO_SPACE": "is not in the table",
    "TILE": "is not in the table; UpSampling2D becomes it, so resize bilinearly to a constant size",
    "SHAPE": "is a size worked out at run time; build the model with a static batch of 1",
    "STRIDED_SLICE": "comes from a size worked out at run time; build the model with a static batch of 1",
    "PACK": "comes from a size worked out at run time; build the model with a static batch of 1",
    "LEAKY_RELU": "is not in the table; use ReLU or ReLU6",
    "HARD_SWISH": "is not in the table; use ReLU or ReLU6",
    "GELU": "is not in the table; use ReLU or ReLU6",
    "GATHER": "is not in the table",
    "CAST": "is not in the table",
    "BATCH_MATMUL": "is not in the table",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What is expected of one operator."""

    index: int
    operator: str
    version: int
    shape: tuple[int, ...]
    """Of its first output."""
    bytes: int
    verdict: str
    """``expected to map``, ``unknown`` or ``will not map``."""
    reason: str
    """Empty where it is expected to map."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """What is expected of a file."""

    verdict: str
    """The worst of all findings."""
    findings: tuple[Finding, ...]
    whole: tuple[str, ...]
    """Doubts about the file as a whole, as memory."""
    subgraphs: int
    """Edge TPU subgraphs to expect: 1 where operators map from the first on, 0 where the first does not map. By default
    the compiler leaves everything behind the first unmapped operator on the CPU."""
    largest_tensor_bytes: int
    peak_live_bytes: int
    weight_bytes: int


def predict(graph: Graph) -> Prediction:
    """Judge every operator of a file and the file as a whole."""
    findings = tuple(_finding(graph, operator) for operator in graph.operators)
    whole = tuple(_whole(graph))
    verdicts = [verdict for verdict, _ in whole] + [one.verdict for one in findings]
    return Prediction(
        verdict=max(verdicts, key=_ORDER.index, default=UNKNOWN),
        findings=findings,
        whole=tuple(f"{verdict}: {reason}" for verdict, reason in whole),
        subgraphs=int(bool(findings) and findings[0].verdict != STAYS),
        largest_tensor_bytes=graph.largest_activation.bytes,
        peak_live_bytes=graph.peak_live_bytes,
        weight_bytes=graph.weight_bytes,
    )


def _finding(graph: Graph, operator: Operator) -> Finding:
    found = [*_general(graph, operator), *_RULES.get(operator.name, _no_rule)(graph, operator)]
    verdict = max((one[0] for one in found), key=_ORDER.index, default=MAPS)
    result = graph.tensors[operator.outputs[0]]
    return Finding(
        index=operator.index, operator=operator.name, version=operator.version, shape=result.shape,
        bytes=result.bytes, verdict=verdict, reason="; ".join(reason for kind, reason in found if kind == verdict),
    )  # fmt: skip


Verdicts = Iterator[tuple[str, str]]


def _whole(graph: Graph) -> Verdicts:
    if graph.peak_live_bytes > DOUBTFUL_LIVE_BYTES:
        yield (
            UNKNOWN,
            f"{_mib(graph.peak_live_bytes)} of activations are alive at once, above {_mib(DOUBTFUL_LIVE_BYTES)}",
        )
    if graph.weight_bytes > TOO_LARGE_WEIGHT_BYTES:
        yield UNKNOWN, f"{_mib(graph.weight_bytes)} of weights do not fit the chip and are streamed for every frame"
    elif graph.weight_bytes > STREAMED_WEIGHT_BYTES:
        yield UNKNOWN, f"{_mib(graph.weight_bytes)} of weights may not all be cached beside the activations"


def _general(graph: Graph, operator: Operator) -> Verdicts:
    """What holds for every operator: known, not too new, integers, static, batch 1, sizes."""
    if operator.name in _REFUSED:
        yield STAYS, _REFUSED[operator.name]
    elif operator.name.startswith("CUSTOM"):
        yield STAYS, "is a custom operator"
    elif operator.name not in NEWEST_VERSION:
        yield UNKNOWN, "is not in the table of operators"
    elif operator.version > NEWEST_VERSION[operator.name]:
        yield STAYS, f"has version {operator.version}, the compiler takes at most {NEWEST_VERSION[operator.name]}"
    for index in (*operator.inputs, *operator.outputs):
        yield from _tensor(graph.tensors[index])
    for index in operator.outputs:
        size = graph.tensors[index].bytes
        if size > TOO_LARGE_TENSOR_BYTES:
            yield STAYS, f"gives {_mib(size)}, above the {_mib(TOO_LARGE_TENSOR_BYTES)} that are known to fit"
        elif size > DOUBTFUL_TENSOR_BYTES:
            yield UNKNOWN, f"gives {_mib(size)}, above {_mib(DOUBTFUL_TENSOR_BYTES)}"


def _tensor(tensor: Tensor) -> Verdicts:
    if tensor.type not in ("INT8", "UINT8") and not (tensor.type in ("INT32", "INT64") and tensor.constant):
        yield STAYS, f"tensor {_short(tensor)} is {tensor.type}, only 8-bit integers are computed"
    if any(extent < 0 for extent in tensor.shape):
        yield STAYS, f"tensor {_short(tensor)} has an open shape {list(tensor.shape)}; use a static batch of 1"
    elif not tensor.constant and len(tensor.shape) == 4 and tensor.shape[0] != 1:
        yield STAYS, f"tensor {_short(tensor)} has batch {tensor.shape[0]}, the Edge TPU takes 1"
    if any(not math.isfinite(scale) or scale <= 0 for scale in tensor.scales):
        yield STAYS, f"tensor {_short(tensor)} has a scale that is zero or not finite"


def _no_rule(graph: Graph, operator: Operator) -> Verdicts:
    yield from ()


def _convolution(graph: Graph, operator: Operator) -> Verdicts:
    across, down = (getattr(operator.options, f"dilation{side}Factor", 1) for side in "WH")
    if across != down:
        yield STAYS, f"is dilated by {across} across and {down} down; both must be equal"


def _transposed(graph: Graph, operator: Operator) -> Verdicts:
    if operator.activation != "NONE":
        yield STAYS, "has a fused activation"
    if _side(graph, operator) > TRANSPOSED_SIDE_PX:
        yield UNKNOWN, f"is often refused by size; its output is above {TRANSPOSED_SIDE_PX} px"


def _resize(graph: Graph, operator: Operator) -> Verdicts:
    if _side(graph, operator) > RESIZE_SIDE_PX:
        yield UNKNOWN, f"may be refused by size; its output is above {RESIZE_SIDE_PX} px"


def _concatenation(graph: Graph, operator: Operator) -> Verdicts:
    if operator.activation != "NONE":
        yield STAYS, "has a fused activation"
    if any(graph.tensors[i].constant for i in operator.inputs):
        yield STAYS, "joins a constant; only zeros, and two inputs in all, are taken"


def _pool(graph: Graph, operator: Operator) -> Verdicts:
    if operator.activation != "NONE":
        yield STAYS, "has a fused activation"


def _mean(graph: Graph, operator: Operator) -> Verdicts:
    source, result = (graph.tensors[index] for index in (operator.inputs[0], operator.outputs[0]))
    if max(source.shape[1:3], default=1) > MEAN_SIDE_PX:
        yield UNKNOWN, f"averages more than {MEAN_SIDE_PX} px"
    if len(source.shape) == 4 and source.shape[3] not in result.shape and source.shape[3] % 4:
        yield STAYS, f"averages over {source.shape[3]} channels; a multiple of 4 is needed"


def _softmax(graph: Graph, operator: Operator) -> Verdicts:
    shape = graph.tensors[operator.inputs[0]].shape
    if math.prod(shape) != shape[-1]:
        yield STAYS, f"is taken over {list(shape)}; only one row is"
    elif shape[-1] > SOFTMAX_ELEMENTS:
        yield STAYS, f"is taken over {shape[-1]} values, at most {SOFTMAX_ELEMENTS} are"


def _fully_connected(graph: Graph, operator: Operator) -> Verdicts:
    shape = graph.tensors[operator.outputs[0]].shape
    if math.prod(shape) != shape[-1]:
        yield STAYS, f"gives {list(shape)}; only one row is taken"
    if getattr(operator.options, "weightsFormat", 0):
        yield STAYS, "has shuffled weights; only the plain format is taken"


def _logistic(graph: Graph, operator: Operator) -> Verdicts:
    if operator.outputs[0] not in graph.outputs:
        yield UNKNOWN, "stands inside the network"


def _reshape(graph: Graph, operator: Operator) -> Verdicts:
    if graph.tensors[operator.outputs[0]].bytes > RESHAPE_BYTES:
        yield UNKNOWN, "may be refused for a large tensor"


_RULES: dict[str, Callable[[Graph, Operator], Verdicts]] = {
    "CONV_2D": _convolution, "DEPTHWISE_CONV_2D": _convolution, "TRANSPOSE_CONV": _transposed,
    "RESIZE_BILINEAR": _resize, "RESIZE_NEAREST_NEIGHBOR": _resize, "CONCATENATION": _concatenation,
    "MAX_POOL_2D": _pool, "AVERAGE_POOL_2D": _pool, "MEAN": _mean, "SOFTMAX": _softmax,
    "FULLY_CONNECTED": _fully_connected, "LOGISTIC": _logistic, "RESHAPE": _reshape, "SQUEEZE": _reshape,
}  # fmt: skip


def _side(graph: Graph, operator: Operator) -> int:
    return max(graph.tensors[operator.outputs[0]].shape[1:3], default=1)


def _short(tensor: Tensor) -> str:
    """The last word of the name: the converter joins all fused layers into one."""
    return tensor.name.rpartition(";")[2].rpartition("/")[2] or "without a name"


def _mib(count: int) -> str:
    return f"{count / MIB:.2f} MiB"
