from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from edge.masks import DamageClass
from edge.masks import bundle as bundles
from edge.masks.bundle import default_bundle_path, load_bundle, load_golden
from edge.support.errors import EXIT_CONFIG, BundleError


def refused(folder: Path, *words: str) -> None:
    """The bundle is refused with a sentence holding all ``words``."""
    with pytest.raises(BundleError) as refusal:
        load_golden(load_bundle(folder))
    assert refusal.value.exit_code == EXIT_CONFIG
    for word in words:
        assert word in str(refusal.value)


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_a_sound_bundle_is_read_whole(fixtures):
    bundle = load_bundle(fixtures / "pixel")
    card = bundle.card
    assert (card.input.height, card.input.width) == (64, 96)
    assert (card.output.height, card.output.width, card.output.channels, card.output.pixel_shuffle) == (16, 24, 16, 4)
    assert card.damage == (DamageClass("crack", 0.6, "line"),)
    assert card.training_data[0].name == "none"
    assert card.made["by"].endswith("make.py")
    assert bundle.model == f"pixel-{bundle.sha256[:8]}"
    assert re.fullmatch("[0-9a-f]{64}", bundle.sha256)
    assert bundle.model_path.is_file()
    assert bundle.edgetpu_path is None
    golden = load_golden(bundle)
    assert golden.input.shape == (1, 64, 96, 3)
    assert golden.output.shape == (1, 16, 24, 16)


def test_metrics_and_made_may_hold_anything(pixel):
    pixel.change("metrics", {"float": {"iou": [0.5, [0.4, 0.6]]}, "note": None})
    pixel.change("made.host", {"cores": 2})
    assert load_bundle(pixel.folder).card.metrics["float"]["iou"][1] == [0.4, 0.6]


@pytest.mark.parametrize(
    "field",
    [
        *("name", "created", "files", "input", "output", "classes", "training_data", "licence"),
        *("metrics", "made", "golden", "input.height", "input.channels", "input.scale", "output.channels"),
        *("output.pixel_shuffle", "output.kind", "golden.tolerance_lsb", "golden.max_fraction_above"),
    ],
)
def test_a_missing_field_is_named(pixel, field):
    card = pixel.card
    *tables, name = field.split(".")
    table = card
    for key in tables:
        table = table[key]
    del table[name]
    pixel.write_card(card)
    refused(pixel.folder, f"card.{field}", "missing")


def test_a_card_without_any_threshold_is_refused(pixel):
    card = pixel.card
    del card["score_threshold"]
    pixel.write_card(card)
    refused(pixel.folder, "either score_threshold or score_thresholds")


def test_several_classes_have_a_threshold_and_a_measure_each_in_the_order_of_the_outputs(fixtures):
    card = load_bundle(fixtures / "kinds").card
    assert card.classes == ("spalling", "crack")
    assert card.damage == (DamageClass("spalling", 0.4, "area"), DamageClass("crack", 0.6, "line"))
    assert (card.output.channels, card.output.pixel_shuffle) == (32, 4)


def test_a_class_without_a_threshold_is_refused(fixtures, tmp_path):
    folder = shutil.copytree(fixtures / "kinds", tmp_path / "kinds")
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"score_thresholds": {"spalling": 0.4}}))
    refused(folder, "none for class 'crack'")
    (folder / "card.json").write_text(json.dumps(card | {"classes": ["spalling", "crack", "rust"]}))
    refused(folder, "none for class 'rust'")


def test_the_card_says_how_a_class_is_measured(fixtures, tmp_path):
    folder = shutil.copytree(fixtures / "kinds", tmp_path / "kinds")
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"measure": {"spalling": "line"}}))
    assert [kind.measure for kind in load_bundle(folder).card.damage] == ["line", "line"]


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("name", 3, "card.name"),
        ("name", "", "name is empty"),
        ("score_threshold", "0.5", "card.score_threshold"),
        ("score_threshold", True, "card.score_threshold"),
        ("score_threshold", 0, "score_threshold of 'crack' is above 0"),
        ("score_thresholds", {"crack": 0.4}, "either score_threshold or score_thresholds"),
        ("score_thresholds", {"crack": "0.4"}, "card.score_thresholds.crack"),
        ("score_thresholds", [0.4], "card.score_thresholds"),
        ("measure", {"crack": "volume"}, "card.measure.crack"),
        ("measure", {"rust": "area"}, "measure names 'rust'"),
        ("score_threshold", 1.2, "got 1.2"),
        ("classes", ["spalling", "crack"], "need score_thresholds, one per class"),
        ("classes", ["crack", "crack"], "different names"),
        ("classes", [], "one or more"),
        ("classes", "crack", "card.classes"),
        ("training_data", [{"name": "x", "split": "train", "images": 1.5, "licence": "y"}], "training_data[0].images"),
        ("files", [], "card.files"),
        ("metrics", None, "card.metrics"),
        ("input.height", 64.0, "card.input.height"),
        ("input.height", 0, "at least 1"),
        ("input.channels", "BGR", "'BGR'"),
        ("input.dtype", "uint8", "'uint8'"),
        ("input.scale", 1 / 127.5, "this version needs 1/255"),
        ("input.zero_point", 0, "zero point 0"),
        ("output.scale", 0.0, "above 0"),
        ("output.scale", 1e999, "Infinity is not a JSON number"),
        ("output.zero_point", 200, "zero_point"),
        ("output.channels", 1, "times pixel_shuffle squared"),
        ("output.height", 15, "stride"),
        ("output.width", 12, "stride"),
        ("output.kind", "probabilities", "'probabilities'"),
        ("output.kind", "class_logits", "one answer for the whole picture"),
        ("limits", {"f1_drop": 2}, "in 0 to 1"),
        ("limits", {"f1_gain": 0.1}, "card.limits.f1_gain"),
        ("edgetpu", {"compiler": "16.0"}, "card.edgetpu.operators"),
        ("onnx", {"opset": "17", "largest_difference": 0.0}, "card.onnx.opset"),
        ("golden.tolerance_lsb", -1, "tolerance_lsb"),
        ("golden.max_fraction_above", 1.0, "max_fraction_above"),
        ("input.colour", "red", "card.input.colour: unknown key"),
        ("comment", "hello", "card.comment: unknown key"),
    ],
)
def test_a_wrong_field_is_named(pixel, field, value, word):
    pixel.change(field, value)
    refused(pixel.folder, "card.json", word)


