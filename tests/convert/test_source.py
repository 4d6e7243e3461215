"""Float networks on their way to a bundle: rebuilt at the drone's size, or refused in one sentence."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from convert import ConversionError
from convert.cli import main
from convert.finetune import finetune
from convert.frames import doubts, one_tile, ramp, to_float, weather
from convert.quantize import open_interpreter, quantize, run
from convert.source import CLASSIFIER, Source, load_source, to_logits, with_thresholds
from edge.masks import preprocess
from edge.masks.bundle import load_bundle
from models import DataError
from models.rendered import write_set
from models.unet import classic_unet, fast_unet

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")
layers = keras.layers


def frames(size: int, count: int = 6):
    rng = np.random.default_rng(2)
    noise = rng.integers(60, 200, (count, size, size, 3)).astype(np.uint8)
    return [ramp(size, size), *noise]


def patch_classifier(softmax: bool = True) -> keras.Model:
    """A stand-in of the patch classifier's shape: convolution, BatchNorm, ReLU, and a softmax over classes."""
    inputs = x = keras.Input((64, 64, 3), name="rgb")
    for channels in (8, 16, 16):
        x = layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Flatten()(layers.MaxPooling2D(2)(x))
    return keras.Model(inputs, layers.Dense(3, activation="softmax" if softmax else None)(x), name="patch_classifier")


def save(model: keras.Model, folder, **record) -> str:
    path = folder / "model.keras"
    model.save(path)
    (folder / "run.json").write_text(json.dumps({"score_threshold": 0.5, "classes": ["crack"], **record}))
    return str(path)


