"""Reads a flight track from a MAVLink telemetry log (tlog): records of 8 bytes time and one frame.

The time is the logging computer's, microseconds since 1970, big-endian. Damaged records are stepped over: a
record counts when its frame's checksum is right or the next record follows it.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from edge.navigation import FixKind, framing, logclock, mavlink
from edge.navigation.csvlog import Loaded, Span
from edge.navigation.history import History
from edge.navigation.roster import Address, Roster
from edge.navigation.timebase import UtcTrack
from edge.navigation.vehicle import Mount, Vehicle
from edge.support.errors import NavFileError

_STAMP_BYTES = 8
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_DAY_US = 86_400_000_000
_GRAIN_US = 20_000
_WORTH_SAYING_US = 500_000
_MOST_SAID = 3
_ASK_EVERY_NS = 1_000_000_000
_LAST_US = 4_102_444_800_000_000  # the year 2100
_RECEIVERS = frozenset((framing.GPS_RAW_INT, framing.GPS2_RAW))
_TRACK = frozenset((framing.ATTITUDE, framing.GLOBAL_POSITION_INT)) | _RECEIVERS

Record = tuple[int, int, int]
"""Microseconds of its time stamp; first byte and end of its frame."""


class _Log(NamedTuple):
    """The records of one vehicle in a log, in the order of the file; columns of equal length."""

    stamps_us: array[int]
    starts: array[int]
    ends: array[int]
    first_us: int
    """Stamp of the first record of the whole log, whoever sent it."""
    last_us: int


@dataclass(frozen=True, slots=True)
class _Survey:
    """Whom to listen to in a log."""

    address: Address
    states_fix: bool
    """A satellite receiver of that vehicle is heard in the log."""
    warnings: tuple[str, ...]


def looks_like_tlog(head: bytes) -> bool:
    """True when two records follow each other near the beginning of ``head``."""
    return any(_followed(head, start) for start in range(min(len(head), 4096)))


def load(
    data: bytes,
    path: Path,
    history: History,
    utc: UtcTrack,
    mount: Mount,
    at_ns: Callable[[float], int],
    *,
    system_id: int | None = None,
    component_id: int | None = None,
) -> Loaded:
    """Feed ``history`` and ``utc`` with one vehicle's messages; the first record stands at 0 s.

    The vehicle is the first one whose heartbeat is in the log, among those of ``system_id`` and ``component_id``
    where these are given. Raises NavFileError when no message of such a vehicle can be used.
    """
    decode = mavlink.decoder()
    survey = _survey(data, decode, path, system_id, component_id)
    log = _of(survey.address, data, decode)
    if mount.gimbal == "auto" and any(framing.message_id(data, start) in framing.GIMBAL for start in log.starts):
        mount = replace(mount, gimbal="flags")  # it is there from the first moment, not from its first report on
    counts = _counts(data, log)
    vehicle = Vehicle(
        history,
        utc,
        mount,
        system_id=survey.address[0],
        component_id=survey.address[1],
        unstated=None if survey.states_fix else FixKind.FIX_3D,
        counts=not logclock.counts_otherwise(counts.get(framing.GLOBAL_POSITION_INT, ())),
    )
    elapsed_us, clock_warnings = _elapsed_us(log, counts)
    heard: dict[str, None] = {}  # what the vehicle warned of, each sentence once
    asked_ns = at_ns(0.0)
    for number in sorted(range(len(elapsed_us)), key=elapsed_us.__getitem__):
        message = decode(data[log.starts[number] : log.ends[number]])  # the expensive part, so done for one sender only
        if message is None:
            continue
        now_ns = at_ns(elapsed_us[number] / 1e6)
        vehicle.hear(message, now_ns)
        if now_ns >= asked_ns + _ASK_EVERY_NS:
            asked_ns, trouble = now_ns, vehicle.trouble(now_ns)
            heard |= dict.fromkeys((*((trouble,) if trouble else ()), *vehicle.warnings(now_ns)))
    said = (*survey.warnings, *clock_warnings, *heard, *_about_time(vehicle, utc))
    span = Span(0.0, max(elapsed_us, default=0) / 1e6)
    return Loaded(span, said, _EPOCH + timedelta(microseconds=log.first_us))


def _about_time(vehicle: Vehicle, utc: UtcTrack) -> tuple[str, ...]:
    if utc.known or not vehicle.unproven:
        return ()
    return (
        "its times of day (SYSTEM_TIME) were sent while no satellite receiver had a fix, so they come from an "
        "unchecked clock and are not used",
    )


def _of(address: Address, data: bytes, decode: framing.Decode) -> _Log:
    """What ``address`` sent of what we want."""
    log = _Log(array("q"), array("q"), array("q"), 0, 0)
    first_us, last_us = None, 0
    for stamp_us, start, end in _smoothed(records(data, decode)):
        first_us, last_us = stamp_us if first_us is None else first_us, stamp_us
        if framing.message_id(data, start) in framing.WANTED and _from(address, data, start):
            for column, value in zip((log.stamps_us, log.starts, log.ends), (stamp_us, start, end), strict=True):
                column.append(value)
    return log._replace(first_us=first_us or 0, last_us=last_us)


def _elapsed_us(log: _Log, counts: Mapping[int, Sequence[logclock.Row]]) -> tuple[list[int], list[str]]:
    """Flown time of each record of ``log`` since the first record of the file, and what had to be said of its clock.

    Records after a moment at which nobody can tell the time are left out.
    """
    rows = _reference(counts)
    found = logclock.compare(rows) if rows else logclock.Found((), (), _backwards(log.stamps_us))
    kept = len(log.stamps_us) if found.lost is None else found.lost
    stamps_us = logclock.corrected(log.stamps_us, found, rows)[:kept]
    origin_us, began = _origin_us(stamps_us, rows[0][0] if rows else 0, log.first_us)
    elapsed_us = [stamp_us - origin_us for stamp_us in stamps_us]
    steps = [step for step in found.steps if abs(step.by_us) >= _WORTH_SAYING_US and step.record < kept]
    said = (
        began
        + _other_unit(rows, counts)
        + [
            f"the logging clock was set by {step.by_us / 1e6:+.1f} s at {elapsed_us[step.record] / 1e6:.1f} s; "
            "the time that the autopilot counts is used"
            for step in steps[:_MOST_SAID]
        ]
    )
    if len(steps) > _MOST_SAID:
        said.append(f"the logging clock was set {len(steps)} times in all")
    if found.restarts:
        where = ", ".join(f"{elapsed_us[number] / 1e6:.1f}" for number in found.restarts[:_MOST_SAID])
        said.append(f"the autopilot began anew {len(found.restarts)} times, at {where} s")
    if found.lost is not None:
        last_s = max(elapsed_us, default=0) / 1e6
        said.append(
            f"the logging clock was set back at {last_s:.1f} s and nothing in the log tells by how much: "
            f"{len(log.stamps_us) - kept} messages after it are left out"
        )
    return elapsed_us, said


def _origin_us(stamps_us: list[int], reference: int, first_us: int) -> tuple[int, list[str]]:
    """The moment of the file's first record, and what had to be said of it.

    ``reference`` is the first record whose time agrees with the autopilot's own; where the clock was set before it,
    nobody knows how long the wait was. Changes ``stamps_us`` of earlier records then.
    """
    if not stamps_us:
        return 0, []
    known_us = stamps_us[reference]
    early = [first_us, *stamps_us[:reference]]
    if all(0 <= known_us - stamp_us <= _DAY_US for stamp_us in early):
        # Another sender's message in the same moment does not make this one late.
        ahead_us = stamps_us[0] - first_us
        return min(stamps_us) - (ahead_us if ahead_us > _GRAIN_US else 0), []
    stamps_us[:reference] = [known_us] * reference
    return min(stamps_us), [
        "the logging clock was set before the autopilot stated its own time, so the log is taken to begin there"
    ]


def _counts(data: bytes, log: _Log) -> Mapping[int, Sequence[logclock.Row]]:
    """Of each kind of message that carries it, the time since the autopilot's start beside the log's stamp."""
    rows: dict[int, list[logclock.Row]] = {}
    for number, (stamp_us, start) in enumerate(zip(log.stamps_us, log.starts, strict=True)):
        boot_us = framing.boot_us(data, start)
        if boot_us is not None:
            rows.setdefault(framing.message_id(data, start), []).append((number, stamp_us, boot_us))
    return rows


def _reference(counts: Mapping[int, Sequence[logclock.Row]]) -> Sequence[logclock.Row]:
    """The most frequent kind of message whose own time advances evenly; empty when none does."""
    even = [kind for kind in counts.values() if logclock.is_even(kind)]
    return max(even, key=len, default=[])


def _other_unit(reference: Sequence[logclock.Row], counts: Mapping[int, Sequence[logclock.Row]]) -> list[str]:
    """That no kind of message counts as the log's stamps do, though several count: then the stamps may be wrong."""
    paces = sorted(pace for rows in counts.values() if (pace := logclock.pace(rows)))
    if reference or len(paces) < 2:
        return []
    return [
        f"the autopilot's own time runs {paces[len(paces) // 2]:.3g} times as fast as the log's time stamps, which "
        "should count microseconds; the stamps are taken as they are"
    ]


