"""A damaged outbox, and a disk that fails: kept aside, said loudly, and flown on."""

import logging
import os
import resource
import subprocess
import sys

import pytest

from edge.outbox import Letter, LetterState
from edge.outbox.schema import set_aside
from edge.support.errors import TryAgainError
from tests.outbox.boxes import ROOT, ids, letters, open_at

# --- damage ------------------------------------------------------------------------------------------------------


def damaged_box(path, offset, junk):
    with open_at(path) as box:
        for n in range(100):
            box.put([Letter(f"{n}{end}", "t", os.urandom(200), None) for end in ("", "+")])
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(junk)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("offset", "junk"),
    [(0, b"\x00" * 4096), (0, b"JFIF" * 20), (4096 * 3, b"\xff" * 8192), (100, b"\xee" * 60)],
    ids=["zeros", "header", "pages", "tables"],
)
def test_a_damaged_file_is_kept_and_said_loudly(path, caplog, offset, junk):
    content = damaged_box(path, offset, junk)
    with open_at(path) as box:
        assert path.with_name("outbox.db.corrupt-1").read_bytes() == content
        assert "renamed to outbox.db.corrupt-1" in box.health()
        assert [r.levelno for r in caplog.records if "renamed to" in r.message] == [logging.ERROR]
        box.put(letters("new"))
        assert ids(box.take(9)) == ["new"]
    with open_at(path) as box:
        assert box.health() is None
        assert [s.letter.id for s in box.list(9)] == ["new"]


def test_a_truncated_file_is_kept(path):
    damaged_box(path, 0, b"")
    with path.open("r+b") as file:
        file.truncate(9000)
    with open_at(path) as box:
        assert path.with_name("outbox.db.corrupt-1").stat().st_size == 9000
        assert box.counts()[LetterState.PENDING] == 0


def test_a_journal_goes_aside_with_its_file(path):
    """SQLite usually merges it into the file on closing; where it could not, it must not meet the next file."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(f"outbox.db{suffix}").write_text(f"damaged{suffix}")
    aside = set_aside(path)
    assert {p.name: p.read_text() for p in path.parent.iterdir()} == {
        "outbox.db.corrupt-1": "damaged", "outbox.db.corrupt-1-wal": "damaged-wal",
    }  # fmt: skip
    assert aside.name == "outbox.db.corrupt-1"


def test_damage_twice_keeps_both(path):
    for _ in range(2):
        damaged_box(path, 0, b"\x00" * 4096)
        with open_at(path) as box:
            assert box.health() is not None
    assert {p.name for p in path.parent.glob("*.corrupt-?")} == {"outbox.db.corrupt-1", "outbox.db.corrupt-2"}


def test_damage_found_in_flight_starts_a_new_file(path):
    with open_at(path, max_bytes=4 << 20) as box:
        for n in range(300):
            box.put([Letter(f"{n}", "t", os.urandom(3000), None)])
        box._store.read(lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
        with path.open("r+b") as file:
            file.seek(4096 * 4)
            file.write(b"\xff" * (path.stat().st_size - 4096 * 4))
        box._store.read(lambda db: db.execute("PRAGMA shrink_memory").fetchall())
        while not box.health():
            box.put(letters("new"))
            box.take(50)
        assert "renamed to outbox.db.corrupt-1" in box.health()
        box.put(letters("newer"))
        assert "newer" in [s.letter.id for s in box.list(9)]


def test_an_empty_file_becomes_an_outbox(path):
    path.touch()
    with open_at(path) as box:
        box.put(letters("a"))
        assert box.health() is None


# --- a disk that fails -------------------------------------------------------------------------------------------


def put_until_refused(box):
    for n in range(1000):
        try:
            box.put(letters(f"{n}"))
        except TryAgainError as error:
            assert "what it holds is kept" in str(error)
            return [f"{m}" for m in range(n)]
    raise AssertionError("nothing failed")


def failing_disk(folder):
    """A process that may not write beyond 300 kB of any file: SQLite sees failing writes, as from a dying card."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    with open_at(folder / "outbox.db") as box:
        put = put_until_refused(box)
        assert "cannot be used now" in box.health()
        assert [s.letter.id for s in box.list(10_000)] == put
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        box.put(letters("again"))
        assert box.health() is None
        assert len(box.list(10_000)) == len(put) + 1


def test_a_disk_that_fails_and_comes_back(tmp_path):
    code = "import sys, pathlib; from tests.outbox.test_damage import failing_disk; "
    command = [sys.executable, "-c", code + "failing_disk(pathlib.Path(sys.argv[1]))", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("cannot be used now") == 1