def test_a_fast_unet_is_rebuilt_at_another_size_with_its_weights(tmp_path):
    keras.utils.set_random_seed(1)
    model = fast_unet(64, 64, base=8)
    source = load_source(tmp_path / save(model, tmp_path), (96, 128))
    assert source.size == (96, 128)
    assert source.model.input_shape[0] == 1
    for ours, theirs in zip(source.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert load_source(tmp_path / "model.keras").size == (512, 512)
    with pytest.raises(ConversionError, match="cannot take 100 x 100 px"):
        load_source(tmp_path / "model.keras", (100, 100))


def test_weights_alone_are_read_with_the_record_beside_them(tmp_path):
    model = fast_unet(64, 64, base=8, shuffle=2)
    path = tmp_path / "mine.weights.h5"
    model.save_weights(path)
    with pytest.raises(DataError, match=r"mine\.json\) names no classes"):
        load_source(path, (64, 64))
    (tmp_path / "mine.json").write_text(json.dumps({"classes": ["crack"]}))
    with pytest.raises(DataError, match=r"does not fit a fast_unet of 1 classes with base 16.*mine\.json"):
        load_source(path, (64, 64))
    (tmp_path / "mine.json").write_text(
        json.dumps({"config": {"model": {"classes": ["crack"], "base": 8, "shuffle": 2}}})
    )
    assert load_source(path, (64, 96)).model.output_shape == (1, 16, 24, 4)
    (tmp_path / "mine.json").write_text("[")
    with pytest.raises(DataError, match=r"mine\.json is not JSON"):
        load_source(path, (64, 64))


def test_the_classic_unet_becomes_a_bundle_too(tmp_path):
    """Its full-size tensors make an Edge TPU doubtful; a CPU takes it whole."""
    write_set(tmp_path / "data", 4, 64, seed=1)
    path = save(classic_unet(64, 64, base=4, depth=3), tmp_path)
    words = ["quantize", path, "--data", str(tmp_path / "data"), "-o", str(tmp_path / "b"), "--finetune", "0"]
    assert main([*words, "--height", "64", "--width", "64"]) == 0
    card = load_bundle(tmp_path / "b").card
    assert (card.output.height, card.output.channels, card.output.pixel_shuffle) == (64, 1, 1)
    assert main(["verify", str(tmp_path / "b"), path, "--data", str(tmp_path / "data")]) in (0, 2)
    report = json.loads((tmp_path / "b" / "report.json").read_text())
    assert report["graph"]["whole_network_delegated"]


def test_a_patch_classifier_becomes_a_bundle_that_no_segmenter_takes(tmp_path, capsys, clock_now):
    write_set(tmp_path / "data", 8, 80, seed=1)
    levels = {"crack": 0.5, "spalling": 0.6}
    path = save(patch_classifier(), tmp_path, classes=list(levels), score_thresholds=levels)
    bundle = tmp_path / "patches"
    words = ["quantize", path, "--data", str(tmp_path / "data"), "-o", str(bundle), "--max-differing", "0.5"]
    assert main(words) == 0
    card = load_bundle(bundle).card
    assert card.output.kind == CLASSIFIER
    assert card.classes == ("sound", "crack", "spalling")
    assert card.score_thresholds == levels
    assert main(["verify", str(bundle), path, "--data", str(tmp_path / "data")]) == 0
    found = json.loads((bundle / "report.json").read_text())["sets"]
    (one,) = found.values()
    assert one["images"] == 8
    assert sum(one["wins"]["float"].values()) == 8
    from edge.masks import litert
    from edge.support.errors import BundleError

    with pytest.raises(BundleError, match="holds a patch classifier"):
        litert.open_segmenter(litert.Options(bundle=bundle, unsigned="allow"), clock_now)
    assert main(["onnx", str(bundle), path]) == 2
    (tmp_path / "run.json").write_text(json.dumps({"score_threshold": 0.5}))
    assert main(words) == 2
    assert "names no classes" in capsys.readouterr().err


@pytest.mark.parametrize("own_layer", [True, False])
def test_a_softmax_is_taken_off_and_changes_no_decision(own_layer):
    model = patch_classifier(softmax=not own_layer)
    if own_layer:
        model = keras.Model(model.inputs, layers.Softmax()(model.outputs[0]), name="patch_classifier")
    plain = to_logits(model)
    picture = np.random.default_rng(0).random((1, 64, 64, 3), dtype=np.float32)
    np.testing.assert_allclose(
        keras.ops.softmax(plain.predict_on_batch(picture)), model.predict_on_batch(picture), rtol=1e-4
    )


def test_a_network_that_scales_bytes_itself_still_takes_raw_bytes(tmp_path):
    """Rescaling(1/255) for inputs of 0..255 is folded into the first convolution: no operator of its own is left."""
    keras.utils.set_random_seed(4)
    inputs = keras.Input((64, 64, 3))
    x = layers.Conv2D(8, 3, strides=4, padding="same", activation="relu6")(layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, layers.Conv2D(16, 1)(x), name="own")
    source = load_source(tmp_path / save(model, tmp_path))
    frame = frames(64)[1]
    wanted = model.predict_on_batch(frame[None].astype(np.float32))
    np.testing.assert_allclose(source.model.predict_on_batch(to_float(frame)), wanted, atol=1e-4)
    found = quantize(source.model, frames(64))
    assert found.inventory.operators == {"CONV_2D": 2}


@pytest.mark.parametrize(
    ("body", "size", "words"),
    [
        (
            lambda x: [layers.Conv2D(1, 3, name=f"h{i}")(x) for i in range(2)],
            (64, 64),
            "a network with 2 outputs",
        ),
        (lambda x: layers.Conv2D(3, 3, padding="same")(x), (64, 64), "a segmenter answers"),
        (lambda x: layers.Conv2D(1, 3, padding="same")(x), (None, None), "has an open input size"),
    ],
)
def test_networks_that_cannot_fly_are_refused_in_one_sentence(tmp_path, capsys, body, size, words):
    inputs = keras.Input((*size, 3))
    path = save(keras.Model(inputs, body(inputs), name="own"), tmp_path)
    assert main(["quantize", path, "--data", str(tmp_path), "-o", str(tmp_path / "b")]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("error: ") == 1
    assert not (tmp_path / "b").exists()


def test_operators_outside_tflite_are_refused_in_one_sentence():
    class Bits(layers.Layer):
        def call(self, x):
            return tf.cast(tf.bitwise.invert(tf.cast(x, tf.int32)), tf.float32)

    inputs = keras.Input((32, 32, 3), batch_size=1)
    with pytest.raises(ConversionError, match="cannot convert this network to TFLite built-in operators") as refusal:
        quantize(keras.Model(inputs, Bits()(layers.Conv2D(4, 3)(inputs))), frames(32, 2))
    assert "\n" not in str(refusal.value)


def test_frames_that_set_no_sound_ranges_are_told_with_numbers():
    assert doubts(110, 50) == []
    assert doubts(110, None) == []
    few, cracked = doubts(12, 12)
    assert "only 12 frames" in few
    assert "12 of the 12 frames hold a crack" in cracked
    (blank,) = doubts(120, 0)
    assert "none of the 120 frames" in blank


def test_calibration_warnings_reach_the_user(tmp_path, caplog):
    write_set(tmp_path / "data", 4, 64, seed=1)
    path = save(fast_unet(64, 64, base=8), tmp_path)
    words = ["quantize", path, "--data", str(tmp_path / "data"), "-o", str(tmp_path / "b"), "--finetune", "0"]
    assert main([*words, "--height", "64", "--width", "64"]) == 0
    assert "calibration: only 4 frames set the ranges, at least 100 are wanted" in caplog.text


def test_tiles_are_cut_as_the_drone_cuts_them():
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)
    tile = one_tile(small, 64, 96, rng)
    np.testing.assert_array_equal(tile[:40, :50], small)
    np.testing.assert_array_equal(tile[40, :50], small[38])  # reflection about the last row
    large = rng.integers(0, 256, (200, 300, 3)).astype(np.uint8)
    tile = one_tile(large, 64, 96, rng)
    places = np.argwhere((large[: 200 - 63, : 300 - 95] == tile[0, 0]).all(axis=-1))
    assert any((large[y : y + 64, x : x + 96] == tile).all() for y, x in places)


def test_weather_darkens_and_wets_some_frames_and_leaves_others():
    rng = np.random.default_rng(0)
    frame = np.full((64, 64, 3), 160, np.uint8)
    made = [weather(frame, rng) for _ in range(60)]
    same = sum(np.array_equal(one, frame) for one in made)
    wet = sum(int(one.max()) - int(one.min()) > 30 for one in made)
    assert 10 < same < 35
    assert 10 < wet < 35


def smooth_frames(count: int, seed: int):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)
    return [ramp(32, 32), *(cv2.resize(one, (32, 32), interpolation=cv2.INTER_CUBIC) for one in coarse)]


