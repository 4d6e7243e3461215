"""What stands in a .tflite file: operators in order, their tensors, and how much of them is alive at once.

Reads the flatbuffer with the schema that comes with LiteRT; TensorFlow is not needed.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert import ConversionError

_ITEM_BYTES = {
    "FLOAT32": 4, "FLOAT16": 2, "INT32": 4, "UINT8": 1, "INT64": 8, "BOOL": 1, "INT16": 2, "INT8": 1,
    "FLOAT64": 8, "UINT64": 8, "UINT32": 4, "UINT16": 2,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """One tensor of the file."""

    name: str
    type: str
    """As the schema names it: ``INT8``, ``FLOAT32``."""
    shape: tuple[int, ...]
    """-1 where the extent is open until run time."""
    constant: bool
    """True for weights, biases and sizes: the values are in the file."""
    scales: tuple[float, ...]
    """Empty where the tensor is not quantised; several for per-channel weights."""
    zero_points: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Size in memory; open extents count as 1."""
        return math.prod(max(extent, 1) for extent in self.shape) * _ITEM_BYTES.get(self.type, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Operator:
    """One operator, in the order of execution."""

    index: int
    name: str
    """As the schema names it: ``CONV_2D``; ``CUSTOM name`` for a custom one."""
    version: int
    inputs: tuple[int, ...]
    """Indices of tensors; optional ones that are not given are left out."""
    outputs: tuple[int, ...]
    activation: str
    """Fused activation: ``NONE``, ``RELU``, ``RELU6``."""
    options: Any
    """The schema's options object, or None."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """The one subgraph of a file."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def counts(self) -> dict[str, int]:
        """Operators by name."""
        found: dict[str, int] = {}
        for operator in self.operators:
            found[operator.name] = found.get(operator.name, 0) + 1
        return found

    @property
    def weight_bytes(self) -> int:
        """Everything constant."""
        return sum(tensor.bytes for tensor in self.tensors if tensor.constant)

    @property
    def largest_activation(self) -> Tensor:
        """The largest tensor that is computed."""
        return max((tensor for tensor in self.tensors if not tensor.constant), key=lambda tensor: tensor.bytes)

    @property
    def peak_live_bytes(self) -> int:
        """Most bytes of activations alive at once, each from the operator that makes it to the last that reads it.

        A lower bound of any runtime's arena: padding and scratch memory come on top.
        """
        first = dict.fromkeys(self.inputs, 0)
        last = dict.fromkeys(self.outputs, len(self.operators) - 1)
        for step, operator in enumerate(self.operators):
            for index in operator.outputs:
                first.setdefault(index, step)
            for index in (*operator.inputs, *operator.outputs):
                last[index] = max(step, last.get(index, 0))
        alive = [
            sum(self.tensors[i].bytes for i in first if not self.tensors[i].constant and first[i] <= step <= last[i])
            for step in range(len(self.operators))
        ]
        return max(alive, default=0)


def read_graph(source: Path | bytes) -> Graph:
    """Read a .tflite file or its content.

    Raises ConversionError where it is none, or has several subgraphs (control flow).
    """
    from ai_edge_litert import schema_py_generated as schema

    name = "the model" if isinstance(source, bytes) else str(source)
    if isinstance(source, Path) and not source.is_file():
        raise ConversionError(f"The file {source} does not exist; give a .tflite file.")
    content = source if isinstance(source, bytes) else source.read_bytes()
    if content[4:8] != b"TFL3":
        raise ConversionError(f"{name} is no TensorFlow Lite model: the identifier TFL3 is missing; convert it again.")
    try:
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        return _graph(model, schema)
    except (struct.error, IndexError, TypeError, ValueError, AttributeError, KeyError, UnicodeDecodeError) as error:
        if isinstance(error, ConversionError):
            raise
        raise ConversionError(f"{name} is a damaged TensorFlow Lite model ({error}); convert it again.") from error


def _graph(model: Any, schema: Any) -> Graph:
    if len(model.subgraphs) != 1:
        raise ConversionError(f"The file has {len(model.subgraphs)} subgraphs; a network that flies has exactly one.")
    subgraph = model.subgraphs[0]
    types = _names(schema.TensorType)
    return Graph(
        tensors=tuple(_tensor(tensor, model.buffers, types) for tensor in subgraph.tensors),
        operators=tuple(_operators(model, schema)),
        inputs=tuple(int(i) for i in subgraph.inputs),
        outputs=tuple(int(i) for i in subgraph.outputs),
    )


def _tensor(tensor: Any, buffers: Sequence[Any], types: dict[int, str]) -> Tensor:
    data = buffers[tensor.buffer].data
    quantization = tensor.quantization
    scales = quantization.scale if quantization is not None and quantization.scale is not None else ()
    zeros = quantization.zeroPoint if quantization is not None and quantization.zeroPoint is not None else ()
    shape = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
    return Tensor(
        name=tensor.name.decode() if tensor.name else "",
        type=types[tensor.type],
        shape=() if shape is None else tuple(int(extent) for extent in shape),
        constant=data is not None and len(data) > 0,
        scales=tuple(float(scale) for scale in scales),
        zero_points=tuple(int(zero) for zero in zeros),
    )


def _operators(model: Any, schema: Any) -> list[Operator]:
    names, activations = _names(schema.BuiltinOperator), _names(schema.ActivationFunctionType)
    found = []
    for index, operator in enumerate(model.subgraphs[0].operators):
        code = model.operatorCodes[operator.opcodeIndex]
        name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        if name == "CUSTOM":
            name = f"CUSTOM {code.customCode.decode() if code.customCode else '?'}"
        options = operator.builtinOptions
        found.append(
            Operator(
                index=index,
                name=name,
                version=int(code.version),
                inputs=tuple(int(i) for i in operator.inputs if i >= 0) if operator.inputs is not None else (),
                outputs=tuple(int(i) for i in operator.outputs),
                activation=activations[getattr(options, "fusedActivationFunction", 0)],
                options=options,
            )
        )
    return found


def _names(enumeration: Any) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}
