"""Sets of pictures: all of it is there, or nothing, and what was there before is as it was."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from pathlib import Path

import pytest

from edge.support.errors import TryAgainError
from models import DataError
from models.cli import main
from models.rendered import write_set
from models.written import PART, whole_set
from tests.models.sets import run

OLD = {"images/a.png": b"old a", "images/other.png": b"other", "notes.txt": b"mine"}
NEW = {"images/a.png": b"new a", "masks/crack/a.png": b"mask", "negatives/b.png": b"sound"}


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def held(folder: Path) -> dict[str, bytes | None]:
    """What lies there, folders too."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def make(out: Path) -> None:
    with whole_set(out) as part:
        write(part, NEW)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    write(tmp_path / "o", OLD)
    return tmp_path / "o"


def test_new_files_go_over_those_of_their_names_and_the_others_stay(out: Path) -> None:
    make(out)
    assert {name: content for name, content in held(out).items() if content is not None} == {**OLD, **NEW}


@pytest.mark.parametrize("ended_by", [DataError, KeyboardInterrupt, OSError])
def test_what_ends_early_leaves_no_trace(out: Path, ended_by: type[BaseException]) -> None:
    def ends(folder: Path) -> None:
        with whole_set(folder) as part:
            write(part, NEW)
            raise ended_by

    before = held(out)
    for folder in (out, out.parent / "made/for/it"):
        with pytest.raises(DataError if ended_by is OSError else ended_by):
            ends(folder)
    assert held(out) == before
    assert not (out.parent / "made").exists()


@pytest.mark.parametrize("number", range(4))
def test_a_disk_that_fails_while_the_files_move_leaves_them_as_they_were(
    out: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    moves, move = [], shutil.move

    def fails_once(one: Path, other: Path) -> None:
        moves.append(other)
        if len(moves) == number + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(other))
        move(one, other)

    before = held(out)
    monkeypatch.setattr("models.written.shutil.move", fails_once)
    with pytest.raises(TryAgainError, match=r"No space left on device; nothing was written to .*make room"):
        make(out)
    assert held(out) == before
    assert len(moves) == 2 * number + 1, "what was moved was moved back"
    make(out)
    assert held(out)["images/a.png"] == b"new a"


def test_a_folder_in_the_way_is_not_taken_for_a_picture(out: Path) -> None:
    write(out, {"negatives/b.png/mine": b"1"})
    before = held(out)
    with pytest.raises(DataError, match=r"b\.png: Is a directory; nothing was written .*name another folder"):
        make(out)
    assert held(out) == before


def test_what_a_kill_left_is_not_taken_for_a_part_of_the_next_set(out: Path) -> None:
    write(out, {f"{PART}/images/half.png": b"ha"})
    make(out)
    assert "images/half.png" not in held(out)
    assert PART not in held(out)


KILLED = """
import os, shutil, sys
from pathlib import Path
from models import written
from tests.models.test_written import make

def dies_before(number, move, clear, moved=[]):
    def moves(one, other):
        if len(moved) == number:
            os.kill(os.getpid(), 9)
        moved.append(other)
        move(one, other)

    def clears(path, **words):
        if moved:
            os.kill(os.getpid(), 9)
        clear(path, **words)

    written.shutil.move, written.shutil.rmtree = moves, clears

for number, folder in enumerate(sys.argv[1:]):
    child = os.fork()
    if child == 0:
        dies_before(number, shutil.move, shutil.rmtree)
        make(Path(folder))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_kill_while_files_move_loses_none_that_was_there(tmp_path: Path) -> None:
    """Before each of the four moves, and after the last, when the new ones are in place."""
    folders = [tmp_path / str(number) for number in range(5)]
    for folder in folders:
        write(folder, OLD)
    code, ends, said = run(["-c", KILLED, *map(str, folders)])
    assert (code, ends.split()) == (0, [str(-signal.SIGKILL)] * 5), said
    for folder in folders:
        assert (folder / PART).is_dir()
        with pytest.raises(DataError), whole_set(folder):
            raise DataError("the next one fails early")
        after = held(folder)
        assert PART not in after
        there = {**OLD, **NEW} if folder is folders[-1] else OLD
        assert {name: after[name] for name in there} == there


def test_what_cannot_be_moved_back_waits_for_the_next_call(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    move = shutil.move

    def fails_from_the_second_on(one: Path, other: Path) -> None:
        if (out / PART / "before/images/a.png").exists():
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(other))
        move(one, other)

    with monkeypatch.context() as patch:
        patch.setattr("models.written.shutil.move", fails_from_the_second_on)
        with pytest.raises(DataError, match="Input/output error"):
            make(out)
    assert not (out / "images/a.png").exists()
    with pytest.raises(DataError), whole_set(out):
        raise DataError("the next one fails early")
    assert {name: content for name, content in held(out).items() if content is not None} == OLD


def test_import_runs_again_after_a_kill_without_overwrite(tmp_path: Path) -> None:
    write_set(tmp_path / "labels", 2, 64, seed=1)
    write(tmp_path / "new", {f"{PART}/images/half.png": b"ha"})
    words = ["import", str(tmp_path / "labels"), "--out", str(tmp_path / "new"), "--class", "crack"]
    assert main(words) == 0
    assert not (tmp_path / "new" / PART).exists()
    assert main(words) == 2, "it holds a set now"
