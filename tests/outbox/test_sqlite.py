"""The SQLite outbox beyond the common contract: runs, damage, places it must refuse, a disk that fails."""

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from edge.outbox import Letter, LetterState
from edge.outbox.reader import open_reader
from edge.outbox.sqlite import Options, open_outbox
from edge.support.errors import ConfigError, SpanhawkError, TryAgainError
from tests.outbox.boxes import ROOT, ask, clock_at, ids, letters, open_at


def test_a_new_run_finds_what_the_last_one_left(path):
    with open_at(path) as box:
        box.put(letters("a", "b", "c", "d"))
        box.take(2)
        box.park("b", "Not authorized")
        box.done(["d"])
    with open_at(path, seconds=0) as box:
        box.put(letters("e"))
        taken = box.take(9)
        assert [(one.id, one.put_ns) for one in taken] == [("a", None), ("c", None), ("e", 0)]
        assert box.counts() == {
            LetterState.PENDING: 0, LetterState.SENT: 3, LetterState.CONFIRMED: 1, LetterState.PARKED: 1,
        }  # fmt: skip
        assert [s.reason for s in box.list(9) if s.reason] == ["Not authorized"]


def test_a_disk_that_fails_while_the_outbox_is_opened_leaves_it_to_the_next_try(path, monkeypatch):
    def refuse(*_):
        raise TryAgainError("the disk does not answer")

    with monkeypatch.context() as patched:
        patched.setattr("edge.outbox.space.Ballast.restore", refuse)
        with pytest.raises(TryAgainError, match="does not answer"):
            open_at(path)
    with open_at(path) as box:
        box.put(letters("a"))
        assert ids(box.take(9)) == ["a"]


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
        box.put([Letter(f"{n}", "t", os.urandom(3000), None) for n in range(900)])
        box.done([f"{n}" for n in range(900)])
        before = path.stat().st_size
        assert before > 1_000_000
        assert box.purge() == 900
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
    with pytest.raises(ConfigError, match=r"newer spanhawk \(schema 7, this one knows 2\)"):
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


# --- looking from outside ----------------------------------------------------------------------------------------


def test_a_reader_sees_a_running_outbox_without_hindering_it(path):
    """What was put at once, what became of it a second later."""
    clock = clock_at(1)
    with open_outbox(Options(path=path, ballast_bytes=0, min_free_bytes=0), clock) as box:
        box.put(letters("a", "b"))
        box.take(1)
        with open_reader(path) as reader:
            assert reader.counts()[LetterState.PENDING] == 2
            clock.advance(10**9)
            box.put(letters("c"))
            assert [(s.letter.id, s.state.value, s.letter.put_ns) for s in reader.list(9)] == [
                ("a", "sent", None), ("b", "pending", None), ("c", "pending", None),
            ]  # fmt: skip
            assert reader.list(1)[0].letter.payload == letters("a")[0].payload
            box.park("b", "no")
            assert reader.counts()[LetterState.PARKED] == 1, "what an operator waits for is saved at once"


def test_a_reader_of_a_closed_outbox(path):
    with open_at(path) as box:
        box.put(letters("a"))
    with open_reader(path) as reader:
        assert [s.letter.id for s in reader.list(9)] == ["a"]


def test_a_reader_refuses_what_is_not_an_outbox(path):
    with pytest.raises(ConfigError, match="there is no outbox"):
        open_reader(path)
    path.write_text("notes " * 1000)
    with pytest.raises(ConfigError, match="cannot be read as an outbox"):
        open_reader(path)
    path.unlink()
    ask(path, "CREATE TABLE photos (id INTEGER)")
    with pytest.raises(ConfigError, match="another program's"):
        open_reader(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_a_reader_who_may_only_read():
    """A member of the group looks into the outbox of a daemon that is stopped: SQLite cannot make its -shm there."""
    code = (
        "import os, sys; from edge.outbox.reader import open_reader; from pathlib import Path\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "with open_reader(Path(sys.argv[1])) as reader: print([s.letter.id for s in reader.list(9)])"
    )
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        path = Path(folder) / "outbox.db"
        with open_at(path) as box:
            box.put(letters("a"))
        Path(folder).chmod(0o755)
        path.chmod(0o644)
        ran = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, cwd=ROOT)
    assert (ran.stdout, ran.returncode) == ("['a']\n", 0), ran.stderr


