"""``spanhawk benchmark`` as a user runs it, on a small network."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edge.cli import main
from tests.masks.conftest import EditableBundle
from tests.masks.test_edgetpu import ABSENT, DELEGATE_C, build

FIXTURES = Path(__file__).parents[2] / "masks" / "fixtures"
QUICK = ["--runs", "20", "--warm-up", "1", "--size", "200x120"]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The pixel bundle with a compiled model, as far as anyone can tell without the device."""
    editable = EditableBundle(Path(shutil.copytree(FIXTURES / "pixel", tmp_path / "pixel")))
    content = (editable.folder / "model.tflite").read_bytes() + b"edgetpu-custom-op"
    editable.add("edgetpu", "model_edgetpu.tflite", content)
    return editable.folder


def run(bundle: Path, *more: str) -> int:
    return main(["benchmark", "--bundle", str(bundle), *QUICK, *more])


def measured(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_table_and_json(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "b.json"
    assert run(bundle, "--threads", "1", "--roofline", "--json", str(out)) == 0
    document = measured(out)
    assert document["schema"] == "spanhawk/benchmark/1"
    (first,) = (one for one in document["measured"] if one["backend"] == "litert")
    assert first["threads"] == 1
    assert first["delegation"]["owned"] == first["delegation"]["operators"] > 0
    assert first["invoke"]["runs"] == 20
    assert 0 < first["invoke"]["p50_ms"] <= first["invoke"]["p90_ms"] <= first["invoke"]["p99_ms"]
    assert first["peak_mb"] > 20
    loops = first["loops"]
    assert (loops["tile"]["width_px"], loops["tile"]["tiles"]) == (96, 1)
    assert (loops["frame"]["width_px"], loops["frame"]["height_px"], loops["frame"]["tiles"]) == (200, 120, 3)
    assert set(loops["frame"]["stage_p50_ms"]) == {"segment", "trace", "locate", "encode", "store", "judge"}
    assert document["rooflines"][first["bundle"]]["share"] > 0
    told = capsys.readouterr().out
    assert "whole loop, 200x120, 3 tiles" in told
    assert "operators delegated in 1 piece" in told


def test_options_of_the_masks_table_count(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "b.json"
    more = ["--backend", "litert", "--threads", "1", "--option", "overlap_px=0", "--json", str(out)]
    assert run(bundle, *more) == 0
    (found,) = measured(out)["measured"]
    assert found["loops"]["frame"]["tiles"] == 4


def test_onnx_runtime_with_a_provider(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "b.json"
    more = ["--backend", "onnx", "--option", "provider=cpu", "--threads", "1", "--json", str(out)]
    assert run(bundle, *more) == 0
    (found,) = measured(out)["measured"]
    assert (found["backend"], found["accelerator"], found["delegation"]) == ("onnx", "cpu", None)
    assert found["model_bytes"] == (bundle / "model.onnx").stat().st_size


def test_what_is_not_here_is_named_without_a_number(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "b.json"
    assert run(bundle, "--threads", "1", "--json", str(out)) == 0
    refused = [one for one in measured(out)["refused"] if one["backend"] == "edgetpu"]
    assert len(refused) == 1
    assert "libedgetpu" in refused[0]["reason"] or "no Edge TPU answers" in refused[0]["reason"]
    assert "on edgetpu: NO NUMBER" in capsys.readouterr().out


def test_an_absent_accelerator_that_was_asked_for_ends_with_69(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "b.json"
    options = ["--backend", "edgetpu", "--option", f"library={ABSENT}", "--json", str(out)]
    assert run(bundle, *options) == 69
    told = capsys.readouterr()
    assert "no number for edgetpu" in told.err
    assert "ms" not in told.out
    assert not out.exists()


def test_degrading_to_the_cpu_gives_no_number_either(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--option", f"library={ABSENT}", "--option", "when_absent=degrade"]
    assert run(bundle, "--backend", "edgetpu", *options) == 69
    assert "running on the CPU instead of the Edge TPU" in capsys.readouterr().err


def test_a_delegate_that_owns_no_operator_gives_no_number(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real delegate, loaded by the real interpreter, that takes nothing: the model runs, on the CPU."""
    library = build(tmp_path, DELEGATE_C)
    assert run(bundle, "--backend", "edgetpu", "--option", f"library={library}") == 69
    assert "edgetpu was loaded but owns none of the" in capsys.readouterr().err


def test_check_against_a_reference(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "board.csv"
    here = ["--backend", "litert", "--threads", "1", "--reference", str(path)]
    assert run(bundle, *here, "--check") == 78
    assert "no reference for this board" in capsys.readouterr().err
    assert run(bundle, *here, "--write-reference") == 0
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["what"] for row in rows} == {"invoke", "tile", "frame", "clean"}
    for low, high, code in (("0.0001", "10000", 0), ("5000", "10000", 1)):
        with path.open("w", newline="") as file:
            lines = csv.DictWriter(file, rows[0].keys())
            lines.writeheader()
            lines.writerows({**row, "low_ms": low, "high_ms": high} for row in rows)
        assert run(bundle, *here, "--check") == code
        assert ("FAILED" in capsys.readouterr().out) is bool(code)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--size", "720p"], 2, "needs WIDTHxHEIGHT"),
        (["--runs", "3"], 2, "--runs: got 3, needs 20"),
        (["--threads", "0"], 2, "--threads takes 1 or more"),
        (["--sustained", "1"], 2, "2 minutes or more"),
        (["--end-to-end", "1"], 2, "needs 5 to 3600 seconds"),
        (["--option", "device"], 2, "needs KEY=VALUE"),
        (["--backend", "tpu"], 2, "no backend 'tpu'; known"),
        (["--backend", "litert", "--option", "speed=9"], 2, "unknown key"),
        (["--backend", "dark"], 2, "runs no model file"),
        (["--backend", "onnx", "--option", "provider=cpu", "--roofline"], 2, "--roofline: it cannot run the model of"),
        (["--backend", "edgetpu", "--cross-check"], 2, "measure litert as well"),
        (["--option", "device=usb"], 2, "name it with --backend"),
        (["--bundle", "nowhere"], 78, "cannot read the card"),
    ],
)
def test_mistakes_are_answered_in_a_sentence(
    words: list[str], code: int, sentence: str, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = [] if "--bundle" in words else ["--bundle", str(bundle)]
    quick = [
        word for name, value in zip(QUICK[::2], QUICK[1::2], strict=True) if name not in words for word in (name, value)
    ]
    assert main(["benchmark", *base, *quick, *words]) == code
    assert sentence in capsys.readouterr().err


def test_an_altered_bundle_gives_no_number(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bundle / "golden.npz").write_bytes(b"altered")
    assert run(bundle) == 78
    assert "copy the bundle again" in capsys.readouterr().err