def deep_network_with_outliers() -> keras.Model:
    """In each kernel one weight is three times as large as the rest, which makes the steps of the others coarse."""
    keras.utils.set_random_seed(5)
    inputs = x = keras.Input((32, 32, 3), batch_size=1)
    for i in range(4):
        x = layers.Conv2D(8, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"c{i}")(x)
        x = layers.ReLU(6.0, name=f"r{i}")(layers.BatchNormalization(name=f"b{i}")(x))
    model = keras.Model(inputs, layers.Conv2D(4, 1, name="out")(x), name="own")
    for i in range(1, 4):
        (kernel,) = model.get_layer(f"c{i}").get_weights()
        kernel[0, 0, 0] *= 3
        model.get_layer(f"c{i}").set_weights([kernel])
    return model


def test_fine_tuning_brings_int8_nearer_to_the_float_answers_on_other_frames():
    model, pictures = deep_network_with_outliers(), smooth_frames(12, seed=2)
    tuned = finetune(model, pictures, steps=200)

    def error(candidate: keras.Model) -> float:
        made = quantize(candidate, pictures)
        interpreter = open_interpreter(made.content)
        apart = []
        for frame in smooth_frames(8, seed=9):
            raw = run(interpreter, (frame ^ 0x80).view(np.int8)[None])
            found = preprocess.dequantise(raw, made.output_scale, made.output_zero_point)
            apart.append(np.square(found - model.predict_on_batch(to_float(frame))).mean())
        return float(np.mean(apart))

    assert error(tuned) < 0.8 * error(model)


def test_rounding_that_costs_too_much_is_followed_by_fine_tuning(tmp_path, caplog, monkeypatch):
    """A limit nothing can meet starts it; the bundle is made either way, and the log says what was gained."""
    write_set(tmp_path / "data", 6, 64, seed=1)
    path = save(fast_unet(64, 64, base=8), tmp_path)
    words = ["quantize", path, "--data", str(tmp_path / "data"), "-o", str(tmp_path / "b"), "--max-differing", "0"]
    words += ["--height", "64", "--width", "64"]
    level = 0.05  # near the score of untrained weights, so that many pixels sit on the edge
    record = {"score_threshold": level, "classes": ["crack"]}
    (tmp_path / "run.json").write_text(json.dumps(record))
    monkeypatch.setattr("convert.finetune.STEPS", 20)
    with caplog.at_level(logging.INFO):
        assert main(words) == 0
    assert "fine-tuning the weights for int8" in caplog.text
    assert "fine-tuned, it changes" in caplog.text
    load_bundle(tmp_path / "b")


@pytest.mark.parametrize("level", [0, 1.5])
def test_a_threshold_that_no_card_takes_is_refused_before_anything_is_converted(level):
    record = {"classes": ["crack"], "score_threshold": level}
    source = Source(
        path=Path("net.keras"), sha256="", model=None, kind="logits", record=record, pixels="0..1", classes=("crack",)
    )
    with pytest.raises(DataError, match=rf"threshold of 'crack' is {level}; it is above 0 and at most 1: correct run"):
        with_thresholds(source)
    assert with_thresholds(source, 1.0).thresholds == {"crack": 1.0}


def test_a_rule_of_reporting_flies_only_with_the_threshold_it_was_fitted_at(caplog):
    rules = {"crack": {"version": 1}, "rust": {"version": 1}}
    for thresholds in ({"score_threshold": 0.4}, {"score_threshold": 0.9, "score_thresholds": {"crack": 0.4}}):
        source = Source(
            path=Path("net.keras"), sha256="", model=None, kind="logits", pixels="0..1", classes=("crack",),
            record={"classes": ["crack", "rust"], "report_rules": rules, **thresholds},
        )  # fmt: skip
        for same in (None, 0.4):
            assert with_thresholds(source, same).record["report_rules"] == rules
        assert "left out" not in caplog.text
        assert "crack" not in with_thresholds(source, 0.5).record["report_rules"]
        assert "was fitted at the threshold 0.4 of its record, not at 0.5: it is left out" in caplog.text
        caplog.clear()


def test_missing_models_and_half_given_sizes_are_usage_errors(tmp_path, capsys):
    words = ["quantize", str(tmp_path / "absent.keras"), "--data", str(tmp_path), "-o", str(tmp_path / "b")]
    assert main(words) == 2
    assert "does not exist; train one" in capsys.readouterr().err
    assert main([*words, "--height", "64"]) == 2
    assert "belong together" in capsys.readouterr().err
