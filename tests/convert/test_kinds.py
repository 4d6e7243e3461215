"""Networks of several classes: all of them fly in their order, each with its own threshold, or one is kept by name."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import cv2
import numpy as np
import pytest

from convert.cli import main
from edge.frames import Frame
from edge.masks import DamageClass, litert
from edge.masks.bundle import load_bundle
from edge.support.clock import ManualClock
from models.evaluate import reporting_filter
from models.scoring import measure_of, open_scorer
from models.unet import classic_unet, fast_unet

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")

LEVELS = {"spalling": 0.03, "crack": 0.07, "rust": 0.05}  # about what untrained heads score
SIZE = ["--height", "64", "--width", "64", "--frames", "12", "--finetune", "0"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for i in range(12):
        noise = np.random.default_rng(i).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), cv2.GaussianBlur(noise, (0, 0), 1 + i % 3))
    return folder


def trained(folder, model, **record):
    """A float network with its training's record."""
    folder.mkdir(exist_ok=True)
    model.save(folder / "model.keras")
    levels = {"score_threshold": next(iter(LEVELS.values())), "score_thresholds": LEVELS}
    (folder / "run.json").write_text(json.dumps({"classes": list(LEVELS), **levels, **record}))
    return folder / "model.keras"


@pytest.fixture(scope="module")
def model():
    """A small network whose three heads answer differently; its logits are spread so that thresholds cut them."""
    keras.utils.set_random_seed(4)
    made = fast_unet(64, 64, base=4, shuffle=2, classes=3)
    rng = np.random.default_rng(4)
    for layer in made.layers:
        if layer.name.startswith("logits"):
            kernel, bias = layer.get_weights()
            layer.set_weights([rng.normal(0, 0.6, kernel.shape).astype(np.float32), bias])
    return made


def scores_of(bundle, rgb):
    clock = ManualClock(datetime(2026, 6, 1, tzinfo=timezone.utc))
    with litert.open_segmenter(litert.Options(bundle=bundle, unsigned="allow", threads=1), clock) as segmenter:
        mask = segmenter.segment(Frame(seq=0, exposed_ns=0, exposure_us=None, rgb=rgb))
    return {one.kind.name: one.score.astype(int) for one in mask.classes}


def picture(data):
    return cv2.cvtColor(cv2.imread(str(data / "3.png")), cv2.COLOR_BGR2RGB)


def truth(model, rgb):
    """Oracle: the float network's own answer, class by class, at its cells: {name: (h, w) of 0..255}."""
    answer = np.asarray(model.predict_on_batch(rgb[None].astype(np.float32) / 255))[0]
    found = {}
    for index, name in enumerate(LEVELS):
        cells = answer[..., 4 * index : 4 * index + 4].reshape(*answer.shape[:2], 2, 2)
        logits = cells.transpose(0, 2, 1, 3).reshape(answer.shape[0] * 2, -1)
        found[name] = 255 / (1 + np.exp(-cv2.resize(logits, (64, 64), interpolation=cv2.INTER_LINEAR)))
    return found


def test_all_classes_fly_in_the_order_of_the_training_each_with_its_own_threshold(tmp_path, data, model):
    """Before, the card said ["crack"] whatever the classes were, with the threshold of the first."""
    path = trained(tmp_path / "run", model)
    assert main(["quantize", str(path), "--data", str(data), "-o", str(tmp_path / "all"), *SIZE]) == 0
    card = load_bundle(tmp_path / "all").card
    assert card.damage == (
        DamageClass("spalling", 0.03, "area"), DamageClass("crack", 0.07, "line"), DamageClass("rust", 0.05, "area"),
    )  # fmt: skip
    assert (card.output.channels, card.output.pixel_shuffle) == (12, 2)
    rgb = picture(data)
    found, wanted = scores_of(tmp_path / "all", rgb), truth(model, rgb)
    for name in LEVELS:
        own = np.abs(found[name] - wanted[name]).mean()
        others = [np.abs(found[name] - wanted[other]).mean() for other in LEVELS if other != name]
        assert own < 3 < min(others), f"{name} is what flies as {name}"
        filtered = reporting_filter(open_scorer(tmp_path / "all", name=name))
        assert (filtered is None) is (name != "crack"), "only what is traced goes through the filter of traced cracks"


