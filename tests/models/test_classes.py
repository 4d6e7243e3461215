"""Other kinds of damage come by configuration alone: labels as folders or values, a head and a threshold each."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from models import UNKNOWN, DataError, augment, batches, data
from models.cli import main
from models.config import load_config
from models.sources import load_mix, split_sources
from models.task import DataSplit

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")

from models.unet import classic_unet, fast_unet, resized  # noqa: E402

CONFIG = """
[train]
steps = 2
batch = 4
crop_px = 32
validate_every = 2
validate_pictures = 2
{train}
[model]
kind = "{kind}"
classes = ["crack", "spalling"]
base = 2
depth = 1
{sources}
"""
FOLDERS = """
[[sources]]
name = "both"
images = "images"
labels = [{ name = "crack", masks = "crack" }, { name = "spalling", masks = "spalling" }]
holdout = 0.3
[[sources]]
name = "cracks only"
images = "images"
masks = "crack"
"""
VALUES = """
[[sources]]
name = "maps"
images = "images"
masks = "maps"
labels = [{ name = "crack", value = 2 }, { name = "spalling", value = 5 }, { name = "spalling", value = 6 }]
"""


@pytest.fixture
def root(tmp_path):
    """Eight pictures: a crack across at row 40, spalling (values 5 and 6) in rows 80 to 100; the last one sound."""
    for kind in ("images", "crack", "spalling", "maps"):
        (tmp_path / kind).mkdir()
    for i in range(8):
        label = np.zeros((128, 128), np.uint8)
        if i < 7:
            label[40:43], label[80:90], label[90:100] = 2, 5, 6
        noise = np.random.default_rng(i).integers(60, 200, (128, 128, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"images/{i}.png"), noise)
        cv2.imwrite(str(tmp_path / f"crack/{i}.png"), (label == 2) * np.uint8(255))
        cv2.imwrite(str(tmp_path / f"spalling/{i}.png"), (label >= 5) * np.uint8(255))
        cv2.imwrite(str(tmp_path / f"maps/{i}.png"), label)
    return tmp_path


def configure(root, sources, kind="unet", train=""):
    path = root / "config.toml"
    path.write_text(CONFIG.format(sources=sources, kind=kind, train=train))
    return path


def test_folders_and_values_give_the_same_masks(root):
    masks = []
    for sources, name in ((FOLDERS, "both"), (VALUES, "maps")):
        config = load_config(configure(root, sources.replace("holdout = 0.3", "")))
        parts = split_sources(config, root)
        assert parts.labelled[name] == 3
        masks.append([data.read_example(example)[1] for example in parts.train[name]])
    assert all(np.array_equal(a, b) for a, b in zip(*masks, strict=True))
    assert np.unique(masks[0][0]).tolist() == [0, 1, 2]
    assert data.classes_in(masks[0][0]) == {0, 1}


def test_class_that_a_source_does_not_label_teaches_nothing_there(root):
    config = load_config(configure(root, FOLDERS, train="near_copies = 'keep'"))
    mix = load_mix(config, split_sources(config, root), None, 1, 1)
    assert [source.labelled for source in mix.sources] == [3, 1]
    _, targets = batches.make_batch(mix, 1, 0, 24)
    known = targets[..., 2:].reshape(24, -1, 2).max(axis=1)
    assert known[:, 0].tolist() == [1.0] * 24
    assert set(known[:, 1].tolist()) == {0.0, 1.0}, "crops of both sources, and only one of them labels spalling"


@pytest.mark.parametrize("kind", ["fast_unet", "unet", "patch_classifier"])
def test_two_classes_train_and_are_scored_each_by_its_name(root, tmp_path, capsys, kind):
    out = tmp_path / "out"
    assert main(["train", str(configure(root, FOLDERS, kind)), "--out", str(out)]) == 0
    record = json.loads((out / "run.json").read_text())
    assert record["classes"] == ["crack", "spalling"]
    assert set(record["score_thresholds"]) == {"crack", "spalling"}
    assert record["score_threshold"] == record["score_thresholds"]["crack"]
    capsys.readouterr()
    where = ["--images", str(root / "images"), "--masks", str(root / "spalling")]
    assert main(["evaluate", str(out / "model.keras"), *where, "--class", "spalling"]) == 0
    scored = json.loads(capsys.readouterr().out)
    assert scored["threshold"] == record["score_thresholds"]["spalling"]
    assert scored["reported"] is None  # an area: what holds back traced cracks says nothing about it
    assert main(["evaluate", str(out / "model.keras"), *where[:2], "--masks", str(root / "crack")]) == 0
    assert json.loads(capsys.readouterr().out)["reported"] is not None
    assert main(["evaluate", str(out / "model.keras"), *where, "--class", "rust"]) == 2
    assert "knows the classes crack, spalling, not 'rust'" in capsys.readouterr().err


@pytest.mark.parametrize(("build", "size"), [(fast_unet, {"shuffle": 2}), (classic_unet, {"depth": 1})])
def test_one_head_of_several_says_what_it_said_among_the_others(build, size):
    keras.utils.set_random_seed(2)
    model = build(32, 32, base=4, classes=3, **size)
    image = np.random.default_rng(0).random((1, 32, 32, 3), np.float32)
    parts = np.split(model.predict_on_batch(image), 3, axis=-1)
    for head in range(3):
        assert np.allclose(resized(model, 32, 32, head=head).predict_on_batch(image), parts[head], atol=1e-5)
    with pytest.raises(DataError, match="has no class number 3"):
        resized(model, 32, 32, head=3)


def test_weights_of_one_class_are_called_as_they_always_were():
    assert fast_unet(32, 32, base=4).layers[-1].name == "logits"
    names = [layer.name for layer in fast_unet(32, 32, base=4, classes=2).layers]
    assert names[-3:] == ["logits", "logits_1", "classes"]


def test_class_without_a_pixel_is_named(root):
    for path in (root / "spalling").iterdir():
        cv2.imwrite(str(path), np.zeros((128, 128), np.uint8))
    config = load_config(configure(root, FOLDERS))
    with pytest.raises(DataError, match="No training picture holds a pixel of class 'spalling'"):
        load_mix(config, split_sources(config, root), None, 1, 1)


def test_pictures_that_all_hold_damage_are_warned_about(root, caplog):
    config = load_config(configure(root, FOLDERS))
    parts = split_sources(config, root)
    cracked = {name: [one for one in items if one.image.stem != "7"] for name, items in parts.train.items()}
    load_mix(config, DataSplit(train=cracked, held={}, labelled=parts.labelled, dropped={}), None, 1, 1)
    assert "every training picture holds damage" in caplog.text


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (FOLDERS.replace('"spalling", masks', '"rust", masks'), "labels 'rust', which is not in classes"),
        (VALUES.replace('masks = "maps"', ""), "gives label values but no masks"),
        (VALUES.replace("value = 2", "value = 0"), "value 0; grey values of classes are 1 to 255"),
        (VALUES.replace("value = 2", 'masks = "crack"'), "has masks and folders of labels"),
        (FOLDERS.replace(', masks = "crack"', ""), "needs either masks"),
        (FOLDERS + "pseudo_confidence = 0.9\n", "has masks; the teacher draws only where there are none"),
        ("[teacher]\nmodel = 'x.keras'\n", "teaches U-Nets of one class only"),
    ],
)
def test_wrong_labels_are_answered_by_name(root, sources, message):
    with pytest.raises(DataError, match=message):
        load_config(configure(root, sources))


def test_crop_warps_each_bit_by_itself():
    mask = np.zeros((96, 96), np.uint8)
    mask[:, 20:40] |= 1
    mask[30:60] |= 2
    mask[80:] |= UNKNOWN
    rng = np.random.default_rng(4)
    _, moved = augment.random_crop(rng, np.zeros((96, 96, 3), np.uint8), mask, 64, (40, 30))
    assert set(np.unique(moved)) <= {0, 1, 2, 3, UNKNOWN, UNKNOWN | 1}
    assert {1, 2, 3} <= set(np.unique(moved).tolist())
    for bit in (0, 1):
        _, alone = augment.random_crop(
            np.random.default_rng(4), np.zeros((96, 96, 3), np.uint8), data.plane(mask, bit), 64, (40, 30)
        )
        assert np.array_equal(alone, data.plane(moved, bit))