def _backwards(stamps_us: Sequence[int]) -> int | None:
    """The first record that is older than the one before it, in a log without any other clock."""
    return next((n + 1 for n, (a, b) in enumerate(pairwise(stamps_us)) if b < a), None)


def _from(sender: Address, data: bytes, start: int) -> bool:
    """True for a frame of the autopilot ``sender``, and for what any gimbal of the same vehicle says of itself."""
    source = framing.source(data, start)
    return source == sender or (source[0] == sender[0] and framing.message_id(data, start) in framing.GIMBAL)


def records(data: bytes, decode: framing.Decode) -> Iterator[Record]:
    """The sound records of ``data`` in order, damaged ones left out."""
    start = 0
    while start < len(data):
        record = _record(data, start)
        if record is not None and _sound(data, record, decode):
            yield record
            start = record[2]
            continue
        found = framing.MAGIC.search(data, start + _STAMP_BYTES + 1)
        if found is None:
            return
        start = found.start() - _STAMP_BYTES


def _smoothed(found: Iterator[Record]) -> Iterator[Record]:
    """``found`` with each time stamp replaced by the median of itself and its two neighbours: they have no checksum."""
    before = here = next(found, None)
    while before is not None and here is not None:
        after = next(found, None)
        yield sorted((before[0], here[0], (after or here)[0]))[1], here[1], here[2]
        before, here = here, after


