"""The static Edge TPU checker, on small models that break one rule each."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from convert import ConversionError
from convert.cli import main
from convert.edgetpu import MAPS, STAYS, UNKNOWN, predict
from convert.graph import Graph, Operator, Tensor, read_graph
from edge.masks.bundle import default_bundle_path

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras"),
    pytest.mark.filterwarnings("ignore:Statistics for quantized inputs were expected:UserWarning"),
]
layers = keras.layers

FIXTURES = Path(__file__).parents[1] / "masks" / "fixtures"


def convert(body, size=(32, 32), batch=1, int8=True, io="int8"):
    """A .tflite file of one small network."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((*size, 3), batch_size=batch)
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(inputs, body(inputs)))
    if int8:
        rng = np.random.default_rng(0)
        shape = (batch or 1, *size, 3)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: iter([[rng.random(shape, dtype=np.float32)] for _ in range(2)])
        if io == "int8":
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def conv(x, channels=8, **rest):
    return layers.Conv2D(channels, 3, padding="same", **rest)(x)


def softmax_of_pixels(x):
    return layers.Softmax()(conv(x))


class ArgMax(layers.Layer):
    def call(self, x):
        return tf.argmax(x, axis=-1, output_type=tf.int32)


def argmax(x):
    return ArgMax()(conv(x))


RULES = [
    (lambda x: layers.UpSampling2D(2)(conv(x)), STAYS, "TILE|RESIZE_NEAREST|RESHAPE|BROADCAST_TO", ""),
    (lambda x: conv(conv(x), groups=2), STAYS, "CONV_2D", "version 6"),
    (
        lambda x: layers.Conv2DTranspose(4, 3, strides=4, padding="same")(x),
        UNKNOWN,
        "TRANSPOSE_CONV",
        "refused by size",
    ),
    (softmax_of_pixels, STAYS, "SOFTMAX", "only one row"),
    (lambda x: layers.LeakyReLU()(conv(x)), STAYS, "LEAKY_RELU", "not in the table"),
    (lambda x: keras.ops.image.resize(conv(x), (160, 160)), UNKNOWN, "RESIZE_BILINEAR", "above 128 px"),
    (argmax, STAYS, "ARG_MAX", "leave it on the CPU"),
    (lambda x: conv(keras.activations.sigmoid(conv(x))), UNKNOWN, "LOGISTIC", "inside the network"),
]


@pytest.mark.parametrize(("body", "verdict", "operator", "reason"), RULES)
def test_one_broken_rule_is_found_at_its_operator(body, verdict, operator, reason):
    found = predict(read_graph(convert(body)))
    assert found.verdict == verdict
    broken = [one for one in found.findings if one.verdict == verdict]
    assert any(one.operator in operator.split("|") and reason in one.reason for one in broken), broken
    assert all(one.reason for one in broken)


def by_hand(name, inputs, output, version=1, activation="NONE", scale=0.1, kind="INT8", constant=False, **options):
    """A graph of one operator that the converter would not write today, but another one may."""
    sizes = [*inputs, output]
    tensors = tuple(
        Tensor(name=f"t{i}", type=kind, shape=shape, constant=constant and i == 1, scales=(scale,), zero_points=(0,))
        for i, shape in enumerate(sizes)
    )
    last = len(sizes) - 1
    operator = Operator(
        index=0, name=name, version=version, inputs=tuple(range(last)), outputs=(last,), activation=activation,
        options=SimpleNamespace(**options),
    )  # fmt: skip
    return Graph(tensors=tensors, operators=(operator,), inputs=(0,), outputs=(last,))


MAP = (1, 32, 32, 8)


@pytest.mark.parametrize(
    ("graph", "verdict", "reason"),
    [
        (by_hand("TRANSPOSE_CONV", [MAP], MAP, version=4, activation="RELU"), STAYS, "fused activation"),
        (by_hand("CONV_2D", [MAP], MAP, dilationWFactor=2, dilationHFactor=1), STAYS, "dilated by 2 across and 1 down"),
        (by_hand("CONCATENATION", [MAP, MAP], MAP, activation="RELU6"), STAYS, "fused activation"),
        (by_hand("CONCATENATION", [MAP, MAP], MAP, constant=True), STAYS, "joins a constant"),
        (by_hand("MAX_POOL_2D", [MAP], MAP, activation="RELU"), STAYS, "fused activation"),
        (by_hand("MEAN", [(1, 8, 8, 6)], (1, 8, 8, 1)), STAYS, "a multiple of 4"),
        (by_hand("MEAN", [(1, 128, 128, 8)], (1, 8)), UNKNOWN, "averages more than 64 px"),
        (by_hand("SOFTMAX", [(1, 20_000)], (1, 20_000)), STAYS, "at most 16000"),
        (by_hand("FULLY_CONNECTED", [(4, 8)], (4, 2)), STAYS, "only one row"),
        (by_hand("FULLY_CONNECTED", [(1, 8)], (1, 2), weightsFormat=1), STAYS, "shuffled weights"),
        (by_hand("RESHAPE", [(1, 512, 512, 1)], (1, 262_144)), UNKNOWN, "large tensor"),
        (by_hand("ADD", [MAP, MAP], MAP, kind="INT16"), STAYS, "INT16"),
        (by_hand("ADD", [MAP, MAP], MAP, scale=float("inf")), STAYS, "zero or not finite"),
        (by_hand("ADD", [MAP, MAP], MAP, scale=0.0), STAYS, "zero or not finite"),
        (by_hand("CUSTOM TFLite_Detection_PostProcess", [MAP], MAP), STAYS, "custom operator"),
        (by_hand("CUMSUM", [MAP], MAP), UNKNOWN, "not in the table"),
        (by_hand("DEPTH_TO_SPACE", [MAP], (1, 64, 64, 2)), STAYS, "not in the table"),
        (by_hand("ADD", [MAP, MAP], MAP), MAPS, ""),
    ],
)
def test_rules_that_today_s_converter_cannot_break(graph, verdict, reason):
    (found,) = predict(graph).findings
    assert (found.verdict, reason in found.reason) == (verdict, True), found


