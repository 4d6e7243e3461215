"""What a database does not take although ``incoming`` did: found by halving, and kept among the refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from typing import Any

from edge.ground import Added, Batch, RefusedRow, Unfit
from edge.ground.incoming import KEPT_OF_REFUSED_BYTES


def add_what_fits(batch: Batch, add: Callable[[Batch], Added], now: datetime) -> Added:
    """Write the rows of a ``batch`` that the database refused as a whole; one that it refuses alone becomes refused.

    ``add`` writes one batch in one transaction, and raises ValueError where the database refuses its values.
    """
    rows = [(one.name, row) for one in fields(batch) for row in getattr(batch, one.name)]
    if len(rows) > 1:
        half = len(rows) // 2
        first, second = (_tried(_batch(part), add, now) for part in (rows[:half], rows[half:]))
        conflicts, unfit = first.conflicts + second.conflicts, first.unfit + second.unfit
        return Added(first.new + second.new, first.repeats + second.repeats, conflicts, unfit)
    ((what, row),) = rows
    try:
        return add(batch)
    except ValueError as error:
        if isinstance(row, RefusedRow):  # not even that: its words are left out
            add(Batch(refused=[RefusedRow("", "it cannot be stored", now, row.payload)]))
            return Added(0, 0, ())
        reason = f"the database does not take it: {str(error).splitlines()[0][:200]}".replace("\0", "\ufffd")
        payload = getattr(row, "payload", b"")[:KEPT_OF_REFUSED_BYTES]
        add(Batch(refused=[RefusedRow(f"spanhawk/{row.vehicle}/{what}", reason, now, payload)]))
        return Added(0, 0, (), (Unfit(row, what, reason),))


def _tried(batch: Batch, add: Callable[[Batch], Added], now: datetime) -> Added:
    try:
        return add(batch)
    except ValueError:
        return add_what_fits(batch, add, now)


def _batch(rows: list[tuple[str, Any]]) -> Batch:
    batch = Batch()
    for what, row in rows:
        getattr(batch, what).append(row)
    return batch
