"""The store in PostgreSQL with PostGIS, for a fleet: rows by COPY, partitions by the day of the flight.

A flight keeps the day on which it was first heard of, and all its detections lie in that day's partition; so their name
(flight, seq) is unique although PostgreSQL checks uniqueness within a partition only, and old days are dropped at once.
Geometry stands beside the four numbers of the box as ``geom`` (EPSG:4326) for whoever asks with PostGIS.

A connection that is lost is opened again at the next use; until then each use raises TryAgainError.
"""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Sequence
from datetime import date
from types import TracebackType
from typing import Any

import psycopg

from edge.ground import Added, Batch, Box, CrackRow, DetectionRow
from edge.ground import rows as of
from edge.ground.content import digest
from edge.ground.postgres_server import MAKING, SCHEMA, WRITING, Server
from edge.ground.reading import Reading
from edge.ground.unfit import add_what_fits
from edge.support.clock import Clock

MOST_REFUSED = 10_000
"""Refused messages that are kept; the oldest go first."""

_DETECTION_COLUMNS = (
    "day, flight, seq, id, kind, crack_id, seen_us, score, west, south, east, north, payload, digest, geom"
)
# One question for the whole batch: a thousand drones make a thousand flights in it.
_PUT_FLIGHTS = """INSERT INTO flight (received_us, day, vehicle, flight_id)
    SELECT %s, %s, w.* FROM unnest(%s::text[], %s::text[]) AS w ON CONFLICT DO NOTHING"""
_FIND_FLIGHTS = """SELECT vehicle, flight_id, number, day FROM flight
    JOIN unnest(%s::text[], %s::text[]) AS w (vehicle, flight_id) USING (vehicle, flight_id)"""
_KNOWN = """SELECT d.flight, d.seq, d.digest
    FROM unnest(%s::int[], %s::date[], %s::bigint[]) AS w (flight, day, seq)
    JOIN detection d ON d.day = w.day AND d.flight = w.flight AND d.seq = w.seq WHERE d.day = ANY (%s)"""
_COPY = f"COPY detection ({_DETECTION_COLUMNS}) FROM STDIN (FORMAT BINARY)"
_COPY_TYPES = (
    "date", "int4", "int8", "text", "text", "text", "int8", "float8", "float8", "float8", "float8", "float8", "bytea",
    "bytea", "bytea",
)  # fmt: skip
_PUT_CRACK = """INSERT INTO crack (flight, crack_id, number, revision, state, kind, first_seen_us, seen_us, views,
    length_mm, width_mm, width_at_most_mm, best_sha256, west, south, east, north, payload, digest, geom)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
        %s) ON CONFLICT DO NOTHING"""
_PUT_COVERAGE = """INSERT INTO coverage VALUES (%s, %s, %s)
    ON CONFLICT (vehicle, flight_id) DO UPDATE SET payload = excluded.payload"""
_PUT_STATE = """INSERT INTO state VALUES (%s, %s, %s, %s, %s) ON CONFLICT (vehicle, what, flight_id)
    DO UPDATE SET received_us = excluded.received_us, payload = excluded.payload"""
_PUT_REFUSED = "INSERT INTO refused (topic, reason, received_us, payload) VALUES (%s, %s, %s, %s)"
_FORGET_REFUSED = "DELETE FROM refused WHERE row <= (SELECT max(row) FROM refused) - %s"


def open_store(url: str, clock: Clock, *, make: bool = True) -> PostgresStore:
    """Connect, and make the tables where there are none; without ``make`` that is a UsageError.

    Raises ConfigError for an address, a password or a database that trying again does not correct, TryAgainError
    while the server is away.
    """
    return PostgresStore(url, clock, make=make)


