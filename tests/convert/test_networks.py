"""Networks as people build and save them: each is taken right, to the score of every pixel, or refused for its reason.

Oracle: the saved network itself, given the pixels that it was built for.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert import ConversionError
from convert.cli import main
from convert.frames import ramp
from convert.quantize import delegate_partitions, quantize
from convert.source import load_source
from models import DataError
from models.rendered import write_set

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")
layers, ops = keras.layers, keras.ops
applications = keras.applications

SIDE = 32
FRACTIONS, BYTES = 1.0, 255.0


def unet(x: Any, up: str = "transposed", activation: Any = "relu") -> Any:
    """Two levels, as tutorials write it."""
    skips = []
    for filters in (4, 8):
        x = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(x))
        x = activation(x) if callable(activation) else layers.Activation(activation)(x)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Dropout(0.2)(layers.Conv2D(8, 3, padding="same", activation="relu")(x))
    for filters, skip in zip((8, 4), reversed(skips), strict=True):
        if up == "transposed":
            x = layers.Conv2DTranspose(filters, 2, strides=2, padding="same")(x)
        else:
            x = layers.UpSampling2D(interpolation=up)(x)
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(layers.Concatenate()([skip, x]))
    return x


def head(x: Any, activation: str | None = "sigmoid", filters: int = 1) -> Any:
    return layers.Conv2D(filters, 1, activation=activation)(x)


def net(body: Callable[[Any], Any], **more: Any) -> keras.Model:
    """As most people write it, lists and all; the name is one that this project uses for its own."""
    picture = keras.Input((SIDE, SIDE, 3), **more)
    return keras.Model(inputs=[picture], outputs=keras.tree.flatten(body(picture)), name="unet")


def attention(x: Any) -> Any:
    wide = unet(x)
    gate = layers.Activation("relu")(layers.Add()([layers.Conv2D(4, 1)(wide), layers.Conv2D(4, 1)(x)]))
    return head(layers.Multiply()([wide, head(gate)]))


def with_backbone() -> keras.Model:
    """An encoder of keras.applications with several outputs, and a decoder, each a network inside the network."""
    vgg = applications.VGG16(include_top=False, weights=None, input_shape=(SIDE, SIDE, 3))
    encoder = keras.Model(vgg.input, [vgg.get_layer(f"block{i}_conv2").output for i in (1, 2)], name="encoder")
    decoder = keras.Sequential([layers.Conv2D(4, 3, padding="same", activation="relu"), layers.Conv2D(1, 1)])
    picture = keras.Input((SIDE, SIDE, 3))
    fine, coarse = encoder(applications.vgg16.preprocess_input(picture), training=False)
    return keras.Model(picture, decoder(layers.Concatenate()([fine, layers.UpSampling2D()(coarse)])))


def sequential() -> keras.Model:
    inside = [layers.Rescaling(1 / 255), layers.Conv2D(4, 3, padding="same", activation="relu"), layers.Conv2D(1, 1)]
    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), *inside])


def shared() -> keras.Model:
    twice = layers.Conv2D(3, 3, padding="same", activation="relu")
    return net(lambda x: head(twice(twice(x))))


def dictionaries() -> keras.Model:
    picture = keras.Input((SIDE, SIDE, 3), name="image")
    return keras.Model(inputs={"image": picture}, outputs={"mask": head(unet(picture))})


def of_precision(policy: str) -> keras.Model:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return net(lambda x: layers.Activation("sigmoid", dtype="float32")(head(unet(x), None)))
    finally:
        keras.config.set_dtype_policy(before)


MEANS, DEVIATIONS = np.array([123.7, 116.3, 103.5]), np.array([58.4, 57.1, 57.4])
TAKEN: dict[str, tuple[Callable[[], keras.Model], float]] = {
    "lists of one tensor": (lambda: net(lambda x: head(unet(x))), FRACTIONS),
    "dictionaries": (dictionaries, FRACTIONS),
    "sequential": (sequential, BYTES),
    "networks inside": (with_backbone, BYTES),
    "a layer used twice": (shared, FRACTIONS),
    "attention": (lambda: net(attention), FRACTIONS),
    "swish": (lambda: net(lambda x: head(unet(x, activation="swish"))), FRACTIONS),
    "leaky": (lambda: net(lambda x: head(unet(x, activation=lambda y: layers.LeakyReLU()(y)))), FRACTIONS),
    "nearest": (lambda: net(lambda x: head(unet(x, "nearest"))), FRACTIONS),
    "bilinear": (lambda: net(lambda x: head(unet(x, "bilinear"))), FRACTIONS),
    # What stands in front of the first weights says which pixels it was built for.
    "rescaling to 0..1": (lambda: net(lambda x: head(unet(layers.Rescaling(1 / 255)(x)))), BYTES),
    "rescaling to -1..1": (lambda: net(lambda x: head(unet(layers.Rescaling(1 / 127.5, offset=-1)(x)))), BYTES),
    "divided": (lambda: net(lambda x: head(unet(x / 255.0))), BYTES),
    "means of bytes": (
        lambda: net(lambda x: head(unet(layers.Normalization(mean=MEANS, variance=DEVIATIONS**2)(x)))), BYTES),
    "means of fractions": (
        lambda: net(lambda x: head(unet(layers.Normalization(mean=MEANS / 255, variance=(DEVIATIONS / 255) ** 2)(x)))),
        FRACTIONS),
    "means alone": (lambda: net(lambda x: head(unet(x - MEANS.astype(np.float32)))), BYTES),
    "caffe": (lambda: net(lambda x: head(unet(applications.vgg16.preprocess_input(x)))), BYTES),
    "torch": (lambda: net(lambda x: head(unet(applications.densenet.preprocess_input(x)))), BYTES),
    "augmentation in front": (
        lambda: net(lambda x: head(unet(layers.Rescaling(1 / 255)(layers.RandomFlip()(x))))), BYTES),
    "whole numbers": (lambda: net(lambda x: head(unet(layers.Rescaling(1 / 255)(x))), dtype="uint8"), BYTES),
    "resized in front": (
        lambda: net(lambda x: head(unet(layers.Rescaling(1 / 255)(layers.Resizing(SIDE, SIDE)(x))))), BYTES),
    # What stands behind the last weights says how logits come out.
    "sigmoid of its own": (lambda: net(lambda x: layers.Activation("sigmoid")(head(unet(x), None))), FRACTIONS),
    "ops.sigmoid": (lambda: net(lambda x: ops.sigmoid(head(unet(x), None))), FRACTIONS),
    "sigmoid, then moved": (lambda: net(lambda x: layers.Reshape((SIDE, SIDE, 1))(head(unet(x)))), FRACTIONS),
    "sigmoid, then repeated": (lambda: net(lambda x: layers.UpSampling2D()(head(layers.MaxPooling2D()(unet(x))))),
                               FRACTIONS),
    "softmax of two": (lambda: net(lambda x: head(unet(x), "softmax", 2)), FRACTIONS),
    "softmax of two of its own": (lambda: net(lambda x: layers.Softmax()(head(unet(x), None, 2))), FRACTIONS),
    "mixed_float16": (lambda: of_precision("mixed_float16"), FRACTIONS),
    "mixed_bfloat16": (lambda: of_precision("mixed_bfloat16"), FRACTIONS),
    "float64": (lambda: of_precision("float64"), FRACTIONS),
}  # fmt: skip


def saved(model: keras.Model, folder: Path, **record: Any) -> Path:
    path = folder / "model.keras"
    model.save(path)
    (folder / "run.json").write_text(json.dumps({"score_threshold": 0.5, "classes": ["crack"], **record}))
    return path


def shaken(model: keras.Model) -> keras.Model:
    """Statistics as after some training, so that a forgotten BatchNormalization shows."""
    rng = np.random.default_rng(3)
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return model


@pytest.mark.parametrize("name", TAKEN)
def test_it_gives_the_scores_of_the_saved_network(name: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(5)
    build, top = TAKEN[name]
    model = shaken(build())
    source = load_source(saved(model, tmp_path))
    assert source.pixels == ("0..1" if top == FRACTIONS else "0..255")
    bytes_ = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, 3)).astype(np.uint8)
    fractions = (bytes_ / np.float32(255)).astype(np.float32)
    given = bytes_.astype(model.inputs[0].dtype) if top == BYTES else fractions
    listed = given if isinstance(model, keras.Sequential) else keras.tree.pack_sequence_as(model.input, [given])
    answer = model(listed, training=False)
    wanted = np.asarray(keras.tree.flatten(answer)[0], np.float64)
    logits = np.asarray(source.model(fractions, training=False), np.float64)
    if name in ("sequential", "networks inside"):
        wanted = 1 / (1 + np.exp(-wanted))  # these end in logits
    found = 1 / (1 + np.exp(-logits))
    assert found.shape == (1, SIDE, SIDE, 1)
    np.testing.assert_allclose(found, wanted[..., -1:], atol=3e-2 if "bf" in name else 2e-3 if "16" in name else 2e-5)
    assert np.ptp(found) > 1e-3, "all alike proves nothing"


@pytest.mark.parametrize("name", ["lists of one tensor", "caffe", "nearest", "attention", "softmax of two"])
def test_it_becomes_int8_that_the_fast_kernels_take_whole(name: str, tmp_path: Path) -> None:
    source = load_source(saved(TAKEN[name][0](), tmp_path))
    noise = np.random.default_rng(2).integers(0, 256, (4, SIDE, SIDE, 3)).astype(np.uint8)
    assert delegate_partitions(quantize(source.model, [ramp(SIDE, SIDE), *noise]).content) == (1, True)


NO_LOGITS = "so its answers are no logits"
REFUSED: dict[str, tuple[Callable[[], keras.Model], str]] = {
    **{
        f"ends in {name}": (lambda name=name: net(lambda x: head(unet(x), name)), rf"ends in {name} \(.*{NO_LOGITS}")
        for name in ("hard_sigmoid", "tanh", "relu", "softplus")
    },
    "ends in a clip": (lambda: net(lambda x: ops.clip(head(unet(x), None), 0, 1)), rf"ends in Clip \(.*{NO_LOGITS}"),
    "ends in a layer": (lambda: net(lambda x: layers.ReLU(6.0)(head(unet(x), None))), rf"ends in ReLU.*{NO_LOGITS}"),
    "sigmoid, then resized": (
        lambda: net(lambda x: layers.Resizing(SIDE, SIDE)(head(layers.MaxPooling2D()(unet(x))))),
        r"has a sigmoid \(.* in front of resizing",
    ),
    "turned round": (lambda: net(lambda x: 1 - head(unet(x))), r"has a sigmoid \(.* in front of subtract"),
    "mean of two": (
        lambda: net(lambda x: layers.Average()([head(unet(x)), head(unet(x))])), "has a sigmoid .* in front of avera"),
    "softmax of four": (lambda: net(lambda x: head(unet(x), "softmax", 4)), "softmax over 4 channels"),
    "softmax over rows": (
        lambda: net(lambda x: layers.Softmax(axis=1)(head(unet(x), None, 2))), "over axis 1, that is over rows"),
    "softmax of one": (lambda: net(lambda x: head(unet(x), "softmax", 1)), "softmax over 1 channel"),
    "scaled by a tenth": (lambda: net(lambda x: head(unet(layers.Rescaling(0.1)(x)))), r"nor 0\.\.255.*--pixels"),
    "bent pixels": (lambda: net(lambda x: head(unet(ops.sqrt(x)))), "what sqrt does to the pixels.*--pixels"),
    "two inputs": (
        lambda: keras.Model((pair := [keras.Input((SIDE, SIDE, 3)) for _ in range(2)]), head(layers.Add()(pair))),
        r"with 2 inputs \(.*one input can fly",
    ),
    "two outputs": (lambda: net(lambda x: [head(unet(x)), head(x)]), r"with 2 outputs \(.*one output can fly"),
    "grey pictures": (
        lambda: keras.Model((grey := keras.Input((SIDE, SIDE, 1))), head(grey)), r"not RGB pictures \(batch, H, W, 3"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*softmax over axis:UserWarning")  # what Keras says of it
@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_for_its_reason(name: str, tmp_path: Path) -> None:
    build, words = REFUSED[name]
    model = build()
    with pytest.raises(ConversionError, match=words) as refusal:
        load_source(saved(model, tmp_path))
    assert "\n" not in str(refusal.value)


def test_what_its_owner_says_of_the_pixels_counts_and_is_kept(tmp_path: Path) -> None:
    """Rescaling(0.1) says nothing; the record or the command does, and the gate reads it off the card."""
    keras.utils.set_random_seed(5)
    model = net(lambda x: head(unet(layers.Rescaling(0.1)(x))))
    path = saved(model, tmp_path, pixels="-1..1")
    fractions = np.random.default_rng(1).random((1, SIDE, SIDE, 3), dtype=np.float32)
    for told, top, low in (("-1..1", 2, -1), ("0..255", 255, 0)):
        source = load_source(path, pixels=None if told == "-1..1" else told)
        assert source.pixels == told
        found = 1 / (1 + np.exp(-np.asarray(source.model(fractions), np.float64)))
        np.testing.assert_allclose(found, model([fractions * top + low]), atol=1e-5)
    write_set(tmp_path / "data", 4, SIDE, seed=1)
    words = ["quantize", str(path), "--data", str(tmp_path / "data"), "-o", str(tmp_path / "b"), "--finetune", "0"]
    assert main([*words, "--pixels", "0..255"]) == 0
    assert json.loads((tmp_path / "b" / "card.json").read_text(encoding="utf-8"))["made"]["pixels"] == "0..255"
    with pytest.raises(ConversionError, match="pixels are one of"):
        load_source(path, pixels="0..65535")  # type: ignore[arg-type]


def test_pixels_that_it_was_not_trained_on_show_in_its_statistics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trained on bytes without a layer that says so: the first BatchNormalization remembers."""
    write_set(tmp_path / "data", 6, SIDE, seed=1)
    model = net(lambda x: head(unet(x)))
    first = next(layer for layer in model.layers if isinstance(layer, layers.BatchNormalization))
    probe = keras.Model(model.inputs[0], first.input)
    photos = np.random.default_rng(1).integers(60, 200, (4, SIDE, SIDE, 3)).astype(np.float32)
    seen = np.asarray(probe(photos)).reshape(-1, 4)
    gamma, beta, _, _ = first.get_weights()
    first.set_weights([gamma, beta, seen.mean(axis=0), seen.var(axis=0)])
    words = ["quantize", str(saved(model, tmp_path)), "--data", str(tmp_path / "data"), "-o", str(tmp_path / "b")]
    assert main([*words, "--finetune", "0"]) == 2
    assert "it was trained on other pixels: say with --pixels on which" in capsys.readouterr().err
    assert main([*words, "--finetune", "0", "--pixels", "0..255"]) == 0


