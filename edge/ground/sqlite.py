"""The store as one SQLite file: write-ahead log, ``synchronous=FULL``, one transaction a batch.

Several processes may use one file: writers wait for each other (BEGIN IMMEDIATE), readers wait for nobody.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from edge.ground import Added, Batch, CrackRow, DetectionRow
from edge.ground import rows as of
from edge.ground.content import digest
from edge.ground.sqlite_reading import APPLICATION_ID, BUSY_S, REVIEWS, VERSION, SqliteFile
from edge.support.clock import Clock
from edge.support.disk import make_folder
from edge.support.errors import ConfigError

MOST_REFUSED = 10_000
"""Refused messages that are kept; the oldest go first."""

# Two parameters each, of the 999 that every build of SQLite takes; one sentence of a length for nearly all of them.
_ASKED_AT_ONCE = 400

_PLACE = "west REAL, south REAL, east REAL, north REAL"
_TABLES = (
    "CREATE TABLE store (id TEXT NOT NULL)",
    """CREATE TABLE flight (number INTEGER PRIMARY KEY, vehicle TEXT NOT NULL, flight_id TEXT NOT NULL,
        received_us INTEGER NOT NULL, UNIQUE (vehicle, flight_id))""",
    f"""CREATE TABLE detection (row INTEGER PRIMARY KEY, flight INTEGER NOT NULL, seq INTEGER NOT NULL,
        id TEXT NOT NULL, kind TEXT NOT NULL, crack_id TEXT, seen_us INTEGER NOT NULL, score REAL NOT NULL, {_PLACE},
        payload BLOB NOT NULL, digest BLOB NOT NULL, UNIQUE (flight, seq))""",
    "CREATE INDEX detection_by_id ON detection (id)",
    "CREATE INDEX detection_by_time ON detection (seen_us)",
    f"""CREATE TABLE crack (row INTEGER PRIMARY KEY, flight INTEGER NOT NULL, crack_id TEXT NOT NULL,
        number INTEGER NOT NULL, revision INTEGER NOT NULL, state TEXT NOT NULL, kind TEXT NOT NULL,
        first_seen_us INTEGER NOT NULL, seen_us INTEGER NOT NULL, views INTEGER NOT NULL, length_mm REAL,
        width_mm REAL, width_at_most_mm REAL, best_sha256 TEXT, {_PLACE}, payload BLOB NOT NULL, digest BLOB NOT NULL,
        UNIQUE (crack_id, revision))""",
    "CREATE INDEX crack_by_flight ON crack (flight)",
    """CREATE TABLE coverage (vehicle TEXT NOT NULL, flight_id TEXT NOT NULL, payload BLOB NOT NULL,
        PRIMARY KEY (vehicle, flight_id))""",
    """CREATE TABLE state (vehicle TEXT NOT NULL, flight_id TEXT NOT NULL, what TEXT NOT NULL,
        received_us INTEGER NOT NULL, payload BLOB NOT NULL, PRIMARY KEY (vehicle, what, flight_id))""",
    """CREATE TABLE refused (row INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, reason TEXT NOT NULL,
        received_us INTEGER NOT NULL, payload BLOB NOT NULL)""",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)
# Made where they are missing: a store of an earlier day has none of them.
_LATER_TABLES = (
    f"CREATE TABLE IF NOT EXISTS {REVIEWS}",
    """CREATE TABLE IF NOT EXISTS listener (client_id TEXT NOT NULL, share TEXT NOT NULL,
        PRIMARY KEY (client_id, share))""",
)
_PUT_DETECTION = """INSERT INTO detection (flight, seq, id, kind, crack_id, seen_us, score, west, south, east, north,
    payload, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_PUT_CRACK = """INSERT INTO crack (flight, crack_id, number, revision, state, kind, first_seen_us, seen_us, views,
    length_mm, width_mm, width_at_most_mm, best_sha256, west, south, east, north, payload, digest)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_PUT_COVERAGE = "INSERT OR REPLACE INTO coverage VALUES (?, ?, ?)"
_PUT_STATE = "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?)"
_PUT_REFUSED = "INSERT INTO refused (topic, reason, received_us, payload) VALUES (?, ?, ?, ?)"
_FORGET_REFUSED = "DELETE FROM refused WHERE row <= (SELECT max(row) FROM refused) - ?"


def open_store(path: Path, clock: Clock) -> SqliteStore:
    """Open or create the file at ``path``.

    Raises ConfigError when it is another program's, a newer spanhawk's, or cannot be written there; TryAgainError
    when the disk is full or fails.
    """
    return SqliteStore(path, clock)


class SqliteStore(SqliteFile):
    """See the module; open it with ``open_store``."""

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(path)
        self._clock = clock
        self._lock = threading.Lock()
        self._flights: dict[tuple[str, str], int] = {}
        if path.is_dir():
            raise ConfigError(f"{path} is a folder; name a file for the store with --store, as {path / 'ground.db'}")
        try:
            make_folder(path.parent)
        except OSError as error:
            raise ConfigError(
                f"{path.parent}: cannot create this folder for the store ({error.strerror}); name another with --store"
            ) from error
        with self._sentences():
            self._db = self._open()
            self._reading = self._connect()
            self._id: str = self._db.execute("SELECT id FROM store").fetchone()[0]

    @property
    def id(self) -> str:
        """Made once with the store."""
        return self._id

    def add(self, batch: Batch) -> Added:
        """Write all of ``batch`` in one transaction, on the disk on return."""
        with self._lock, self._sentences():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                added = self._add(batch)
                self._db.execute("COMMIT")
            except BaseException:
                self._flights.clear()
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        return added

    def listens(self, client_id: str, share: str) -> list[str]:
        """Note the group ``share`` of ``client_id``; the others that it has listened in before."""
        with self._lock, self._sentences():
            found = self._db.execute("SELECT share FROM listener WHERE client_id = ?", (client_id,)).fetchall()
            if (share,) not in found:
                self._db.execute("INSERT OR IGNORE INTO listener VALUES (?, ?)", (client_id, share))
        return sorted(name for (name,) in found if name != share)

    def _add(self, batch: Batch) -> Added:
        db, now_us = self._db, of.us(self._clock.utc())
        known: dict[Any, bytes] = {}
        conflicts: list[DetectionRow | CrackRow] = []
        new_detections, new_cracks = [], []
        numbered = [(self._flight(row.vehicle, row.flight_id, now_us), row) for row in batch.detections]
        wanted = [(flight, row.seq) for flight, row in numbered]
        for begin in range(0, len(wanted), _ASKED_AT_ONCE):
            known |= self._known_seqs(wanted[begin : begin + _ASKED_AT_ONCE])
        for flight, row in numbered:
            mark = digest(row.payload)
            before = known.setdefault((flight, row.seq), mark)
            if before is mark:
                new_detections.append((*of.of_detection(row, flight), mark))
            elif before != mark:
                conflicts.append(row)
        for crack in batch.cracks:
            flight, mark = self._flight(crack.vehicle, crack.flight_id, now_us), digest(crack.payload)
            before = known.setdefault((crack.crack_id, crack.revision), self._known_revision(crack) or mark)
            if before is mark:
                new_cracks.append((*of.of_crack(crack, flight), mark))
            elif before != mark:
                conflicts.append(crack)
        db.executemany(_PUT_DETECTION, new_detections)
        db.executemany(_PUT_CRACK, new_cracks)
        db.executemany(_PUT_COVERAGE, [(row.vehicle, row.flight_id, row.payload) for row in batch.coverage])
        db.executemany(
            _PUT_STATE,
            [(row.vehicle, row.flight_id, row.what, of.us(row.received_at), row.payload) for row in batch.states],
        )
        said = [of.of_review(row, self._flight(row.vehicle, row.flight_id, now_us)) for row in batch.reviews]
        db.executemany(of.PUT_REVIEW, said)
        if batch.refused:
            told = [(row.topic, row.reason, of.us(row.received_at), row.payload) for row in batch.refused]
            db.executemany(_PUT_REFUSED, told)
            db.execute(_FORGET_REFUSED, (MOST_REFUSED,))
        new = len(new_detections) + len(new_cracks)
        return Added(new, len(batch.detections) + len(batch.cracks) - new - len(conflicts), tuple(conflicts))

    def _flight(self, vehicle: str, flight_id: str, now_us: int) -> int:
        number = self._flights.get((vehicle, flight_id))
        if number is None:
            self._db.execute(
                "INSERT OR IGNORE INTO flight (vehicle, flight_id, received_us) VALUES (?, ?, ?)",
                (vehicle, flight_id, now_us),
            )
            number = self._db.execute(
                "SELECT number FROM flight WHERE vehicle = ? AND flight_id = ?", (vehicle, flight_id)
            ).fetchone()[0]
            self._flights[vehicle, flight_id] = number
        return int(number)

    def _known_seqs(self, wanted: Sequence[tuple[int, int]]) -> dict[Any, bytes]:
        """Digests of those that are stored, by flight and seq; at most _ASKED_AT_ONCE."""
        # CROSS JOIN holds SQLite to looking each of them up; a thousand drones make a thousand flights in a batch.
        text = f"""WITH w (flight, seq) AS (VALUES {",".join(["(?, ?)"] * len(wanted))})
            SELECT d.flight, d.seq, d.digest FROM w CROSS JOIN detection d
            WHERE d.flight = w.flight AND d.seq = w.seq"""
        found = self._db.execute(text, [value for pair in wanted for value in pair])
        return {(flight, seq): mark for flight, seq, mark in found}

    def _known_revision(self, row: CrackRow) -> bytes | None:
        found = self._db.execute(
            "SELECT digest FROM crack WHERE crack_id = ? AND revision = ?", (row.crack_id, row.revision)
        ).fetchone()
        return None if found is None else bytes(found[0])

    def __enter__(self) -> SqliteStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        self._reading.close()

    def _open(self) -> sqlite3.Connection:
        db = self._connect()
        try:
            db.execute("BEGIN IMMEDIATE")
            tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            db.execute("ROLLBACK")
            self._check_owner(db, empty=not tables)
            if not tables:
                db.execute("PRAGMA page_size = 16384")  # a detection of 4.7 kB fits a page; must come first
            if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
                raise ConfigError(
                    f"{self._path}: this file system cannot hold the store; name a local disk with --store"
                )
            self._create(db)
        except BaseException:
            db.close()
            raise
        return db

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA synchronous = FULL")
        return db

    def _create(self, db: sqlite3.Connection) -> None:
        """The tables, unless another process has made them in the meantime."""
        db.execute("BEGIN IMMEDIATE")
        if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for statement in _TABLES:
                db.execute(statement)
            db.execute("INSERT INTO store VALUES (?)", (secrets.token_hex(4),))
        for statement in _LATER_TABLES:
            db.execute(statement)
        db.execute("COMMIT")
