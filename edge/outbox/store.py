"""The outbox's file and all that can go wrong with it: locked, full, failing, damaged. Knows nothing of letters."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from edge.clock import Clock
from edge.errors import ConfigError, TryAgainError
from edge.outbox.disk import Ballast, free_bytes, make_folder, megabytes
from edge.outbox.lock import Lock
from edge.outbox.schema import is_damage, open_file, set_aside

log = logging.getLogger(__name__)

T = TypeVar("T")

_BALLAST_PAUSE_NS = 10_000_000_000
# Less than this left counts as full, also where SQLite calls it an I/O error (its shared memory could not grow).
_NOTHING_LEFT_BYTES = 128 << 10

_ADVICE = {
    "is full": "the disk is full: delete files or put in a larger card",
    "readonly": "the disk has become read-only, as a failing card does: replace it (dmesg says more)",
    "I/O error": "the disk does not read or write: replace the card (dmesg says more)",
    "unable to open": "the folder is gone or not writable: mount the disk again",
    "locked": "another program holds the file: close it",
}


class Store:
    """One connection, used by any thread; every write is a transaction that mends what can be mended."""

    def __init__(
        self, path: Path, ballast: Ballast, clock: Clock, on_open: Callable[[sqlite3.Connection], None]
    ) -> None:
        """Open or create ``path``; ``on_open`` runs in a transaction on each (re)opened file."""
        self.path = path
        self._ballast = ballast
        self._clock = clock
        self._on_open = on_open
        self._mutex = threading.Lock()
        self._ballast_tried_ns = clock.monotonic_ns()
        self._failing: str | None = None
        self._damaged: str | None = None
        make_folder(path.parent)
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path} is not a file; point outbox.path at a file in a folder")
        self._lock = Lock(path.with_name(f"{path.name}.lock"), path)
        try:
            self._db = self._open_mending()
        except BaseException as error:
            self._lock.release(forget=isinstance(error, ConfigError) and self._lock.is_new)
            raise
        if not self._ballast.restore():
            log.warning("%s: no room for the ballast (%s free)", path, megabytes(free_bytes(path.parent)))

    @property
    def trouble(self) -> str | None:
        """One sentence on what fails now, or was found damaged since the start; None when all is well."""
        return self._failing or self._damaged

    def write(self, work: Callable[[sqlite3.Connection], T], *, durable: bool = False) -> T:
        """Run ``work`` in one transaction; ``durable``: on the disk when this returns.

        Raises TryAgainError when the disk does not take it; then nothing of it is written.
        """
        with self._mutex:
            result = self._persist(lambda: self._transact(self._db, work, durable=durable))
            self._restore_ballast()
            return result

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` outside a transaction. Raises TryAgainError when the disk fails."""
        with self._mutex:
            return self._persist(lambda: work(self._db))

    def close(self) -> None:
        """Close the file and let another process have it."""
        with self._mutex:
            self._db.close()
            self._lock.release()

    def _persist(self, attempt: Callable[[], T]) -> T:
        """Try, mend, try once more."""
        try:
            result = self._twice(attempt)
        except sqlite3.DatabaseError as error:
            raise self._failed(error) from error
        if self._failing is not None:
            log.warning("%s: writes succeed again", self.path)
            self._failing = None
        return result

    def _twice(self, attempt: Callable[[], T]) -> T:
        try:
            return attempt()
        except sqlite3.DatabaseError as error:
            if not self._mend(error):
                raise
        return attempt()

    def _mend(self, error: sqlite3.DatabaseError) -> bool:
        """Do what lets a second attempt succeed; False when nothing can be done."""
        if is_damage(error):
            self._db.close()
            self._db = self._open_mending()
            return True
        return self._out_of_room(error) and self._drop_ballast()

    def _transact(self, db: sqlite3.Connection, work: Callable[[sqlite3.Connection], T], *, durable: bool) -> T:
        # NORMAL is safe against damage in write-ahead mode; only the last commits may be undone by a power cut.
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

    def _open_mending(self) -> sqlite3.Connection:
        """Open; on a full disk without ballast, on damage with a new file."""
        try:
            return self._open()
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                self._set_aside(error)
            elif not (self._out_of_room(error) and self._drop_ballast()):
                raise self._failed(error) from error
        try:
            return self._open()
        except sqlite3.DatabaseError as error:
            raise self._failed(error) from error

    def _open(self) -> sqlite3.Connection:
        db = open_file(self.path)
        try:
            self._transact(db, self._on_open, durable=False)
        except BaseException:
            db.close()
            raise
        return db

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        if self._lock.is_new:
            raise ConfigError(
                f"{self.path} is not an outbox and was never one here ({error}); point outbox.path at a file of its own"
            ) from error
        aside = set_aside(self.path)
        self._damaged = (
            f"the outbox {self.path} was damaged ({error}) and set aside as {aside.name}: letters in it that were "
            f"not delivered stay there (sqlite3 {aside} .recover shows them); new ones go to a new file"
        )
        log.error("%s", self._damaged)

    def _out_of_room(self, error: sqlite3.DatabaseError) -> bool:
        return "is full" in str(error) or free_bytes(self.path.parent) < _NOTHING_LEFT_BYTES

    def _drop_ballast(self) -> bool:
        dropped = self._ballast.drop()
        if dropped:
            log.warning("%s: the disk is full; the ballast is given up to go on delivering", self.path)
        return dropped

    def _restore_ballast(self) -> None:
        """At most every ten seconds, because trying costs a system call per letter otherwise."""
        now_ns = self._clock.monotonic_ns()
        if self._ballast.complete or now_ns - self._ballast_tried_ns < _BALLAST_PAUSE_NS:
            return
        self._ballast_tried_ns = now_ns
        if self._ballast.fits() and self._ballast.restore():
            log.warning("%s: the disk has room again; the ballast is back", self.path)

    def _failed(self, error: sqlite3.DatabaseError) -> TryAgainError:
        """The sentence for what SQLite said, logged the first time. A mistake of ours is passed through."""
        if isinstance(error, (sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.DataError)):
            raise error
        advice = next((advice for word, advice in _ADVICE.items() if word in str(error)), "see dmesg")
        sentence = f"the outbox {self.path} cannot be used now ({error}): {advice}; what it holds is kept"
        if self._failing is None:
            log.warning("%s", sentence)
        self._failing = sentence
        return TryAgainError(sentence)
