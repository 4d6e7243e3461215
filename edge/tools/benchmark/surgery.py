"""A .tflite file taken apart: each operator alone as a model of its own, and single kernels made from nothing.

The interpreter has no profiler that could be asked from Python; an operator that runs alone can be timed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.support.errors import ConfigError

# Activations of networks are small integers with one scale; any sensible ones do for timing.
_SCALE, _ZERO_POINT = 0.05, 0


@dataclass(frozen=True, slots=True)
class Part:
    """One operator of a model."""

    name: str
    """As ``CONV_2D 3x3 s2``."""
    output: tuple[int, ...]
    """Shape of what it makes."""
    macs: int
    """Multiply-accumulates; 0 for what only moves data."""
    moved_bytes: int
    """Its inputs, weights and outputs, each once."""
    content: bytes
    """The operator alone, as a model."""


def parts(content: bytes) -> list[Part]:
    """Take the .tflite bytes ``content`` apart, in order. Raises ConfigError without ai-edge-litert's schema."""
    schema = _schema()
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    return [_part(schema, content, model, number) for number in range(len(model.subgraphs[0].operators))]


def convolution(height: int, width: int, channels: int, kernel: int) -> tuple[bytes, int]:
    """An int8 convolution to as many channels, alone in a model; and its multiply-accumulates."""
    schema = _schema()
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (channels, kernel, kernel, channels)).astype(np.int8)
    shape = (1, height, width, channels)
    types = schema.TensorType
    tensors = [
        _tensor(schema, "in", shape, types.INT8, 0, [_SCALE], [_ZERO_POINT], 0),
        # Per output channel, as post-training quantisation makes them.
        _tensor(schema, "w", weights.shape, types.INT8, 1, [0.01] * channels, [0] * channels, 0),
        _tensor(schema, "b", (channels,), types.INT32, 2, [0.01 * _SCALE] * channels, [0] * channels, 0),
        _tensor(schema, "out", shape, types.INT8, 0, [10.0], [0], 0),
    ]
    graph = schema.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs = tensors, [0], [3]
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 1, 2], [3]
    operator.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
    operator.builtinOptions = schema.Conv2DOptionsT(padding=schema.Padding.SAME, strideW=1, strideH=1)
    graph.operators = [operator]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CONV_2D
    code.version = 3
    model = schema.ModelT()
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], [code]
    biases = np.zeros(channels, np.int32)
    model.buffers = [schema.BufferT(), _buffer(schema, weights), _buffer(schema, biases)]
    return _packed(model), height * width * channels * channels * kernel * kernel


def _schema() -> Any:
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError as error:
        raise ConfigError(
            f"a model can only be taken apart with the schema that comes with ai-edge-litert ({error}); install that"
        ) from error
    return schema_py_generated


def _part(schema: Any, content: bytes, whole: Any, number: int) -> Part:
    model = schema.ModelT.InitFromPackedBuf(content, 0)  # a fresh copy: it is cut down below
    graph = model.subgraphs[0]
    operator = graph.operators[number]
    graph.operators = [operator]
    graph.inputs = [tensor for tensor in operator.inputs if tensor >= 0 and not _constant(model, graph, tensor)]
    graph.outputs = list(operator.outputs)
    model.signatureDefs = model.metadata = model.metadataBuffer = None
    used = {*operator.inputs, *operator.outputs}
    kept = {graph.tensors[tensor].buffer for tensor in used if tensor >= 0}  # equal constants share one
    for number, buffer in enumerate(model.buffers):
        if number not in kept:
            buffer.data = None
    shapes = {tensor: _shape(graph.tensors[tensor]) for tensor in used if tensor >= 0}
    name, macs = _described(schema, whole, operator, shapes)
    moved = sum(_bytes(schema, graph.tensors[tensor]) for tensor in shapes)
    return Part(name, shapes[operator.outputs[0]], macs, moved, _packed(model))


def _described(schema: Any, model: Any, operator: Any, shapes: dict[int, tuple[int, ...]]) -> tuple[str, int]:
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    code = model.operatorCodes[operator.opcodeIndex]
    name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
    if name not in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"):
        return name, 0
    kernel = shapes[operator.inputs[1]]
    stride = operator.builtinOptions.strideH
    # A transposed convolution multiplies once per input pixel and weight, the others once per output pixel.
    grid = shapes[operator.inputs[2] if name == "TRANSPOSE_CONV" else operator.outputs[0]]
    macs = grid[1] * grid[2] * math.prod(kernel)
    return f"{name} {kernel[1]}x{kernel[2]}" + (f" s{stride}" if stride > 1 else ""), macs


def _constant(model: Any, graph: Any, tensor: int) -> bool:
    data = model.buffers[graph.tensors[tensor].buffer].data
    return data is not None and len(data) > 0


def _shape(tensor: Any) -> tuple[int, ...]:
    return () if tensor.shape is None else tuple(int(extent) for extent in tensor.shape)


def _bytes(schema: Any, tensor: Any) -> int:
    each = {schema.TensorType.INT8: 1, schema.TensorType.UINT8: 1}.get(tensor.type, 4)
    return each * math.prod(_shape(tensor))


def _tensor(
    schema: Any,
    name: str,
    shape: Sequence[int],
    kind: int,
    buffer: int,
    scale: list[float],
    zero_point: list[int],
    dimension: int,
) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name.encode(), list(shape), kind, buffer
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = scale, zero_point
    tensor.quantization.quantizedDimension = dimension
    return tensor


def _buffer(schema: Any, values: Any) -> Any:
    buffer = schema.BufferT()
    buffer.data = values.reshape(-1).view(np.uint8)
    return buffer


def _packed(model: Any) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
