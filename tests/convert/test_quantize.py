"""A tiny network is trained, quantised, checked and run next to its float twin; and what must be refused is."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from convert import ConversionError
from convert.bundle import golden_picture
from convert.cli import main
from models import DataError
from models.rendered import write_set

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")
"""Keras 3.15 under numpy 2.4 warns about itself."""

from convert.frames import representative_frames  # noqa: E402
from convert.operators import check_operators  # noqa: E402
from convert.quantize import delegate_partitions, open_interpreter, quantize, run  # noqa: E402
from edge.masks import preprocess  # noqa: E402
from edge.masks.bundle import load_bundle, load_golden  # noqa: E402
from models.train import train  # noqa: E402
from models.unet import open_saved, resized  # noqa: E402

CONFIG = """
[train]
steps = 40
batch = 4
crop_px = 64
warmup_steps = 5
ema = 0.8
validate_every = 40
validate_pictures = 4
learning_rate = 4e-3
[model]
base = 8
[mix]
rendered_cracks = 0.7
rendered_clean = 0.3
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    (folder / "config.toml").write_text(CONFIG)
    train(folder / "config.toml", folder, folder / "out")
    write_set(folder / "data", 12, 160, seed=3)
    return folder


@pytest.fixture(scope="module")
def bundle(trained):
    arguments = ["quantize", str(trained / "out/model.keras"), "--data", str(trained / "data"), "--height", "128"]
    arguments += ["--width", "160", "--name", "tiny", "--licence", "free", "-o", str(trained / "tiny")]
    assert main([*arguments, "--max-differing", "0.05", "--max-f1-drop", "0.05"]) == 0
    return trained / "tiny"


def test_drone_accepts_the_bundle_and_its_card(bundle):
    card = load_bundle(bundle).card
    assert (card.input.height, card.input.width) == (128, 160)
    assert card.input.scale == 1 / 255
    assert (card.output.height, card.output.width, card.output.channels) == (32, 40, 16)
    assert card.output.pixel_shuffle == 4
    assert card.training_data[0].name == "rendered"
    assert set(card.files) == {"golden.npz", "curve.png"}
    assert card.made["seed"] == 1
    assert card.made["float"]["file"] == "model.keras"  # given by its whole path, which is this machine's own
    assert (card.limits.f1_drop, card.limits.pixels_differing) == (0.05, 0.05)


def test_golden_answer_repeats(bundle):
    golden = load_golden(load_bundle(bundle))
    again = run(open_interpreter((bundle / "model.tflite").read_bytes()), golden.input)
    assert np.abs(again.astype(int) - golden.output).max() <= 4
    assert (bundle / "golden.npz").stat().st_size < 400_000


def test_int8_agrees_with_float(bundle, trained):
    card = load_bundle(bundle).card
    model = resized(open_saved(trained / "out/model.keras"), 128, 160, batch_size=1)
    interpreter = open_interpreter((bundle / "model.tflite").read_bytes())
    for frame in representative_frames([trained / "data"], 128, 160, count=6, seed=9):
        image = np.empty((1, 128, 160, 3), np.int8)
        preprocess.to_input(frame, image[0])
        logits = preprocess.dequantise(run(interpreter, image), card.output.scale, card.output.zero_point)
        wanted = model.predict_on_batch(frame[None].astype(np.float32) / 255)
        assert np.abs(logits - wanted).mean() < 0.25
        assert ((logits > 0) != (wanted > 0)).mean() < 0.05


def test_only_safe_operators_are_left(bundle):
    found = check_operators((bundle / "model.tflite").read_bytes())
    assert set(found.operators) == {"CONV_2D", "RESIZE_BILINEAR", "CONCATENATION"}
    assert main(["check", str(bundle / "model.tflite")]) == 0
    assert delegate_partitions((bundle / "model.tflite").read_bytes()) == (1, True)


