"""Reads a flight track from an NMEA 0183 log: GGA, GNS, RMC or GLL for the position, GSA for 2D or 3D, GST for sigmas.

Sentences of one moment are one epoch, whatever their order and talker (GP, GL, GA, GB, GN …); when that was, and
which receiver's they are, is in ``nmeatime``. A sentence counts only with a right checksum: one without may have been
cut short, and half a coordinate looks like a whole one. Text before the ``$`` of a line (a logger's time stamp) is
ignored.

A position counts as a fix when every sentence of its epoch agrees: RMC and GLL valid, GGA quality 1 to 5. Estimated
(dead reckoning), manual and simulated positions are no fix. Accuracy comes from GST's standard deviations alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from functools import reduce
from operator import xor
from pathlib import Path

from edge.navigation import Fix, FixKind
from edge.navigation.csvlog import Loaded, Span
from edge.navigation.history import History
from edge.navigation.timebase import EARLIEST_RECORDED_UTC, LATEST_RECORDED_UTC, UtcTrack
from edge.support.errors import NavFileError

_SENTENCE = re.compile(rb"\$([A-Z]{2}(?:GGA|GNS|RMC|GLL|ZDA|GSA|GST),[^*$]*)(?:\*([0-9A-Fa-f]{2}))?")
_ANY_SENTENCE = re.compile(rb"\$[A-Z]{2}[A-Z]{3},[^*$\r\n]*\*[0-9A-Fa-f]{2}|\$[A-Z]{2}(?:GGA|GNS|RMC|GLL|GSA),")
_GGA_KINDS = {
    "1": FixKind.FIX_3D,
    "2": FixKind.DGPS,
    "3": FixKind.FIX_3D,
    "4": FixKind.RTK_FIXED,
    "5": FixKind.RTK_FLOAT,
}
# Of GNS, one letter per constellation; the best one is the solution's.
_GNS_KINDS = {
    "A": FixKind.FIX_3D,
    "P": FixKind.FIX_3D,
    "D": FixKind.DGPS,
    "F": FixKind.RTK_FLOAT,
    "R": FixKind.RTK_FIXED,
}
_NO_FIX = frozenset("NEMS")  # not valid, estimated, manual, simulator
POSITIONS = ("GGA", "GNS", "RMC", "GLL")
"""Sentences with a position, the one that says most first."""


@dataclass(slots=True)
class Epoch:
    """What the sentences of one moment say together."""

    time_of_day_s: float
    """UTC; 86,400 and more in a leap second."""
    positions: dict[str, Fix | None] = field(default_factory=dict)
    """By kind of sentence; None: it says that there is no fix."""
    talkers: set[str] = field(default_factory=set)
    """Of the sentences with a position."""
    date: datetime | None = None
    """Midnight before it, from a valid RMC."""
    calendar: datetime | None = None
    """The same from ZDA, which says nothing of its validity."""
    mode: int | None = None
    deviations_m: tuple[float, float] | None = None

    def fix(self) -> Fix | None:
        """The position all sentences agree on; None when one of them says there is none."""
        if self.mode == 1 or not self.positions or None in self.positions.values():
            return None
        found = next(fix for kind in POSITIONS if (fix := self.positions.get(kind)) is not None)
        if self.mode == 2:
            found = replace(found, kind=FixKind.FIX_2D, alt_amsl_m=None, alt_ellipsoid_m=None)
        h_m, v_m = self.deviations_m or (None, None)
        return replace(found, h_accuracy_m=h_m, v_accuracy_m=v_m if found.alt_amsl_m is not None else None)

    def midnight(self) -> datetime | None:
        """The midnight before it; None where no sentence with a fix says."""
        return self.date or (self.calendar if self.fix() is not None else None)

    def utc(self) -> datetime | None:
        """UTC of the epoch; None without a valid date."""
        midnight = self.midnight()
        return None if midnight is None else midnight + timedelta(seconds=self.time_of_day_s)

    def absorb(self, other: Epoch) -> None:
        """Add what ``other`` says of the same moment; the combined solution (GN) wins, else who came first."""
        for kind, fix in other.positions.items():
            self.note(kind, fix, combined="GN" in other.talkers)
        self.talkers |= other.talkers
        self.date, self.calendar = self.date or other.date, self.calendar or other.calendar
        self.mode = max((mode for mode in (self.mode, other.mode) if mode is not None), default=None)
        self.deviations_m = self.deviations_m or other.deviations_m

    def note(self, kind: str, fix: Fix | None, *, combined: bool) -> None:
        """One sentence's position; of several of one kind the combined solution's, else the first that has a fix."""
        if combined or self.positions.get(kind) is None:
            self.positions[kind] = fix


def looks_like_nmea(head: bytes) -> bool:
    """True where a sentence of any kind is among the first bytes of a log."""
    return _ANY_SENTENCE.search(head) is not None and b"lat_deg" not in head.split(b"\n", 1)[0]


def load(data: bytes, path: Path, history: History, utc: UtcTrack, at_ns: Callable[[float], int]) -> Loaded:
    """Feed ``history`` and ``utc`` with every epoch of ``data``; its first sentence with a time stands at 0 s.

    Raises NavFileError when nothing in it can be used; sentences that fail their checksum are skipped and counted.
    """
    from edge.navigation import nmeatime

    reader = _Reader(path)
    runs = list(reader.runs(data))
    warnings = reader.report(usable=bool(runs))
    line = nmeatime.timeline(runs, path)
    wrong: datetime | None = None
    for elapsed_s, epoch in line.epochs:
        moment, at_utc = at_ns(elapsed_s), epoch.utc()
        history.hear_fix(moment, epoch.fix())
        if at_utc is not None:
            utc.hear(moment, at_utc)
            wrong = wrong if EARLIEST_RECORDED_UTC <= at_utc < LATEST_RECORDED_UTC else at_utc
    if wrong is not None:
        warnings.append(
            f"its dates ({wrong:%Y-%m-%d}) cannot be: its receiver has lost count of the GPS weeks (every 1,024 weeks "
            "it begins anew), so they are not used"
        )
    last_s = max((elapsed_s for elapsed_s, _ in line.epochs), default=0.0)
    return Loaded(Span(0.0, last_s), (*warnings, *line.warnings))


class _Reader:
    """Splits a log into runs of sentences with one time of day, and keeps count of what it had to skip."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._skipped = 0
        self._first_skipped = 0
        self._good = 0

    def runs(self, data: bytes) -> Iterator[Epoch]:
        """Neighbouring sentences with one time, and those without a time after them. Another talker's position in
        another moment is another run, and so is a sentence that comes late."""
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
        found = _SENTENCE.search(line)
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

    def report(self, *, usable: bool) -> list[str]:
        """What had to be skipped. Raises NavFileError when nothing is left."""
        if not usable and not self._good and not self._skipped:
            raise NavFileError(f"{self._path}: none of its NMEA sentences holds a position; log GGA and RMC")
        if not usable and self._good:
            raise NavFileError(f"{self._path}: none of its {self._good} NMEA sentences holds a time; log GGA and RMC")
        if not usable:
            raise NavFileError(
                f"{self._path}: none of its {self._skipped} NMEA sentences has a right checksum (*hh at its end); "
                "log the receiver's output unchanged"
            )
        if not self._skipped:
            return []
        return [
            f"skipped {self._skipped} of {self._skipped + self._good} NMEA sentences with a wrong or missing checksum, "
            f"the first in line {self._first_skipped}"
        ]


