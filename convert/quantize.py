"""Post-training quantisation of the fast U-Net to pure int8, with the picture set that sets the ranges.

Ranges come from real frames that went through the same preprocessing as on the drone; the input range is 0..1, so
that the drone's whole preprocessing is one XOR (uint8 value v becomes int8 v - 128).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from convert import ConversionError
from convert.operators import Inventory, check_operators
from models import DataError
from models.data import SUFFIXES, read_rgb

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

UInt8 = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]

INPUT_SCALE, INPUT_ZERO_POINT = 1 / 255, -128


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantized:
    """The converted network and what a card says about it."""

    content: bytes
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    output_scale: float
    output_zero_point: int
    inventory: Inventory


def quantize(model: keras.Model, frames: Sequence[UInt8]) -> Quantized:
    """Convert a Keras model of static batch 1 to int8, calibrated on uint8 RGB frames of the model's size.

    Raises ConversionError where the result is not pure int8, uses an operator that accelerators refuse, or does not
    take uint8 XOR 0x80 as its input.
    """
    import tensorflow as tf

    def representative() -> Iterator[list[Float]]:
        for frame in frames:
            yield [frame[None].astype(np.float32) / np.float32(255)]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    with warnings.catch_warnings():  # the converter warns about statistics that full-int8 mode never has
        warnings.filterwarnings("ignore", message="Statistics for quantized inputs were expected")
        content = bytes(converter.convert())
    return inspect(content)


def inspect(content: bytes) -> Quantized:
    """Check a converted file and read its quantisation. Raises ConversionError as `quantize`."""
    inventory = check_operators(content)
    interpreter = open_interpreter(content)
    (source,), (sink,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = source["quantization"]
    if abs(scale - INPUT_SCALE) > 1e-6 or zero_point != INPUT_ZERO_POINT:
        raise ConversionError(
            f"The input came out with scale {scale:.6g} and zero point {zero_point}, not 1/255 and -128; the "
            "representative frames must reach from black to white."
        )
    return Quantized(
        content=content,
        input_shape=tuple(int(extent) for extent in source["shape"]),
        output_shape=tuple(int(extent) for extent in sink["shape"]),
        output_scale=float(sink["quantization"][0]),
        output_zero_point=int(sink["quantization"][1]),
        inventory=inventory,
    )


def open_interpreter(content: bytes, *, reference: bool = False) -> Any:
    """Open a LiteRT interpreter on one thread, with reference kernels instead of the fast ones where asked."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kind = OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO
    interpreter = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=kind)
    interpreter.allocate_tensors()
    return interpreter


def run(interpreter: Any, image: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Run one int8 picture (1, H, W, 3) and return a copy of the int8 output."""
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


def representative_frames(
    folders: Sequence[Path], height: int, width: int, count: int = 160, seed: int = 1
) -> list[UInt8]:
    """Pick about `count` pictures evenly over the folders (searched below, masks left out) at the network's size.

    Every third is darkened or brightened as weather does. One rendered ramp from black to white is added, which pins
    the input range. Raises DataError where a folder is missing or holds no pictures.
    """
    rng = np.random.default_rng(seed)
    frames = [_ramp(height, width)]
    for folder in folders:
        found = find_pictures(folder)
        wanted = max(1, round(count / len(folders)))
        chosen = rng.choice(len(found), min(wanted, len(found)), replace=False)
        for i in sorted(chosen.tolist()):
            frame = _fit(read_rgb(found[i]), height, width, rng)
            gamma = float(rng.choice([1.0, 1.0, rng.uniform(0.5, 2.2)]))
            table = np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
            frames.append(np.asarray(cv2.LUT(frame, table), np.uint8))
    return frames


def find_pictures(folder: Path) -> list[Path]:
    """List the pictures in a folder and below, sorted, without those in folders named masks.

    Raises DataError where the folder is missing or holds none.
    """
    if not folder.is_dir():
        raise DataError(f"The folder {folder} given with --data does not exist.")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and "masks" not in path.relative_to(folder).parts
    )
    if not found:
        raise DataError(f"The folder {folder} given with --data holds no pictures.")
    return found


def _ramp(height: int, width: int) -> UInt8:
    row = np.linspace(0, 255, width).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (height, width, 3)))


def _fit(rgb: UInt8, height: int, width: int, rng: np.random.Generator) -> UInt8:
    """Cut a window of the network's size at native scale; smaller pictures are mirrored at the border."""
    down, right = max(0, height - rgb.shape[0]), max(0, width - rgb.shape[1])
    if down or right:
        rgb = np.pad(rgb, ((0, down), (0, right), (0, 0)), mode="symmetric")
    top, left = int(rng.integers(rgb.shape[0] - height + 1)), int(rng.integers(rgb.shape[1] - width + 1))
    return np.ascontiguousarray(rgb[top : top + height, left : left + width])
