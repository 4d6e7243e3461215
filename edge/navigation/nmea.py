"""Reads a flight track from an NMEA 0183 log: GGA and RMC for the position, GSA for 2D or 3D, GST for accuracy.

Sentences of one time of day are one epoch, whatever their order and talker (GP, GL, GA, GB, GN …). A sentence
counts only with a right checksum: one without may have been cut short, and half a coordinate looks like
a whole one. Text before the ``$`` of a line (a logger's time stamp) is ignored.

A position counts as a fix when every sentence of its epoch agrees: RMC valid, GGA quality 1 to 5. Estimated
(dead reckoning), manual and simulated positions are no fix. Accuracy comes from GST's standard deviations alone.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import reduce
from operator import xor
from pathlib import Path

from edge.navigation import Fix, FixKind
from edge.navigation.csvlog import Loaded, Span
from edge.navigation.history import History
from edge.navigation.timebase import UtcTrack
from edge.support.errors import NavFileError

log = logging.getLogger(__name__)

SENTENCE = re.compile(rb"\$([A-Z]{2}(?:GGA|RMC|GSA|GST),[^*$]*)(?:\*([0-9A-Fa-f]{2}))?")
_DAY_S = 86_400.0
_CLOCK_SET_S = 600.0
_GGA_KINDS = {
    "1": FixKind.FIX_3D,
    "2": FixKind.DGPS,
    "3": FixKind.FIX_3D,
    "4": FixKind.RTK_FIXED,
    "5": FixKind.RTK_FLOAT,
}
_RMC_NO_FIX = frozenset("NEMS")  # not valid, estimated, manual, simulator


@dataclass(slots=True)
class Epoch:
    """What the sentences of one time of day say together; None: that sentence was not there."""

    time_of_day_s: float
    gga: Fix | None = None
    gga_refuses: bool = False
    rmc: tuple[float, float] | None = None
    rmc_refuses: bool = False
    date: datetime | None = None
    mode: int | None = None
    deviations_m: tuple[float, float] | None = None

    def fix(self) -> Fix | None:
        """The position all sentences agree on; None when one of them says there is none."""
        if self.gga_refuses or self.rmc_refuses or self.mode == 1:
            return None
        found = self._position()
        if found is None:
            return None
        if self.mode == 2:
            found = replace(found, kind=FixKind.FIX_2D, alt_amsl_m=None, alt_ellipsoid_m=None)
        h_m, v_m = self.deviations_m or (None, None)
        return replace(found, h_accuracy_m=h_m, v_accuracy_m=v_m if found.alt_amsl_m is not None else None)

    def utc(self) -> datetime | None:
        """UTC of the epoch; None without a valid RMC."""
        if self.date is None or self.rmc_refuses:
            return None
        return self.date + timedelta(seconds=self.time_of_day_s)

    def _position(self) -> Fix | None:
        if self.gga is not None or self.rmc is None:
            return self.gga
        return Fix(FixKind.FIX_2D, *self.rmc, None, None, None, 0)


def load(data: bytes, path: Path, history: History, utc: UtcTrack, at_ns: Callable[[float], int]) -> Loaded:
    """Feed ``history`` and ``utc`` with every epoch of ``data``; its first sentence with a time stands at 0 s.

    Raises NavFileError when nothing in it can be used; sentences that fail their checksum are skipped
    and counted in one warning.
    """
    reader = _Reader(path)
    elapsed_s, previous = 0.0, None
    for epoch in reader.epochs(data):
        if previous is not None:
            elapsed_s += _step_s(previous, epoch)
        previous = epoch
        moment = at_ns(elapsed_s)
        history.hear_fix(moment, epoch.fix())
        at_utc = epoch.utc()
        if at_utc is not None:
            utc.hear(moment, at_utc)
    reader.report(usable=previous is not None)
    return Loaded(Span(0.0, elapsed_s))


def _step_s(previous: Epoch, epoch: Epoch) -> float:
    """Seconds from one epoch to the next across midnight; 0 where the receiver merely set its clock."""
    step_s = (epoch.time_of_day_s - previous.time_of_day_s + _DAY_S / 2) % _DAY_S - _DAY_S / 2
    clock_set = step_s > _CLOCK_SET_S and previous.fix() is None
    return 0.0 if clock_set else max(0.0, step_s)


class _Reader:
    """Splits a log into epochs and keeps count of what it had to skip."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._skipped = 0
        self._first_skipped = 0
        self._good = 0

    def epochs(self, data: bytes) -> Iterator[Epoch]:
        epoch: Epoch | None = None
        for number, line in enumerate(data.splitlines(), start=1):
            fields = self._fields(line, number)
            if fields is None:
                continue
            seconds = _time_of_day_s(fields)
            if seconds is not None and (epoch is None or seconds != epoch.time_of_day_s):
                if epoch is not None:
                    yield epoch
                epoch = Epoch(seconds)
            if epoch is not None and (seconds is not None or fields[0].endswith("GSA")):
                _READERS[fields[0][2:]](epoch, fields)
        if epoch is not None:
            yield epoch

    def _fields(self, line: bytes, number: int) -> list[str] | None:
        found = SENTENCE.search(line)
        if found is None:
            return None
        body, checksum = found.groups()
        if checksum is None or reduce(xor, body) != int(checksum, 16):
            self._skipped += 1
            self._first_skipped = self._first_skipped or number
            return None
        self._good += 1
        fields = body.decode("latin-1").split(",")
        return fields + [""] * (20 - len(fields))

    def report(self, *, usable: bool) -> None:
        if not usable and self._good:
            raise NavFileError(f"{self._path}: none of its {self._good} NMEA sentences holds a time; log GGA and RMC")
        if not usable:
            raise NavFileError(
                f"{self._path}: none of its {self._skipped} NMEA sentences has a right checksum (*hh at its end); "
                "log the receiver's output unchanged"
            )
        if self._skipped:
            log.warning(
                "%s: skipped %d of %d NMEA sentences with a wrong or missing checksum, the first in line %d",
                self._path,
                self._skipped,
                self._skipped + self._good,
                self._first_skipped,
            )


