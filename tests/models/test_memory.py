"""Training says that its pictures do not fit before it reads the first one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models import DataError, Example, memory


@pytest.fixture
def source(tmp_path: Path) -> dict[str, list[Example]]:
    for name in ("a.jpg", "b.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((250, 1000, 3), np.uint8))
    (tmp_path / "c.jpg").write_bytes(b"\xff\xd8\xff damaged")
    names = ("a.jpg", "b.png", "c.jpg")
    return {"deck": [Example(image=tmp_path / name, mask=None, group=name) for name in names]}


def test_what_does_not_fit_is_refused_with_both_figures(source):
    need = 2 * 250 * 1000 * 4  # three colours and a mask
    memory.check_memory(source, round(need / 0.9) + 8)
    with pytest.raises(DataError, match=r"take 0\.0 GiB of memory .*'deck' with 3 pictures.* tiles"):
        memory.check_memory(source, need)


def test_three_hundred_photos_of_twelve_megapixels_need_fifteen_gigabytes(monkeypatch):
    monkeypatch.setattr(memory, "_bytes_of", lambda example: 4000 * 3000 * memory.BYTES_PER_PX)
    photos = [Example(image=Path(f"{i}.jpg"), mask=None, group="g") for i in range(300)]
    with pytest.raises(DataError, match=r"take 13\.4 GiB of memory and 8\.0 GiB are free"):
        memory.check_memory({"photos": photos}, 8 << 30)


def machine(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / {"meminfo": "proc/meminfo"}.get(name, f"sys/fs/cgroup/memory.{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_free_memory_is_the_machine_s_or_the_container_s(tmp_path):
    assert memory.free_memory(tmp_path) is None
    machine(tmp_path, meminfo="MemTotal: 8000 kB\nMemFree: 1 kB\nMemAvailable:    4000 kB\n")
    assert memory.free_memory(tmp_path) == 4000 * 1024
    machine(tmp_path, max="max\n", current="5\n")
    assert memory.free_memory(tmp_path) == 4000 * 1024
    machine(tmp_path, max="3000000\n", current="2500000\n", stat="anon 7\ninactive_file 1000000\n")
    assert memory.free_memory(tmp_path) == 1_500_000


def test_this_machine_says_how_much_is_free():
    free = memory.free_memory()
    assert free is not None
    assert free > 1 << 20
