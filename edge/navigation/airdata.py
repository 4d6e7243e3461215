"""Reads a flight track from the CSV files that pilots of DJI drones own: AirData's, and DJI flight records as CSV.

AirData: ``time(millisecond)``, ``latitude``, ``altitude_above_sealevel(feet)``, ``gimbal_heading(degrees)`` and others.
DJI's own flight records, decrypted: ``OSD.flyTime [s]``, ``OSD.latitude``, ``OSD.altitude [ft]``, ``GIMBAL.yaw [360]``.
Units stand in the header and are heeded. Heights above take-off are no heights above sea level and are not used; the
gimbal's angles are the camera's. ``datetime(utc)`` is the clock of whoever wrote the log (nobody says
whether phone or drone), in whole seconds: a label of when the log began, not the satellites' time.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from edge.navigation import Fix, FixKind
from edge.navigation.csvlog import Loaded, Span
from edge.navigation.history import History
from edge.navigation.logged import LoggedAngles
from edge.navigation.timebase import EARLIEST_RECORDED_UTC, LATEST_RECORDED_UTC
from edge.support.errors import NavFileError

_UNITS = {"millisecond": 1e-3, "ms": 1e-3, "s": 1.0, "feet": 0.3048, "ft": 0.3048, "meters": 1.0, "m": 1.0}
_NAMES = {
    "t_s": ("time", "osd.flytime"),
    "lat_deg": ("latitude", "osd.latitude"),
    "lon_deg": ("longitude", "osd.longitude"),
    "alt_m": ("altitude_above_sealevel", "osd.altitude"),
    "yaw_deg": ("gimbal_heading", "gimbal.yaw"),
    "pitch_deg": ("gimbal_pitch", "gimbal.pitch"),
    "roll_deg": ("gimbal_roll", "gimbal.roll"),
    "utc": ("datetime(utc)",),
}
_BOUNDS = {
    "t_s": (-1e7, 1e7),
    "lat_deg": (-90.0, 90.0),
    "lon_deg": (-180.0, 180.0),
    "alt_m": (-1000.0, 20000.0),
    "yaw_deg": (-360.0, 360.0),
    "pitch_deg": (-180.0, 180.0),
    "roll_deg": (-180.0, 180.0),
}
_ANGLES = ("roll_deg", "pitch_deg", "yaw_deg")
_HEADER = re.compile(r"([^(\[]+?)\s*(?:[(\[]([^)\]]*)[)\]])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Column:
    place: int
    factor: float


def looks_like_airdata(text: str) -> bool:
    """True when the first rows hold the header of one of the two."""
    return any(line.lower().lstrip().startswith("time(millisecond)") or "OSD.latitude" in line for line in _first(text))


def load(text: str, path: Path, history: History, at_ns: Callable[[float], int]) -> Loaded:
    """Feed ``history`` with every row; the first row stands at 0 s. Raises NavFileError naming path, row and column."""
    rows = csv.reader(text.splitlines())
    columns: dict[str, _Column] | None = None
    first: float | None = None
    last: float | None = None
    began = _Began()
    angles = LoggedAngles()
    try:
        for cells in rows:
            where = f"{path}, row {rows.line_num}"
            if columns is None:
                columns = _columns(cells, path)
                continue
            if not any(cell.strip() for cell in cells):
                continue
            values = {name: _number(cells, column, name, where) for name, column in columns.items() if name != "utc"}
            t_s = values["t_s"]
            if t_s is None:
                raise NavFileError(f"{where}: has no time; every row needs one")
            if last is not None and t_s < last:
                raise NavFileError(f"{where}: its time is {t_s:g} s after {last:g} s; it must not run backwards")
            first, last = t_s if first is None else first, t_s
            now_ns = at_ns(t_s - first)
            history.hear_fix(now_ns, _fix(values))
            history.hear_attitude(now_ns, angles.attitude(*(values.get(name) for name in _ANGLES)))
            began.hear(t_s - first, cells, columns.get("utc"))
    except csv.Error as error:
        raise NavFileError(f"{path}, row {rows.line_num}: not CSV ({error}); export it again") from error
    if columns is None or first is None or last is None:
        raise NavFileError(f"{path}: has a header but no rows; export the flight again")
    return Loaded(Span(0.0, last - first), (*_lacks(columns), *angles.warnings()), began.at)


def _first(text: str) -> list[str]:
    return text[:8192].splitlines()[:3]


def _columns(cells: list[str], path: Path) -> dict[str, _Column] | None:
    """Where each value stands; None for the ``sep=,`` line some programs put first."""
    if cells and cells[0].strip().lower().startswith("sep="):
        return None
    columns: dict[str, _Column] = {}
    for place, cell in enumerate(cells):
        name = cell.strip().lower()
        match = _HEADER.fullmatch(name)
        bare, unit = (match[1], match[2] or "") if match is not None else (name, "")
        for ours, theirs in _NAMES.items():
            if (name in theirs or bare in theirs) and ours not in columns:
                columns[ours] = _Column(place, _UNITS.get(unit, 1.0))
    missing = [_NAMES[name][0] for name in ("t_s", "lat_deg", "lon_deg") if name not in columns]
    if missing:
        raise NavFileError(f"{path}: looks like an AirData or DJI flight record, but has no column {missing[0]}")
    return columns


def _lacks(columns: dict[str, _Column]) -> tuple[str, ...]:
    missing = [_NAMES[name][0] for name in ("alt_m", "yaw_deg") if name not in columns]
    return (f"holds no {' and no '.join(missing)}, so these are unknown",) if missing else ()


def _number(cells: list[str], column: _Column, name: str, where: str) -> float | None:
    text = cells[column.place].strip() if column.place < len(cells) else ""
    if not text:
        return None
    low, high = _BOUNDS[name]
    try:
        value = float(text) * column.factor if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        hint = "; write the decimal point as a point" if "," in text else ""
        raise NavFileError(f"{where}: {_NAMES[name][0]} is {text[:24]!r}; expected {low:g} to {high:g}{hint}")
    return value


def _fix(values: dict[str, float | None]) -> Fix | None:
    lat_deg, lon_deg, alt_m = values["lat_deg"], values["lon_deg"], values.get("alt_m")
    if lat_deg is None or lon_deg is None:
        return None
    return Fix(FixKind.FIX_2D if alt_m is None else FixKind.FIX_3D, lat_deg, lon_deg, alt_m, None, None, 0)


class _Began:
    """When the log began by its whole seconds: ten rows say the same one, and the next one begins where it changes."""

    def __init__(self) -> None:
        self._first: datetime | None = None
        self.at: datetime | None = None
        """UTC of the first row, good to a second until a row says another one; None: no row says any."""
        self._found = False

    def hear(self, elapsed_s: float, cells: list[str], column: _Column | None) -> None:
        """A row so long after the first one."""
        if self._found or column is None or column.place >= len(cells):
            return
        try:
            moment = datetime.fromisoformat(cells[column.place].strip())
        except ValueError:  # an empty cell, or a form of another year's export: the time of day stays unknown
            return
        moment = moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment
        if not EARLIEST_RECORDED_UTC <= moment < LATEST_RECORDED_UTC:  # a clock that was never set
            return
        self._found = self._first is not None and moment != self._first
        if self._first is None or self._found:
            self._first = moment
            self.at = moment.astimezone(timezone.utc) - timedelta(seconds=elapsed_s)