def test_one_output_without_a_record_is_taken_for_crack_and_several_are_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = saved(net(lambda x: head(x)), tmp_path)
    (tmp_path / "run.json").unlink()
    assert load_source(path).classes == ("crack",)
    assert "has no run.json beside it: its one output is taken for crack; say with --class if it is" in caplog.text
    assert load_source(path, keep=["rust"]).classes == ("rust",)
    path = saved(net(lambda x: head(x, None, 4)), tmp_path)
    (tmp_path / "run.json").unlink()
    with pytest.raises(DataError, match="names no classes"):
        load_source(path)
    assert load_source(path, keep=["crack"]).model.output_shape == (1, SIDE, SIDE, 4)


def test_an_open_size_is_fixed_by_the_command(tmp_path: Path) -> None:
    picture = keras.Input((None, None, 3))
    path = saved(keras.Model(picture, head(unet(picture, "nearest"))), tmp_path)
    with pytest.raises(ConversionError, match="say with --height and --width"):
        load_source(path)
    assert load_source(path, (32, 64)).model.output_shape == (1, 32, 64, 1)
    with pytest.raises(ConversionError, match="cannot take 33 x 64 px"):
        load_source(path, (33, 64))


def test_weights_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    model = net(lambda x: head(unet(x)))
    model.layers[-1].set_weights([np.full(weight.shape, np.nan) for weight in model.layers[-1].get_weights()])
    with pytest.raises(DataError, match="weights that are no numbers: its training went astray"):
        load_source(saved(model, tmp_path))