def _record(data: bytes, start: int) -> Record | None:
    first = start + _STAMP_BYTES
    size = framing.frame_bytes(data, first)
    if not size or first + size > len(data):
        return None
    stamp_us = int.from_bytes(data[start:first], "big")
    if not 0 < stamp_us < _LAST_US:
        return None
    return stamp_us, first, first + size


def _sound(data: bytes, record: Record, decode: framing.Decode) -> bool:
    _, start, end = record
    if end == len(data) or framing.MAGIC.match(data, end + _STAMP_BYTES):
        return True
    return framing.message_id(data, start) in framing.WANTED and decode(data[start:end]) is not None


def _followed(data: bytes, start: int) -> bool:
    record = _record(data, start)
    if record is None:
        return False
    following = _record(data, record[2])
    alone = start == 0 and record[2] == len(data)
    return alone or (following is not None and abs(following[0] - record[0]) <= _DAY_US)


def _survey(
    data: bytes, decode: framing.Decode, path: Path, system_id: int | None, component_id: int | None
) -> _Survey:
    """The first vehicle's heartbeat says whom to listen to; without any heartbeat, the first who states a place."""
    roster, placing, stating = Roster(), dict[Address, None](), set[Address]()
    for stamp_us, start, end in records(data, decode):
        number, source = framing.message_id(data, start), framing.source(data, start)
        if number == framing.HEARTBEAT and (heartbeat := decode(data[start:end])) is not None:
            roster.hear(heartbeat, 0)
        if number in _TRACK:
            placing[source] = None
        if number == framing.GLOBAL_POSITION_INT:
            roster.hear_place(source, stamp_us * 1000)
        if number in _RECEIVERS:
            stating.add(source)
    vehicles, others = roster.vehicles(), roster.excluded()
    quiet = [source for source in placing if source not in vehicles and source not in others]
    asked = (system_id, component_id) != (None, None)
    wanted = [
        source
        for source in (*vehicles, *quiet, *(others if asked else ()))
        if system_id in (None, source[0]) and component_id in (None, source[1]) and source in placing
    ]
    if not wanted:
        whom = _asked_for(system_id, component_id)
        raise NavFileError(
            f"{path}: is a tlog without a position or attitude of {whom} (heard are {roster.names()}); "
            + ("choose another navigation.system_id or component_id" if asked else "record it in flight")
        )
    chosen, warnings = wanted[0], []
    if not asked and (rivals := roster.rivals(chosen)):
        warnings.append(rivals)
    if chosen in quiet:
        warnings.append(f"no vehicle's heartbeat is in the log, so system {chosen[0]} is taken, which states a place")
    if chosen not in stating:
        warnings.append("it holds no GPS_RAW_INT, so every position in it is believed to be a 3D fix")
    return _Survey(chosen, chosen in stating, tuple(warnings))


def _asked_for(system_id: int | None, component_id: int | None) -> str:
    parts = (("system", system_id), ("component", component_id))
    return ", ".join(f"{name} {value}" for name, value in parts if value is not None) or "a vehicle"
