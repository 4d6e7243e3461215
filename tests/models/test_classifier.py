"""The patch classifier: its label rule, its windows, its heat map, and a training of a few steps."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from models import UNKNOWN, patches
from models import windows as windows_of
from models.classifier import heat_map, patch_classifier
from models.cli import main
from models.data import find_examples
from tests.models.sets import configure

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")


def test_classifier_is_a_softmax_over_sound_and_each_class():
    model = patch_classifier(64, classes=2, base=4)
    found = model.predict_on_batch(np.random.default_rng(0).random((3, 64, 64, 3), np.float32))
    assert found.shape == (3, 3)
    assert np.allclose(found.sum(axis=1), 1)
    kinds = [type(layer).__name__ for layer in patch_classifier().layers[1:5]]
    assert kinds == ["Conv2D", "BatchNormalization", "ReLU", "MaxPooling2D"]
    assert patch_classifier().input_shape == (None, 128, 128, 3)
    with pytest.raises(ValueError, match="multiple of 32 px, not 100"):
        patch_classifier(100)


def mask(side=128):
    return np.zeros((side, side), np.uint8)


def test_label_rule():
    """128 px: the centre is 64 x 64 px from 32 on, and 16 px of damage in it decide."""
    assert windows_of.label_patch(mask(), 2) == 0
    crack = mask()
    crack[40, 40:56] = 1
    assert windows_of.label_patch(crack, 2) == 1
    crack[40, 40] = 0
    assert windows_of.label_patch(crack, 2) is None, "15 px are too few for a crack and too many for sound"
    rim = mask()
    rim[:31] = 1
    assert windows_of.label_patch(rim, 2) is None
    both = mask()
    both[40:44, 40:60] = 1
    both[50:60, 40:60] |= 2
    assert windows_of.label_patch(both, 2) == 2
    unknown = mask()
    unknown[0, 0] = UNKNOWN
    assert windows_of.label_patch(unknown, 2) is None


def test_windows_are_cut_side_by_side_and_know_their_picture(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for name, size in (("a", (64, 96)), ("b", (32, 32)), ("small", (31, 40))):
        drawn = np.zeros(size, np.uint8)
        drawn[:, 16] = 255 if name != "b" else 0
        cv2.imwrite(str(tmp_path / f"images/{name}.png"), np.full((*size, 3), 90, np.uint8))
        cv2.imwrite(str(tmp_path / f"masks/{name}.png"), drawn)
    found = windows_of.cut_windows("set", find_examples(tmp_path / "images", tmp_path / "masks"), 32, 1)
    assert found.labels.tolist() == [1, 0, 0, 1, 0, 0, 0]
    assert found.pictures.tolist() == [0] * 6 + [1]
    few = windows_of.cut_windows("set", find_examples(tmp_path / "images", tmp_path / "masks"), 32, 1, limit=3)
    assert len(few.labels) == 3


def test_window_scores_worked_out_by_hand():
    labels, pictures = np.array([1, 1, 0, 0, 0], np.int32), np.array([0, 0, 0, 1, 1], np.int32)
    windows = windows_of.Windows(name="", images=np.empty((5, 1, 1, 3), np.uint8), labels=labels, pictures=pictures)
    score = np.array([0.9, 0.2, 0.7, 0.1, 0.4])
    found = windows_of.report_windows(windows, np.stack([1 - score, score], axis=1), 0.5)
    values = {key: found[key]["value"] for key in ("accuracy", "precision", "recall", "f1", "sound_fire")}
    assert values == pytest.approx(
        {"accuracy": 0.6, "precision": 0.5, "recall": 0.5, "f1": 0.5, "sound_fire": 1 / 3}, abs=1e-4
    )
    assert (found["windows"], found["windows_with_damage"], found["pictures"]) == (5, 2, 2)
    assert found["accuracy"]["low"] == pytest.approx(1 / 3, abs=1e-4), "all resamples drew the first picture twice"
    assert found["accuracy"]["high"] == 1.0


class Brightness:
    """Stands for a network of 8 px windows: the score is the mean brightness of the red channel."""

    input_shape = (None, 8, 8, 3)

    def predict_on_batch(self, images):
        score = images[..., 0].mean((1, 2))
        return np.stack([1 - score, score], axis=1)


@pytest.mark.parametrize(("height", "width", "stride"), [(24, 40, 4), (21, 33, 8), (5, 9, 2), (16, 16, 1)])
def test_heat_map_against_a_loop(height, width, stride):
    rgb = np.random.default_rng(3).integers(0, 256, (height, width, 3)).astype(np.uint8)
    rows, columns = -(-height // stride), -(-width // stride)
    wide = np.pad(rgb[..., 0].astype(float), 40, mode="symmetric")
    cells = np.empty((rows, columns), np.float32)
    for i in range(rows):
        for j in range(columns):
            top, left = 40 + i * stride - (8 - stride) // 2, 40 + j * stride - (8 - stride) // 2
            cells[i, j] = wide[top : top + 8, left : left + 8].mean() / 255
    wanted = cv2.resize(cells, (columns * stride, rows * stride), interpolation=cv2.INTER_LINEAR)[:height, :width]
    found = heat_map(Brightness(), rgb, stride_px=stride, batch=7)
    assert found.shape == (height, width)
    assert np.allclose(found, wanted, atol=1e-5)


def test_heat_map_refuses_an_impossible_stride():
    with pytest.raises(ValueError, match="1 to 8 px, the size of a window, not 9"):
        heat_map(Brightness(), np.zeros((20, 20, 3), np.uint8), stride_px=9)


def test_classifier_trains_resumes_and_is_scored_by_the_same_commands(tmp_path, capsys):
    root, out = tmp_path / "data", tmp_path / "out"
    kind = 'kind = "patch_classifier"\n'
    for steps in (2, 4):
        config = configure(root, steps=steps, batch=4, model=kind)
        assert main(["train", str(config), "--data", str(root), "--out", str(out)]) == 0
    assert {"model.keras", "curve.png", "examples.png", "run.json"} <= {path.name for path in out.iterdir()}
    levels = json.loads((out / "run.json").read_text())["score_thresholds"]
    assert list(levels) == ["crack"]
    capsys.readouterr()

    model, folders = str(out / "model.keras"), ["--images", str(root / "images"), "--masks", str(root / "masks")]
    assert main(["evaluate", model, *folders, "--windows"]) == 0
    (found,) = json.loads(capsys.readouterr().out).values()
    assert found["threshold"] == levels["crack"]
    assert 0 < found["windows_with_damage"] < found["windows"]
    assert main(["evaluate", model, *folders, "--stride", "32"]) == 0
    pixels = json.loads(capsys.readouterr().out)
    assert pixels["images"] == 8
    assert main(["evaluate", model, *folders, "--stride", "33"]) == 2
    assert "--stride is 1 to 32 px" in capsys.readouterr().err


def test_half_of_the_windows_it_learns_from_hold_damage(tmp_path):
    from models.config import load_config
    from models.sources import split_sources

    config = load_config(configure(tmp_path, batch=64, crop_px=64, model='kind = "patch_classifier"\n'))
    task = patches.Patches(config, split_sources(config, tmp_path))
    images, labels = task.batch(3)
    assert images.shape == (64, 64, 64, 3)
    assert 0 <= images.min() <= images.max() <= 1
    assert 20 <= (labels == 1).sum() <= 44
    assert set(labels.tolist()) == {0, 1}
    assert np.array_equal(task.batch(3)[0], images)
