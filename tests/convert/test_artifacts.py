"""``python -m convert add``: a model that another program made becomes an artefact of a bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from convert.cli import main
from edge.masks.bundle import Bundle, load_bundle, load_golden
from edge.masks.upgrade import upgraded
from tests.vendor.bundle import PIXEL, bundle_with_npu, compiled

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PIXEL, tmp_path / "pixel"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return compiled(tmp_path)[0]


def add(bundle: Path, name: str, model: Path, *more: str) -> Bundle:
    assert main(["add", str(bundle), name, str(model), *more]) == 0
    return load_bundle(bundle)


def test_it_stands_on_the_card_with_what_its_maker_says(tmp_path: Path) -> None:
    found = load_bundle(bundle_with_npu(tmp_path))
    artifact = found.artifact("npu")
    assert (artifact.file, artifact.facts) == ("model.npu.npz", {"compiler": "npu-compiler 3"})
    assert (artifact.golden.file, artifact.golden.tolerance_lsb) == ("golden.npz", 4)
    assert found.path("npu").read_bytes() == (tmp_path / "model.npu.npz").read_bytes()
    assert set(found.card.artifacts) == {"tflite", "onnx", "npu"}


def test_a_golden_answer_and_limits_of_its_own(bundle: Path, model: Path, tmp_path: Path) -> None:
    answer = load_golden(load_bundle(bundle)).output + np.int8(1)
    np.savez(tmp_path / "golden_npu.npz", output=answer)
    limits = ["--tolerance-lsb", "9", "--max-fraction-above", "0.2"]
    found = add(bundle, "npu", model, "--golden", str(tmp_path / "golden_npu.npz"), *limits)
    np.testing.assert_array_equal(load_golden(found, "npu").output, answer)
    golden = found.artifact("npu").golden
    assert (golden.tolerance_lsb, golden.max_fraction_above) == (9, 0.2)


def test_another_of_the_same_name_takes_its_place_and_leaves_no_file(bundle: Path, model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "golden_npu.npz", output=load_golden(load_bundle(bundle)).output)
    add(bundle, "npu", model, "--golden", str(tmp_path / "golden_npu.npz"))
    newer = tmp_path / "newer.npu"
    newer.write_bytes(b"newer")
    assert add(bundle, "npu", newer).artifact("npu").file == "newer.npu"
    assert not {"model.npu.npz", "golden_npu.npz"} & {path.name for path in bundle.iterdir()}
    assert (bundle / "golden.npz").is_file()


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("tflite", [], "python -m convert quantize"),
        ("My NPU", [], "a-z"),
        ("npu", ["--golden", "{folder}/wrong.npz"], "the card says int8"),
        ("npu", ["--golden", "{folder}/none.npz"], "cannot be read|No such file"),
        ("npu", ["--golden", "{folder}/golden.npz"], "has a file golden.npz already"),
        ("npu", ["--facts", "{folder}/list.json"], "a JSON object"),
        ("npu", ["--facts", "{folder}/half.json"], "is not JSON"),
    ],
)
def test_what_would_not_fly_is_refused_and_nothing_is_changed(
    name: str,
    more: list[str],
    words: str,
    bundle: Path,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.savez(tmp_path / "wrong.npz", output=np.zeros((1, 3, 3, 1), np.int8))
    shutil.copyfile(bundle / "golden.npz", tmp_path / "golden.npz")
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "half.json").write_text("{")
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    assert main(["add", str(bundle), name, str(model), *(word.format(folder=tmp_path) for word in more)]) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert any(word in sentence for word in words.split("|")), sentence
    assert f"{tmp_path}/.pixel" not in sentence, "the folder in which a bundle is made is gone"
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before


def test_a_tolerance_below_zero_is_refused_before_anything_is_read(
    bundle: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    with pytest.raises(SystemExit, match="2"):
        main(["add", str(bundle), "npu", str(model), "--tolerance-lsb", "-1"])
    assert "--tolerance-lsb: got '-1'" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before


def test_a_bundle_of_the_first_form_is_written_anew_in_today_s(tmp_path: Path, model: Path) -> None:
    source = ROOT / "models" / "bundles" / "patch-classifier"
    bundle = Path(shutil.copytree(source, tmp_path / "bundle"))
    before = json.loads((source / "card.json").read_text(encoding="utf-8"))
    artifacts = add(bundle, "npu", model).card.artifacts
    after = json.loads((bundle / "card.json").read_text(encoding="utf-8"))
    assert after["schema"] == "spanhawk/card/2"
    assert after["artifacts"]["tflite"] == upgraded(before)["artifacts"]["tflite"]
    assert set(artifacts) == {"tflite", "npu"}