@pytest.mark.parametrize("schema", ["spanhawk/card/2", None, 1])
def test_an_unknown_schema_says_what_is_known(pixel, schema):
    pixel.change("schema", schema)
    refused(pixel.folder, repr(schema), "spanhawk/card/1")


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("spanhawk/card/0", "older: make it again from its float model with `python -m convert quantize`"),
        ("spanhawk/card/2", "newer than this spanhawk: install a newer"),
        ("other/card/1", "no card of spanhawk's"),
    ],
)
def test_a_card_of_another_version_says_how_to_upgrade(pixel, schema, words):
    pixel.change("schema", schema)
    refused(pixel.folder, schema, words)


def test_a_card_without_the_later_fields_is_read(pixel):
    card = pixel.card
    assert "limits" not in card
    read = load_bundle(pixel.folder).card
    assert (read.limits.f1_drop, read.limits.pixels_differing) == (0.005, 0.001)
    assert read.edgetpu is None


@pytest.mark.parametrize("name", ["../model.tflite", "/etc/passwd", "a/b", "..", ".", "", "a\\b", "card.json", "a\0b"])
def test_a_file_name_that_leads_elsewhere_is_refused(pixel, name):
    card = pixel.card
    card["files"][name] = "0" * 64
    pixel.write_card(card)
    refused(pixel.folder, "card.files", repr(name))


@pytest.mark.parametrize("name", ["model.tflite", "golden.npz"])
def test_model_and_golden_answer_must_be_listed(pixel, name):
    card = pixel.card
    del card["files"][name]
    pixel.write_card(card)
    refused(pixel.folder, name, "not listed")


@pytest.mark.parametrize("digest", ["abc", "A" * 64, "0" * 63 + "\n", 7, None])
def test_a_hash_that_is_none_is_refused(pixel, digest):
    pixel.change("files", pixel.card["files"] | {"model.tflite": digest})
    refused(pixel.folder, "card.files.model.tflite", "64")


def test_an_altered_file_is_refused_with_both_hashes(pixel):
    path = pixel.folder / "model.tflite"
    expected = load_bundle(pixel.folder).sha256
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    refused(pixel.folder, "model.tflite", expected[:12], "copy the bundle again")


def test_a_cut_file_is_refused(pixel):
    path = pixel.folder / "golden.npz"
    path.write_bytes(path.read_bytes()[:-1])
    refused(pixel.folder, "golden.npz", "copy the bundle again")


def test_a_file_the_card_lists_but_nobody_copied_is_refused(pixel):
    pixel.replace("model_edgetpu.tflite", b"compiled")
    assert load_bundle(pixel.folder).edgetpu_path == pixel.folder / "model_edgetpu.tflite"
    (pixel.folder / "model_edgetpu.tflite").unlink()
    refused(pixel.folder, "model_edgetpu.tflite", "No such file")


def test_a_folder_without_a_card_and_a_file_instead_of_a_folder_are_told_apart(tmp_path, fixtures):
    refused(tmp_path / "absent", "card.json", "No such file")
    refused(fixtures / "pixel" / "model.tflite", "is a file", "folder")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema": NaN}', b"\xff\xfe{}"])
def test_a_card_that_is_no_json_object_is_refused(pixel, text):
    (pixel.folder / "card.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    refused(pixel.folder, "card.json")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 not a zip",
        npz(input=np.zeros((1, 64, 96, 3), np.int8)),
        npz(input=np.zeros((1, 64, 96, 3), np.int8), output=np.zeros((1, 16, 24, 16), np.float32)),
        npz(input=np.zeros((1, 96, 64, 3), np.int8), output=np.zeros((1, 16, 24, 16), np.int8)),
        npz(input=np.array([{}], dtype=object), output=np.zeros((1, 16, 24, 16), np.int8)),
    ],
)
def test_a_golden_answer_that_is_none_is_refused(pixel, content):
    pixel.replace("golden.npz", content)
    refused(pixel.folder, "golden.npz")


def test_a_golden_file_that_holds_one_bare_array_is_refused(pixel):
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3, np.int8))
    pixel.replace("golden.npz", buffer.getvalue())
    refused(pixel.folder, "golden.npz")


def test_the_default_bundle_is_the_wheel_s_first_then_the_checkout_s(tmp_path, monkeypatch):
    room = tmp_path / "edge" / "masks"
    room.mkdir(parents=True)
    monkeypatch.setattr(bundles, "__file__", str(room / "bundle.py"))
    with pytest.raises(BundleError, match="fast-unet"):
        default_bundle_path()
    in_checkout = tmp_path / "models" / "bundles" / "fast-unet"
    in_checkout.mkdir(parents=True)
    assert default_bundle_path() == in_checkout
    in_wheel = room / "bundles" / "fast-unet"
    in_wheel.mkdir(parents=True)
    assert default_bundle_path() == in_wheel