def test_one_class_is_kept_by_name_with_its_own_weights_and_threshold(tmp_path, data, model):
    path = trained(tmp_path / "run", model)
    words = ["quantize", str(path), "--data", str(data), "-o", str(tmp_path / "one"), "--class", "crack", *SIZE]
    assert main(words) == 0
    card = load_bundle(tmp_path / "one").card
    assert card.damage == (DamageClass("crack", 0.07, "line"),)
    assert card.output.channels == 4
    rgb = picture(data)
    assert np.abs(scores_of(tmp_path / "one", rgb)["crack"] - truth(model, rgb)["crack"]).mean() < 3


def test_the_gate_compares_every_class_and_scores_those_that_are_labelled(tmp_path, data, model):
    path = trained(tmp_path / "run", model)
    words = [
        "quantize",
        str(path),
        "--data",
        str(data),
        "-o",
        str(tmp_path / "b"),
        "--class",
        "rust",
        "--class",
        "crack",
    ]
    assert main([*words, *SIZE, "--max-differing", "1", "--max-f1-drop", "1"]) == 0
    test = tmp_path / "test"
    for part in ("images", "masks/crack"):
        (test / part).mkdir(parents=True)
    for i in range(3):
        cv2.imwrite(str(test / "images" / f"{i}.png"), cv2.imread(str(data / f"{i}.png")))
        drawn = np.zeros((64, 64), np.uint8)
        drawn[30:34] = 255
        cv2.imwrite(str(test / "masks" / "crack" / f"{i}.png"), drawn)
    assert main(["verify", str(tmp_path / "b"), str(path), "--data", str(test)]) in (0, 2)
    report = json.loads((tmp_path / "b" / "report.json").read_text())
    assert report["thresholds"] == {"rust": 0.05, "crack": 0.07}
    rust, crack = report["sets"].values()
    assert [name.rpartition(", ")[2] for name in report["sets"]] == ["rust", "crack"]
    assert (rust["kind"], rust["scores"], crack["kind"]) == ("unlabelled", {}, "labelled")
    assert crack["scores"]["float"]["pooled"] is not None
    assert report["graph"]["whole_network_delegated"]


def test_how_a_class_is_measured_can_be_said(tmp_path, data, model):
    path = trained(tmp_path / "run", model)
    words = ["quantize", str(path), "--data", str(data), "-o", str(tmp_path / "b"), "--class", "rust", *SIZE]
    assert main([*words, "--measure", "rust=line"]) == 0
    assert load_bundle(tmp_path / "b").card.damage == (DamageClass("rust", 0.05, "line"),)
    assert measure_of(open_scorer(tmp_path / "b")) == "line"


def test_the_classic_unet_keeps_its_heads_too(tmp_path, data):
    keras.utils.set_random_seed(4)
    path = trained(tmp_path / "run", classic_unet(64, 64, base=4, depth=1, classes=3))
    assert main(["quantize", str(path), "--data", str(data), "-o", str(tmp_path / "b"), *SIZE]) == 0
    card = load_bundle(tmp_path / "b").card
    assert (card.classes, card.output.channels, card.output.pixel_shuffle) == (tuple(LEVELS), 3, 1)


@pytest.mark.parametrize(
    ("record", "more", "words"),
    [
        ({"classes": None}, [], "names no classes"),
        ({"classes": []}, [], "names no classes"),
        ({"classes": ["spalling", "crack"]}, [], "names 2 classes (spalling, crack), the network has 3"),
        ({"classes": ["rust", "crack", "rust"]}, [], "names a class twice"),
        ({"score_thresholds": {"spalling": 0.5, "crack": 0.5}}, [], "gives a score_threshold for 'rust'"),
        ({}, ["--class", "corrosion"], "knows the classes spalling, crack, rust, not 'corrosion'"),
        ({}, ["--threshold", "0.4"], "--threshold is for one class"),
        ({}, ["--class", "rust", "--measure", "crack=area"], "--measure crack=area: give one of rust"),
        ({}, ["--measure", "rust=volume"], "--measure rust=volume"),
    ],
)
def test_what_a_class_is_called_is_never_guessed(tmp_path, data, model, capsys, record, more, words):
    path = trained(tmp_path / "run", model, **record)
    assert main(["quantize", str(path), "--data", str(data), "-o", str(tmp_path / "b"), *SIZE, *more]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "b").exists()
