"""Reads a flight track from CSV: one row per moment, empty where unknown.

Columns, found by the header and in any order: ``t_s`` seconds from the first frame, rising; ``lat_deg``,
``lon_deg`` WGS 84; ``alt_amsl_m``; ``roll_deg``, ``pitch_deg``, ``yaw_deg`` of the *camera*, all three or
unknown; ``range_m``; ``h_accuracy_m`` 1-sigma. The first three must be there; a missing column is unknown,
another column is ignored with a warning. A row without a position (or at 0,0) says that there was no fix.
Lines are counted as a spreadsheet does: the header is row 1.
"""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edge.navigation import Attitude, Fix, FixKind
from edge.navigation.history import History
from edge.support.errors import NavFileError

log = logging.getLogger(__name__)

REQUIRED = ("t_s", "lat_deg", "lon_deg")
COLUMNS = (*REQUIRED, "alt_amsl_m", "roll_deg", "pitch_deg", "yaw_deg", "range_m", "h_accuracy_m")
HEADER = ",".join(COLUMNS)

_BOUNDS = {
    "t_s": (-1e7, 1e7),
    "lat_deg": (-90.0, 90.0),
    "lon_deg": (-180.0, 180.0),
    "alt_amsl_m": (-1000.0, 20000.0),
    "roll_deg": (-180.0, 180.0),
    "pitch_deg": (-180.0, 180.0),
    "yaw_deg": (-360.0, 360.0),
    "range_m": (0.0, 10000.0),
    "h_accuracy_m": (0.0, 1e6),
}

Row = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Span:
    """First and last moment of a log, seconds on its own time axis."""

    first_s: float
    last_s: float


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a log turned out to be, beside what its reader fed to the history."""

    span: Span
    warnings: tuple[str, ...] = ()
    """What had to be guessed or left out, one sentence each, without the file's name."""
    logged_at: datetime | None = None
    """UTC of its first moment by the clock of the computer that wrote it, which is not verified; None: unknown."""


def load(text: str, path: Path, history: History, at_ns: Callable[[float], int]) -> Span:
    """Feed ``history`` with every row of ``text``; ``at_ns`` maps seconds to monotonic time.

    Raises NavFileError naming ``path``, the row and the column of the first thing that is wrong.
    """
    first: float | None = None
    last: float | None = None
    radians: bool | None = None  # whether all positions could be
    for number, row in _rows(text, path):
        t_s = row["t_s"]
        if t_s is None:
            raise NavFileError(f"{path}, row {number}: t_s is empty; every row needs its seconds from the first frame")
        if last is not None and t_s <= last:
            raise NavFileError(f"{path}, row {number}: t_s is {t_s:g} after {last:g}; it must rise from row to row")
        first, last = t_s if first is None else first, t_s
        lat_deg, lon_deg = row["lat_deg"], row["lon_deg"]
        if lat_deg is not None and lon_deg is not None:
            radians = radians is not False and abs(lat_deg) <= math.pi / 2 and abs(lon_deg) <= math.pi
        _feed(history, at_ns(t_s), row, f"{path}, row {number}")
    if radians:
        log.warning(
            "%s: every position lies in the sea off Africa, within 1.6 degrees of latitude 0 and 3.2 of longitude 0: "
            "are they in radians? lat_deg and lon_deg are degrees",
            path,
        )
    if first is None or last is None:
        raise NavFileError(f"{path}: has a header but no rows; nothing is known of any frame, so leave out --nav")
    return Span(first, last)


def _feed(history: History, at_ns: int, row: Row, where: str) -> None:
    history.hear_fix(at_ns, _fix(row, where))
    history.hear_attitude(at_ns, _attitude(row))
    history.hear_range(at_ns, row.get("range_m"))


def _fix(row: Row, where: str) -> Fix | None:
    lat_deg, lon_deg, alt_m = row["lat_deg"], row["lon_deg"], row.get("alt_amsl_m")
    if lat_deg is None and lon_deg is None:
        return None
    if lat_deg is None or lon_deg is None:
        empty = "lat_deg" if lat_deg is None else "lon_deg"
        raise NavFileError(f"{where}: {empty} is empty but its partner is not; give both, or neither for no fix")
    kind = FixKind.FIX_2D if alt_m is None else FixKind.FIX_3D  # a table does not say more than it measured
    return Fix(kind, lat_deg, lon_deg, alt_m, row.get("h_accuracy_m"), None, 0)


def _attitude(row: Row) -> Attitude | None:
    roll_deg, pitch_deg, yaw_deg = row.get("roll_deg"), row.get("pitch_deg"), row.get("yaw_deg")
    if roll_deg is None or pitch_deg is None or yaw_deg is None:
        return None
    return Attitude(roll_deg, pitch_deg, yaw_deg)


def _rows(text: str, path: Path) -> Iterator[tuple[int, Row]]:
    """(row number, values of the known columns) of every row that is not blank."""
    reader = csv.reader(text.splitlines(), strict=True)
    places: dict[str, int] | None = None
    width = 0
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if places is None:
                places, width = _header(cells, path), len(cells)
                continue
            yield reader.line_num, _values(cells, places, width, f"{path}, row {reader.line_num}")
    except csv.Error as error:
        raise NavFileError(f"{path}, row {reader.line_num}: not CSV ({error}); check its quotes") from error
    if places is None:
        raise NavFileError(f"{path}: is empty; a CSV track begins with the header {HEADER}")


def _header(cells: list[str], path: Path) -> dict[str, int]:
    names = [cell.strip().lower() for cell in cells]
    if len(names) == 1:
        for mark, word in ((";", "semicolons"), ("\t", "tabs")):
            if mark in names[0]:
                raise NavFileError(f"{path}: its columns are separated by {word}; export it with commas")
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise NavFileError(
            f"{path}: its first row has no column {' or '.join(missing)} (found {', '.join(names)[:120]!r}); "
            f"it is neither a tlog nor NMEA, so it must be CSV with the header {HEADER}"
        )
    twice = sorted({name for name in names if name in COLUMNS and names.count(name) > 1})
    if twice:
        raise NavFileError(f"{path}: the column {twice[0]} is there twice; remove one")
    other = [name for name in names if name not in COLUMNS]
    if other:
        log.warning("%s: ignores the columns %s; known ones are %s", path, ", ".join(other), HEADER)
    return {name: place for place, name in enumerate(names) if name in COLUMNS}


def _values(cells: list[str], places: Mapping[str, int], width: int, where: str) -> Row:
    if len(cells) != width:
        hint = (
            "; decimal commas? numbers are written with a point" if len(cells) > width else "; cut off while writing?"
        )
        raise NavFileError(f"{where}: has {len(cells)} cells where the header has {width}{hint}")
    return {name: _number(cells[place], name, where) for name, place in places.items()}


def _number(cell: str, name: str, where: str) -> float | None:
    text = cell.strip()
    if not text:
        return None
    low, high = _BOUNDS[name]
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        hint = "; write the decimal point as a point" if "," in text else ""
        raise NavFileError(
            f"{where}: {name} is {text[:40]!r}; expected a number from {low:g} to {high:g}, "
            f"or nothing where it is unknown{hint}"
        )
    return value
