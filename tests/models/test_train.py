"""A training of a few steps: it learns, leaves its record, resumes, and stops on a broken loss."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from models import DataError, checkpoint
from models.cli import main
from models.rendered import write_set

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")
"""Keras 3.15 under numpy 2.4 warns about itself."""

from models.train import learning_rate, minutes_left, train  # noqa: E402
from models.unet import fast_unet, open_saved, resized  # noqa: E402

CONFIG = """
[train]
steps = {steps}
batch = 2
crop_px = 64
warmup_steps = 2
ema = 0.9
validate_every = 5
validate_pictures = 3
learning_rate = {rate}
[model]
base = 8
[mix]
rendered_cracks = 0.5
rendered_clean = 0.2
[[sources]]
name = "set"
images = "images"
masks = "masks"
licence = "rendered"
holdout = 0.3
"""


@pytest.fixture
def root(tmp_path):
    write_set(tmp_path / "data", 8, 96, seed=1)
    return tmp_path / "data"


def configure(root, steps, rate="1e-3"):
    path = root / "config.toml"
    path.write_text(CONFIG.format(steps=steps, rate=rate))
    return path


def test_learning_rate_warms_up_and_falls():
    rates = [learning_rate(step, step / 100, 1.0, 10) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(rates[9], rel=0.05)
    assert rates[99] < 0.02
    assert minutes_left(0.25, 600, 0.7) == pytest.approx(28)
    assert learning_rate(50, 7.0, 1.0, 10) == pytest.approx(0.01)


def test_average_follows_the_weights_and_is_not_stuck_at_the_start():
    average = checkpoint.Average([np.zeros(3, np.float32)], decay=0.999, every=5)
    for step in range(5, 505, 5):
        average.update([np.full(3, 2.0, np.float32)], step)
    assert average.values[0] == pytest.approx(2.0, abs=0.01)


def test_training_leaves_its_record_resumes_and_survives_a_broken_loss(root, tmp_path, caplog, monkeypatch):
    """One story, because building the training graph is what takes the time."""
    out = tmp_path / "out"
    caplog.set_level("INFO")
    train(configure(root, 5), root, out)
    assert checkpoint.load(out / "checkpoint.npz", "").step == 5
    scores = train(configure(root, 10), root, out)
    assert "resumed at step 5" in caplog.text
    assert "crops per second, validation included: about 0 minutes left" in caplog.text
    assert checkpoint.load(out / "checkpoint.npz", "").step == 10
    record = json.loads((out / "run.json").read_text())
    assert record["steps"] == 10
    assert record["score_threshold"] == scores["score_threshold"]
    assert set(record["held"]) == {"set/held"}
    assert record["train"]["set"]["images"] + record["held"]["set/held"]["images"] == 8
    assert len(record["train"]["set"]["sha256"]) == 64
    assert record["versions"]["keras"]
    assert (out / "model.keras").is_file()
    assert (out / "curve.png").read_bytes()[:4] == b"\x89PNG"
    lines = (out / "history.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["step", "5", "10"]

    again = fast_unet(64, 64, base=8)
    again.load_weights(out / "start.weights.h5")
    pictures = np.random.default_rng(0).random((1, 64, 64, 3), np.float32)
    exact = resized(open_saved(out / "model.keras"), 64, 64).predict_on_batch(pictures)
    assert np.abs(again.predict_on_batch(pictures) - exact).max() < 0.05

    before = (out / "best.weights.h5").read_bytes()
    monkeypatch.setattr(keras.Model, "train_on_batch", lambda self, *a, **k: math.nan)
    with pytest.raises(DataError, match=r"loss became nan at step 10; the last good weights are in"):
        train(configure(root, 15), root, out)
    assert (out / "best.weights.h5").read_bytes() == before


def test_weights_that_do_not_fit_are_named(root, tmp_path, capsys):
    config = configure(root, 5)
    fast_unet(64, 64, base=4).save_weights(root / "other.weights.h5")
    (root / "broken.weights.h5").write_bytes(b"nothing")
    text = config.read_text()
    for name in ("other", "broken"):
        config.write_text(text.replace("[model]", f'[model]\nstart_from = "{name}.weights.h5"'))
        assert main(["train", str(config), "--out", str(tmp_path / "out")]) == 2
        assert f"{name}.weights.h5, whose weights do not fit this network" in capsys.readouterr().err


def test_command_line_answers_bad_input_with_one_sentence(root, tmp_path, capsys):
    config = configure(root, 5)
    assert main(["train", str(config), "--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "o")]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: The image folder")
    assert message.count("\n") == 1
