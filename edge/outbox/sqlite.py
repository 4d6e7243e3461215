"""The outbox as one SQLite file: a letter that was put survives kill -9, a power cut and a full disk.

* Write-ahead log; ``put`` commits with ``synchronous=FULL``, so it is on the disk when it returns. Everything else
  commits without waiting for the disk, and "sent" and "confirmed" are only saved once a second, with the next put where
  there is one (``standing``): losing them in a power cut, or a kill, only means a repeat.
* Letters lie packed (``packing``); what is taken is what was put, byte for byte.
* One transaction per ``put``: all letters of a frame or none.
* Letters that were on their way when the last run ended are pending again at the next opening.
* Confirmed letters stay until their room is needed, then the oldest go first. Others are never deleted for room:
  ``put`` raises TryAgainError instead.
* On a full disk a ballast file is removed so that deliveries can still be written down; until it can be
  restored, new letters only take the room of confirmed ones.

Who confirms is the caller's business: with a broker's PUBACK ``done(ids)`` follows at once; with receipts from the
ground the letter stays SENT after the PUBACK, and ``done(ids)`` follows when a receipt names its id.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeVar

from edge.outbox import BothEnds, Letter, LetterState, Outbox, StoredLetter, standing
from edge.outbox.packing import pack, unpack
from edge.outbox.schema import LIVE, STATES, count, counted, listing, pragma, stored
from edge.outbox.space import Ballast, FullError, Room
from edge.outbox.store import Store
from edge.support.clock import Clock
from edge.support.complaints import Complaints
from edge.support.errors import ConfigError, TryAgainError

log = logging.getLogger(__name__)

T = TypeVar("T")

_MIB = 1 << 20
_PURGED_AT_ONCE = 256
_SHRUNK_BYTES = 256 << 10

_SAVE_NS = 1_000_000_000

_PUT = "INSERT INTO letter (seq, id, topic, packed, payload, put_ns) VALUES (?, ?, ?, ?, ?, ?)"
_PENDING = f"""SELECT seq, id, topic, packed, payload, put_ns FROM live JOIN letter USING (seq)
    WHERE live.state = {STATES.index(LetterState.PENDING)} AND seq > ? ORDER BY seq"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The ``[outbox]`` table."""

    path: Path = Path("/var/lib/spanhawk/outbox.db")
    """The file; its folder is created. Beside it stand NAME-wal, NAME-shm, NAME.lock and NAME.ballast."""
    max_bytes: int = 256 * _MIB
    """How large the file may grow, bytes; some 200,000 detections by default."""
    ballast_bytes: int = 4 * _MIB
    """Room kept free for draining a full disk, bytes; 0 keeps none."""
    min_free_bytes: int = 64 * _MIB
    """The file does not grow while less than this is free on its disk, bytes."""
    confirm: Literal["broker", "ground"] = "broker"
    """Whose word ends a letter: the broker's PUBACK, which promises little, or the receipt of a ``spanhawk ground``."""

    def __post_init__(self) -> None:
        if self.max_bytes < _MIB:
            raise ConfigError(f"max_bytes: got {self.max_bytes}, needs at least {_MIB} (1 MiB)")
        if self.ballast_bytes < 0 or self.min_free_bytes < 0:
            raise ConfigError("ballast_bytes and min_free_bytes must not be negative; 0 keeps no room free")


def open_outbox(options: Options, clock: Clock) -> Outbox:
    """Open or create the outbox.

    Raises ConfigError when the place is not writable, in use by another process, or holds something else;
    TryAgainError when the disk fails or is too full to open it. A damaged file is renamed
    (``NAME.corrupt-<n>``), reported in the log and by ``health``, and a new one is started.
    """
    return SqliteOutbox(options, clock)


