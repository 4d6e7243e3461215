"""Float network to ONNX for NVIDIA's TensorRT: static shapes, float32 RGB in 0..1 (1, H, W, 3), float32 logits.

The way leads over the float TFLite file (tf2onnx reads no Keras 3), so what is compared is what was converted. In int8
(``quantize_symmetric``) the file's input and output stay float32: TensorRT takes QuantizeLinear and DequantizeLinear
pairs whose zero points are all 0, so the scales are other ones than those of ``model.tflite``.
"""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convert import ConversionError
from convert.frames import Float, UInt8, to_float
from convert.quantize import open_interpreter, run
from edge.masks import preprocess
from edge.masks.bundle import Bundle

OPSET = 17
"""Taken whole by TensorRT 8.6 (JetPack 5.1) to 10.x (JetPack 6 and 7)."""
TOLERANCE = 1e-3
"""Largest difference of a logit between ONNX Runtime and LiteRT, both float32 on the CPU."""


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


def quantize_symmetric(content: bytes, frames: Sequence[UInt8]) -> bytes:
    """A float ONNX model with int8 convolutions, as TensorRT wants them; the scales come from uint8 RGB frames.

    QuantizeLinear and DequantizeLinear stand before each convolution, on its picture (per tensor) and on its weights
    (per channel), after the clip before it: TensorRT fuses convolution and clip. Biases stay float.
    Raises ConversionError where a pair is not symmetric or a convolution was left out.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Frames(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self) -> None:
            self._left = iter(frames)

        def get_next(self) -> dict[str, Float] | None:
            frame = next(self._left, None)
            return None if frame is None else {"rgb": to_float(frame)}

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(content)
        logging.getLogger().addFilter(_no_advice)
        try:
            quantize_static(
                source, target, Frames(), quant_format=QuantFormat.QDQ, per_channel=True,
                activation_type=QuantType.QInt8, weight_type=QuantType.QInt8, op_types_to_quantize=["Conv"],
                extra_options={
                    "ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False,
                    "OpTypesToExcludeOutputQuantization": ["Conv"],
                },
            )  # fmt: skip
        finally:
            logging.getLogger().removeFilter(_no_advice)
        made = onnx.load(target)
    check_symmetric(made)
    return bytes(made.SerializeToString(deterministic=True))


def _no_advice(record: logging.LogRecord) -> bool:
    """ONNX Runtime advises its own optimiser, which would fuse what TensorRT fuses itself."""
    return "pre-processing" not in record.getMessage()


def check_symmetric(model: Any) -> None:
    """Raise ConversionError unless all convolutions take int8 on both sides with zero points of 0, TensorRT's rule."""
    from onnx import TensorProto, numpy_helper

    constants = {one.name: one for one in model.graph.initializer}
    from_pairs = set()
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = constants.get(node.input[2]) if len(node.input) > 2 else None
            if zero is None or zero.data_type != TensorProto.INT8 or numpy_helper.to_array(zero).any():
                raise ConversionError(f"{node.name} of the ONNX model is not symmetric int8; TensorRT takes no other.")
            if node.op_type == "DequantizeLinear":
                from_pairs.add(node.output[0])
    for node in model.graph.node:
        if node.op_type in ("Conv", "ConvTranspose") and not set(node.input[:2]) <= from_pairs:
            raise ConversionError(f"{node.name} of the ONNX model is not int8; report this with the network's file.")


def differing(content: bytes, bundle: Bundle, frames: Sequence[UInt8]) -> float:
    """Share of pixels whose masks differ between an ONNX model and the bundle's int8 .tflite, on uint8 RGB frames."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    interpreter, result = open_interpreter(bundle.model_path.read_bytes()), bundle.card.output
    levels = [kind.threshold for kind in bundle.card.damage]
    edges = [math.log(level / (1 - level)) if level < 1 else math.inf for level in levels]
    edge = np.repeat(np.array(edges, np.float32), result.channels // len(edges))
    shares = []
    for frame in frames:
        raw = run(interpreter, (frame ^ 0x80).view(np.int8)[None])
        wanted = preprocess.dequantise(raw, result.scale, result.zero_point)
        (found,) = session.run(None, {"rgb": to_float(frame)})
        shares.append(float(((found >= edge) != (wanted >= edge)).mean()))
    return float(np.mean(shares))


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
    return np.asarray(run(open_interpreter(content), picture), np.float32)


def run_onnx(content: bytes, picture: Float) -> Float:
    """Run an ONNX model through ONNX Runtime on the CPU; returns its output."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {session.get_inputs()[0].name: picture})
    return np.asarray(answer, np.float32)
