"""A new accelerator is one new file: one that spanhawk knows nothing of passes what its own must pass."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge.cli import main
from tests.tools.doctor.bench import toml
from tests.vendor.bundle import bundle_with_npu

ROOT = Path(__file__).parents[2]
NAME = "tests.vendor.npu"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return bundle_with_npu(tmp_path)


def test_no_other_file_knows_it() -> None:
    named = [
        path
        for room in ("edge", "convert")
        for path in (ROOT / room).rglob("*.py")
        if re.search(r"\bnpu\b", path.read_text(encoding="utf-8"))
    ]
    assert named == []


def test_the_contract_of_the_room(bundle: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "tests/contracts/test_masks.py"],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SPANHAWK_BACKEND": NAME, "SPANHAWK_BUNDLE": str(bundle)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-4000:]
    assert ran.stdout.count(f"{NAME}") >= 15
    assert "SKIPPED" not in ran.stdout


def doctor(folder: Path, capsys: pytest.CaptureFixture[str], **masks: object) -> dict[str, dict[str, str]]:
    path = toml(folder, masks={"backend": NAME, "unsigned": "allow", **masks})
    main(["doctor", "--config", str(path), "--json"])
    document = json.loads(capsys.readouterr().out)
    return {row["check"]: row for row in document["checks"]}


def test_doctor(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = doctor(tmp_path, capsys, bundle=str(bundle))
    assert "on npu (npu-runtime 1.0, compiled by npu-compiler 3): golden answer right" in rows["model"]["found"]
    assert re.search(r"NPU at /dev/null; \d+ ms a tile, litert takes \d+", rows["accelerator"]["found"])


def test_doctor_without_the_device(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = doctor(tmp_path, capsys, bundle=str(bundle), node=str(tmp_path / "npu0"))
    for name in ("model", "accelerator"):
        assert (rows[name]["level"], rows[name]["found"]) == ("fail", f"no NPU answers at {tmp_path / 'npu0'}")
        assert rows[name]["fix"] == "load its driver and look for it with dmesg"


def test_benchmark(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "b.json"
    quick = ["--runs", "20", "--warm-up", "1", "--size", "200x120", "--threads", "1", "--json", str(out)]
    assert main(["benchmark", "--bundle", str(bundle), "--backend", NAME, "--backend", "litert", *quick]) == 0
    ours, theirs = json.loads(out.read_text(encoding="utf-8"))["measured"]
    assert (ours["backend"], ours["accelerator"], ours["threads"], ours["rival"]) == (NAME, "npu", None, "litert")
    assert ours["model_bytes"] == (bundle / "model.npu.npz").stat().st_size
    assert theirs["model_bytes"] == (bundle / "model.tflite").stat().st_size
    assert re.search(r"bare invoke \d+\.\d x as fast as litert at its best here", capsys.readouterr().out)
