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
from edge.masks.bundle import MissingArtifactError, default_bundle_path, load_bundle, load_golden
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
    assert set(card.artifacts) == {"tflite", "onnx"}
    assert card.artifacts["tflite"].golden.tolerance_lsb == 2
    assert card.artifacts["onnx"].facts == {"opset": 17, "largest_difference": 0.0}
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
        *("metrics", "made", "artifacts", "input.height", "input.channels", "input.scale", "output.channels"),
        *("output.pixel_shuffle", "output.kind", "artifacts.tflite.golden", "artifacts.onnx.golden.tolerance_lsb"),
        *("artifacts.tflite.golden.max_fraction_above", "artifacts.tflite.sha256", "artifacts.onnx.file"),
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
        ("artifacts", [], "card.artifacts"),
        ("artifacts.onnx", "model.onnx", "card.artifacts.onnx"),
        ("artifacts.onnx.facts", 17, "card.artifacts.onnx.facts"),
        ("artifacts.onnx.speed", 17, "card.artifacts.onnx.speed: unknown key"),
        ("artifacts.onnx.file", "model.tflite", "listed twice"),
        ("artifacts.onnx.file", "golden.npz", "listed twice"),
        ("artifacts.onnx.file", "../model.onnx", "not the plain name"),
        ("artifacts.onnx.sha256", "A" * 64, "64 lower-case hex digits"),
        ("artifacts.onnx.golden.file", "other.npz", "other.npz is not listed"),
        ("artifacts.ONNX", {}, "a-z"),
        ("artifacts.tflite.file", "other.tflite", "model.tflite with golden.npz"),
        ("artifacts.tflite.golden.tolerance_lsb", -1, "tolerance_lsb"),
        ("artifacts.tflite.golden.max_fraction_above", 1.0, "max_fraction_above"),
        ("input.colour", "red", "card.input.colour: unknown key"),
        ("comment", "hello", "card.comment: unknown key"),
    ],
)
def test_a_wrong_field_is_named(pixel, field, value, word):
    pixel.change(field, value)
    refused(pixel.folder, "card.json", word)


@pytest.mark.parametrize("schema", ["spanhawk/card/3", None, 1])
def test_an_unknown_schema_says_what_is_known(pixel, schema):
    pixel.change("schema", schema)
    refused(pixel.folder, repr(schema), "spanhawk/card/2")


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("spanhawk/card/0", "older: make it again from its float model with `python -m convert quantize`"),
        ("spanhawk/card/3", "newer than this spanhawk: install a newer"),
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


def first_form(pixel, facts=None):
    """The card as the first version wrote it: artefacts known by their files' names, one golden tolerance for all."""
    card = pixel.card
    listed = card.pop("artifacts")
    card["schema"] = "spanhawk/card/1"
    card["files"] = {one["file"]: one["sha256"] for one in listed.values()} | card["files"]
    card["golden"] = {"tolerance_lsb": 3, "max_fraction_above": 0.02}
    card["onnx"] = {"opset": 17, "largest_difference": 0.0} if facts is None else facts
    return card


def test_a_card_of_the_first_form_is_read_as_one_of_today(pixel):
    today = load_bundle(pixel.folder)
    pixel.write_card(first_form(pixel))
    read = load_bundle(pixel.folder)
    assert (read.model, read.sha256) == (today.model, today.sha256)
    assert dict(read.card.files) == dict(today.card.files)
    assert set(read.card.artifacts) == {"tflite", "onnx"}
    for name, artifact in read.card.artifacts.items():
        before = today.card.artifacts[name]
        assert (artifact.file, artifact.sha256, artifact.facts) == (before.file, before.sha256, before.facts)
        assert artifact.golden.file == before.golden.file
        assert (artifact.golden.tolerance_lsb, artifact.golden.max_fraction_above) == (3, 0.02)
    np.testing.assert_array_equal(load_golden(read, "onnx").output, load_golden(today, "onnx").output)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda card: card["files"].pop("model.tflite"), "card.artifacts.tflite is not listed"),
        (lambda card: card["files"].pop("golden.npz"), "golden.npz is not listed"),
        (lambda card: card.pop("golden"), "card.artifacts.tflite.golden.tolerance_lsb: missing"),
        (lambda card: card.update(golden=7), "card.artifacts.tflite.golden"),
        (lambda card: card.update(files=7), "spanhawk/card/1"),
        (lambda card: card.update(onnx=7), "card.artifacts.onnx.facts"),
        (lambda card: card.update(comment="hello"), "card.comment: unknown key"),
    ],
)
def test_a_wrong_card_of_the_first_form_is_refused_as_well(pixel, change, words):
    card = first_form(pixel)
    change(card)
    pixel.write_card(card)
    refused(pixel.folder, words)


def test_the_shipped_bundles_are_read_whatever_form_they_have():
    folder = default_bundle_path().parent
    found = [load_bundle(path) for path in sorted(folder.iterdir()) if path.is_dir()]
    assert len(found) >= 4
    for bundle in found:
        assert bundle.artifact("tflite").golden.tolerance_lsb == 4
        assert bundle.path("tflite") == bundle.folder / "model.tflite"


@pytest.mark.parametrize("name", ["../model.tflite", "/etc/passwd", "a/b", "..", ".", "", "a\\b", "card.json", "a\0b"])
def test_a_file_name_that_leads_elsewhere_is_refused(pixel, name):
    card = pixel.card
    card["files"][name] = "0" * 64
    pixel.write_card(card)
    refused(pixel.folder, "card.files", repr(name))


def test_model_and_golden_answer_must_be_listed(pixel):
    card = pixel.card
    del card["files"]["golden.npz"]
    pixel.write_card(card)
    refused(pixel.folder, "golden.npz", "not listed")
    card = pixel.card
    del card["artifacts"]["tflite"]
    pixel.write_card(card)
    refused(pixel.folder, "artifacts.tflite", "not listed")


@pytest.mark.parametrize("digest", ["abc", "A" * 64, "0" * 63 + "\n", 7, None])
def test_a_hash_that_is_none_is_refused(pixel, digest):
    pixel.change("files", pixel.card["files"] | {"golden.npz": digest})
    refused(pixel.folder, "card.files.golden.npz", "64")


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
    pixel.add("edgetpu", "model_edgetpu.tflite", b"compiled")
    assert load_bundle(pixel.folder).path("edgetpu") == pixel.folder / "model_edgetpu.tflite"
    (pixel.folder / "model_edgetpu.tflite").unlink()
    refused(pixel.folder, "model_edgetpu.tflite", "No such file")


def test_an_artefact_that_is_not_there_is_named_with_those_that_are_and_the_way_to_it(pixel):
    bundle = load_bundle(pixel.folder)
    with pytest.raises(MissingArtifactError, match=r"no artefact hailo \(it has onnx, tflite\).*`hailo compile`"):
        bundle.path("hailo", "hailo compile")
    with pytest.raises(MissingArtifactError, match="python -m convert add"):
        load_golden(bundle, "hailo")


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
