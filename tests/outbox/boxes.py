"""Outboxes, letters and questions to a database that tests share."""

import contextlib
import sqlite3
from datetime import datetime
from pathlib import Path

from edge.outbox import Letter
from edge.outbox.sqlite import Options, open_outbox
from edge.support.clock import UTC, ManualClock

ROOT = Path(__file__).parents[2]


def clock_at(seconds):
    return ManualClock(datetime(2026, 5, 1, tzinfo=UTC), seconds * 10**9)


def open_at(path, seconds=1, **given):
    return open_outbox(Options(path=path, **({"ballast_bytes": 0, "min_free_bytes": 0} | given)), clock_at(seconds))


def letters(*ids):
    return [Letter(id, "t", id.encode() * 100, None) for id in ids]


def ask(path, *commands):
    """What the last of some SQL commands answers, from a connection of its own."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        return [db.execute(command).fetchall() for command in commands][-1]


def ids(taken):
    return [one.id for one in taken]
