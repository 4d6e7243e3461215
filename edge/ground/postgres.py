"""The store in PostgreSQL with PostGIS, for a fleet: rows by COPY, partitions by the day of the flight.

A flight keeps the day on which it was first heard of, and all its detections lie in that day's partition; so their name
(flight, seq) is unique although PostgreSQL checks uniqueness within a partition only, and old days are dropped at once.
Geometry stands beside the four numbers of the box as ``geom`` (EPSG:4326) for whoever asks with PostGIS.

A connection that is lost is opened again at the next use; until then each use raises TryAgainError.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import struct
import threading
from collections.abc import Iterator, Sequence
from datetime import date
from types import TracebackType
from typing import Any

import psycopg

from edge.ground import Added, Batch, Box, CrackRow, DetectionRow
from edge.ground import rows as of
from edge.ground.content import digest
from edge.ground.reading import Reading
from edge.support.clock import Clock
from edge.support.errors import ConfigError, TryAgainError

log = logging.getLogger(__name__)

VERSION = 1
"""Kept in the table ``store``."""
MOST_REFUSED = 10_000
"""Refused messages that are kept; the oldest go first."""
_CONNECT_S = 5
# All of ours lie in one schema of the database, so that they stand in nobody's way.
_SCHEMA = "spanhawk"
# Held while tables and partitions are made: two collectors may begin at one moment.
_MAKING = 0x53484752

_PLACE = "west float8, south float8, east float8, north float8"
_TABLES = (
    "CREATE TABLE store (id text NOT NULL, version int NOT NULL)",
    """CREATE TABLE flight (number serial PRIMARY KEY, vehicle text NOT NULL, flight_id text NOT NULL,
        received_us bigint NOT NULL, day date NOT NULL, UNIQUE (vehicle, flight_id))""",
    f"""CREATE TABLE detection (row bigserial, day date NOT NULL, flight int NOT NULL, seq bigint NOT NULL,
        id text NOT NULL, kind text NOT NULL, crack_id text, seen_us bigint NOT NULL, score float8 NOT NULL, {_PLACE},
        geom geometry(Geometry, 4326), payload bytea NOT NULL, digest bytea NOT NULL, PRIMARY KEY (day, flight, seq))
        PARTITION BY RANGE (day)""",
    "CREATE INDEX detection_by_id ON detection (id)",
    "CREATE INDEX detection_by_time ON detection (seen_us)",
    "CREATE INDEX detection_by_place ON detection USING gist (geom)",
    f"""CREATE TABLE crack (row bigserial, flight int NOT NULL, crack_id text NOT NULL, number int NOT NULL,
        revision int NOT NULL, state text NOT NULL, kind text NOT NULL, first_seen_us bigint NOT NULL,
        seen_us bigint NOT NULL, views int NOT NULL, length_mm float8, width_mm float8, width_at_most_mm float8,
        best_sha256 text, {_PLACE}, geom geometry(Geometry, 4326), payload bytea NOT NULL, digest bytea NOT NULL,
        PRIMARY KEY (crack_id, revision))""",
    "CREATE INDEX crack_by_flight ON crack (flight)",
    "CREATE INDEX crack_by_place ON crack USING gist (geom)",
    """CREATE TABLE coverage (vehicle text NOT NULL, flight_id text NOT NULL, payload bytea NOT NULL,
        PRIMARY KEY (vehicle, flight_id))""",
    """CREATE TABLE state (vehicle text NOT NULL, flight_id text NOT NULL, what text NOT NULL,
        received_us bigint NOT NULL, payload bytea NOT NULL, PRIMARY KEY (vehicle, what, flight_id))""",
    """CREATE TABLE refused (row bigserial PRIMARY KEY, topic text NOT NULL, reason text NOT NULL,
        received_us bigint NOT NULL, payload bytea NOT NULL)""",
)
# Made where they are missing: a store of an earlier day has none of them.
_LATER = (
    """CREATE TABLE IF NOT EXISTS review (row bigserial PRIMARY KEY, flight int NOT NULL, crack_id text NOT NULL,
        verdict text NOT NULL, grade text, remark text, said_by text, said_us bigint NOT NULL,
        UNIQUE (flight, crack_id, said_us))""",
    "CREATE INDEX IF NOT EXISTS detection_by_row ON detection (row)",
    "CREATE INDEX IF NOT EXISTS crack_by_row ON crack (row)",
)
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
        ST_Force2D(ST_GeomFromGeoJSON(convert_from(%s, 'UTF8')::json ->> 'geometry'))) ON CONFLICT DO NOTHING"""
_PUT_COVERAGE = """INSERT INTO coverage VALUES (%s, %s, %s)
    ON CONFLICT (vehicle, flight_id) DO UPDATE SET payload = excluded.payload"""
_PUT_STATE = """INSERT INTO state VALUES (%s, %s, %s, %s, %s) ON CONFLICT (vehicle, what, flight_id)
    DO UPDATE SET received_us = excluded.received_us, payload = excluded.payload"""
_PUT_REFUSED = "INSERT INTO refused (topic, reason, received_us, payload) VALUES (%s, %s, %s, %s)"
_FORGET_REFUSED = "DELETE FROM refused WHERE row <= (SELECT max(row) FROM refused) - %s"


def open_store(url: str, clock: Clock) -> PostgresStore:
    """Connect, and make the tables where there are none.

    Raises ConfigError for an address, a password or a database that trying again does not correct, TryAgainError
    while the server is away.
    """
    return PostgresStore(url, clock)


