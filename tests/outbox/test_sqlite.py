"""The SQLite outbox beyond the common contract: runs, damage, places it must refuse, a disk that fails."""

import contextlib
import logging
import os
import resource
import sqlite3
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path

import pytest

from edge.clock import UTC, ManualClock
from edge.errors import ConfigError, SpanhawkError, TryAgainError
from edge.outbox import Letter, LetterState
from edge.outbox.reader import open_reader
from edge.outbox.schema import set_aside
from edge.outbox.sqlite import Options, open_outbox

ROOT = Path(__file__).parents[2]


def clock_at(seconds):
    return ManualClock(datetime(2026, 5, 1, tzinfo=UTC), seconds * 10**9)


def open_at(path, seconds=1, **given):
    return open_outbox(Options(path=path, **({"ballast_bytes": 0, "min_free_bytes": 0} | given)), clock_at(seconds))


def letters(*ids):
    return [Letter(id, "t", id.encode() * 100, None) for id in ids]


def ask(path, *commands):
    """What the last of some SQL commands answers, from a connection of its own."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        return [db.execute(command).fetchall() for command in commands][-1]


def ids(taken):
    return [one.id for one in taken]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "outbox.db"


def test_a_new_run_finds_what_the_last_one_left(path):
    with open_at(path) as box:
        box.put(letters("a", "b", "c", "d"))
        box.take(2)
        box.park("b", "Not authorized")
        box.done(["d"])
        first_store = box.store_id
    with open_at(path, seconds=0) as box:
        box.put(letters("e"))
        taken = box.take(9)
        assert [(one.id, one.put_ns) for one in taken] == [("a", None), ("c", None), ("e", 0)]
        assert box.counts() == {
            LetterState.PENDING: 0, LetterState.SENT: 3, LetterState.CONFIRMED: 1, LetterState.PARKED: 1,
        }  # fmt: skip
        assert box.oldest_ns() == 0
        assert [s.reason for s in box.list(9) if s.reason] == ["Not authorized"]
        assert box.store_id == first_store


def test_row_numbers_are_not_used_twice(path):
    with open_at(path) as box:
        box.put(letters("a", "b"))
        box.purge(everything=True)
    with open_at(path) as box:
        box.put(letters("c"))
    assert ask(path, "SELECT seq FROM letter") == [(3,)]


def test_settings_that_keep_the_promise(path):
    with open_at(path) as box:
        box.put(letters("a"))
        assert ask(path, "PRAGMA journal_mode") == [("wal",)]
        seen = []
        box._store.write(lambda db: seen.append(db.execute("PRAGMA synchronous").fetchone()[0]), durable=True)
        assert seen == [2]


def test_threads_share_it(path):
    with open_at(path) as box:
        wrong = []

        def work(name):
            try:
                for n in range(20):
                    box.put(letters(f"{name}.{n}"))
                    box.done(ids(box.take(2)))
            except (SpanhawkError, sqlite3.Error, AssertionError) as error:
                wrong.append(error)

        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert box.counts()[LetterState.CONFIRMED] == 80


def test_folders_are_created(tmp_path):
    path = tmp_path / "a" / "b" / "outbox.db"
    with open_at(path) as box:
        box.put(letters("a"))
    assert path.is_file()


def test_room_comes_back_to_the_disk_after_purge(path):
    with open_at(path) as box:
        box.put([Letter(f"{n}", "t", os.urandom(3000), None) for n in range(400)])
        box.done([f"{n}" for n in range(400)])
        before = path.stat().st_size
        assert before > 1_000_000
        assert box.purge() == 400
        assert path.stat().st_size < before / 10
        assert (path.parent / "outbox.db-wal").stat().st_size == 0


def test_the_ballast_is_real_and_comes_back(path):
    clock = clock_at(1)
    ballast = path.with_name("outbox.db.ballast")
    with open_outbox(Options(path=path, ballast_bytes=1 << 20, min_free_bytes=0), clock) as box:
        assert ballast.stat().st_size == 1 << 20
        assert ballast.stat().st_blocks * 512 >= 1 << 20
        ballast.unlink()
        box.put(letters("a"))
        assert not ballast.exists()
        clock.advance(11 * 10**9)
        box.put(letters("b"))
        assert ballast.stat().st_size == 1 << 20


# --- places it must refuse ---------------------------------------------------------------------------------------


def test_a_second_daemon_is_refused_by_name(path):
    with open_at(path), pytest.raises(ConfigError, match=f"in use by process {os.getpid()}: stop that one first"):
        open_at(path)
    with open_at(path):
        pass


def test_a_lock_left_by_a_killed_process_is_no_lock(path):
    with open_at(path):
        pass
    path.with_name("outbox.db.lock").write_text("99999")
    with open_at(path):
        pass


def test_another_programs_database_is_not_touched(path):
    ask(path, "CREATE TABLE photos (id INTEGER)")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="another program's database"):
        open_at(path)
    assert path.read_bytes() == before
    assert sorted(p.name for p in path.parent.iterdir()) == ["outbox.db"]


def test_a_file_that_never_was_an_outbox_is_not_touched(path):
    path.write_text("my holiday notes, quite long, " * 100)
    with pytest.raises(ConfigError, match="is not an outbox"):
        open_at(path)
    with pytest.raises(ConfigError, match="is not an outbox"):
        open_at(path)
    assert path.read_text().startswith("my holiday notes")


def test_a_newer_schema_is_refused(path):
    with open_at(path) as box:
        box.put(letters("a"))
    ask(path, "PRAGMA user_version = 7")
    with pytest.raises(ConfigError, match=r"newer spanhawk \(schema 7, this one knows 1\)"):
        open_at(path)


def test_a_folder_in_place_of_the_file(path):
    path.mkdir()
    with pytest.raises(ConfigError, match="is not a file"):
        open_at(path)


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "occupied").write_text("")
    with pytest.raises(ConfigError, match="cannot create this folder"):
        open_at(tmp_path / "occupied" / "outbox.db")


@pytest.mark.parametrize("wrong", [{"max_bytes": 1000}, {"ballast_bytes": -1}, {"min_free_bytes": -1}])
def test_impossible_options(path, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Options(path=path, **wrong)


# --- damage ------------------------------------------------------------------------------------------------------


def damaged_box(path, offset, junk):
    with open_at(path) as box:
        for n in range(100):
            box.put(letters(f"{n}", f"{n}+"))
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
        assert "set aside as outbox.db.corrupt-1" in box.health()
        assert [r.levelno for r in caplog.records if "set aside" in r.message] == [logging.ERROR]
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
        assert "set aside as outbox.db.corrupt-1" in box.health()
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
    code = "import sys, pathlib; from tests.outbox.test_sqlite import failing_disk; "
    command = [sys.executable, "-c", code + "failing_disk(pathlib.Path(sys.argv[1]))", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("cannot be used now") == 1


# --- looking from outside ----------------------------------------------------------------------------------------


def test_a_reader_sees_a_running_outbox_without_hindering_it(path):
    with open_at(path) as box:
        box.put(letters("a", "b"))
        box.take(1)
        with open_reader(path) as reader:
            assert reader.counts()[LetterState.PENDING] == 1
            box.put(letters("c"))
            assert [(s.letter.id, s.state.value, s.letter.put_ns) for s in reader.list(9)] == [
                ("a", "sent", None), ("b", "pending", None), ("c", "pending", None),
            ]  # fmt: skip


def test_a_reader_of_a_closed_outbox(path):
    with open_at(path) as box:
        box.put(letters("a"))
    with open_reader(path) as reader:
        assert [s.letter.id for s in reader.list(9)] == ["a"]


def test_a_reader_refuses_what_is_not_an_outbox(path):
    with pytest.raises(ConfigError, match="there is no outbox"):
        open_reader(path)
    path.write_text("notes " * 1000)
    with pytest.raises(TryAgainError, match="cannot be read as an outbox"):
        open_reader(path)
    path.unlink()
    ask(path, "CREATE TABLE photos (id INTEGER)")
    with pytest.raises(ConfigError, match="another program's"):
        open_reader(path)
