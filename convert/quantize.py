"""Post-training quantisation of a Keras network to pure int8.

The input range is 0..1, so that the drone's whole preprocessing is one XOR (uint8 value v becomes int8 v - 128): raw
camera bytes go in, normalisation is folded into the first convolution.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from convert import ConversionError
from convert.frames import Float, UInt8, to_float
from convert.operators import Inventory, check_operators
from edge.masks.preprocess import check_input

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantized:
    """The converted network and what a card says about it."""

    content: bytes
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    """(1, h, w, c), or (1, classes) of a classifier."""
    output_scale: float
    output_zero_point: int
    inventory: Inventory


def quantize(model: keras.Model, frames: Sequence[UInt8], *, progress: bool = False) -> Quantized:
    """Convert a Keras model of static batch 1 to int8, calibrated on uint8 RGB frames of the model's size.

    Weights per channel, activations per tensor, ranges the extremes over all frames. Raises ConversionError where the
    result is not pure int8, uses an operator that accelerators refuse, or does not take uint8 XOR 0x80 as its input.
    """
    import tensorflow as tf
    from tqdm import tqdm

    def representative() -> Iterator[list[Float]]:
        for frame in tqdm(frames, desc="calibrating", unit="frame", mininterval=1, disable=not progress):
            yield [to_float(frame)]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return inspect(_convert(converter))


def to_float_tflite(model: keras.Model) -> bytes:
    """Convert a Keras model of static batch 1 to a float32 .tflite. Raises ConversionError where that fails."""
    import tensorflow as tf

    return _convert(tf.lite.TFLiteConverter.from_keras_model(model))


def _convert(converter: Any) -> bytes:
    from tensorflow.lite.python.convert import ConverterError

    # The converter lists every variable on stdout, and warns about statistics that full-int8 mode never has.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.filterwarnings("ignore", message="Statistics for quantized inputs were expected")
        try:
            return bytes(converter.convert())
        except (ConverterError, RuntimeError, ValueError) as error:
            words = " ".join(str(error).split())[:300]
            raise ConversionError(
                f"TensorFlow cannot convert this network to TFLite built-in operators ({words}); "
                "use layers that int8 accelerators have."
            ) from error


def inspect(content: bytes) -> Quantized:
    """Check a converted file and read its quantisation. Raises ConversionError as `quantize`."""
    inventory = check_operators(content)
    interpreter = open_interpreter(content)
    (source,), (sink,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = source["quantization"]
    try:
        check_input(scale, zero_point)
    except ValueError as error:
        raise ConversionError(f"{error}; the representative frames must reach from black to white.") from error
    return Quantized(
        content=content,
        input_shape=tuple(int(extent) for extent in source["shape"]),
        output_shape=tuple(int(extent) for extent in sink["shape"]),
        output_scale=float(sink["quantization"][0]),
        output_zero_point=int(sink["quantization"][1]),
        inventory=inventory,
    )


def open_interpreter(content: bytes, *, reference: bool = False, threads: int = 1) -> Any:
    """Open a LiteRT interpreter, with reference kernels instead of the fast ones where asked.

    Raises ConversionError where it cannot open the file.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kind = OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO
    try:
        interpreter = Interpreter(model_content=content, num_threads=threads, experimental_op_resolver_type=kind)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ConversionError(f"LiteRT cannot open the model ({' '.join(str(error).split())[:200]}).") from error
    return interpreter


def run(interpreter: Any, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Run one picture (1, H, W, 3), int8 or float32 as the model takes it, and return a copy of the output."""
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


def delegate_partitions(content: bytes) -> tuple[int, bool]:
    """How many parts of the network the fast kernels (XNNPACK) took, and whether they took all of it in one.

    LiteRT lists its nodes after the delegate was applied; each part that was taken over is one node named DELEGATE. One
    such node that reads, of what is not constant, the network's input alone and writes its output holds the whole.
    """
    interpreter = open_interpreter(content)
    nodes = interpreter._get_ops_details()  # the only view of the nodes that LiteRT's Python interpreter gives
    taken = [node for node in nodes if node["op_name"] == "DELEGATE"]
    ends = [{int(detail["index"]) for detail in details()} for details in
            (interpreter.get_input_details, interpreter.get_output_details)]  # fmt: skip
    computed = {int(i) for node in nodes if node["op_name"] != "DELEGATE" for i in node["outputs"]} | ends[0]
    whole = len(taken) == 1 and {int(i) for i in taken[0]["inputs"]} & computed == ends[0]
    return len(taken), bool(whole and {int(i) for i in taken[0]["outputs"]} == ends[1])
