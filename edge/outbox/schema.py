"""The outbox file: its tables, how it is opened and checked, and where a damaged one goes.

``letter.seq`` rises by one per letter and is never used twice, also after a deletion (``store.last_seq``); together
with ``store.id``, made once per file, it names a letter permanently. A letter's row never changes once it is written.

The pages are small because a card is paid by the page: a letter of 1.2 kB writes some 3 kB of them where pages of
4 KiB write 12. For the same reason the journal is laid out before it is used: while it grows, each commit makes the
file system write its own journal too.

A file of version 1 (pages of 4 KiB, states within the letters, ids unique by an index) becomes one of version 2 where
it lies, its letters untouched. It keeps its pages, its index and three columns for states, which mean nothing any more.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.outbox import Letter, LetterState, StoredLetter
from edge.outbox.packing import unpack
from edge.support.disk import sync_folder
from edge.support.errors import ConfigError

VERSION = 2
"""Kept in ``user_version``; a file with a higher one was written by a newer spanhawk."""
APPLICATION_ID = 0x53484F42
"""``SHOB``, kept in ``application_id``: a database without it is not ours to write to."""

# Another process (`spanhawk outbox list`) may hold the file for a moment.
BUSY_S = 5.0
_PAGE_BYTES = 512
_MEMORY_PAGE_BYTES = 4096
# Between checkpoints: fits into the ballast's room with some to spare.
JOURNAL_BYTES = 2 << 20
_FRAME_HEADER_BYTES = 24

STATES = (LetterState.PENDING, LetterState.SENT, LetterState.CONFIRMED, LetterState.PARKED)
"""By their numbers in the file and in memory; version 1 wrote their names."""

_STANDING = """CREATE TABLE standing (
    seq INTEGER PRIMARY KEY,
    state INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    reason TEXT
)"""
# `state` has no CHECK: a later version may know more states without rebuilding the table.
_TABLES = (
    "CREATE TABLE store (id TEXT NOT NULL, last_seq INTEGER NOT NULL DEFAULT 0)",
    "INSERT INTO store (id) VALUES (lower(hex(randomblob(8))))",
    """CREATE TABLE letter (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL,
        topic TEXT NOT NULL,
        put_ns INTEGER NOT NULL,
        packed INTEGER NOT NULL DEFAULT 0,
        payload BLOB NOT NULL
    )""",
    _STANDING,
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)
# The index first: what it gives back is room for the rest on a full disk.
_FROM_1 = (
    "DROP INDEX letter_by_state",
    "ALTER TABLE store ADD COLUMN last_seq INTEGER NOT NULL DEFAULT 0",
    "UPDATE store SET last_seq = coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'letter'), 0)",
    "ALTER TABLE letter ADD COLUMN packed INTEGER NOT NULL DEFAULT 0",
    _STANDING,
    f"""INSERT INTO standing
        SELECT seq, CASE state {" ".join(f"WHEN '{one.value}' THEN {number}" for number, one in enumerate(STATES))} END,
        attempts, reason FROM letter WHERE state != 'pending' OR attempts > 0""",
    f"PRAGMA user_version = {VERSION}",
)

_SAVED = {
    1: "(SELECT *, 0 AS packed FROM letter)",
    2: """(SELECT letter.seq, id, topic, packed, payload, put_ns, coalesce(standing.state, 0) AS state,
        coalesce(standing.attempts, 0) AS attempts, standing.reason AS reason
        FROM main.letter LEFT JOIN main.standing USING (seq))""",
}
"""By version: every letter with what was saved of its standing."""
LIVE = """(SELECT letter.seq, id, topic, packed, payload, put_ns, live.state, live.attempts, live.reason
    FROM main.letter JOIN live USING (seq))"""
"""The same, as the connection that writes knows it."""


def saved(db: sqlite3.Connection) -> str:
    """What a reader of the file selects from, whatever version wrote it."""
    return _SAVED[pragma(db, "user_version")]


def count(source: str) -> str:
    """Asks for lines for ``counted``."""
    return f"SELECT state, count(*) FROM {source} GROUP BY state"


def listing(source: str) -> str:
    """Asks for at most ``?`` lines for ``stored``."""
    return f"SELECT seq, id, topic, packed, payload, put_ns, state, attempts, reason FROM {source} ORDER BY seq LIMIT ?"


def counted(rows: Sequence[Sequence[Any]]) -> dict[LetterState, int]:
    """Every state with its count, from the rows of ``count``."""
    return dict.fromkeys(LetterState, 0) | {_state(state): number for state, number in rows}


def stored(row: Sequence[Any], run_start: int) -> StoredLetter:
    """A row of ``listing``; the times of rows up to ``run_start`` belong to another run's clock and become None.

    A payload that cannot be unpacked is empty, and the reason says so.
    """
    seq, id, topic, form, packed, put_ns, state, attempts, reason = row
    try:
        payload = unpack(form, packed)
    except ValueError as error:
        payload, reason = b"", reason or str(error)
    letter = Letter(id, topic, payload, put_ns if seq > run_start else None)
    return StoredLetter(letter, _state(state), attempts, reason)


def _state(kept: int | str) -> LetterState:
    return LetterState(kept) if isinstance(kept, str) else STATES[kept]


def open_file(path: Path, *, thorough: bool = False) -> sqlite3.Connection:
    """Open or create the file at ``path`` for writing; ``thorough`` compares its indexes with its table too.

    Raises ConfigError when it belongs to another program or a newer spanhawk, sqlite3.DatabaseError
    when it is damaged (``is_damage``) or the disk does not let it open.
    """
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        _claim(db, path)
        _check(db, "integrity_check" if thorough else "quick_check")
        if pragma(db, "user_version") == 1:
            _transact(db, _FROM_1)
    except BaseException:
        db.close()
        raise
    return db


def _claim(db: sqlite3.Connection, path: Path) -> None:
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    check_owner(db, path, empty=not tables)
    if not tables:
        # Both must come before the first page is written; the second lets `purge` give pages back to the disk.
        db.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise ConfigError(f"{path}: this file system cannot hold the outbox (no shared memory); use a local disk")
    frame_bytes = pragma(db, "page_size") + _FRAME_HEADER_BYTES
    db.execute(f"PRAGMA wal_autocheckpoint = {JOURNAL_BYTES // frame_bytes}")
    if not tables:
        _transact(db, _TABLES)
    # For the tables in memory, not the file's: small pages would take half as much memory again.
    db.execute("PRAGMA temp_store = MEMORY")
    db.execute(f"PRAGMA page_size = {_MEMORY_PAGE_BYTES}")


def _check(db: sqlite3.Connection, depth: str) -> None:
    verdict = db.execute(f"PRAGMA {depth}(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"database disk image is malformed ({verdict})")


def check_owner(db: sqlite3.Connection, path: Path, *, empty: bool) -> None:
    """Raise ConfigError unless the file is an outbox of a version known here (or still ``empty``)."""
    if not empty and pragma(db, "application_id") != APPLICATION_ID:
        raise ConfigError(f"{path} is another program's database; point outbox.path at a file of its own")
    version = pragma(db, "user_version")
    if version > VERSION:
        raise ConfigError(
            f"{path} was written by a newer spanhawk (schema {version}, this one knows {VERSION}); "
            "update spanhawk, or move the file away once its letters are delivered"
        )


def _transact(db: sqlite3.Connection, commands: Sequence[str]) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        for command in commands:
            db.execute(command)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def lay_out_journal(path: Path) -> None:
    """Give the journal its whole size now, in blocks that are written to, behind what it holds.

    SQLite reads it up to the first frame that is none. Raises OSError when there is no room.
    """
    with journal(path).open("ab") as file:
        missing = JOURNAL_BYTES - file.tell()
        if missing > 0:
            file.write(bytes(missing))
            file.flush()
            os.fsync(file.fileno())


def pragma(db: sqlite3.Connection, name: str) -> int:
    """A whole-number PRAGMA."""
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """True when the file's content is wrong, as opposed to the disk being full or gone.

    By text, because Python 3.10 does not show SQLite's error code.
    """
    return "malformed" in str(error) or "not a database" in str(error)


def set_aside(path: Path) -> Path:
    """Move a damaged file, with its journal, to the first free ``NAME.corrupt-<n>``; returns the new path."""
    names = (path.with_name(f"{path.name}.corrupt-{number}") for number in itertools.count(1))
    aside = next(name for name in names if not name.exists() and not journal(name).exists())
    # The journal first: beside a new, empty database SQLite would delete it.
    if journal(path).exists():
        journal(path).rename(journal(aside))
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    path.rename(aside)
    sync_folder(path.parent)
    return aside


def journal(path: Path) -> Path:
    """The write-ahead log beside a database; a part of it."""
    return path.with_name(f"{path.name}-wal")