class PostgresStore(Reading):
    """See the module; open it with ``open_store``."""

    _dialect = of.Dialect("%s", " AND d.day = f.day", "d.geom && ST_MakeEnvelope(?, ?, ?, ?, 4326)")

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = url
        self._clock = clock
        self._name = _without_password(url)
        self._lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._db: psycopg.Connection[Any] | None = None
        self._reading: psycopg.Connection[Any] | None = None
        self._flights: dict[tuple[str, str], tuple[int, date]] = {}
        self._days: set[date] = set()
        try:
            with self._lock, self._sentences():
                self._id = self._prepare(self._writer())
        except BaseException:
            self._close()
            raise

    @property
    def id(self) -> str:
        """Made once with the store."""
        return self._id

    def add(self, batch: Batch) -> Added:
        """Write all of ``batch`` in one transaction, on the disk on return."""
        with self._lock, self._sentences():
            db = self._writer()
            try:
                with db.transaction():
                    return self._add(db, batch)
            except BaseException:
                self._flights.clear()
                self._days.clear()
                raise

    def _add(self, db: psycopg.Connection[Any], batch: Batch) -> Added:
        now_us = of.us(self._clock.utc())
        self._know_flights(db, batch, now_us)
        numbered = [(*self._flights[row.vehicle, row.flight_id], row) for row in batch.detections]
        new, conflicts = self._add_detections(db, numbered)
        for crack in batch.cracks:
            flight, _ = self._flights[crack.vehicle, crack.flight_id]
            mark = digest(crack.payload)
            put = db.execute(_PUT_CRACK, (*of.of_crack(crack, flight), mark, crack.payload))
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
        if db.execute("SELECT to_regclass(%s)", (f"{_SCHEMA}.{name}",)).fetchone() == (None,):
            db.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKING,))
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
        with self._read_lock, self._sentences():
            if self._reading is None or self._reading.closed:
                self._reading = self._connect()
            return self._reading.execute(text, values or None).fetchall()

    def _writer(self) -> psycopg.Connection[Any]:
        if self._db is None or self._db.closed:
            self._db = self._connect()
        return self._db

    def _connect(self) -> psycopg.Connection[Any]:
        db = psycopg.connect(self._url, autocommit=True, connect_timeout=_CONNECT_S, application_name="spanhawk ground")
        db.execute(f"SET search_path = {_SCHEMA}, public")
        # A server set up for speed must not make receipts out of what is only in its memory.
        db.execute("SET synchronous_commit = on")
        db.execute("SET client_encoding = 'UTF8'")
        # Payloads are packed by the server; its older way takes longer than all the rest of storing them.
        db.execute(
            "SELECT set_config(name, 'lz4', false) FROM pg_settings "
            "WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)"
        )
        return db

    def _prepare(self, db: psycopg.Connection[Any]) -> str:
        """Make the tables where there are none; returns the store's id."""
        with db.transaction():
            db.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKING,))
            if db.execute("SELECT to_regclass(%s)", (f"{_SCHEMA}.store",)).fetchone() == (None,):
                self._make(db)
            found = db.execute("SELECT id, version FROM store").fetchone()
            if found is not None and found[1] == VERSION:
                for statement in _LATER:
                    db.execute(statement)
        if found is None:
            raise ConfigError(f"{self._name}: the schema {_SCHEMA} is no store of the ground; drop it, or name another")
        if found[1] > VERSION:
            raise ConfigError(
                f"{self._name} was written by a newer spanhawk (schema {found[1]}, this one knows {VERSION}); update "
                "spanhawk, or name another database"
            )
        return str(found[0])

    def _make(self, db: psycopg.Connection[Any]) -> None:
        try:
            db.execute("CREATE EXTENSION IF NOT EXISTS postgis")
        except psycopg.Error as error:
            raise ConfigError(
                f"{self._name} has no PostGIS ({str(error).splitlines()[0]}); install it (postgresql-15-postgis-3) and "
                "run CREATE EXTENSION postgis in that database as its administrator"
            ) from error
        db.execute(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}")
        for statement in _TABLES:
            db.execute(statement)
        db.execute("INSERT INTO store VALUES (%s, %s)", (secrets.token_hex(4), VERSION))

    @contextlib.contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except (psycopg.errors.InvalidAuthorizationSpecification, psycopg.errors.InvalidCatalogName) as error:
            raise ConfigError(f"{self._name} refuses: {_first_line(error)}; correct the address in --store") from error
        except psycopg.ProgrammingError as error:
            if self._db is None:  # the address itself
                raise ConfigError(f"--store: got {self._name} ({_first_line(error)})") from error
            raise
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if "password" in str(error) or "does not exist" in str(error):
                raise ConfigError(
                    f"{self._name} refuses: {_first_line(error)}; correct the address in --store, or ~/.pgpass"
                ) from error
            raise TryAgainError(
                f"the store {self._name} cannot be used now ({_first_line(error)}); what arrives is not confirmed "
                "until it can be written down"
            ) from error


def _ewkb(box: Box | None) -> bytes | None:
    """A box as PostGIS reads geometry (EWKB, little endian, EPSG:4326): a point where it has no size."""
    if box is None:
        return None
    west, south, east, north = box
    if west == east and south == north:
        return struct.pack("<BIIdd", 1, 0x20000001, 4326, west, south)
    ring = (west, south, east, south, east, north, west, north, west, south)
    return struct.pack("<BIIII10d", 1, 0x20000003, 4326, 1, 5, *ring)


def _without_password(url: str) -> str:
    """The address as it may be shown and logged."""
    scheme, _, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    shown = host.partition("?")[0]
    return f"{scheme}://{user.partition(':')[0]}{at}{shown}"


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]
