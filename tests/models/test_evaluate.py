"""Evaluation from the command line, the float scorer's tiling, and the choice of a threshold."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from models import UNKNOWN, DataError, monitor
from models.cli import main
from models.data import find_examples
from models.evaluate import evaluate
from models.rendered import write_set
from tests.models.sets import Darkness

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")

from models.scoring import open_scorer  # noqa: E402
from models.unet import fast_unet  # noqa: E402


@pytest.fixture
def folder(tmp_path):
    """Four pictures: two with a black bar that the mask knows, one clean, one with a bar that is no crack."""
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for i, (bar, crack) in enumerate([(True, True), (True, True), (False, False), (True, False)]):
        image, mask = np.full((60, 80, 3), 200, np.uint8), np.zeros((60, 80), np.uint8)
        image[20:24] = 0 if bar else 200
        mask[20:24] = 255 if crack else 0
        cv2.imwrite(str(tmp_path / f"images/{i}.png"), image)
        cv2.imwrite(str(tmp_path / f"masks/{i}.png"), mask)
    return tmp_path


def test_report_of_a_set_worked_out_by_hand(folder):
    found = evaluate(Darkness(), find_examples(folder / "images", folder / "masks"))
    assert found["images"] == 4
    assert found["images_with_crack"] == 2
    assert found["pixels"] == 4 * 60 * 80
    assert found["pooled"]["recall"]["value"] == 1.0
    assert found["pooled"]["precision"]["value"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["per_image"]["f1"]["value"] == 1.0
    assert found["crack_free"]["images"] == 2
    assert found["crack_free"]["fires"] == found["crack_free"]["fires_blob"] == 1


def test_negatives_join_the_pictures_with_an_empty_mask(folder):
    free = find_examples(folder / "images", None)
    found = evaluate(Darkness(), find_examples(folder / "images", folder / "masks"), free)
    assert found["crack_free"]["images"] == 6
    assert found["crack_free"]["fires"] == 4
    alone = evaluate(Darkness(), [], free)
    assert alone["pooled"] is None
    assert alone["crack_free"]["images"] == 4


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("net") / "model.keras"
    keras.utils.set_random_seed(1)
    fast_unet(64, 64, base=8).save(path)
    return path


def test_command_prints_one_json_object(tmp_path, model, capsys):
    write_set(tmp_path / "set", 3, 70, seed=1)
    arguments = ["--images", str(tmp_path / "set/images"), "--masks", str(tmp_path / "set/masks"), "--json"]
    assert main(["evaluate", str(model), *arguments, "--threshold", "0.5"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["threshold"] == 0.5
    for group in ("pooled", "per_image"):
        assert set(found[group]) == {"precision", "recall", "f1", "iou", "dice", "f1_2px", "cl_iou_4px"}
        assert set(found[group]["f1"]) == {"value", "low", "high"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "somewhere"], "belong together"),
        ([], "Nothing to score"),
        (["--negatives", "nowhere", "--threshold", "0.5"], "folder nowhere does not exist"),
    ],
)
def test_command_answers_bad_input_with_one_sentence(model, arguments, message, capsys):
    assert main(["evaluate", str(model), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_model_without_a_recorded_threshold_asks_for_one(model):
    with pytest.raises(DataError, match=r"run\.json gives no score_threshold"):
        open_scorer(model)


def test_neither_bundle_nor_model_is_refused(tmp_path):
    with pytest.raises(DataError, match="neither a bundle folder"):
        open_scorer(tmp_path / "model.onnx")


def test_damaged_model_is_named(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"PK not a model")
    with pytest.raises(DataError, match=r"model\.keras cannot be opened: it is damaged or no Keras model"):
        open_scorer(tmp_path / "model.keras", threshold=0.5)


def test_threshold_of_a_bundle_cannot_be_overruled(tmp_path):
    with pytest.raises(DataError, match="threshold stands on its card"):
        open_scorer(tmp_path, threshold=0.3)


def test_float_scorer_gives_any_picture_its_own_size(model):
    scorer = open_scorer(model, (64, 96), threshold=0.5)
    rng = np.random.default_rng(0)
    for shape in ((64, 96), (20, 31), (64, 200), (150, 97)):
        score = scorer.score(rng.integers(0, 256, (*shape, 3)).astype(np.uint8))
        assert score.shape == shape
        assert score.dtype == np.uint8


def test_float_scorer_says_what_the_network_says_on_one_tile(model):
    rgb = np.random.default_rng(2).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    net = keras.models.load_model(model, compile=False)
    logits = net.predict_on_batch(rgb[None].astype(np.float32) / 255)[0]
    wanted = np.empty((64, 64))
    for y in range(64):
        for x in range(64):
            wanted[y, x] = 255 / (1 + np.exp(-logits[y // 4, x // 4, y % 4 * 4 + x % 4]))
    found = open_scorer(model, (64, 64), threshold=0.5).score(rgb)
    assert np.abs(found - wanted).max() <= 3  # codes have steps of 1/16 logit: at most 255 / 4 / 32, and rounding


def panel(name, masks):
    return monitor.Panel(name=name, images=np.zeros((len(masks), 8, 8, 3), np.uint8), masks=np.array(masks, np.uint8))


def test_threshold_weighs_missed_cracks_against_firing_clean_pictures(monkeypatch):
    """Cracks score 0.7 (half of their pixels) and 0.45, the clean picture 0.55 everywhere: 0.56 to 0.68 are best."""
    crack = np.zeros((8, 8))
    crack[2:4] = 1
    logit = {score: np.log(score / (1 - score)) for score in (0.7, 0.45, 0.55)}
    cracked = np.full((1, 8, 8), -9.0)
    cracked[0, 2], cracked[0, 3] = logit[0.7], logit[0.45]
    answers = [cracked[..., None], np.full((1, 8, 8, 1), logit[0.55])]
    panels = [panel("cracked", [crack]), panel("clean", [np.zeros((8, 8))])]
    monkeypatch.setattr(monitor, "FIRES_PX", 10)
    threshold, scores = monitor.choose_threshold(answers, panels, 0)
    assert threshold == 0.56
    assert scores["f1/cracked"] == pytest.approx(2 * 8 / (8 + 16))
    assert scores["fires/clean"] == 0.0


def test_pixels_outside_the_picture_do_not_count(monkeypatch):
    mask = np.full((8, 8), UNKNOWN)
    mask[:4] = 0
    hits = np.full((1, 8, 8, 1), -9.0)
    hits[0, 4:] = 9.0  # fires only outside
    monkeypatch.setattr(monitor, "FIRES_PX", 1)
    assert monitor.score([hits], [panel("clean", [mask])], ["crack"])["fires/clean"] == 0.0
    hits[0, 0, 0] = 9.0
    assert monitor.score([hits], [panel("clean", [mask])], ["crack"])["fires/clean"] == 1.0


def test_classes_are_scored_where_their_labels_are_complete():
    """Set A labels both classes and holds class 1 only, set B labels class 0 alone."""
    mask = np.zeros((8, 8), np.uint8)
    mask[:2] = 2
    both = monitor.Panel(name="A", images=np.zeros((1, 8, 8, 3), np.uint8), masks=mask[None], labelled=3)
    first = monitor.Panel(
        name="B", images=np.zeros((1, 8, 8, 3), np.uint8), masks=(mask[None] > 0) * np.uint8(1), labelled=1
    )
    answer = np.full((1, 8, 8, 2), -9.0)
    answer[0, :2, :, 1] = 9.0
    found = monitor.score([answer, answer], [both, first], ["crack", "spalling"])
    assert found["f1/A/spalling"] == 1.0
    assert found["fires/A/crack"] == 0.0
    assert found["f1/B/crack"] == 0.0
    assert not [key for key in found if key.startswith(("f1/B/spalling", "fires/B/spalling"))]
