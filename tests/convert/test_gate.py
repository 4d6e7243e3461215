"""The gate, with the weights that ship: it passes a faithful bundle and stops a bad calibration and a broken file.

At 256 x 256 px and on rendered pictures, so that it is quick; the limits are the card's defaults.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from convert import sign
from convert.bundle import golden_picture, write_bundle
from convert.cli import main
from convert.folder import editing, replacing, write_card
from convert.gate import _f1_drop, _width_differences, find_set, thinned
from convert.quantize import quantize as convert_to_int8
from convert.source import load_source, with_thresholds
from edge.masks import DamageClass
from edge.masks.bundle import load_bundle
from edge.masks.card import LimitsCard
from edge.masks.trust import trust_of
from edge.support.errors import BundleError
from models import DataError, metrics
from models.rendered import write_set

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "models" / "weights" / "fast-unet.weights.h5"
SIZE = ["--height", "256", "--width", "256"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "rendered"
    write_set(folder, 40, 256, seed=3)
    return folder


def quantize(data: Path, out: Path, *more: str) -> Path:
    words = ["quantize", str(WEIGHTS), "--data", str(data), "-o", str(out), "--frames", "24", *SIZE, *more]
    assert main(words) == 0
    return out


@pytest.fixture(scope="module")
def bundle(data, tmp_path_factory):
    """Quantised and passed by the gate."""
    made = quantize(data, tmp_path_factory.mktemp("made") / "small", "--finetune", "0")
    assert main(["verify", str(made), str(WEIGHTS), "--data", str(data)]) == 0
    return made


@pytest.fixture
def copy(bundle, tmp_path):
    return Path(shutil.copytree(bundle, tmp_path / "small"))


def test_a_faithful_bundle_passes_and_carries_its_report(bundle, data):
    report = json.loads((bundle / "report.json").read_text())
    assert report["passed"]
    (found,) = report["sets"].values()
    assert found["images"] == 40
    assert found["pixels"] == 40 * 256 * 256
    assert found["differing"]["float_tflite"] < 1e-4
    assert 0 < found["differing"]["int8"] <= 0.001
    assert set(found["scores"]) == {"float", "float_tflite", "int8"}
    assert found["scores"]["int8"]["pooled"]["f1"]["value"] > 0.5
    assert found["scores"]["int8"]["crack_free"]["images"] >= 20
    assert found["f1_drop"]["low"] <= found["f1_drop"]["value"] <= found["f1_drop"]["high"]
    assert abs(found["width_bias_px"]["value"]) < 0.2
    assert report["graph"]["delegate_partitions"] == 1
    assert report["graph"]["whole_network_delegated"]
    # How fast it is depends on what else the machine does; that it was measured does not.
    assert min(report["speed"].values()) > 0
    page = (bundle / "report.html").read_text()
    assert "The gate passed" in page
    assert "<svg" in page
    card = load_bundle(bundle).card
    assert {"report.json", "report.html"} <= set(card.files)
    assert card.made["verified"]["passed"] is True
    assert card.metrics["/".join(data.parts[-2:])]["int8"]["images"] == 40


@pytest.fixture(scope="module")
def cracked(data, tmp_path_factory):
    """Those of the pictures that hold a crack."""
    folder = tmp_path_factory.mktemp("cracked") / "cracked"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
        for path in sorted((data / part).iterdir())[::2]:
            shutil.copy(path, folder / part)
    return folder


def test_calibration_on_noise_is_stopped_where_real_frames_pass(bundle, cracked, tmp_path, capsys):
    """Specks on black drive the network otherwise than concrete does, so its ranges come out wrong."""
    source = with_thresholds(load_source(WEIGHTS, (256, 256)))
    noise = list(np.where(np.random.default_rng(0).random((12, 256, 256, 3)) < 0.001, 255, 0).astype(np.uint8))
    made = tmp_path / "noisy"
    rounded = convert_to_int8(source.model, noise)
    write_bundle(made, rounded, source, name="noisy", licence="-", command="-", limits=LimitsCard())
    assert main(["verify", str(made), str(WEIGHTS), "--data", str(cracked)]) == 2
    assert "of the pixels differ between float and int8, more than 0.100%" in capsys.readouterr().err
    faithful = Path(shutil.copytree(bundle, tmp_path / "faithful"))
    assert main(["verify", str(faithful), str(WEIGHTS), "--data", str(cracked)]) == 0
    capsys.readouterr()
    report = json.loads((made / "report.json").read_text())
    assert not report["passed"]
    assert "The gate failed" in (made / "report.html").read_text()
    assert load_bundle(made).card.made["verified"]["passed"] is False
    assert main(["sign", str(made), "--shipped"]) == 2
    assert "did not pass" in capsys.readouterr().err


def test_a_broken_file_is_stopped(copy, data, capsys):
    """Weights overwritten in the middle of the file, and a card that vouches for them."""
    model = copy / "model.tflite"
    content = bytearray(model.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40_000] = bytes(40_000)
    model.write_bytes(content)
    write_card(copy, json.loads((copy / "card.json").read_text()))
    assert main(["verify", str(copy), str(WEIGHTS), "--data", str(data), "--images", "4"]) in (2, 78)
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize("name", ["model.tflite", "golden.npz", "card.json", "card.json.sha256", "report.json"])
def test_one_changed_byte_anywhere_is_refused_by_name(copy, data, capsys, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    assert main(["verify", str(copy), str(WEIGHTS), "--data", str(data)]) == 78
    assert name in capsys.readouterr().err


def test_stricter_limits_of_the_card_hold(copy, data, capsys):
    with editing(copy) as (_, card):
        card["limits"] = {"f1_drop": 0.0, "pixels_differing": 0.0}
    assert main(["verify", str(copy), str(WEIGHTS), "--data", str(data), "--images", "6"]) == 2
    assert "more than 0.000%" in capsys.readouterr().err


def test_another_float_model_is_refused(copy, data, tmp_path, capsys):
    other = tmp_path / "fast-unet.weights.h5"
    other.write_bytes(WEIGHTS.read_bytes() + b"\0")
    assert main(["verify", str(copy), str(other), "--data", str(data)]) == 2
    assert "is not the float model" in capsys.readouterr().err
    assert main(["verify", str(copy), "--data", str(data)]) == 2
    assert "name it after the bundle" in capsys.readouterr().err


def test_the_float_model_is_found_where_the_card_says(copy, tmp_path):
    from convert.bundle import find_float, float_reference

    (tmp_path / "weights").mkdir()
    shutil.copy(WEIGHTS, tmp_path / "weights")
    card = json.loads((copy / "card.json").read_text())
    card["made"]["float"]["file"] = "../weights/fast-unet.weights.h5"
    assert find_float(copy, card, None) == tmp_path / "weights" / "fast-unet.weights.h5"
    assert float_reference(Path("models/weights/a.h5"), Path("models/bundles/b")) == "../../weights/a.h5"


def test_signed_it_is_trusted_and_changed_again_it_is_not(copy, tmp_path, caplog):
    stem = tmp_path / "keys" / "ours"
    assert main(["keys", str(stem), "--no-password"]) == 0
    assert (stem.with_name("ours.key").stat().st_mode & 0o777) == 0o600
    assert main(["sign", str(copy), "--key", str(stem.with_name("ours.key"))]) == 0
    assert trust_of(copy, stem.parent).trusted
    load_bundle(copy)
    with editing(copy) as (_, card):
        card["made"]["note"] = "changed"
    assert "its signature is no longer valid; sign it again" in caplog.text
    assert not trust_of(copy, stem.parent).trusted


def test_a_key_with_a_password_and_a_key_that_is_there_already(copy, tmp_path, capsys):
    word = tmp_path / "word"
    word.write_text("secret\n")
    stem = tmp_path / "ours"
    assert main(["keys", str(stem), "--password-file", str(word)]) == 0
    assert main(["keys", str(stem), "--no-password"]) == 2
    assert "a key is never overwritten" in capsys.readouterr().err
    assert main(["sign", str(copy), "--key", f"{stem}.key", "--password-file", str(word)]) == 0
    word.write_text("wrong\n")
    assert main(["sign", str(copy), "--key", f"{stem}.key", "--password-file", str(word)]) == 2
    assert "wrong password" in capsys.readouterr().err
    assert main(["sign", str(copy), "--key", str(tmp_path / "absent.key")]) == 2


def test_shipping_lists_the_card(copy, tmp_path, monkeypatch):
    listed = tmp_path / "shipped.sha256"
    listed.write_text("")
    monkeypatch.setattr("edge.masks.trust.SHIPPED", listed)
    monkeypatch.setattr(sign, "SHIPPED", listed)
    assert main(["sign", str(copy), "--shipped"]) == 0
    assert listed.read_text() == f"{hashlib.sha256((copy / 'card.json').read_bytes()).hexdigest()}  small/card.json\n"
    assert trust_of(copy, tmp_path).words == "shipped with spanhawk"


def test_onnx_is_added_and_the_drone_runs_it(copy, clock_now):
    from edge.frames import Frame
    from edge.masks import litert, onnx

    assert main(["onnx", str(copy), str(WEIGHTS)]) == 0
    card = load_bundle(copy).card
    assert card.artifacts["onnx"].facts["largest_difference"] < 1e-3
    rgb = golden_picture(300, 260)
    frame = Frame(seq=0, exposed_ns=0, exposure_us=None, rgb=rgb)
    settings = {"bundle": copy, "unsigned": "allow", "threads": 1}
    with onnx.open_segmenter(onnx.Options(provider="cpu", **settings), clock_now) as one:
        found = one.segment(frame)
    with litert.open_segmenter(litert.Options(**settings), clock_now) as other:
        wanted = other.segment(frame)
    assert found.classes[0].damage.any()
    assert (found.classes[0].damage != wanted.classes[0].damage).mean() < 0.01


def test_int8_onnx_is_symmetric_and_answers_as_litert_does(copy, data, clock_now):
    import onnx as files
    from onnx import numpy_helper

    from edge.frames import Frame
    from edge.masks import litert, onnx

    assert main(["onnx", str(copy), str(WEIGHTS), "--int8", str(data), "--frames", "16"]) == 0
    assert 0 < load_bundle(copy).card.artifacts["onnx"].facts["int8_differing"] <= 0.001
    graph = files.load(copy / "model.onnx").graph
    known = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 18
    for node in convolutions:
        picture, weights = (makers[name] for name in node.input[:2])
        before = makers[picture.input[0]]
        assert [picture.op_type, weights.op_type, before.op_type] == ["DequantizeLinear"] * 2 + ["QuantizeLinear"]
        for one in (picture, weights, before):
            zero = known[one.input[2]]
            assert zero.dtype == np.int8
            assert not zero.any()
        assert known[before.input[1]].size == 1
    settings = {"bundle": copy, "unsigned": "allow", "threads": 1}
    frame = Frame(seq=0, exposed_ns=0, exposure_us=None, rgb=golden_picture(300, 260))
    with onnx.open_segmenter(onnx.Options(provider="cpu", **settings), clock_now) as one:
        found = one.segment(frame).classes[0].damage
    with litert.open_segmenter(litert.Options(**settings), clock_now) as other:
        wanted = other.segment(frame).classes[0].damage
    assert wanted.any()
    assert (found != wanted).mean() < 0.005


def test_int8_onnx_past_the_gate_is_refused_and_changes_nothing(copy, data, capsys):
    with editing(copy) as (folder, card):
        card["limits"]["pixels_differing"] = 1e-7
        write_card(folder, card)
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    assert main(["onnx", str(copy), str(WEIGHTS), "--int8", str(data), "--frames", "4"]) == 2
    assert "of the pixels differ between model.onnx in int8 and model.tflite" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before


def test_a_bundle_is_replaced_in_one_step_or_not_at_all(copy):
    before = {path.name: path.read_bytes() for path in copy.iterdir()}

    def interrupted() -> None:
        with editing(copy) as (folder, _):
            (folder / "model.tflite").write_bytes(b"half a mod")
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        interrupted()
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before
    assert [path.name for path in copy.parent.iterdir()] == [copy.name], "nothing is left beside it"
    with replacing(copy) as folder:
        (folder / "card.json").write_text("{}")
    assert [path.name for path in copy.iterdir()] == ["card.json"]


def test_a_folder_that_is_no_bundle_is_never_replaced(data, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("years of work")
    words = ["quantize", str(WEIGHTS), "--data", str(data), "-o", str(tmp_path), "--frames", "4", "--finetune", "0"]
    assert main([*words, *SIZE]) == 2
    assert "exists and is no bundle" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_changed_bundle_is_not_edited(copy):
    (copy / "model.tflite").write_bytes(b"other")
    with pytest.raises(BundleError, match=r"model\.tflite"), editing(copy):
        pass


def test_sets_are_labelled_when_they_hold_masks(data, tmp_path):
    assert find_set(data).kind == "labelled"
    assert find_set(data / "images").kind == "unlabelled"
    assert [len(thinned(find_set(data), most).examples) for most in (None, 7, 1, 400)] == [40, 7, 1, 40]
    with pytest.raises(DataError, match="does not exist"):
        find_set(tmp_path / "absent")


def test_f1_drop_is_that_of_the_pooled_counts():
    rng = np.random.default_rng(0)
    truth = rng.random((8, 40, 40)) < 0.2
    worse = truth & (rng.random(truth.shape) < 0.8)
    first = [metrics.count(mask, mask) for mask in truth]
    second = [metrics.count(mask, wanted) for mask, wanted in zip(worse, truth, strict=True)]
    hits, all_true, all_found = int((worse & truth).sum()), int(truth.sum()), int(worse.sum())
    found = _f1_drop(first, second)
    assert found["value"] == pytest.approx(1 - 2 * hits / (all_true + all_found), abs=1e-5)
    assert found["low"] < found["value"] < found["high"]


def test_width_difference_is_that_of_masks_of_known_width():
    """The same line 9 and 5 px wide on a picture without a grey valley: widths are the masks' own."""
    rgb = np.full((60, 200, 3), 128, np.uint8)
    masks = {name: np.zeros((60, 200), bool) for name in ("float", "int8")}
    masks["float"][26:35], masks["int8"][28:33] = True, True
    scores = {name: mask.astype(np.uint8) * 255 for name, mask in masks.items()}
    found = _width_differences(rgb, DamageClass("crack", 0.5, "line"), scores, masks)
    assert len(found) > 10
    assert np.median(found) == pytest.approx(-4, abs=0.5)
