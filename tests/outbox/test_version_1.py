"""Files of the outbox's first version: opened where they lie, with every letter and its standing."""

import contextlib
import sqlite3

import pytest

from edge.outbox import LetterState
from edge.outbox.reader import open_reader
from edge.outbox.schema import open_file
from edge.support.errors import ConfigError
from tests.outbox.boxes import ask, ids, letters, open_at

# To the letter what version 1 made, and the rows of one run of it.
TABLES = (
    "PRAGMA auto_vacuum = INCREMENTAL",
    "PRAGMA journal_mode = WAL",
    "CREATE TABLE store (id TEXT NOT NULL)",
    """CREATE TABLE letter (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        topic TEXT NOT NULL,
        payload BLOB NOT NULL,
        put_ns INTEGER NOT NULL,
        state TEXT NOT NULL DEFAULT 'pending',
        attempts INTEGER NOT NULL DEFAULT 0,
        reason TEXT
    )""",
    "CREATE INDEX letter_by_state ON letter (state, seq)",
    f"PRAGMA application_id = {0x53484F42}",
    "PRAGMA user_version = 1",
    "INSERT INTO store (id) VALUES ('0123456789abcdef')",
)
ROWS = [
    ("waits", b"{}", "pending", 0, None),
    ("released", b'{"type":"Feature"}' * 300, "pending", 2, None),
    ("under way", b"\x00\xff", "sent", 1, None),
    ("arrived", b"", "confirmed", 1, None),
    ("refused", b"x" * 9000, "parked", 1, "Not authorized"),
    ("deleted", b"x", "pending", 0, None),
]


@pytest.fixture
def old(path):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        for command in TABLES:
            db.execute(command)
        for id, payload, state, attempts, reason in ROWS:
            row = (id, "t", payload, 10**9, state, attempts, reason)
            db.execute(
                "INSERT INTO letter (id, topic, payload, put_ns, state, attempts, reason) VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )
        db.execute("DELETE FROM letter WHERE id = 'deleted'")
    return path


def standings(box):
    return [(s.letter.id, s.letter.payload, s.state.value, s.attempts, s.reason) for s in box.list(99)]


def test_it_is_read_as_it_is(old):
    before = old.read_bytes()
    with open_reader(old) as reader:
        assert standings(reader) == ROWS[:5]
        assert sorted(reader.undelivered()) == sorted(row[1] for row in ROWS[:5] if row[0] != "arrived")
        assert reader.counts()[LetterState.PENDING] == 2
    assert old.read_bytes() == before


def test_it_is_opened_and_flown_on_with(old):
    went_back = [row if row[2] != "sent" else (*row[:2], "pending", *row[3:]) for row in ROWS[:5]]
    with open_at(old) as box:
        assert standings(box) == went_back
        box.put(letters("new", "waits"))
        assert [one.payload for one in box.take(9)] == [ROWS[0][1], ROWS[1][1], ROWS[2][1], letters("new")[0].payload]
        box.done(["waits", "new"])
    with open_at(old) as box:
        assert {s.letter.id: (s.state.value, s.attempts) for s in box.list(9)} == {
            "waits": ("confirmed", 1), "released": ("pending", 3), "under way": ("pending", 2),
            "arrived": ("confirmed", 1), "refused": ("parked", 1), "new": ("confirmed", 1),
        }  # fmt: skip
        assert box.purge() == 3
        assert ids(box.take(9)) == ["released", "under way"]
        assert box.retry() == 1
        assert box.health() is None
    assert ask(old, "SELECT seq FROM letter ORDER BY seq") == [(2,), (3,), (5,)]
    assert ask(old, "SELECT id, last_seq FROM store") == [("0123456789abcdef", 7)]


def test_its_numbers_are_not_used_again(old):
    with open_at(old) as box:
        box.put(letters("new"))
    assert ask(old, "SELECT seq FROM letter WHERE id = 'new'") == [(7,)], "6 was deleted by version 1"


def test_a_half_made_change_is_undone(old, monkeypatch):
    """A power cut in the middle of it: the next start finds version 1."""
    monkeypatch.setattr("edge.outbox.schema._FROM_1", ("DROP INDEX letter_by_state", "SELECT missing FROM letter"))
    with pytest.raises(sqlite3.OperationalError, match="missing"):
        open_file(old)
    monkeypatch.undo()
    with open_at(old) as box:
        assert [row[0] for row in standings(box)] == [row[0] for row in ROWS[:5]]


def test_the_earlier_version_refuses_the_newer_file_by_name(path, monkeypatch):
    """There is no way back: spanhawk before version 2 says so, and touches nothing."""
    with open_at(path) as box:
        box.put(letters("a"))
    monkeypatch.setattr("edge.outbox.schema.VERSION", 1)
    with pytest.raises(ConfigError, match=r"written by a newer spanhawk \(schema 2, this one knows 1\)"):
        open_at(path)
