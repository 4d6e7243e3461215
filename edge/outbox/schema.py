"""The outbox file: its tables, how it is opened and checked, and where a damaged one goes.

``letter.seq`` rises by one per letter and is never used twice (AUTOINCREMENT), also after a deletion;
together with ``store.id``, made once per file, it names a letter permanently.
"""

from __future__ import annotations

import itertools
import secrets
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.outbox import Letter, LetterState, StoredLetter
from edge.support.disk import sync_folder
from edge.support.errors import ConfigError

VERSION = 1
"""Kept in ``user_version``; a file with a higher one was written by a newer spanhawk."""
APPLICATION_ID = 0x53484F42
"""``SHOB``, kept in ``application_id``: a database without it is not ours to write to."""

# Another process (`spanhawk outbox list`) may hold the file for a moment.
BUSY_S = 5.0
# 2 MiB of journal between checkpoints: fits into the ballast's room with some to spare.
_CHECKPOINT_PAGES = 512

# `state` has no CHECK: a later version may know more states without rebuilding the table.
_TABLES = (
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
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)


COUNT = "SELECT state, count(*) FROM letter GROUP BY state"
"""Lines for ``counted``."""
LIST = "SELECT seq, id, topic, payload, put_ns, state, attempts, reason FROM letter ORDER BY seq LIMIT ?"
"""Lines for ``stored``."""


def counted(rows: Sequence[Sequence[Any]]) -> dict[LetterState, int]:
    """Every state with its count, from the rows of ``COUNT``."""
    return dict.fromkeys(LetterState, 0) | {LetterState(state): number for state, number in rows}


def stored(row: Sequence[Any], run_start: int) -> StoredLetter:
    """A row of ``LIST``; the times of rows up to ``run_start`` belong to another run's clock and become None."""
    seq, id, topic, payload, put_ns, state, attempts, reason = row
    letter = Letter(id, topic, payload, put_ns if seq > run_start else None)
    return StoredLetter(letter, LetterState(state), attempts, reason)


def open_file(path: Path, *, thorough: bool = False) -> sqlite3.Connection:
    """Open or create the file at ``path`` for writing; ``thorough`` compares its indexes with its table too.

    Raises ConfigError when it belongs to another program or a newer spanhawk, sqlite3.DatabaseError
    when it is damaged (``is_damage``) or the disk does not let it open.
    """
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        _claim(db, path)
        _check(db, "integrity_check" if thorough else "quick_check")
    except BaseException:
        db.close()
        raise
    return db


def _claim(db: sqlite3.Connection, path: Path) -> None:
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    check_owner(db, path, empty=not tables)
    if not tables:
        # Lets `purge` give pages back to the disk; must come before the first page is written.
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise ConfigError(f"{path}: this file system cannot hold the outbox (no shared memory); use a local disk")
    db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    if not tables:
        _create(db)


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


def _create(db: sqlite3.Connection) -> None:
    db.execute("BEGIN IMMEDIATE")
    for statement in _TABLES:
        db.execute(statement)
    db.execute("INSERT INTO store (id) VALUES (?)", (secrets.token_hex(8),))
    db.execute("COMMIT")


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
