"""A store by its URL: a file's path is SQLite, ``postgresql://…`` is PostgreSQL with PostGIS."""

from __future__ import annotations

import importlib
from pathlib import Path

from edge.ground import Reader, Store, sqlite
from edge.ground.sqlite_reading import SqliteReader
from edge.support.clock import Clock
from edge.support.errors import ConfigError, UsageError

_POSTGRES = ("postgresql://", "postgres://")


def in_a_file(url: str) -> Path | None:
    """The file of a store that is one; None for a database server's."""
    return None if url.startswith(_POSTGRES) else Path(url)


def open_store(url: str, clock: Clock) -> Store:
    """Open or create the store at ``url``.

    Raises ConfigError when it belongs to another program or a newer spanhawk or cannot be there at all, TryAgainError
    when it cannot be reached now.
    """
    if url.startswith(_POSTGRES):
        _look_for_psycopg()
        from edge.ground import postgres

        return postgres.open_store(url, clock)
    return sqlite.open_store(Path(url), clock)


def open_reader(url: str, clock: Clock) -> Reader:
    """Open the store at ``url``, which must be there, for looking: nothing is made, and a file is left as it is.

    Raises UsageError where there is none, else as ``open_store``.
    """
    path = in_a_file(url)
    if path is None:
        _look_for_psycopg()
        from edge.ground import postgres

        return postgres.open_store(url, clock, make=False)
    if not path.is_file() or not path.stat().st_size:
        what = "it is empty" if path.is_file() else "there is no such file"
        raise UsageError(f"--store {url}: {what}; name the one that spanhawk ground keeps")
    return SqliteReader(path)


def _look_for_psycopg() -> None:
    try:
        importlib.import_module("edge.ground.postgres")
    except ImportError as error:  # also where psycopg finds no libpq
        raise ConfigError(
            f"a store in PostgreSQL needs psycopg ({error}); install it: pip install 'spanhawk[ground]'"
        ) from error


def shown(url: str) -> str:
    """The store's address as it may be shown and logged: without a password."""
    scheme, mark, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    return f"{scheme}{mark}{user.partition(':')[0]}{at}{host.partition('?')[0]}" if mark else url
