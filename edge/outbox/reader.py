"""Looking into an outbox that a running daemon owns: reads only, takes no lock, delays no one.

Sees every letter whose put has returned; what became of it, as it was saved last (a second ago or so: ``standing``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TypeVar
from urllib.parse import quote

from edge.outbox import LetterState, StoredLetter
from edge.outbox.packing import unpack
from edge.outbox.schema import BUSY_S, STATES, check_owner, count, counted, is_damage, journal, listing, saved, stored
from edge.support.errors import ConfigError, TryAgainError

T = TypeVar("T")


class DamagedError(ConfigError):
    """A file that SQLite cannot read: a damaged outbox, or none at all."""


# Another run's clock means nothing here, so that every row counts as written by an earlier one.
_NO_RUN = 2**63 - 1


def open_reader(path: Path) -> Reader:
    """Open the file at ``path`` for looking.

    Raises ConfigError when there is no outbox there or it is not one (DamagedError where that may be damage),
    TryAgainError when it cannot be read now.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: there is no outbox; nothing was put yet, or outbox.path is another")
    return Reader(path)


class Reader:
    """Counts and lists letters; closed by leaving the ``with`` block."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = self._open("mode=ro")
        try:
            self._check_owner()
        except TryAgainError:
            # SQLite keeps an index of the journal beside the file. Where it cannot (a read-only card, a folder of
            # another user) and no journal is left, nobody is writing and the file can be read as it lies.
            if not path.is_file() or _size_bytes(journal(path)):
                raise
            self._db = self._open("immutable=1")
            self._check_owner()

    def _open(self, how: str) -> sqlite3.Connection:
        uri = f"file:{quote(str(self._path))}?{how}"
        return sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)

    def _check_owner(self) -> None:
        try:
            self._read(lambda db: check_owner(db, self._path, empty=False))
        except BaseException:
            self._db.close()
            raise

    def counts(self) -> Mapping[LetterState, int]:
        """How many letters stand in each state."""
        return counted(self._read(lambda db: db.execute(count(saved(db))).fetchall()))

    def list(self, limit: int) -> list[StoredLetter]:
        """The oldest ``limit`` letters in any state, in the order they were put; ``put_ns`` is always None."""
        rows = self._read(lambda db: db.execute(listing(saved(db)), (limit,)).fetchall())
        return [stored(row, _NO_RUN) for row in rows]

    def undelivered(self) -> Iterator[bytes]:
        """The payloads of letters that are not confirmed, one at a time.

        Raises TryAgainError at one that cannot be read.
        """
        wanted = (
            f"SELECT packed, payload FROM {{}} WHERE state NOT IN ('confirmed', {STATES.index(LetterState.CONFIRMED)})"
        )
        cursor = self._read(lambda db: db.execute(wanted.format(saved(db))))
        while row := self._read(lambda db: cursor.fetchone()):
            try:
                yield unpack(*row)
            except ValueError as error:
                raise TryAgainError(f"{self._path}: {error}; copy the file before anything else") from error

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return work(self._db)
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                raise DamagedError(
                    f"{self._path}: cannot be read as an outbox ({error}): it is another file, or damaged (spanhawk "
                    "outbox recover takes out what can be read)"
                ) from error
            advice = ""
            if _size_bytes(journal(self._path)):
                advice = "; if its disk is read-only, copy it with its -wal file to one that is not, and read the copy"
            raise TryAgainError(f"{self._path}: cannot be read as an outbox ({error}){advice}") from error

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
