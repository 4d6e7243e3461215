from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from edge.support import disk


def test_room_as_the_standard_library_counts_it(tmp_path: Path) -> None:
    """shutil.disk_usage asks for the same room of an ordinary user; other programs write meanwhile."""
    assert disk.free_bytes(tmp_path) == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.05)


def test_room_for_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert disk.free_bytes_for(tmp_path / "a" / "b") == pytest.approx(disk.free_bytes(tmp_path), rel=0.05)
    with pytest.raises(FileNotFoundError):
        disk.free_bytes(tmp_path / "a")


def test_a_folder_that_cannot_be_is_not_a_disk_that_does_not_answer(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "flights"
    assert disk.free_bytes_for(below) == pytest.approx(disk.free_bytes(tmp_path), rel=0.05)
    with pytest.raises(OSError, match=r"File exists|Not a directory") as refused:
        disk.make_folder(below)
    assert disk.advice(refused.value) == "name a folder that can be made and written"
    assert disk.advice(OSError(errno.ENOSPC, "No space left on device")) == "free disk space there"


def test_a_file_is_whole_or_what_was_there_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "summary.json"
    disk.write_whole(path, b"first")
    assert path.read_bytes() == b"first"

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        disk.write_whole(path, b"second, half of which fits")
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["summary.json"], "nothing is left behind"


def test_a_durable_file_is_synced_before_it_is_renamed_and_its_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order that ext4 and POSIX ask for: data, rename, folder."""
    steps: list[str] = []
    sync, rename = os.fsync, Path.replace

    def noted_sync(descriptor: int) -> None:
        steps.append(f"sync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")
        sync(descriptor)

    def noted_rename(path: Path, target: Path) -> Path:
        steps.append(f"rename {path.name}")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "replace", noted_rename)
    disk.write_whole(tmp_path / "a.jpg", b"x")
    assert steps == ["sync .a.jpg.part", "rename .a.jpg.part", f"sync {tmp_path.name}"]
    steps.clear()
    disk.write_whole(tmp_path / "b.png", b"x", durable=False)
    assert steps == ["rename .b.png.part"]


def test_new_folders_are_made_durable_one_by_one(tmp_path: Path) -> None:
    disk.make_folder(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        disk.make_folder(tmp_path / "file" / "b")