def test_network_too_large_for_an_edge_tpu_is_doubted_not_refused():
    inputs = keras.Input((512, 512, 3), batch_size=1)
    model = keras.Model(inputs, keras.layers.Conv2D(16, 3, padding="same")(inputs))
    ramp = representative_ramp(512, 512)
    found = quantize(model, [ramp]).inventory
    assert found.largest_tensor_bytes == 512 * 512 * 16
    assert any("gives 4.00 MiB" in doubt for doubt in found.doubts)


def representative_ramp(height, width):
    return np.ascontiguousarray(
        np.broadcast_to(np.linspace(0, 255, width).astype(np.uint8)[:, None], (height, width, 3))
    )


def upsampled(inputs):
    return keras.layers.UpSampling2D(2)(keras.layers.Conv2D(4, 3, padding="same")(inputs))


def grouped(inputs):
    x = keras.layers.Conv2D(8, 3, padding="same")(inputs)
    return keras.layers.Conv2D(8, 3, padding="same", groups=2)(x)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (upsampled, "must not be in a network that flies"),
        (grouped, "CONV_2D has version 6"),
    ],
)
def test_what_accelerators_refuse_is_named(body, message):
    inputs = keras.Input((32, 32, 3), batch_size=1)
    frames = [np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8) for _ in range(3)]
    with pytest.raises(ConversionError, match=message):
        quantize(keras.Model(inputs, body(inputs)), frames)


def test_frames_that_do_not_reach_black_and_white_are_refused():
    inputs = keras.Input((32, 32, 3), batch_size=1)
    model = keras.Model(inputs, keras.layers.Conv2D(4, 3, padding="same")(inputs))
    with pytest.raises(ConversionError, match="must reach from black to white"):
        quantize(model, [np.full((32, 32, 3), 100, np.uint8)])


def test_float_file_is_refused():
    inputs = keras.Input((32, 32, 3), batch_size=1)
    model = keras.Model(inputs, keras.layers.Conv2D(4, 3, padding="same")(inputs))
    content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    with pytest.raises(ConversionError, match="neither int8 nor a constant int32"):
        check_operators(content)


def test_representative_frames_pin_the_range_and_skip_masks(trained):
    frames = representative_frames([trained / "data", trained / "data/images"], 96, 256, count=8)
    assert len(frames) == 1 + 8
    assert all(frame.shape == (96, 256, 3) for frame in frames)
    assert frames[0].min() == 0
    assert frames[0].max() == 255
    values = {int(value) for frame in frames[1:] for value in np.unique(frame)}
    assert len(values) > 20, "masks would show only 0 and 255"


def test_missing_and_empty_data_folders(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        representative_frames([tmp_path / "gone"], 64, 64)
    with pytest.raises(DataError, match="holds no pictures"):
        representative_frames([tmp_path], 64, 64)


def test_a_file_that_is_no_model_is_refused_in_one_sentence(tmp_path, capsys):
    (tmp_path / "model.keras").write_bytes(b"x")
    (tmp_path / "run.json").write_text('{"classes": ["crack"], "score_threshold": 0.5}')
    assert main(["quantize", str(tmp_path / "model.keras"), "--data", str(tmp_path), "-o", str(tmp_path / "b")]) == 2
    message = capsys.readouterr().err
    assert "cannot be read as a Keras model" in message
    assert message.count("\n") == 1


def test_altered_bundle_does_not_fly(bundle, tmp_path):
    from edge.support.errors import BundleError

    for path in bundle.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    card = json.loads((tmp_path / "card.json").read_text())
    card["artifacts"]["tflite"]["sha256"] = "0" * 64
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(BundleError, match=r"card\.json: SHA-256 is"):
        load_bundle(tmp_path)
    (tmp_path / "card.json.sha256").unlink()
    with pytest.raises(BundleError, match=r"model\.tflite"):
        load_bundle(tmp_path)


def test_golden_picture_is_rendered_and_small():
    picture = golden_picture(512, 512)
    assert picture.shape == (512, 512, 3)
    assert len(np.unique(picture)) <= 64
    assert len(cv2.imencode(".png", picture)[1]) < 200_000
