"""A PostgreSQL server with PostGIS as the ground needs it: the tables, their making, and its refusals in sentences."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from typing import Any

import psycopg

from edge.support.errors import ConfigError, TryAgainError, UsageError

VERSION = 1
"""Kept in the table ``store``."""
_CONNECT_S = 5
_PROBES = {"tcp_keepalives_idle": 10, "tcp_keepalives_interval": 10, "tcp_keepalives_count": 3}
# All of ours lie in one schema of the database, so that they stand in nobody's way.
SCHEMA = "spanhawk"
# Held while tables and partitions are made: two collectors may begin at one moment.
MAKING = 0x53484752
# Held by who writes rows, until they are committed.
WRITING = 0x53484757

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
    """CREATE TABLE IF NOT EXISTS listener (client_id text NOT NULL, share text NOT NULL,
        PRIMARY KEY (client_id, share))""",
    "CREATE INDEX IF NOT EXISTS detection_by_row ON detection (row)",
    "CREATE INDEX IF NOT EXISTS crack_by_row ON crack (row)",
)


class Server:
    """One database by its address (libpq's URL)."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._heard = False
        self.name = _without_password(url)
        """The address as it may be shown and logged."""

    def connect(self) -> psycopg.Connection[Any]:
        """A new connection that commits each statement by itself; psycopg's errors are left as they are."""
        db = psycopg.connect(self._url, autocommit=True, connect_timeout=_CONNECT_S, application_name="spanhawk ground")
        self._heard = True
        db.execute(f"SET search_path = {SCHEMA}, public")
        # A server set up for speed must not make receipts out of what is only in its memory.
        db.execute("SET synchronous_commit = on")
        db.execute("SET client_encoding = 'UTF8'")
        # Writers wait for each other, but not for one whose machine is gone: the server ends it. Between two statements
        # it does so for idleness; in the midst of a COPY it is not idle, and only an unanswered probe tells (40 s in
        # place of Linux's two hours). Through a Unix socket, where no machine can go, probes are ignored.
        db.execute("SET lock_timeout = '30s'")
        db.execute("SET idle_in_transaction_session_timeout = '60s'")
        for name, value in _PROBES.items():
            db.execute(f"SET {name} = {value}")
        # Payloads are packed by the server; its older way takes longer than all the rest of storing them.
        db.execute(
            "SELECT set_config(name, 'lz4', false) FROM pg_settings "
            "WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)"
        )
        return db

    def prepare(self, db: psycopg.Connection[Any], *, make: bool) -> str:
        """Make the tables where there are none; returns the store's id. Raises UsageError where ``make`` forbids it."""
        with db.transaction():
            db.execute("SELECT pg_advisory_xact_lock(%s)", (MAKING,))
            if db.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.store",)).fetchone() == (None,):
                if not make:
                    raise UsageError(f"--store {self.name}: no store is there; name the one that spanhawk ground keeps")
                self._make(db)
            found = db.execute("SELECT id, version FROM store").fetchone()
            if found is not None and found[1] == VERSION:
                for statement in _LATER:
                    db.execute(statement)
        if found is None:
            raise ConfigError(f"{self.name}: the schema {SCHEMA} is no store of the ground; drop it, or name another")
        if found[1] > VERSION:
            raise ConfigError(
                f"{self.name} was written by a newer spanhawk (schema {found[1]}, this one knows {VERSION}); update "
                "spanhawk, or name another database"
            )
        return str(found[0])

    def _make(self, db: psycopg.Connection[Any]) -> None:
        try:
            db.execute("CREATE EXTENSION IF NOT EXISTS postgis")
        except psycopg.Error as error:
            raise ConfigError(
                f"{self.name} has no PostGIS ({str(error).splitlines()[0]}); install it (postgresql-15-postgis-3) and "
                "run CREATE EXTENSION postgis in that database as its administrator"
            ) from error
        db.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        for statement in _TABLES:
            db.execute(statement)
        db.execute("INSERT INTO store VALUES (%s, %s)", (secrets.token_hex(4), VERSION))

    @contextlib.contextmanager
    def sentences(self) -> Iterator[None]:
        """What psycopg raises inside becomes ConfigError, or TryAgainError where the server is only away."""
        try:
            yield
        except (psycopg.errors.InvalidAuthorizationSpecification, psycopg.errors.InvalidCatalogName) as error:
            raise ConfigError(f"{self.name} refuses: {_first_line(error)}; correct the address in --store") from error
        except psycopg.ProgrammingError as error:
            if not self._heard:  # the address itself
                raise ConfigError(f"--store: got {self.name} ({_first_line(error)})") from error
            raise
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if "password" in str(error) or "does not exist" in str(error):
                raise ConfigError(
                    f"{self.name} refuses: {_first_line(error)}; correct the address in --store, or ~/.pgpass"
                ) from error
            raise TryAgainError(
                f"the store {self.name} cannot be used now ({_first_line(error)}); until its server answers "
                "nothing is stored and nothing confirmed"
            ) from error


def _without_password(url: str) -> str:
    """The address as it may be shown and logged."""
    scheme, _, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    shown = host.partition("?")[0]
    return f"{scheme}://{user.partition(':')[0]}{at}{shown}"


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]