@pytest.mark.parametrize("dead", [("crack",), ("crack", "spalling"), ()])
def test_a_class_whose_answer_is_the_same_for_every_picture_is_named(
    dead: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["crack", "spalling"]
    model = net(lambda x: head(unet(x), activation=None, filters=2))
    kernel, bias = model.layers[-1].get_weights()
    for name in dead:
        kernel[..., names.index(name)] = 0
    model.layers[-1].set_weights([kernel, bias])
    path = saved(model, tmp_path, classes=names, score_thresholds={"crack": 0.5, "spalling": 0.5})
    write_set(tmp_path / "data", 6, SIDE, seed=3)
    code = main(["quantize", str(path), "--data", str(tmp_path / "data"), "-o", str(tmp_path / "b"), "--frames", "8",
                 "--finetune", "0"])  # fmt: skip
    said = capsys.readouterr().err
    assert (tmp_path / "b").exists() is not bool(dead)
    if dead:
        assert code == 2
        assert f"the answer for {', '.join(dead)} is the same for every picture" in said


def test_one_row_of_numbers_is_no_map(tmp_path: Path) -> None:
    path = saved(net(lambda x: layers.Flatten()(head(x))), tmp_path)
    (tmp_path / "run.json").unlink()
    with pytest.raises(DataError, match=r"answers with \d+ numbers for a picture, not with a map"):
        load_source(path)


@keras.saving.register_keras_serializable(package="somebody")
class Scale(layers.Layer):
    """A layer of somebody's own, which is known where it was saved and nowhere else."""

    def call(self, x: Any) -> Any:
        """Half of it."""
        return x * 0.5


def test_a_layer_of_somebody_s_own_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(net(lambda x: head(Scale()(x))), tmp_path)
    keras.saving.get_custom_objects().clear()
    monkeypatch.delitem(globals(), "Scale")
    with pytest.raises(DataError, match=r"it uses .*Scale, which is not Keras's own"):
        load_source(path)


def test_a_lambda_is_named(tmp_path: Path) -> None:
    path = saved(net(lambda x: head(layers.Lambda(lambda y: y * 2)(x))), tmp_path)
    with pytest.raises(DataError, match="it holds a Lambda layer, whose Python code is not run"):
        load_source(path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("model_unet_vgg_16_best.pt", "is a file of PyTorch; build the network in Keras"),
        ("model.onnx", "is a file of ONNX"),
        ("model.tflite", "is a file of LiteRT"),
        ("model.bin", "is no Keras file"),
        ("model.keras", "cannot be read as a Keras model"),
        ("folder", r"is a folder \(a SavedModel\?\)"),
        ("weights.h5", "it holds weights without a network; save the whole network with model.save"),
    ],
)
def test_other_files_are_named_for_what_they_are(name: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / name
    (tmp_path / "run.json").write_text('{"classes": ["crack"]}')
    if name == "folder":
        path.mkdir()
    elif name == "weights.h5":
        net(lambda x: head(x)).save_weights(tmp_path / "w.weights.h5")
        (tmp_path / "w.weights.h5").rename(path)
    else:
        path.write_bytes(b"something else")
    with pytest.raises(DataError, match=words):
        load_source(path)