class SqliteOutbox:
    """See the module; open it with ``open_outbox``."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self._clock = clock
        self._ends = BothEnds()
        self._refused: str | None = None
        self._confirmed_then = 0
        self._complaints = Complaints(log, clock)
        self._run_start = 0
        self._saved_ns = clock.monotonic_ns()
        ballast = Ballast(options.path.with_name(f"{options.path.name}.ballast"), options.ballast_bytes)
        self._room = Room(options.path.parent, options.max_bytes, options.min_free_bytes, ballast)
        self._store = Store(options.path, ballast, options.min_free_bytes, clock, self._begin)

    def put(self, letters: Sequence[Letter]) -> None:
        """Write all of ``letters`` in one transaction, durable on return; ``put_ns`` is stamped here."""
        if not letters:
            return
        try:
            self._note(lambda db: self._insert(db, letters), durable=True)
        except FullError as full:
            self._complaints.warn("full", str(full))
            self._refused = str(full)
            self._confirmed_then = self.counts()[LetterState.CONFIRMED]
            raise
        self._refused = None

    def take(self, count: int) -> list[Letter]:
        """Pending letters, at most ``count``, in the order they were put: half from each end of what waits."""
        if count <= 0:
            return []
        oldest, newest = self._ends.share(count)
        return self._note(lambda db: _take(db, oldest, newest, self._run_start))

    def done(self, ids: Sequence[str], *, handed_over: bool = False) -> int:
        """Confirm, whatever the state was: a letter released or parked in the meantime did arrive."""
        return self._note(lambda db: standing.done(db, ids, int(handed_over))) if ids else 0

    def again(self, ids: Sequence[str]) -> int:
        """Make those of ``ids`` that are kept PENDING, whatever the state was."""
        return self._note(lambda db: standing.again(db, ids), at_once=True) if ids else 0

    def park(self, id: str, reason: str) -> None:
        """Set aside with the reason; a confirmed letter stays confirmed."""
        self._note(lambda db: standing.park(db, id, reason), at_once=True)

    def release(self) -> int:
        """Make every SENT letter PENDING again."""
        return self._note(lambda db: standing.turn(db, LetterState.SENT))

    def retry(self, *, confirmed: bool = False) -> int:
        """Make every PARKED letter, and with ``confirmed`` every CONFIRMED one, PENDING again."""
        states = [LetterState.PARKED, *([LetterState.CONFIRMED] if confirmed else [])]
        return self._note(lambda db: standing.turn(db, *states), at_once=True)

    def counts(self) -> Mapping[LetterState, int]:
        """How many letters stand in each state."""
        return counted(self._store.read(lambda db: db.execute(count("live")).fetchall()))

    def list(self, limit: int) -> list[StoredLetter]:
        """The oldest ``limit`` letters in any state, in the order they were put."""
        rows = self._store.read(lambda db: db.execute(listing(LIVE), (limit,)).fetchall())
        return [stored(row, self._run_start) for row in rows]

    def purge(self, *, everything: bool = False) -> int:
        """Delete confirmed letters (or all) and give their room back to the disk; returns how many.

        In small transactions, so that it works on a full disk too.
        """
        deleted = 0
        for state in LetterState if everything else [LetterState.CONFIRMED]:
            while gone := self._note(partial(_delete, state=state), at_once=True):
                deleted += gone
        while self._store.read(_shrink):
            continue
        self._refused = None
        return deleted

    def health(self) -> str | None:
        """What is wrong with the storage (full, failing, or found damaged); None when it is well."""
        try:
            # More confirmed letters than when it was full: they can make room, and the next put may fit.
            if self._refused is not None and self.counts()[LetterState.CONFIRMED] > self._confirmed_then:
                self._refused = None
            return self._refused or self._room.disk_shortage(0) or self._store.trouble
        except TryAgainError as error:
            return str(error)

    def __enter__(self) -> SqliteOutbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(TryAgainError):  # told already, and only repeats are lost by it
            self._note(lambda db: None, at_once=True)
        self._store.close()

    def _begin(self, db: sqlite3.Connection) -> None:
        """A new run on this file: what was on its way may be lost, and older times mean nothing now."""
        standing.read(db)
        standing.turn(db, LetterState.SENT)
        self._run_start = standing.next_seq(db) - 1

    def _insert(self, db: sqlite3.Connection, letters: Sequence[Letter]) -> None:
        packed = [(letter, *pack(letter.payload)) for letter in letters]
        self._room.make(db, [len(payload) + len(letter.topic) + len(letter.id) for letter, _, payload in packed])
        now_ns, seq = self._clock.monotonic_ns(), standing.next_seq(db)
        for letter, form, payload in packed:
            if not standing.has(db, letter.id):
                db.execute(_PUT, (seq, letter.id, letter.topic, form, payload, now_ns))
                standing.add(db, seq, letter.id)
                seq += 1

    def _note(self, work: Callable[[sqlite3.Connection], T], *, at_once: bool = False, durable: bool = False) -> T:
        """Do ``work`` in a transaction that also saves where letters stand, ``at_once`` or once a second."""
        due = at_once or self._clock.monotonic_ns() - self._saved_ns >= _SAVE_NS

        def noted(db: sqlite3.Connection) -> T:
            result = work(db)
            if due:
                standing.save(db)
            return result

        result = self._store.write(noted, durable=durable)
        if due:
            self._saved_ns = self._clock.monotonic_ns()
        return result


def _take(db: sqlite3.Connection, oldest: int, newest: int, run_start: int) -> list[Letter]:
    rows = db.execute(f"{_PENDING} LIMIT ?", (0, oldest)).fetchall()
    after = rows[-1][0] if rows else 0
    rows += reversed(db.execute(f"{_PENDING} DESC LIMIT ?", (after, newest)).fetchall())
    letters = []
    for seq, id, topic, form, packed, put_ns in rows:
        try:
            payload = unpack(form, packed)
        except ValueError as error:
            log.error("letter %s is parked: %s", id, error)
            standing.park_unreadable(db, seq, str(error))
            continue
        standing.sent(db, seq)
        letters.append(Letter(id, topic, payload, put_ns if seq > run_start else None))
    return letters


def _delete(db: sqlite3.Connection, state: LetterState) -> int:
    gone = standing.oldest(db, state, _PURGED_AT_ONCE)
    if gone:
        standing.delete(db, gone)
    return len(gone)


def _shrink(db: sqlite3.Connection) -> bool:
    """Give some free pages back to the disk; returns whether there are more."""
    before, pages = pragma(db, "freelist_count"), _SHRUNK_BYTES // pragma(db, "page_size")
    db.executescript(f"PRAGMA incremental_vacuum({pages})")  # execute() would stop after the first page
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return 0 < pragma(db, "freelist_count") < before
