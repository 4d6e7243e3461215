"""What may fly: pure int8, static, one input and one output, and only operators that integer accelerators take.

Whether an Edge TPU is likely to take the network as a whole is another question, see `convert.edgetpu`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from convert import ConversionError, edgetpu
from convert.graph import Tensor, read_graph

NEWEST_VERSION = {
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "RESIZE_BILINEAR": 3,
    "CONCATENATION": 2,
    "ADD": 2,
    "SUB": 2,
    "MUL": 2,
    "MAX_POOL_2D": 2,
    "AVERAGE_POOL_2D": 2,
    "MEAN": 2,
    "PAD": 2,
    "RESHAPE": 1,
    "TRANSPOSE_CONV": 3,
    "LOGISTIC": 2,
    "TANH": 2,
    "LEAKY_RELU": 2,
}
"""Operators a network may use, with the newest version each may have: all have fast int8 kernels on a CPU."""


_WHY = {
    "DEQUANTIZE": "an activation as ELU, or a normalisation of each picture by itself (Layer, Group), is computed in "
    "float; use ReLU and BatchNormalization",
    "RELU": "it stands alone, behind a transposed convolution, a join or an enlargement; put it behind a convolution",
    "RELU6": "it stands alone, behind a transposed convolution, a join or an enlargement; put it behind a convolution",
    "GREATER": "an activation as SELU is computed value by value; use ReLU or ReLU6",
    "HARD_SWISH": "its int8 kernel is slow; use ReLU or ReLU6",
    "GELU": "its int8 kernel is slow; use ReLU or ReLU6",
    "PRELU": "its int8 kernel is slow; use ReLU, ReLU6 or LeakyReLU",
    "RSQRT": "a normalisation of each picture by itself (Layer, Group) cannot be folded away; use BatchNormalization",
    "SQUARED_DIFFERENCE": "a normalisation of each picture by itself cannot be folded away; use BatchNormalization",
    "RESIZE_NEAREST_NEIGHBOR": "its int8 kernel is slow; use UpSampling2D, or resize bilinearly",
    "STRIDED_SLICE": "parts of a tensor are picked out, as by a crop; build the network without that",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Inventory:
    """What a .tflite file holds."""

    operators: dict[str, int]
    """Count by operator name."""
    largest_tensor_bytes: int
    """Largest activation."""
    peak_live_bytes: int
    """Most bytes of activations alive at once."""
    weight_bytes: int
    doubts: tuple[str, ...]
    """What makes an Edge TPU unlikely to take the whole network, although a CPU runs it; empty where nothing does."""


def check_operators(content: bytes) -> Inventory:
    """Return the inventory of a .tflite file. Raises ConversionError naming the first thing that must not be there."""
    graph = read_graph(content)
    for what, ends in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        if len(ends) != 1:
            raise ConversionError(f"The model has {len(ends)} {what}; a network that flies has one.")
    for operator in graph.operators:
        _check_version(operator.name, operator.version)
    for tensor in graph.tensors:
        _check_tensor(tensor)
    found = edgetpu.predict(graph)
    doubts = [f"operator {one.index}, {one.operator}, {one.reason}" for one in found.findings if one.reason]
    return Inventory(
        operators=graph.counts(),
        largest_tensor_bytes=found.largest_tensor_bytes,
        peak_live_bytes=found.peak_live_bytes,
        weight_bytes=found.weight_bytes,
        doubts=(*doubts, *found.whole),
    )


def _check_version(name: str, version: int) -> None:
    if name not in NEWEST_VERSION:
        allowed = ", ".join(sorted(NEWEST_VERSION))
        raise ConversionError(
            f"Operator {name} must not be in a network that flies: {_WHY.get(name, 'it has no fast int8 kernel')}; "
            f"allowed are {allowed}."
        )
    if version > NEWEST_VERSION[name]:
        raise ConversionError(
            f"Operator {name} has version {version}; accelerator compilers take at most {NEWEST_VERSION[name]} "
            "(grouped or fused variants raise it)."
        )


def _check_tensor(tensor: Tensor) -> None:
    if tensor.type not in ("INT8", "INT32"):
        raise ConversionError(f"Tensor {tensor.name} is neither int8 nor a constant int32; quantise the whole network.")
    if tensor.type == "INT32" and not tensor.constant:
        raise ConversionError(
            f"Tensor {tensor.name} is computed in int32: a shape worked out at run time; use a static batch of 1."
        )
    _check_shape(tensor)
    if any(not math.isfinite(scale) or scale <= 0 for scale in tensor.scales):
        raise ConversionError(
            f"Tensor {tensor.name} has a scale that is zero or not finite; a channel is dead, train again."
        )


def _check_shape(tensor: Tensor) -> None:
    if any(extent < 0 for extent in tensor.shape):
        shape = list(tensor.shape)
        raise ConversionError(f"Tensor {tensor.name} has a dynamic shape {shape}; use a static batch of 1.")
