"""A .tflite file made for one picture size, opened for another: same weights, same kernels, another number of pixels.

A network of convolutions does not know how large its picture is. Its file does, in two places: the shape of its input,
which an interpreter can be told, and the constants that say how large a resize makes its picture. Those are exchanged
here, in a copy of the file's bytes; not one weight is touched. The file is read by the tables of the TFLite schema
(version 3), whose field numbers never change: that is FlatBuffers' promise.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from flatbuffers import encode, packer
from flatbuffers.number_types import Int8Flags, Int32Flags, Uint32Flags, UOffsetTFlags
from flatbuffers.table import Table

# Operators whose answer at a pixel depends on what lies around it and not on how large the picture is, by their number
# in the schema: ADD, CONCATENATION, CONV_2D, DEPTHWISE_CONV_2D, LOGISTIC, MAX_POOL_2D, RELU, RELU_N1_TO_1, RELU6, PAD,
# LEAKY_RELU, QUANTIZE.
_LOCAL = frozenset((0, 2, 3, 4, 14, 17, 19, 20, 21, 34, 98, 114))
# RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR: their second input is the size they make.
_RESIZE = frozenset((23, 97))

# Fields of the schema's tables.
_MODEL_CODES, _MODEL_GRAPHS, _MODEL_BUFFERS = 1, 2, 4
_CODE_OLD, _CODE = 0, 3
_GRAPH_TENSORS, _GRAPH_INPUTS, _GRAPH_OPERATORS = 0, 1, 3
_TENSOR_SHAPE, _TENSOR_BUFFER = 0, 2
_OPERATOR_CODE, _OPERATOR_INPUTS, _OPERATOR_OUTPUTS = 0, 1, 2
_BUFFER_DATA = 0


@dataclass(frozen=True, slots=True)
class AnySize:
    """The bytes of a network that can be opened at other sizes."""

    content: bytes
    height: int
    width: int
    """What the file was made for, pixels."""
    step: tuple[int, int]
    """Other heights and widths are multiples of these: then every size inside is a whole number."""
    _places: tuple[tuple[int, int, int], ...]
    """Where in ``content`` a resize's height and width stand, and these."""

    def at(self, height: int, width: int) -> bytes:
        """The bytes for an input of ``height`` x ``width``; its shape the interpreter has to be told besides."""
        if height % self.step[0] or width % self.step[1]:
            raise ValueError(f"{height} x {width} is no multiple of {self.step[0]} x {self.step[1]}")
        changed = bytearray(self.content)
        for place, rows, columns in self._places:
            size = rows * height // self.height, columns * width // self.width
            struct.pack_into("<ii", changed, place, *size)
        return bytes(changed)


def any_size(content: bytes) -> AnySize | None:
    """Read the .tflite bytes ``content``; None for a network whose answer depends on its size, or of another build."""
    graphs = list(_tables(_root(content), _MODEL_GRAPHS))
    if len(graphs) != 1:
        return None
    graph, codes, buffers = graphs[0], *(list(_tables(_root(content), n)) for n in (_MODEL_CODES, _MODEL_BUFFERS))
    tensors = list(_tables(graph, _GRAPH_TENSORS))
    shapes = [_integers(tensor, _TENSOR_SHAPE) for tensor in tensors]
    inputs = _integers(graph, _GRAPH_INPUTS)
    if len(inputs) != 1 or len(shapes[inputs[0]]) != 4 or min(shapes[inputs[0]]) < 1:
        return None
    height, width = shapes[inputs[0]][1:3]
    places, sizes = [], [(height, width)]
    for operator in _tables(graph, _GRAPH_OPERATORS):
        code = codes[_number(operator, _OPERATOR_CODE)]
        kind = max(_number(code, _CODE_OLD, Int8Flags), _number(code, _CODE, Int32Flags))
        if kind not in _LOCAL | _RESIZE:
            return None
        made = [shapes[number] for number in _integers(operator, _OPERATOR_OUTPUTS)]
        if any(len(shape) != 4 for shape in made):
            return None
        sizes += [(shape[1], shape[2]) for shape in made]
        if kind in _RESIZE:
            size = tensors[_integers(operator, _OPERATOR_INPUTS)[1]]
            data = _vector(buffers[_number(size, _TENSOR_BUFFER)], _BUFFER_DATA)
            if data is None or struct.unpack_from("<ii", content, data[0]) != sizes[-1]:
                return None
            places.append((data[0], *sizes[-1]))
    if any(height % rows or width % columns for rows, columns in sizes):
        return None
    step = max(height // rows for rows, _ in sizes), max(width // columns for _, columns in sizes)
    return AnySize(content, height, width, step, tuple(dict.fromkeys(places)))


def _root(content: bytes) -> Table:
    return Table(content, encode.Get(packer.uoffset, content, 0))


def _number(table: Table, field: int, kind: type = Uint32Flags) -> int:
    at = table.Offset(4 + 2 * field)
    return int(table.Get(kind, table.Pos + at)) if at else 0


def _vector(table: Table, field: int) -> tuple[int, int] | None:
    """Where a vector begins, and how many elements it has; None where the field is absent."""
    at = table.Offset(4 + 2 * field)
    return (table.Vector(at), table.VectorLen(at)) if at else None


def _integers(table: Table, field: int) -> tuple[int, ...]:
    found = _vector(table, field)
    return () if found is None else struct.unpack_from(f"<{found[1]}i", table.Bytes, found[0])


def _tables(table: Table, field: int) -> Iterator[Table]:
    begin, count = _vector(table, field) or (0, 0)
    for at in range(begin, begin + 4 * count, 4):
        yield Table(table.Bytes, at + table.Get(UOffsetTFlags, at))
