"""The outbox's file and all that can go wrong with it: locked, full, failing, damaged. Knows nothing of letters."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from edge.outbox.lock import Lock
from edge.outbox.schema import JOURNAL_BYTES, is_damage, lay_out_journal, open_file, set_aside
from edge.outbox.space import Ballast, free_bytes_of, megabytes
from edge.support.clock import Clock
from edge.support.disk import make_folder
from edge.support.errors import ConfigError, TryAgainError
from edge.support.waits import slowness, waiting

log = logging.getLogger(__name__)

T = TypeVar("T")
Database = sqlite3.Connection

_BALLAST_PAUSE_NS = 10_000_000_000
# Less than this left counts as full, also where SQLite calls it an I/O error (its shared memory could not grow).
_NOTHING_LEFT_BYTES = 128 << 10

# Who only asks or notes something waits so long for a put that waits for the disk, and then goes on without.
_PATIENCE_S = 0.5

_ADVICE = {
    "is full": "the disk is full: delete files or put in a larger card",
    "readonly": "the disk has become read-only, as a failing card does: replace it (dmesg says more)",
    "I/O error": "the disk does not read or write: replace the card (dmesg says more)",
    "unable to open": "the folder is gone or not writable: mount the disk again",
    "locked": "another program holds the file: close it",
}


class Store:
    """One connection, used by any thread; every write is a transaction; what can be repaired is repaired."""

    def __init__(
        self, path: Path, ballast: Ballast, keep_free_bytes: int, clock: Clock, begin: Callable[[Database], object]
    ) -> None:
        """Open or create ``path``; ``begin`` runs in a transaction on each (re)opened file."""
        self._path = path
        self._ballast = ballast
        self._keep_free_bytes = keep_free_bytes
        self._clock = clock
        self._begin = begin
        self._mutex = threading.Lock()
        self._ballast_tried_ns = clock.monotonic_ns()
        self._closed = False
        self._failing: str | None = None
        self._damaged: str | None = None
        self._slow: str | None = None
        self._waits_since_ns: int | None = None
        _make_folder(path.parent)
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path} is not a file; point outbox.path at a file in a folder")
        self._lock = Lock(path.with_name(f"{path.name}.lock"), path)
        self._ours = not self._lock.is_new
        self._db: Database | None = None
        try:
            self._persist(lambda db: None)
            if not self._ballast.restore(keep_free_bytes):
                log.warning("%s: no room for the ballast, %s free", path, megabytes(free_bytes_of(path.parent)))
        except BaseException as error:
            self._close()
            self._lock.release(forget=isinstance(error, ConfigError) and not self._ours)
            raise

    @property
    def trouble(self) -> str | None:
        """One sentence on what fails now, or was found damaged since the start; None when all is well."""
        since_ns = self._waits_since_ns
        slow = None if since_ns is None else slowness(self._path, (self._clock.monotonic_ns() - since_ns) / 1e9)
        return self._failing or slow or self._slow or self._damaged

    def write(self, work: Callable[[Database], T], *, durable: bool = False) -> T:
        """Run ``work`` in one transaction; ``durable``: on the disk when this returns.

        Raises TryAgainError when the disk does not take it, or is busy with another's write; then nothing of it is
        written.
        """
        with waiting(self._path), self._turn(wait=durable):
            began_ns = self._clock.monotonic_ns()
            self._waits_since_ns = began_ns if durable else None
            try:
                result = self._persist(lambda db: _transact(db, work, durable=durable))
            finally:
                self._waits_since_ns = None
            if durable:
                self._slow = slowness(self._path, (self._clock.monotonic_ns() - began_ns) / 1e9)
            self._restore_ballast()
            return result

    def read(self, work: Callable[[Database], T]) -> T:
        """Run ``work`` outside a transaction. Raises TryAgainError when the disk fails or is busy."""
        with self._turn():
            return self._persist(work)

    def close(self) -> None:
        """Close the file and let another process have it; nothing can be done with it afterwards."""
        with self._mutex:
            self._closed = True
            self._close()
            self._lock.release()

    @contextlib.contextmanager
    def _turn(self, *, wait: bool = False) -> Iterator[None]:
        """One at a time. A disk that takes half a minute for a put must not hold up those who tell the ground so."""
        if not self._mutex.acquire(timeout=-1 if wait else _PATIENCE_S):
            raise TryAgainError(f"the outbox {self._path} is busy: its disk has not finished a write yet")
        try:
            yield
        finally:
            self._mutex.release()

    def _persist(self, attempt: Callable[[Database], T]) -> T:
        """Try; repair what can be repaired and try once more."""
        try:
            try:
                result = attempt(self._opened())
            except sqlite3.DatabaseError as error:
                self._repair(error)
                result = attempt(self._opened())
        except sqlite3.DatabaseError as error:
            raise self._failed(error) from error
        if self._failing is not None:
            log.warning("%s: can be used again", self._path)
            self._failing = None
        return result

    def _opened(self) -> Database:
        if self._closed:
            raise RuntimeError(f"the outbox {self._path} is closed: it was used after its with block")
        if self._db is None:
            db = open_file(self._path)
            try:
                _transact(db, self._begin, durable=False)
            except BaseException:
                db.close()
                raise
            self._db, self._ours = db, True
            self._lay_out_journal()
        return self._db

    def _lay_out_journal(self) -> None:
        """Where there is room; without it all works the same, and writes more until the journal has grown."""
        try:
            if free_bytes_of(self._path.parent) >= self._keep_free_bytes + self._ballast.missing_bytes + JOURNAL_BYTES:
                lay_out_journal(self._path)
        except (OSError, TryAgainError) as error:
            log.warning("%s: its journal cannot be laid out (%s)", self._path, error)

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _repair(self, error: sqlite3.DatabaseError) -> None:
        """Do what lets a second attempt succeed; raises ``error`` when nothing can be done."""
        if is_damage(error):
            self._close()
            if not self._sound():
                self._set_aside(error)
        elif not (self._out_of_room(error) and self._ballast.drop()):
            raise error
        else:
            log.warning("%s: the disk is full; the ballast file is removed so that delivery can continue", self._path)

    def _sound(self) -> bool:
        """Look again, thoroughly: what was read wrong once may have been the memory, not the file."""
        try:
            open_file(self._path, thorough=True).close()
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                return False
            raise
        return True

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        if not self._ours:
            raise ConfigError(
                f"{self._path} is not an outbox and no outbox was here before ({error}); "
                "point outbox.path at a file of its own"
            ) from error
        aside = set_aside(self._path)
        self._damaged = (
            f"the outbox {self._path} was damaged ({error}) and renamed to {aside.name}: letters in it that were not "
            f"delivered stay there (spanhawk outbox recover {aside} --out {aside}.db takes out what can be read); new "
            f"ones go to a new file"
        )
        log.error("%s", self._damaged)

    def _out_of_room(self, error: sqlite3.DatabaseError) -> bool:
        return "is full" in str(error) or free_bytes_of(self._path.parent) < _NOTHING_LEFT_BYTES

    def _restore_ballast(self) -> None:
        """At most every ten seconds: asking the file system for each letter would slow them all."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._ballast_tried_ns < _BALLAST_PAUSE_NS:
            return
        self._ballast_tried_ns = now_ns
        if self._ballast.missing_bytes and self._ballast.restore(self._keep_free_bytes):
            log.warning("%s: the disk has room again; the ballast file is restored", self._path)

    def _failed(self, error: sqlite3.DatabaseError) -> TryAgainError:
        """The sentence for what SQLite said, logged the first time. A mistake of ours is passed through."""
        if isinstance(error, (sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.DataError)):
            raise error
        advice = next((advice for word, advice in _ADVICE.items() if word in str(error)), "dmesg may say more")
        sentence = f"the outbox {self._path} cannot be used now ({error}): {advice}; what it holds is kept"
        if self._failing is None:
            log.warning("%s", sentence)
        self._failing = sentence
        return TryAgainError(sentence)


def _transact(db: Database, work: Callable[[Database], T], *, durable: bool) -> T:
    # NORMAL cannot damage a write-ahead database; a power cut may undo its last commits, never a FULL one before.
    db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    db.execute("BEGIN IMMEDIATE")
    try:
        result = work(db)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return result


def _make_folder(folder: Path) -> None:
    try:
        make_folder(folder)
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot create this folder for the outbox ({error.strerror}); create it and give it to the "
            "user spanhawk runs as, or point outbox.path elsewhere"
        ) from error