def test_a_sound_network_maps_whole_with_one_subgraph():
    found = predict(read_graph(convert(lambda x: layers.Add()([conv(x, activation="relu6"), conv(x)]))))
    assert found.verdict == MAPS
    assert found.subgraphs == 1
    assert {one.verdict for one in found.findings} == {MAPS}
    assert not found.whole


def test_float_tensors_dynamic_shapes_and_batches_stay_on_the_cpu():
    plain = predict(read_graph(convert(conv, int8=False)))
    assert plain.verdict == STAYS
    assert "FLOAT32" in plain.findings[0].reason
    assert plain.subgraphs == 0
    mixed = predict(read_graph(convert(conv, io="float")))
    assert {one.operator for one in mixed.findings if one.verdict == STAYS} == {"QUANTIZE", "DEQUANTIZE"}
    assert "open shape" in predict(read_graph(FIXTURES / "dynamic.tflite")).findings[0].reason
    assert "batch 2" in predict(read_graph(convert(conv, batch=2))).findings[0].reason


def test_large_tensors_and_many_weights_are_doubted():
    large = predict(read_graph(convert(lambda x: conv(x, 16), size=(384, 384))))
    assert large.verdict == STAYS
    assert large.findings[0].reason == "gives 2.25 MiB, above the 2.00 MiB that are known to fit"
    assert "alive at once" not in "".join(large.whole)
    heavy = predict(read_graph(convert(lambda x: conv(conv(x, 512), 700), size=(8, 8))))
    assert heavy.verdict == UNKNOWN
    assert "weights may not all be cached" in heavy.whole[0]


def test_peak_of_live_activations_is_that_of_a_hand_count():
    """Two convolutions joined: the input, then both results, are alive together with what they are made of."""
    graph = read_graph(convert(lambda x: layers.Concatenate()([conv(x, 8), conv(x, 4)])))
    pixels = 32 * 32
    assert graph.peak_live_bytes == pixels * (8 + 4 + 12)
    assert graph.largest_activation.bytes == pixels * 12


def test_the_shipped_bundle_passes_with_one_subgraph(capsys):
    assert main(["check", str(default_bundle_path()), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == MAPS
    assert found["subgraphs"] == 1
    assert {one["verdict"] for one in found["findings"]} == {MAPS}


def test_the_table_is_for_reading_and_never_says_compiled(tmp_path, capsys):
    path = tmp_path / "model.tflite"
    path.write_bytes(convert(softmax_of_pixels))
    assert main(["check", str(path)]) == 2
    told = capsys.readouterr()
    assert "will not map: is taken over" in told.out
    assert "compiled" not in told.out
    assert told.err.count("error: ") == 1


@pytest.mark.parametrize("content", [b"", b"no model", b"\x1c\0\0\0TFL3" + b"\xff" * 60])
def test_files_that_are_no_models_are_refused_in_one_sentence(tmp_path, content, capsys):
    path = tmp_path / "broken.tflite"
    path.write_bytes(content)
    assert main(["check", str(path)]) == 2
    assert "broken.tflite is" in capsys.readouterr().err
    with pytest.raises(ConversionError, match="does not exist"):
        read_graph(tmp_path / "absent.tflite")


def test_any_cut_or_flipped_model_is_answered_with_a_sentence():
    """A damaged file gives a graph or a ConversionError, nothing else."""
    sound = (FIXTURES / "pixel" / "model.tflite").read_bytes()
    rng = np.random.default_rng(5)
    for _ in range(150):
        content = bytearray(sound[: int(rng.integers(9, len(sound)))])
        for place in rng.integers(8, len(content), 3):
            content[int(place)] = int(rng.integers(256))
        try:
            predict(read_graph(bytes(content)))
        except ConversionError as error:
            assert "\n" not in str(error)
