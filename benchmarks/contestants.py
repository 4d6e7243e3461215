"""What the fast U-Net is compared with, built from code: weights are random where speed is all that is asked.

Everything ends as bytes of a .tflite or .onnx file in a cache folder, so that a second run starts at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

if TYPE_CHECKING:
    import keras

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "models" / "weights" / "fast-unet.weights.h5"
CLASSIC = ROOT / "models" / "bundles" / "classic-unet"
SIZE_PX = 512
WINDOW_PX = 128

Make = Callable[[], bytes]


def cached(name: str, make: Make, folder: Path, *ingredients: bytes) -> Path:
    """The file ``name`` in ``folder``, made again when this module or an ingredient changed."""
    digest = hashlib.sha256(b"".join((Path(__file__).read_bytes(), *ingredients))).hexdigest()[:12]
    stem, _, suffix = name.partition(".")
    path = folder / f"{stem}-{digest}.{suffix}"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_bytes(make())
        part.replace(path)
    return path


def fast_unet(height: int = SIZE_PX, width: int = SIZE_PX) -> keras.Model:
    """Our network as float Keras, with the weights the shipped bundle was made from."""
    from models import unet

    model = unet.fast_unet(height, width, batch_size=1)
    model.load_weights(WEIGHTS)
    return model


def one_tile_bundle(folder: Path, shipped: Path, height: int, width: int, frames: list[Any]) -> None:
    """Our network as a bundle whose input holds a whole camera frame; ranges from ``frames``, uint8 (H, W, 3).

    Its card is the shipped one with other sizes and without metrics: it is measured here and never flies.
    """
    from convert.bundle import golden
    from convert.folder import write_card
    from convert.quantize import quantize

    quantized = quantize(fast_unet(height, width), frames)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.tflite").write_bytes(quantized.content)
    source, answer = golden(quantized)
    np.savez_compressed(folder / "golden.npz", input=source, output=answer)
    card = json.loads((shipped / "card.json").read_text(encoding="utf-8"))
    card |= {"name": f"{card['name']}-{width}x{height}", "metrics": {}}
    card["input"] |= {"height": height, "width": width}
    card["output"] |= {"height": quantized.output_shape[1], "width": quantized.output_shape[2],
                       "scale": quantized.output_scale, "zero_point": quantized.output_zero_point}  # fmt: skip
    write_card(folder, card)


def classic_unet(base: int = 16) -> keras.Model:
    """Ronneberger's U-Net with padded convolutions and transposed convolutions, ``base`` channels at full size.

    The one that was trained (`CLASSIC`) resizes and convolves where this one has transposed convolutions.
    """
    import keras

    def pair(x: Any, channels: int) -> Any:
        for _ in range(2):
            x = _conv(x, channels, 3)
        return x

    inputs = keras.Input((SIZE_PX, SIZE_PX, 3), batch_size=1)
    x, skips = inputs, []
    for level in range(4):
        x = pair(x, base << level)
        skips.append(x)
        x = keras.layers.MaxPooling2D(2)(x)
    x = pair(x, base << 4)
    for level in reversed(range(4)):
        x = keras.layers.Conv2DTranspose(base << level, 2, strides=2)(x)
        x = pair(keras.layers.Concatenate()([skips.pop(), x]), base << level)
    return keras.Model(inputs, keras.layers.Conv2D(1, 1)(x))


def mobilenet() -> keras.Model:
    """MobileNetV2 1.0 at 224 x 224: the number every board has been measured with."""
    import keras

    return keras.applications.MobileNetV2(weights=None, input_tensor=keras.Input((224, 224, 3), batch_size=1))


def deeplab(alpha: float = 0.5, classes: int = 21) -> keras.Model:
    """A DeepLabV3 look-alike on MobileNetV2: stride 16, pooled branch, resized to the input and argmax.

    0.87 GMAC at 512 x 512 with a width of 0.5; the published one has 0.88 at 513 x 513.
    """
    import keras
    import tensorflow as tf

    size = SIZE_PX
    inputs = keras.Input((size, size, 3), batch_size=1)
    x = _conv(inputs, _eighths(32 * alpha), 3, strides=2)
    blocks = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 1), (6, 320, 1, 1))
    for number, (expand, channels, repeats, stride) in enumerate(blocks):
        for i in range(repeats):
            dilation = 2 if number >= 5 else 1  # what was stride 32 is dilated instead
            x = _inverted(x, expand, _eighths(channels * alpha), stride if i == 0 else 1, dilation)
    pooled = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    pooled = keras.ops.image.resize(_conv(pooled, 256, 1), (size // 16, size // 16), interpolation="bilinear")
    x = _conv(keras.layers.Concatenate()([pooled, _conv(x, 256, 1)]), 256, 1)
    x = keras.ops.image.resize(keras.layers.Conv2D(classes, 1)(x), (size, size), interpolation="bilinear")
    # TensorFlow's own: that of keras.ops minds the sign of zero with operators that no converter takes.
    return keras.Model(inputs, keras.layers.Lambda(lambda x: tf.argmax(x, -1, output_type=tf.int32))(x))


def window_classifier(classes: int = 2) -> keras.Model:
    """A patch classifier of 128 x 128 pixels: convolutions with BatchNorm and ReLU, pooled, softmax."""
    import keras

    inputs = keras.Input((WINDOW_PX, WINDOW_PX, 3), batch_size=1)
    x = inputs
    for channels in (32, 64, 128, 256):
        x = keras.layers.MaxPooling2D(2)(_conv(x, channels, 3))
    x = keras.layers.Dense(64, activation="relu")(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(x))


def to_float(model: keras.Model) -> bytes:
    """A Keras model as float32 .tflite."""
    import tensorflow as tf

    return bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())


def to_int8(model: keras.Model) -> bytes:
    """A Keras model as int8 .tflite throughout, ranges from noise: enough for speed."""
    import tensorflow as tf

    shape = tuple(model.inputs[0].shape)

    def samples() -> Iterator[list[Any]]:
        rng = np.random.default_rng(0)
        for _ in range(4):
            yield [rng.random(shape, np.float32)]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8  # has no say over the class numbers of an argmax
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Statistics for quantized inputs were expected")
        return bytes(converter.convert())


def to_onnx_int8(model: keras.Model, pictures: list[Any]) -> bytes:
    """A Keras model as int8 ONNX (QDQ, uint8 activations, int8 weights per channel), uint8 (1, C, H, W) in and out.

    ``pictures`` are float32 (1, H, W, 3) in 0..1 and set the ranges.
    """
    import onnx
    import tensorflow as tf
    import tf2onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    signature = [tf.TensorSpec(tuple(model.inputs[0].shape), tf.float32, name="rgb")]
    run = tf.function(lambda rgb: model(rgb, training=False), input_signature=signature)
    # Channels first, as ONNX Runtime computes: a transposition at either end would be measured with it.
    exported, _ = tf2onnx.convert.from_function(
        run, input_signature=signature, opset=17, inputs_as_nchw=["rgb"], outputs_as_nchw=["Identity:0"]
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self) -> None:
            self._left = iter([{"rgb": picture.transpose(0, 3, 1, 2)} for picture in pictures])

        def get_next(self) -> Any:
            return next(self._left, None)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx.save(exported, folder / "float.onnx")
        quant_pre_process(str(folder / "float.onnx"), str(folder / "ready.onnx"), skip_symbolic_shape=True)
        quantize_static(
            str(folder / "ready.onnx"), str(folder / "int8.onnx"), Reader(), quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, per_channel=True,
        )  # fmt: skip
        content: bytes = integers_in_and_out(onnx.load(folder / "int8.onnx")).SerializeToString()
        return content


def integers_in_and_out(model: Any) -> Any:
    """Take the steps from and to float off both ends of a QDQ graph, as our int8 file has none either."""
    from onnx import TensorProto, helper

    graph = model.graph
    first = next(
        node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == graph.input[0].name
    )
    last = next(node for node in graph.node if graph.output[0].name in node.output)
    assert last.op_type == "DequantizeLinear", last.op_type
    for ends, tensor in ((graph.input, first.output[0]), (graph.output, last.input[0])):
        shape = [one.dim_value for one in ends[0].type.tensor_type.shape.dim]
        ends.pop()
        ends.append(helper.make_tensor_value_info(tensor, TensorProto.UINT8, shape))
    graph.node.remove(first)
    graph.node.remove(last)
    return model


def _conv(x: Any, channels: int, kernel: int, strides: int = 1) -> Any:
    import keras

    x = keras.layers.Conv2D(channels, kernel, strides=strides, padding="same", use_bias=False)(x)
    return keras.layers.ReLU(max_value=6.0)(keras.layers.BatchNormalization()(x))


def _inverted(x: Any, expand: int, channels: int, stride: int, dilation: int) -> Any:
    """MobileNetV2's block: widen, filter each channel, narrow; with a way around where the sizes agree."""
    import keras

    before = x
    if expand > 1:
        x = _conv(x, expand * x.shape[-1], 1)
    x = keras.layers.DepthwiseConv2D(3, strides=stride, dilation_rate=dilation, padding="same", use_bias=False)(x)
    x = keras.layers.ReLU(max_value=6.0)(keras.layers.BatchNormalization()(x))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(channels, 1, use_bias=False)(x))
    return keras.layers.Add()([before, x]) if stride == 1 and before.shape == x.shape else x


def _eighths(channels: float) -> int:
    """The multiple of 8 that MobileNetV2's paper rounds to."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def output_quantisation(path: Path) -> tuple[float, int]:
    """Scale and zero point of what an int8 ONNX file made here gives out."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path).graph
    last = next(node for node in graph.node if graph.output[0].name in node.output)
    constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    return float(constants[last.input[1]]), int(constants[last.input[2]])
