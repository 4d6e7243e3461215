"""Looking into a store that is an SQLite file, which is left as it is; ``sqlite`` is the side that writes."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from edge.ground.reading import Reading
from edge.support.errors import ConfigError, TryAgainError

VERSION = 1
"""Kept in ``user_version``."""
APPLICATION_ID = 0x53484752
"""``SHGR``, kept in ``application_id``."""
BUSY_S = 5.0
REVIEWS = """review (row INTEGER PRIMARY KEY, flight INTEGER NOT NULL, crack_id TEXT NOT NULL,
    verdict TEXT NOT NULL, grade TEXT, remark TEXT, said_by TEXT, said_us INTEGER NOT NULL,
    UNIQUE (flight, crack_id, said_us))"""
"""A table that a store of an earlier day has not."""


class SqliteFile(Reading):
    """What reading and writing have in common; a side of its own opens ``_reading``."""

    _reading: sqlite3.Connection

    def __init__(self, path: Path) -> None:
        self._path = path

    def _ask(self, text: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._sentences():
            cursor = self._reading.cursor()  # SQLite serialises threads on one connection
            return cursor.execute(text, values).fetchall()

    def _check_owner(self, db: sqlite3.Connection, *, empty: bool) -> None:
        application, version = (
            db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
        )
        if not empty and application != APPLICATION_ID:
            raise ConfigError(f"{self._path} is no store of the ground; name a file of its own with --store")
        if version > VERSION:
            raise ConfigError(
                f"{self._path} was written by a newer spanhawk (schema {version}, this one knows {VERSION}); update "
                "spanhawk, or name another file with --store"
            )

    @contextlib.contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if isinstance(error, (sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.DataError)):
                raise
            text = str(error)
            if "not a database" in text or "malformed" in text:
                raise ConfigError(
                    f"{self._path} is damaged or no store of the ground ({text}): move it away, and have the drones "
                    "send again what they still keep (spanhawk outbox flush --again)"
                ) from error
            advice = "; free disk space there" if "full" in text else "; its disk or folder needs a look"
            raise TryAgainError(f"the store {self._path} cannot be used now ({text}){advice}") from error


class SqliteReader(SqliteFile):
    """The file at ``path``, which must be a store; it may be in use, or lie where nobody may write."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self._sentences():
            try:
                self._reading = self._open("mode=rw")
            except sqlite3.OperationalError as error:
                # SQLite keeps an index of the journal beside the file. Where it cannot, and no journal is left, nobody
                # is writing and the file can be read as it lies.
                journal = path.with_name(f"{path.name}-wal")
                if "locked" in str(error) or (journal.is_file() and journal.stat().st_size):
                    raise
                self._reading = self._open("immutable=1")

    def _open(self, how: str) -> sqlite3.Connection:
        # Not mode=ro: SQLite makes the journal and its index in any case, and with that it does not take them away.
        uri = f"file:{quote(str(self._path))}?{how}"
        db = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            self._check_owner(db, empty=False)
            if not db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'review'").fetchone()[0]:
                db.execute(f"CREATE TEMP TABLE {REVIEWS}")
            db.execute("PRAGMA query_only = ON")
        except BaseException:
            db.close()
            raise
        return db

    def __enter__(self) -> SqliteReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reading.close()
