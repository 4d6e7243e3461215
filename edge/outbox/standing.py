"""Where each letter stands: changed in memory, and saved to the file now and then.

A card is written to for each letter that is put; what became of it can wait. So the rows of ``letter`` never change,
their standings are a table of their own beside them (``standing``, without a row for a letter that nobody touched), and
what is worked with is the connection's own table in memory (``temp.live``). It also finds letters, by id and by state:
as indexes in the file these would cost each put two pages more, and ids are random, so that each would be another page.

What a power cut or a kill takes is at most what changed since the last ``save``: such letters are sent again.
Every function works within the caller's transaction; when that is rolled back, the memory is too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from edge.outbox import LetterState
from edge.outbox.schema import STATES

_PENDING, _SENT, _CONFIRMED, _PARKED = (
    STATES.index(state) for state in (LetterState.PENDING, LetterState.SENT, LetterState.CONFIRMED, LetterState.PARKED)
)

# For a hundred thousand letters these are 5 MB. Small marks: those few of one mark are told apart by their ids.
_TABLES = (
    """CREATE TEMP TABLE live (
        seq INTEGER PRIMARY KEY,
        mark INTEGER NOT NULL,
        state INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,
        reason TEXT,
        unsaved INTEGER NOT NULL DEFAULT 0
    )""",
    """INSERT INTO live (seq, mark, state, attempts, reason)
        SELECT l.seq, mark(l.id), coalesce(s.state, 0), coalesce(s.attempts, 0), s.reason
        FROM main.letter l LEFT JOIN main.standing s USING (seq)""",
    "CREATE INDEX temp.live_by_state ON live (state, seq)",
    "CREATE INDEX temp.live_by_mark ON live (mark)",
    "CREATE INDEX temp.live_unsaved ON live (seq) WHERE unsaved",
)
_FIND = "(SELECT seq FROM live JOIN main.letter USING (seq) WHERE mark = ? AND id = ?)"
_ADD = "INSERT INTO live (seq, mark) VALUES (?, ?)"
_HAND_OVER = f"UPDATE live SET state = {_SENT}, attempts = attempts + 1, unsaved = 1 WHERE seq = ?"
_DONE = f"""UPDATE live SET state = {_CONFIRMED}, reason = NULL, unsaved = 1
    WHERE seq = {_FIND} AND state != {_CONFIRMED} AND attempts >= ?"""
_PARK = f"UPDATE live SET state = {_PARKED}, reason = ?, unsaved = 1 WHERE state != {_CONFIRMED} AND seq = "
_AGAIN = f"UPDATE live SET state = {_PENDING}, reason = NULL, unsaved = 1 WHERE seq = {_FIND}"
_TURN = f"UPDATE live SET state = {_PENDING}, reason = NULL, unsaved = 1 WHERE state = ?"
_SAVE = (
    """INSERT OR REPLACE INTO main.standing (seq, state, attempts, reason)
        SELECT seq, state, attempts, reason FROM live WHERE unsaved""",
    "UPDATE live SET unsaved = 0 WHERE unsaved",
)


def _mark(id: str) -> int:
    """31 bits of an id; another value in each process."""
    return hash(id) & 0x7FFFFFFF


def read(db: sqlite3.Connection) -> None:
    """Make the table in memory from what was saved; once per connection, before all else."""
    db.create_function("mark", 1, _mark, deterministic=True)
    for command in _TABLES:
        db.execute(command)


def save(db: sqlite3.Connection) -> None:
    """Write to the file what has changed since the last time."""
    for command in _SAVE:
        db.execute(command)


def next_seq(db: sqlite3.Connection) -> int:
    """The first number that no letter of this file ever had."""
    newest = db.execute("SELECT max(last_seq, coalesce((SELECT max(seq) FROM live), 0)) FROM main.store").fetchone()
    return int(newest[0]) + 1


def has(db: sqlite3.Connection, id: str) -> bool:
    """Whether a letter of this id is kept."""
    return db.execute(f"SELECT {_FIND}", (_mark(id), id)).fetchone()[0] is not None


def add(db: sqlite3.Connection, seq: int, id: str) -> None:
    """A letter that was just put: pending."""
    db.execute(_ADD, (seq, _mark(id)))


def sent(db: sqlite3.Connection, seq: int) -> None:
    """It is handed over, once more."""
    db.execute(_HAND_OVER, (seq,))


def done(db: sqlite3.Connection, ids: Sequence[str], attempts: int) -> int:
    """Confirm those that were handed over so often or more; returns of how many it was news."""
    return db.executemany(_DONE, [(_mark(id), id, attempts) for id in ids]).rowcount


def park(db: sqlite3.Connection, id: str, reason: str) -> None:
    """Set aside with the reason; a confirmed letter stays confirmed."""
    db.execute(_PARK + _FIND, (reason, _mark(id), id))


def park_unreadable(db: sqlite3.Connection, seq: int, reason: str) -> None:
    """Set aside what cannot be handed over at all."""
    db.execute(f"{_PARK} ?", (reason, seq))


def again(db: sqlite3.Connection, ids: Sequence[str]) -> int:
    """Make those of ``ids`` that are kept pending; returns how many."""
    return db.executemany(_AGAIN, [(_mark(id), id) for id in ids]).rowcount


def turn(db: sqlite3.Connection, *states: LetterState) -> int:
    """Make every letter of these states pending; returns how many."""
    return db.executemany(_TURN, [(STATES.index(state),) for state in states]).rowcount


def oldest(db: sqlite3.Connection, state: LetterState, count: int) -> list[int]:
    """The numbers of the oldest ``count`` letters of a state."""
    rows = db.execute("SELECT seq FROM live WHERE state = ? ORDER BY seq LIMIT ?", (STATES.index(state), count))
    return [seq for (seq,) in rows]


def delete(db: sqlite3.Connection, seqs: Sequence[int]) -> None:
    """Delete these letters, and remember that their numbers were used."""
    db.execute("UPDATE main.store SET last_seq = ?", (next_seq(db) - 1,))
    rows = [(seq,) for seq in seqs]
    for table in ("main.letter", "main.standing", "live"):
        db.executemany(f"DELETE FROM {table} WHERE seq = ?", rows)