class PostgresStore(Reading):
    """See the module; open it with ``open_store``."""

    _dialect = of.Dialect("%s", " AND d.day = f.day", "d.geom && ST_MakeEnvelope(?, ?, ?, ?, 4326)")

    def __init__(self, url: str, clock: Clock, *, make: bool = True) -> None:
        self._server = Server(url)
        self._clock = clock
        self._lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._db: psycopg.Connection[Any] | None = None
        self._reading: psycopg.Connection[Any] | None = None
        self._flights: dict[tuple[str, str], tuple[int, date]] = {}
        self._days: set[date] = set()
        try:
            with self._lock, self._server.sentences():
                self._id = self._server.prepare(self._writer(), make=make)
        except BaseException:
            self._close()
            raise

    @property
    def id(self) -> str:
        """Made once with the store."""
        return self._id

    def add(self, batch: Batch) -> Added:
        """Write all of ``batch`` in one transaction, or what the server takes of it; on the disk on return."""
        with self._lock, self._server.sentences():
            try:
                return self._added(batch)
            except ValueError:
                return add_what_fits(batch, self._added, self._clock.utc())

    def listens(self, client_id: str, share: str) -> list[str]:
        """Note the group ``share`` of ``client_id``; the others that it has listened in before."""
        with self._lock, self._server.sentences():
            db = self._writer()
            found = db.execute("SELECT share FROM listener WHERE client_id = %s", (client_id,)).fetchall()
            if (share,) not in found:
                db.execute("INSERT INTO listener VALUES (%s, %s) ON CONFLICT DO NOTHING", (client_id, share))
        return sorted(name for (name,) in found if name != share)

    def _added(self, batch: Batch) -> Added:
        db = self._writer()
        try:
            with db.transaction():
                return self._add(db, batch)
        except BaseException as error:
            self._flights.clear()
            self._days.clear()
            if isinstance(error, psycopg.DataError):
                raise ValueError(str(error)) from error
            raise

    def _add(self, db: psycopg.Connection[Any], batch: Batch) -> Added:
        # Rows are numbered when they are written and seen when they are committed. One writer at a time: a reader that
        # goes by the last row it saw would miss for good what was numbered earlier and committed later.
        db.execute("SELECT pg_advisory_xact_lock(%s)", (WRITING,))
        now_us = of.us(self._clock.utc())
        self._know_flights(db, batch, now_us)
        numbered = [(*self._flights[row.vehicle, row.flight_id], row) for row in batch.detections]
        new, conflicts = self._add_detections(db, numbered)
        for crack in batch.cracks:
            flight, _ = self._flights[crack.vehicle, crack.flight_id]
            mark = digest(crack.payload)
            put = db.execute(_PUT_CRACK, (*of.of_crack(crack, flight), mark, _course_ewkb(crack)))
            new += put.rowcount
            if not put.rowcount:
                text = "SELECT digest FROM crack WHERE crack_id = %s AND revision = %s"
                before = db.execute(text, (crack.crack_id, crack.revision)).fetchone()
                if before is not None and bytes(before[0]) != mark:
                    conflicts.append(crack)
        said = [of.of_review(row, self._flights[row.vehicle, row.flight_id][0]) for row in batch.reviews]
        with db.cursor() as cursor:
            cursor.executemany(of.PUT_REVIEW.replace("?", "%s"), said)
            cursor.executemany(_PUT_COVERAGE, [(row.vehicle, row.flight_id, row.payload) for row in batch.coverage])
            cursor.executemany(
                _PUT_STATE,
                [(row.vehicle, row.flight_id, row.what, of.us(row.received_at), row.payload) for row in batch.states],
            )
            if batch.refused:
                told = [(row.topic, row.reason, of.us(row.received_at), row.payload) for row in batch.refused]
                cursor.executemany(_PUT_REFUSED, told)
                cursor.execute(_FORGET_REFUSED, (MOST_REFUSED,))
        return Added(new, len(batch.detections) + len(batch.cracks) - new - len(conflicts), tuple(conflicts))

    def _add_detections(
        self, db: psycopg.Connection[Any], numbered: Sequence[tuple[int, date, DetectionRow]]
    ) -> tuple[int, list[DetectionRow | CrackRow]]:
        """Returns how many were new, and those whose name another content has."""
        fresh: dict[tuple[int, int], tuple[date, DetectionRow, bytes]] = {}
        repeats: list[tuple[int, date, DetectionRow, bytes]] = []
        known = self._known(db, numbered)
        for flight, day, row in numbered:
            mark = digest(row.payload)
            if (flight, row.seq) in known or (flight, row.seq) in fresh:
                repeats.append((flight, day, row, mark))
            else:
                fresh[flight, row.seq] = (day, row, mark)
        try:
            with db.transaction():
                self._copy(db, fresh)
        except psycopg.errors.UniqueViolation:  # another collector was quicker with some of them: look again
            return self._add_detections(db, numbered)
        known |= {key: mark for key, (_, _, mark) in fresh.items()}
        return len(fresh), [row for flight, _, row, mark in repeats if known[flight, row.seq] != mark]

    def _known(
        self, db: psycopg.Connection[Any], numbered: Sequence[tuple[int, date, DetectionRow]]
    ) -> dict[tuple[int, int], bytes]:
        """Digests of those that are stored."""
        if not numbered:
            return {}
        flights, days = [flight for flight, _, _ in numbered], [day for _, day, _ in numbered]
        found = db.execute(_KNOWN, (flights, days, [row.seq for _, _, row in numbered], sorted(set(days))))
        return {(flight, seq): bytes(mark) for flight, seq, mark in found}

    def _copy(
        self, db: psycopg.Connection[Any], fresh: dict[tuple[int, int], tuple[date, DetectionRow, bytes]]
    ) -> None:
        if not fresh:
            return
        with db.cursor() as cursor, cursor.copy(_COPY) as copy:
            copy.set_types(_COPY_TYPES)
            for (flight, _), (day, row, mark) in fresh.items():
                copy.write_row((day, *of.of_detection(row, flight), mark, _ewkb(row.box)))

    def _know_flights(self, db: psycopg.Connection[Any], batch: Batch, now_us: int) -> None:
        """Number and day of every flight in ``batch``; the new ones are entered, all with one statement."""
        named = {
            (row.vehicle, row.flight_id) for rows in (batch.detections, batch.cracks, batch.reviews) for row in rows
        }
        # In one order everywhere: two collectors that enter the same flights must not wait for each other.
        unknown = sorted(named - self._flights.keys())
        if not unknown:
            return
        vehicles, flights = [vehicle for vehicle, _ in unknown], [flight_id for _, flight_id in unknown]
        db.execute(_PUT_FLIGHTS, (now_us, of.moment(now_us).date(), vehicles, flights))
        for vehicle, flight_id, number, day in db.execute(_FIND_FLIGHTS, (vehicles, flights)).fetchall():
            self._make_partition(db, day)
            self._flights[vehicle, flight_id] = number, day

    def _make_partition(self, db: psycopg.Connection[Any], day: date) -> None:
        if day in self._days:
            return
        name = f"detection_{day:%Y%m%d}"
        if db.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.{name}",)).fetchone() == (None,):
            db.execute("SELECT pg_advisory_xact_lock(%s)", (MAKING,))
            db.execute(
                f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF detection "
                f"FOR VALUES FROM ('{day}') TO ('{date.fromordinal(day.toordinal() + 1)}')"
            )
        self._days.add(day)

    def __enter__(self) -> PostgresStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        for db in (self._db, self._reading):
            if db is not None:
                db.close()

    def _ask(self, text: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._read_lock, self._server.sentences():
            if self._reading is None or self._reading.closed:
                self._reading = self._server.connect()
            return self._reading.execute(text, values or None).fetchall()

    def _writer(self) -> psycopg.Connection[Any]:
        if self._db is None or self._db.closed:
            self._db = self._server.connect()
        return self._db


def _course_ewkb(crack: CrackRow) -> bytes | None:
    """The crack's geometry as EWKB in the plane, of what ``incoming`` has checked and no more; None: it has none."""
    geometry = None if crack.box is None else json.loads(crack.payload)["geometry"]
    if geometry is None:
        return None
    if geometry["type"] == "Point":
        return struct.pack("<BIIdd", 1, 0x20000001, 4326, *geometry["coordinates"][:2])
    flat = [float(number) for point in geometry["coordinates"] for number in point[:2]]
    return struct.pack(f"<BIII{len(flat)}d", 1, 0x20000002, 4326, len(flat) // 2, *flat)


def _ewkb(box: Box | None) -> bytes | None:
    """A box as PostGIS reads geometry (EWKB, little endian, EPSG:4326): a point where it has no size."""
    if box is None:
        return None
    west, south, east, north = box
    if west == east and south == north:
        return struct.pack("<BIIdd", 1, 0x20000001, 4326, west, south)
    ring = (west, south, east, south, east, north, west, north, west, south)
    return struct.pack("<BIIII10d", 1, 0x20000003, 4326, 1, 5, *ring)
