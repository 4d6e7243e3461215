"""Float network to ONNX for NVIDIA's TensorRT: static shapes, float32 RGB in 0..1 (1, H, W, 3), float32 logits.

The way leads over the float TFLite file (tf2onnx reads no Keras 3), so what is compared is what was converted. int8 on
a Jetson gains little over half precision for a network of this size, and TensorRT wants other scales than TFLite's.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convert import ConversionError

OPSET = 17
"""Taken whole by TensorRT 8.6 (JetPack 5.1) to 10.x (JetPack 6 and 7)."""
TOLERANCE = 1e-3
"""Largest difference of a logit between ONNX Runtime and LiteRT, both float32 on the CPU."""

Float = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """An ONNX model that was compared with the file it came from."""

    content: bytes
    opset: int
    largest_difference: float
    answer: Float
    """float32 logits for the picture it was compared on."""


def export(float_tflite: bytes, picture: Float, *, opset: int = OPSET) -> Exported:
    """Convert a float .tflite and compare both on ``picture``, float32 (1, H, W, 3) in 0..1.

    Raises ConversionError where a shape stays open, or where an answer differs by more than ``TOLERANCE``.
    """
    content = _convert(float_tflite, opset)
    _check_static(content)
    wanted, found = run_float(float_tflite, picture), run_onnx(content, picture)
    if found.shape != wanted.shape:
        raise ConversionError(f"The ONNX model answers {found.shape}, the TFLite model {wanted.shape}; convert again.")
    apart = float(np.abs(found - wanted).max())
    if not apart <= TOLERANCE:
        raise ConversionError(f"The ONNX model is off by {apart:.3g} from the TFLite model, more than {TOLERANCE}.")
    return Exported(content=content, opset=opset, largest_difference=apart, answer=found)


def _convert(float_tflite: bytes, opset: int) -> bytes:
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(float_tflite)
        made, _ = tf2onnx.convert.from_tflite(str(path), opset=opset)
    _rename(made)
    return bytes(made.SerializeToString(deterministic=True))


def _rename(made: Any) -> None:
    """Give input and output the names rgb and logits instead of the converter's."""
    names = {made.graph.input[0].name: "rgb", made.graph.output[0].name: "logits"}
    for value in (*made.graph.input, *made.graph.output):
        value.name = names.get(value.name, value.name)
    for node in made.graph.node:
        for listed in (node.input, node.output):
            for i, name in enumerate(listed):
                listed[i] = names.get(name, name)


def _check_static(content: bytes) -> None:
    import onnx

    model = onnx.load_model_from_string(content)
    onnx.checker.check_model(model)
    values = [*model.graph.input, *model.graph.output]
    if len(values) != 2:
        raise ConversionError(f"The ONNX model has {len(values)} inputs and outputs; it needs one of each.")
    for value in values:
        shape = [side.dim_value for side in value.type.tensor_type.shape.dim]
        if not shape or min(shape) < 1:
            raise ConversionError(f"{value.name} of the ONNX model has an open shape {shape}; use a static batch of 1.")


def run_float(content: bytes, picture: Float) -> Float:
    """Run a float .tflite on the CPU; returns its output."""
    from convert.quantize import open_interpreter

    interpreter = open_interpreter(content)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]), np.float32)


def run_onnx(content: bytes, picture: Float) -> Float:
    """Run an ONNX model through ONNX Runtime on the CPU; returns its output."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {session.get_inputs()[0].name: picture})
    return np.asarray(answer, np.float32)
