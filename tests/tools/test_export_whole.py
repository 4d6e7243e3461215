"""An export that ends before its time: each file is whole, or as it was before."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.cli import main
from tests.ground.report import made

LIMIT = 20_000


@pytest.fixture
def full_disk() -> Iterator[None]:
    """A limit on the size of files stands for the full disk: the same calls fail, with EFBIG instead of ENOSPC."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def lies_in(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["labelme", "coco", "cvat", "mcap"])
@pytest.mark.parametrize("fails_at", ["labels", "picture"])
def test_an_export_on_a_full_disk_leaves_whole_files(
    tmp_path: Path, kind: str, fails_at: str, full_disk: None, capsys: pytest.CaptureFixture[str]
) -> None:
    if kind == "mcap":
        pytest.importorskip("mcap", reason="the extra [mcap] is not installed")
    flight, out = made.write(tmp_path / "flight", 1, size=(64, 48), frames=2), tmp_path / "out"
    random = np.random.default_rng(1)  # an MCAP is packed
    asked = ["export", str(flight), f"--{kind}", "--out", str(out), "--overwrite"]
    assert main(asked) == 0
    before = lies_in(out)
    assert all(len(data) < LIMIT for data in before.values())
    (photo,) = (flight / "photos").iterdir()
    if fails_at == "picture":
        photo.write_bytes(photo.read_bytes() + random.bytes(2 * LIMIT))
    else:
        line = json.loads((flight / "detections.jsonl").read_text())
        with (flight / "detections.jsonl").open("a") as file:
            for _ in range(100):
                line["properties"]["crack"]["path_px"] = random.uniform(0, 48, (100, 2)).tolist()
                file.write(json.dumps(line) + "\n")
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    assert main(asked) == 2
    assert "cannot write there" in capsys.readouterr().err
    assert lies_in(out) == before
