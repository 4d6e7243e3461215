"""A store by its URL: a file's path is SQLite, ``postgresql://…`` is PostgreSQL with PostGIS."""

from __future__ import annotations

from pathlib import Path

from edge.ground import Store, sqlite
from edge.support.clock import Clock

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
        from edge.ground import postgres

        return postgres.open_store(url, clock)
    return sqlite.open_store(Path(url), clock)


def shown(url: str) -> str:
    """The store's address as it may be shown and logged: without a password."""
    scheme, mark, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    return f"{scheme}{mark}{user.partition(':')[0]}{at}{host.partition('?')[0]}" if mark else url