def _note(epoch: Epoch, fields: list[str], fix: Fix | None) -> None:
    talker, kind = fields[0][:2], fields[0][2:]
    epoch.talkers.add(talker)
    epoch.note(kind, fix, combined=talker == "GN")


def _read_gga(epoch: Epoch, fields: list[str]) -> None:
    _note(epoch, fields, _solid(_GGA_KINDS.get(fields[6]), fields[2:6], fields[9], fields[11]))


def _read_gns(epoch: Epoch, fields: list[str]) -> None:
    kinds = [_GNS_KINDS[letter] for letter in fields[6] if letter in _GNS_KINDS]
    guessed = _NO_FIX - {"N"} & set(fields[6])
    _note(epoch, fields, _solid(None if guessed else max(kinds, default=None), fields[2:6], fields[9], fields[10]))


def _read_rmc(epoch: Epoch, fields: list[str]) -> None:
    valid = fields[2] == "A" and fields[12] not in _NO_FIX
    _note(epoch, fields, _flat(fields[3:7]) if valid else None)
    epoch.date = _date(fields[9]) if valid else None


def _read_gll(epoch: Epoch, fields: list[str]) -> None:
    valid = fields[6] == "A" and fields[7] not in _NO_FIX
    _note(epoch, fields, _flat(fields[1:5]) if valid else None)


def _read_zda(epoch: Epoch, fields: list[str]) -> None:
    epoch.calendar = _date(fields[2] + fields[3] + fields[4][2:]) if len(fields[4]) == 4 else None


def _read_gsa(epoch: Epoch, fields: list[str]) -> None:
    if fields[2] in ("1", "2", "3"):  # one per constellation: the best one is the solution's
        epoch.mode = max(int(fields[2]), epoch.mode or 0)


def _read_gst(epoch: Epoch, fields: list[str]) -> None:
    lat_m, lon_m, alt_m = (_number(field) for field in fields[6:9])
    if lat_m is not None and lon_m is not None and alt_m is not None:
        epoch.deviations_m = (math.hypot(lat_m, lon_m), alt_m)


_READERS = {
    "GGA": _read_gga,
    "GNS": _read_gns,
    "RMC": _read_rmc,
    "GLL": _read_gll,
    "ZDA": _read_zda,
    "GSA": _read_gsa,
    "GST": _read_gst,
}


def _time_of_day_s(fields: list[str]) -> float | None:
    text = fields[5 if fields[0].endswith("GLL") else 1]
    if fields[0].endswith("GSA") or not re.fullmatch(r"\d{6}(\.\d*)?", text, re.ASCII):
        return None
    hours, minutes, seconds = int(text[:2]), int(text[2:4]), float(text[4:])
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


def _solid(kind: FixKind | None, place: list[str], amsl: str, separation: str) -> Fix | None:
    """A fix with heights; the separation is that of the geoid above the ellipsoid."""
    position, amsl_m, separation_m = _position(place), _number(amsl), _number(separation)
    if kind is None or position is None:
        return None
    ellipsoid_m = None if amsl_m is None or separation_m is None else amsl_m + separation_m
    return Fix(kind, *position, amsl_m, None, None, 0, ellipsoid_m)


def _flat(place: list[str]) -> Fix | None:
    position = _position(place)
    return None if position is None else Fix(FixKind.FIX_2D, *position, None, None, None, 0)


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