def test_a_full_outbox_complains_once_a_minute_and_stays_full_until_there_is_room(tmp_path, caplog):
    """Confirmed letters that are too few to make room used to hide the trouble, for one second at a time."""
    clock = clock_at(1)
    large = [Letter(f"{n}", "t", os.urandom(200_000), None) for n in range(20)]
    options = Options(path=tmp_path / "o.db", ballast_bytes=0, min_free_bytes=0, max_bytes=1 << 20)
    with open_outbox(options, clock) as box:
        box.put(large[:1])
        box.done(["0"])
        for one in large[1:4]:
            box.put([one])
        with pytest.raises(TryAgainError):
            box.put(large[4:9])
        box.done(["1"])
        assert box.health() is None, "there is a letter more that may go"
        for _ in range(50):
            with pytest.raises(TryAgainError):
                box.put(large[10:16])
            assert "storage is full" in str(box.health())
            clock.advance(10**9)
    assert caplog.text.count("storage is full") == 1


def test_a_disk_that_takes_its_time_holds_up_nobody_but_the_one_who_puts(path, monkeypatch):
    """Half a minute for an fsync used to silence telemetry and status for as long."""
    clock, begun, go_on = clock_at(1), threading.Event(), threading.Event()
    with open_outbox(Options(path=path, ballast_bytes=0, min_free_bytes=0), clock) as box:
        box.put(letters("first"))
        insert = type(box)._insert

        def slow(self, db, put):
            insert(self, db, put)
            begun.set()
            assert go_on.wait(10)

        monkeypatch.setattr(type(box), "_insert", slow)
        putting = threading.Thread(target=box.put, args=(letters("second"),))
        putting.start()
        assert begun.wait(10)
        assert box.health() is None
        clock.advance(30 * 10**9)
        assert "takes 30 s for a write" in box.health()
        with pytest.raises(TryAgainError, match="busy"):
            box.counts()
        go_on.set()
        putting.join(10)
        assert "takes 30 s for a write" in box.health(), "until one is quick again"
        box.put(letters("third"))
        assert box.health() is None
        assert ids(box.take(9)) == ["first", "second", "third"]


def test_what_became_of_letters_is_saved_with_the_next_put_a_second_later_and_at_the_end(path):
    """A kill in between repeats them; nothing of what was put is lost by it."""
    clock = clock_at(1)
    saved = "SELECT count(*) FROM standing"
    with open_outbox(Options(path=path, ballast_bytes=0, min_free_bytes=0), clock) as box:
        box.put(letters("a", "b"))
        box.done(ids(box.take(1)))
        box.put(letters("c"))
        assert ask(path, saved) == [(0,)]
        clock.advance(10**9)
        box.put(letters("d"))
        assert ask(path, saved) == [(1,)]
        box.done(["b"])
        assert ask(path, saved) == [(1,)]
    assert ask(path, "SELECT seq, state FROM standing") == [(1, 2), (2, 2)]
    with open_at(path) as box:
        assert ids(box.take(9)) == ["c", "d"]


def test_ids_of_one_mark_are_two_letters(path, monkeypatch):
    monkeypatch.setattr("edge.outbox.standing._mark", lambda id: 7)
    with open_at(path) as box:
        box.put(letters("a", "b", "a"))
        box.done(["b"])
        box.put(letters("b"))
        assert ids(box.take(9)) == ["a"]
    with open_at(path) as box:
        assert box.again(["b", "nobody"]) == 1
        assert ids(box.take(9)) == ["a", "b"]


def test_a_letter_that_rotted_is_parked_and_holds_up_no_other(path):
    with open_at(path) as box:
        box.put(letters("a", "b", "c"))
    ask(path, "UPDATE letter SET payload = x'ffff' WHERE id = 'b'")
    with open_reader(path) as reader:
        assert [s.letter.payload for s in reader.list(9)] == [letters("a")[0].payload, b"", letters("c")[0].payload]
        assert "cannot be unpacked" in str(reader.list(9)[1].reason)
        with pytest.raises(TryAgainError, match="cannot be unpacked"):
            list(reader.undelivered())
    with open_at(path) as box:
        assert ids(box.take(9)) == ["a", "c"]
        assert box.counts()[LetterState.PARKED] == 1
        assert "cannot be unpacked" in str(box.list(9)[1].reason)


def test_the_journal_is_laid_out_before_it_is_needed(path):
    journal = path.with_name("outbox.db-wal")
    with open_at(path) as box:
        assert (journal.stat().st_size, journal.stat().st_blocks * 512) == (2 << 20, 2 << 20)
        for n in range(300):
            box.put([Letter(f"{n}", "t", os.urandom(2000), None)])
        assert journal.stat().st_size == 2 << 20, "it is written over, and does not grow"
        with path.open("rb") as file:
            assert file.read(18)[16:] == (512).to_bytes(2, "big")
    with open_at(path) as box:
        assert len(box.list(999)) == 300