def _read_gga(epoch: Epoch, fields: list[str]) -> None:
    if epoch.gga is not None and not fields[0].startswith("GN"):
        return  # several talkers report the epoch: the combined solution wins, else the first
    kind, position = _GGA_KINDS.get(fields[6]), _position(fields[2:6])
    epoch.gga_refuses = kind is None or position is None
    if kind is not None and position is not None:
        amsl_m, separation_m = _number(fields[9]), _number(fields[11])  # separation: geoid above the ellipsoid
        ellipsoid_m = None if amsl_m is None or separation_m is None else amsl_m + separation_m
        epoch.gga = Fix(kind, *position, amsl_m, None, None, 0, ellipsoid_m)


def _read_rmc(epoch: Epoch, fields: list[str]) -> None:
    epoch.rmc = _position(fields[3:7])
    epoch.rmc_refuses = fields[2] != "A" or fields[12] in _RMC_NO_FIX or epoch.rmc is None
    epoch.date = _date(fields[9])


def _read_gsa(epoch: Epoch, fields: list[str]) -> None:
    if fields[2] in ("1", "2", "3"):  # one per constellation: the best one is the solution's
        epoch.mode = max(int(fields[2]), epoch.mode or 0)


def _read_gst(epoch: Epoch, fields: list[str]) -> None:
    lat_m, lon_m, alt_m = (_number(field) for field in fields[6:9])
    if lat_m is not None and lon_m is not None and alt_m is not None:
        epoch.deviations_m = (math.hypot(lat_m, lon_m), alt_m)


_READERS = {"GGA": _read_gga, "RMC": _read_rmc, "GSA": _read_gsa, "GST": _read_gst}


def _time_of_day_s(fields: list[str]) -> float | None:
    if fields[0].endswith("GSA") or not re.fullmatch(r"\d{6}(\.\d*)?", fields[1], re.ASCII):
        return None
    hours, minutes, seconds = int(fields[1][:2]), int(fields[1][2:4]), float(fields[1][4:])
    if hours > 23 or minutes > 59 or seconds >= 61.0:
        return None
    return hours * 3600 + minutes * 60 + seconds


def _date(text: str) -> datetime | None:
    if not re.fullmatch(r"\d{6}", text, re.ASCII):
        return None
    day, month, year = int(text[:2]), int(text[2:4]), int(text[4:])
    try:
        return datetime(year + (1900 if year >= 80 else 2000), month, day, tzinfo=timezone.utc)
    except ValueError:  # a 31st of February: the receiver has no date yet
        return None


def _position(fields: list[str]) -> tuple[float, float] | None:
    """Degrees from ``ddmm.mmm,N,dddmm.mmm,E``."""
    lat_deg, lon_deg = _degrees(fields[0], fields[1], "NS"), _degrees(fields[2], fields[3], "EW")
    return None if lat_deg is None or lon_deg is None else (lat_deg, lon_deg)


def _degrees(text: str, side: str, sides: str) -> float | None:
    value = _number(text)
    if value is None or value < 0 or side not in tuple(sides):
        return None
    whole, minutes = divmod(value, 100.0)
    if minutes >= 60.0:
        return None
    return (whole + minutes / 60.0) * (1.0 if side == sides[0] else -1.0)


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"-?\d+\.?\d*|-?\.\d+", text, re.ASCII) else None
