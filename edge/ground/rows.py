"""From rows of a store's tables to what a reader gives, and the questions that both backends ask alike.

The columns have the same names and the same order in both databases; only the marks of parameters differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from edge.ground import Box, CrackRow, DetectionRow, FlightRow, Query, RefusedRow, ReviewRow, StateRow

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

DETECTION = (
    "f.vehicle, f.flight_id, d.seq, d.id, d.kind, d.crack_id, d.seen_us, d.score, "
    "d.west, d.south, d.east, d.north, d.payload, d.row"
)
CRACK = (
    "f.vehicle, f.flight_id, d.crack_id, d.number, d.revision, d.state, d.kind, d.first_seen_us, d.seen_us, d.views, "
    "d.length_mm, d.width_mm, d.width_at_most_mm, d.best_sha256, d.west, d.south, d.east, d.north, d.payload, "
    "d.row"
)
LAST_REVISION = "NOT EXISTS (SELECT 1 FROM crack n WHERE n.crack_id = d.crack_id AND n.revision > d.revision)"
FLIGHTS = """SELECT vehicle, flight_id, received_us,
    (SELECT count(*) FROM detection d WHERE d.flight = f.number{same_day}),
    (SELECT coalesce(max(seq), 0) FROM detection d WHERE d.flight = f.number{same_day}),
    (SELECT count(DISTINCT crack_id) FROM crack c WHERE c.flight = f.number)
    FROM (SELECT * FROM flight ORDER BY received_us DESC, number DESC LIMIT ?) f
    ORDER BY received_us DESC, number DESC"""
HEADS = """SELECT (SELECT coalesce(max(row), 0) FROM detection), (SELECT coalesce(max(row), 0) FROM crack),
    (SELECT count(*) FROM coverage), (SELECT coalesce(sum(length(payload)), 0) FROM coverage),
    (SELECT coalesce(max(received_us), 0) FROM state), (SELECT coalesce(max(row), 0) FROM review)"""
STATES = """SELECT vehicle, flight_id, what, received_us, payload FROM state s
    WHERE received_us = (SELECT max(received_us) FROM state n WHERE n.vehicle = s.vehicle AND n.what = s.what)
    ORDER BY vehicle, what"""

REVIEWS = """SELECT f.vehicle, f.flight_id, r.crack_id, r.verdict, r.grade, r.remark, r.said_by, r.said_us
    FROM review r, flight f WHERE r.flight = f.number AND f.vehicle = coalesce(?, f.vehicle)
    AND f.flight_id = coalesce(?, f.flight_id) AND NOT EXISTS (SELECT 1 FROM review n WHERE n.flight = r.flight
    AND n.crack_id = r.crack_id AND n.said_us > r.said_us) ORDER BY r.said_us DESC, r.row DESC LIMIT ?"""
PUT_REVIEW = """INSERT INTO review (flight, crack_id, verdict, grade, remark, said_by, said_us)
    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (flight, crack_id, said_us) DO NOTHING"""
"""A word that was read before is known by its moment."""


def us(moment: datetime) -> int:
    """Microseconds since 1970, UTC."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def moment(since_1970_us: int) -> datetime:
    """The reverse of ``us``."""
    return EPOCH + timedelta(microseconds=since_1970_us)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a database asks differently."""

    mark: str = "?"
    """Of a parameter."""
    same_day: str = ""
    """What joins a detection to its flight beside the flight's number."""
    touches: str | None = None
    """A condition that finds by an index what touches west, south, east, north; None where there is none."""


def select(what: str, query: Query, dialect: Dialect, *, count: bool = False) -> tuple[str, list[Any]]:
    """The SELECT for ``detections`` or ``cracks``, and its parameters."""
    columns, table = (DETECTION, "detection") if what == "detections" else (CRACK, "crack")
    begins_us = "d.seen_us" if what == "detections" else "d.first_seen_us"
    wanted, values = _conditions(query, begins_us, dialect.touches)
    if what == "cracks":
        wanted.append(LAST_REVISION)
    where = " AND ".join(["d.flight = f.number" + (dialect.same_day if what == "detections" else ""), *wanted])
    # CROSS JOIN holds SQLite to this order: rows as they arrived, which needs no sorting, each with its flight.
    join = " CROSS JOIN" if query.vehicle is None and query.flight_id is None else ","
    text = f"SELECT {'count(*)' if count else columns} FROM {table} d{join} flight f WHERE {where}"
    if not count:
        text += f" ORDER BY d.row{' DESC' if query.newest_first else ''} LIMIT ? OFFSET ?"
        values += [query.limit, query.offset]
    return text.replace("?", dialect.mark), values


