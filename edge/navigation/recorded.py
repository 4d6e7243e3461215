"""A recorded flight: CSV, NMEA, a MAVLink tlog, DJI subtitles or AirData, told apart by what is in them.

The first frame stands at the log's first message, or ``offset_s`` later. The log is read whole when it is opened.
"""

from __future__ import annotations

import codecs
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType

from edge.navigation import Navigator, NavState, airdata, csvlog, nmea, srt
from edge.navigation.csvlog import Loaded, Span
from edge.navigation.history import History
from edge.navigation.timebase import UtcTrack
from edge.navigation.track import Limits
from edge.navigation.vehicle import Mount
from edge.support.clock import Clock
from edge.support.errors import NavFileError

log = logging.getLogger(__name__)

_HEAD_BYTES = 65536
_FOREIGN = (
    (b"\xa3\x95", "an ArduPilot dataflash log; replay takes the telemetry log (.tlog)"),
    (b"ULog", "a PX4 ULog; replay takes the telemetry log (.tlog)"),
    (b"\xb5\x62", "a u-blox UBX log; switch the receiver to NMEA"),
    (b"PK\x03\x04", "a zip archive (or a spreadsheet); unpack it, or export it as CSV"),
    (b"\x1f\x8b", "compressed with gzip; unpack it first"),
    (b"<", "XML or HTML (a GPX or KML track?); convert it to CSV"),
    (b"{", "JSON; convert it to CSV"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Which log, and how its time fits the frames; checked at construction (ValueError)."""

    path: Path
    """The log; CSV as ``csvlog`` describes, NMEA 0183 text, a MAVLink tlog, DJI .SRT, or CSV of AirData or DJI."""
    offset_s: float = 0.0
    """Seconds from the log's first message to the first frame (below 0: the log began later)."""
    start_ns: int = 0
    """Monotonic time of the first frame, ns."""
    system_id: int | None = None
    """For a tlog: MAVLink system id of the vehicle, 0 to 255; None: the first vehicle in it."""
    component_id: int | None = None
    """For a tlog: MAVLink component id of its autopilot, 1 to 255; None: any."""
    mount: Mount = field(default_factory=Mount)
    """For a tlog: how camera and rangefinder are bolted on."""
    limits: Limits = field(default_factory=Limits)
    """What may still be said about a moment."""

    def __post_init__(self) -> None:
        if not abs(self.offset_s) <= 1e7:
            raise ValueError(f"offset_s is in seconds, from -1e7 to 1e7, got {self.offset_s}")
        for name, value, low in (("system_id", self.system_id, 0), ("component_id", self.component_id, 1)):
            if value is not None and not low <= value <= 255:
                raise ValueError(f"{name} is {low} to 255, got {value}")


def open_navigator(options: Options, clock: Clock) -> Navigator:
    """Read the log. Raises NavFileError naming the file (and row) when it cannot be used."""
    history = History(options.limits, keep_s=None)
    utc = UtcTrack(keep_s=None)
    loaded = _load(_read(options.path), options, history, utc)
    _check_overlap(options, loaded.span)
    warnings = (*loaded.warnings, *_gaps_and_jumps(history))
    for warning in warnings:
        log.warning("%s: %s", options.path, warning)
    return RecordedNavigator(options, history, utc, warnings, loaded)


class RecordedNavigator:
    """Answers from a log that has been read."""

    def __init__(
        self, options: Options, history: History, utc: UtcTrack, warnings: Sequence[str], loaded: Loaded
    ) -> None:
        self._path, self._history, self._utc, self._warnings = options.path, history, utc, tuple(warnings)
        self._span, at_ns, reach_ns = loaded.span, _time_axis(options), round(history.limits.stale_s * 1e9)
        self._covers_ns = at_ns(self._span.first_s) - reach_ns, at_ns(self._span.last_s) + reach_ns
        self._outside: set[int] = set()
        self.began_at = _began_at(loaded, options)
        """UTC of the first frame by the clock of the computer that wrote the log, which is not verified; None:
        the log does not say."""

    def at(self, exposed_ns: int) -> NavState:
        """The log at ``exposed_ns``, interpolated."""
        if not self._covers_ns[0] <= exposed_ns <= self._covers_ns[1]:
            self._outside.add(exposed_ns)
        return self._history.at(exposed_ns)

    def utc_at(self, exposed_ns: int) -> datetime | None:
        """UTC as the log has it; None for CSV, and more than a minute from any time in the log."""
        return self._utc.at(exposed_ns)

    def health(self) -> str | None:
        """A sentence when the whole log holds no fix, or frames that were asked for stand outside of it."""
        if not self._history.fix_count:
            return f"{self._path} holds no fix at all, so nothing in this replay has a position"
        if self._outside:
            return (
                f"{len(self._outside)} frames stand outside of {self._path} and have no position: it covers "
                f"{self._span.first_s:g} to {self._span.last_s:g} s; --nav-offset and --fps say where the frames stand"
            )
        return None

    def warnings(self) -> tuple[str, ...]:
        """What had to be guessed or left out when the log was read."""
        return self._warnings

    @property
    def live(self) -> bool:
        """False: it has been flown."""
        return False

    def __enter__(self) -> RecordedNavigator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise NavFileError(f"{path}: cannot be read ({error.strerror}); pass --nav with a file that exists") from error
    if not data.strip(b"\0\r\n\t "):
        raise NavFileError(f"{path}: is empty; a CSV track begins with the header {csvlog.HEADER}")
    return data


def _load(data: bytes, options: Options, history: History, utc: UtcTrack) -> Loaded:
    path, at_ns, head = options.path, _time_axis(options), data[:_HEAD_BYTES]
    if _looks_like_frames(head):
        from edge.navigation import tlog  # and with it pymavlink, only where a tlog is read

        if tlog.looks_like_tlog(head):
            ids = {"system_id": options.system_id, "component_id": options.component_id}
            return tlog.load(data, path, history, utc, options.mount, at_ns, **ids)
    if nmea.looks_like_nmea(head):
        return nmea.load(data, path, history, utc, at_ns)
    text = _text(data, path)
    if srt.looks_like_srt(text):
        return srt.load(text, path, history, at_ns)
    if airdata.looks_like_airdata(text):
        return airdata.load(text, path, history, at_ns)
    return Loaded(csvlog.load(text, path, history, at_ns))


def _looks_like_frames(head: bytes) -> bool:
    return b"\xfd" in head or b"\xfe" in head


def _time_axis(options: Options) -> Callable[[float], int]:
    def at_ns(log_s: float) -> int:
        return options.start_ns + round((log_s - options.offset_s) * 1e9)

    return at_ns


def _text(data: bytes, path: Path) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise NavFileError(f"{path}: is UTF-16 text; save it as UTF-8")
    for magic, word in _FOREIGN:
        if data.startswith(magic):
            raise NavFileError(f"{path}: is {word}")
    if b"\0" in data[:_HEAD_BYTES]:
        raise NavFileError(f"{path}: is binary but no MAVLink tlog; known are tlog, NMEA and CSV")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise NavFileError(f"{path}, row {row}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def _check_overlap(options: Options, span: Span) -> None:
    """A log that ends before the first frame is a mistake in the offset, not a flight without a fix."""
    if span.last_s < options.offset_s:
        raise NavFileError(
            f"{options.path}: ends at {span.last_s:g} s of its own time, before the first frame at "
            f"{options.offset_s:g} s; --nav-offset is in seconds from the log's first message"
        )


def _began_at(loaded: Loaded, options: Options) -> datetime | None:
    return None if loaded.logged_at is None else loaded.logged_at + timedelta(seconds=options.offset_s)


def _gaps_and_jumps(history: History) -> list[str]:
    """What a pilot would otherwise look for in vain."""
    said = []
    if history.withheld:
        said.append(f"{history.withheld} fixes are withheld, because the position jumps there")
    gaps = history.fix_gaps()
    if gaps:
        limit_s = history.limits.gap_s
        said.append(
            f"neighbouring fixes are more than {limit_s:g} s apart in {gaps} "
            f"{'place' if gaps == 1 else 'places'}; frames there get no position"
        )
    if not history.fix_count:
        said.append("holds no fix at all")
    return said
