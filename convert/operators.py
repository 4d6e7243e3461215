"""Check the operators of a .tflite file: pure int8, static, and only what integer accelerators are known to take.

The lists follow Coral's published operator table and versions seen mapped in Coral's own model files. A pass means
"expected to map", never "compiled": only the vendor's compiler can say that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from convert import ConversionError

NEWEST_VERSION = {
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "RESIZE_BILINEAR": 3,
    "CONCATENATION": 2,
    "ADD": 2,
    "MUL": 2,
    "MAX_POOL_2D": 2,
    "MEAN": 2,
    "PAD": 2,
}
"""Operators a network may use, with the newest version each may have."""
LARGEST_TENSOR_BYTES = 2 * 1024 * 1024
"""Activations above this are unlikely to fit an Edge TPU's 8 MiB of memory; a CPU does not mind."""
WEIGHT_BYTES = 6 * 1024 * 1024
"""Weights above this are streamed at every run on an Edge TPU."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inventory:
    """What a .tflite file holds."""

    operators: dict[str, int]
    """Count by operator name."""
    largest_tensor_bytes: int
    """Largest activation."""
    weight_bytes: int
    doubts: tuple[str, ...]
    """What makes an Edge TPU unlikely to take the whole network, although a CPU runs it; empty where nothing does."""


def check_operators(content: bytes) -> Inventory:
    """Return the inventory of a .tflite file. Raises ConversionError naming the first thing that must not be there."""
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    if len(model.subgraphs) != 1:
        raise ConversionError(f"The file has {len(model.subgraphs)} subgraphs; a network that flies has exactly one.")
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    counts: dict[str, int] = {}
    for operator in model.subgraphs[0].operators:
        code = model.operatorCodes[operator.opcodeIndex]
        name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        _check_version(name, code.version)
        counts[name] = counts.get(name, 0) + 1
    activations, weights = 0, 0
    for tensor, size, constant in _tensors(model, schema):
        _check_tensor(tensor, constant, schema)
        activations, weights = (activations, weights + size) if constant else (max(activations, size), weights)
    doubts = tuple(
        f"the {what} takes {size} bytes, more than the {limit} that an Edge TPU is known to take"
        for what, size, limit in (
            ("largest activation", activations, LARGEST_TENSOR_BYTES),
            ("sum of the weights", weights, WEIGHT_BYTES),
        )
        if size > limit
    )
    return Inventory(operators=counts, largest_tensor_bytes=activations, weight_bytes=weights, doubts=doubts)


def _check_version(name: str, version: int) -> None:
    if name not in NEWEST_VERSION:
        allowed = ", ".join(sorted(NEWEST_VERSION))
        raise ConversionError(f"Operator {name} must not be in a network that flies; allowed are {allowed}.")
    if version > NEWEST_VERSION[name]:
        raise ConversionError(
            f"Operator {name} has version {version}; accelerator compilers take at most {NEWEST_VERSION[name]} "
            "(grouped or fused variants raise it)."
        )


def _tensors(model: Any, schema: Any) -> Iterator[tuple[Any, int, bool]]:
    for tensor in model.subgraphs[0].tensors:
        data = model.buffers[tensor.buffer].data
        count = math.prod(int(extent) for extent in tensor.shape) if tensor.shape is not None else 1
        yield tensor, count * (4 if tensor.type == schema.TensorType.INT32 else 1), data is not None and len(data) > 0


def _check_tensor(tensor: Any, constant: bool, schema: Any) -> None:
    name = tensor.name.decode()
    if tensor.type not in (schema.TensorType.INT8, schema.TensorType.INT32):
        raise ConversionError(f"Tensor {name} is neither int8 nor a constant int32; quantise the whole network.")
    if tensor.type == schema.TensorType.INT32 and not constant:
        raise ConversionError(
            f"Tensor {name} is computed in int32: a shape worked out at run time; use a static batch of 1."
        )
    if tensor.shapeSignature is not None and min(tensor.shapeSignature, default=1) < 0:
        shape = list(tensor.shapeSignature)
        raise ConversionError(f"Tensor {name} has a dynamic shape {shape}; use a static batch of 1.")
    scales = tensor.quantization.scale if tensor.quantization is not None else None
    if scales is not None and any(not math.isfinite(scale) or scale <= 0 for scale in scales):
        raise ConversionError(f"Tensor {name} has a scale that is zero or not finite; a channel is dead, train again.")