def _conditions(query: Query, begins_us: str, touches: str | None) -> tuple[list[str], list[Any]]:
    wanted: list[str] = []
    values: list[Any] = []
    if query.after is not None:
        wanted.append("d.row > ?")
        values.append(query.after)
    for column, value in (("f.vehicle", query.vehicle), ("f.flight_id", query.flight_id), ("d.kind", query.kind)):
        if value is not None:
            wanted.append(f"{column} = ?")
            values.append(value)
    if query.since is not None:
        wanted.append("d.seen_us >= ?")
        values.append(us(query.since))
    if query.until is not None:
        wanted.append(f"{begins_us} <= ?")
        values.append(us(query.until))
    if query.box is not None:
        west, south, east, north = query.box
        wanted += ["d.south <= ?", "d.north >= ?"]
        wanted.append("d.west <= ? AND d.east >= ?" if west <= east else "(d.west <= ? OR d.east >= ?)")
        values += [north, south, east, west]
        if touches is not None and west <= east:
            wanted.append(touches)
            values += query.box
    return wanted, values


def detection(row: Sequence[Any]) -> DetectionRow:
    """From the columns of ``DETECTION``."""
    vehicle, flight_id, seq, id, kind, crack_id, seen_us, score, *corners, payload, number = row
    return DetectionRow(
        vehicle, flight_id, seq, id, kind, crack_id, moment(seen_us), score, box(corners), bytes(payload), number
    )  # fmt: skip


def crack(row: Sequence[Any]) -> CrackRow:
    """From the columns of ``CRACK``."""
    vehicle, flight_id, crack_id, number, revision, state, kind, first_seen_us, seen_us, views, *rest = row
    length_mm, width_mm, width_at_most_mm, best_sha256, *corners, payload, place = rest
    return CrackRow(
        vehicle, flight_id, crack_id, number, revision, state, kind, moment(first_seen_us), moment(seen_us), views,
        length_mm, width_mm, width_at_most_mm, best_sha256, box(corners), bytes(payload), place,
    )  # fmt: skip


def flight(row: Sequence[Any]) -> FlightRow:
    """From the columns of ``FLIGHTS``."""
    return FlightRow(row[0], row[1], moment(row[2]), *row[3:6])


def state(row: Sequence[Any]) -> StateRow:
    """From the columns of ``STATES``."""
    return StateRow(row[0], row[1], row[2], moment(row[3]), bytes(row[4]))


def refused(row: Sequence[Any]) -> RefusedRow:
    """From topic, reason, received_us, payload."""
    return RefusedRow(row[0], row[1], moment(row[2]), bytes(row[3]))


def review(row: Sequence[Any]) -> ReviewRow:
    """From the columns of ``REVIEWS``."""
    vehicle, flight_id, crack_id, verdict, grade, remark, by, said_us = row
    return ReviewRow(vehicle, flight_id, crack_id, verdict, grade, remark, by, moment(said_us))


def of_review(row: ReviewRow, flight_number: int) -> tuple[Any, ...]:
    """The parameters of ``PUT_REVIEW``."""
    return flight_number, row.crack_id, row.verdict, row.grade, row.remark, row.by, us(row.at)


def of_detection(row: DetectionRow, flight_number: int) -> tuple[Any, ...]:
    """The values of the detection table's columns, without its row number and digest."""
    return (
        flight_number, row.seq, row.id, row.kind, row.crack_id, us(row.seen_at), row.score, *(row.box or _NOWHERE),
        row.payload,
    )  # fmt: skip


def of_crack(row: CrackRow, flight_number: int) -> tuple[Any, ...]:
    """The values of the crack table's columns, without its row number and digest."""
    return (
        flight_number, row.crack_id, row.number, row.revision, row.state, row.kind, us(row.first_seen),
        us(row.last_seen), row.views, row.length_mm, row.width_mm, row.width_at_most_mm, row.best_sha256,
        *(row.box or _NOWHERE), row.payload,
    )  # fmt: skip


_NOWHERE = (None, None, None, None)


def box(four: Sequence[float | None]) -> Box | None:
    """From four columns, or None where they are null."""
    west, south, east, north = four
    if west is None or south is None or east is None or north is None:
        return None
    return west, south, east, north
