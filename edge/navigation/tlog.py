"""Reads a flight track from a MAVLink telemetry log (tlog): records of 8 bytes time and one frame.

The time is the logging computer's, microseconds since 1970, big-endian. Damaged records are stepped over: a
record counts when its frame's checksum is right or the next record follows it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from edge.navigation import FixKind, framing, mavlink
from edge.navigation.csvlog import Span
from edge.navigation.history import History
from edge.navigation.timebase import UtcTrack
from edge.navigation.vehicle import Mount, Vehicle, is_autopilot
from edge.support.errors import NavFileError

log = logging.getLogger(__name__)

_STAMP_BYTES = 8
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_CLOCK_SET_US = 86_400_000_000
_STAMP_EVERY_NS = 1_000_000_000
_LAST_US = 4_102_444_800_000_000  # the year 2100
_TRACK = frozenset((framing.ATTITUDE, framing.GLOBAL_POSITION_INT, framing.GPS_RAW_INT))

Record = tuple[int, int, int]
"""Microseconds of its time stamp; first byte and end of its frame."""


@dataclass(frozen=True, slots=True)
class _Survey:
    """Whom to listen to in a log."""

    system_id: int
    component_id: int
    states_fix: bool
    """GPS_RAW_INT is in the log."""


def looks_like_tlog(head: bytes) -> bool:
    """True when two records follow each other near the beginning of ``head``."""
    return any(_followed(head, start) for start in range(min(len(head), 4096)))


def load(data: bytes, path: Path, history: History, utc: UtcTrack, mount: Mount, at_ns: Callable[[float], int]) -> Span:
    """Feed ``history`` and ``utc`` with one vehicle's messages; the first record stands at 0 s.

    The vehicle is the first autopilot whose heartbeat is in the log. Raises NavFileError when no message
    of a vehicle can be used.
    """
    decode = mavlink.decoder()
    survey = _survey(data, decode)
    if survey is None:
        raise NavFileError(f"{path}: is a tlog without a position or attitude of any vehicle; record it in flight")
    if not survey.states_fix:
        log.warning("%s: holds no GPS_RAW_INT, so every position in it is believed to be a 3D fix", path)
    vehicle = Vehicle(
        history,
        utc,
        mount,
        system_id=survey.system_id,
        component_id=survey.component_id,
        unstated=None if survey.states_fix else FixKind.FIX_3D,
    )
    sender = (survey.system_id, survey.component_id)
    stamps: list[tuple[int, int]] = []
    now_ns, elapsed_s = at_ns(0.0), 0.0
    for stamp_us, elapsed_s, start, end in _timed(records(data, decode)):
        if framing.message_id(data, start) not in framing.WANTED or not _from(sender, data, start):
            continue
        message = decode(data[start:end])  # the dear part, so done for one sender only
        if message is not None:
            now_ns = at_ns(elapsed_s)
            vehicle.hear(message, now_ns)
            stamps += [(now_ns, stamp_us)] if not stamps or now_ns - stamps[-1][0] > _STAMP_EVERY_NS else []
    if not utc.known:  # no satellite time in the whole log: the logging computer's is what there is
        for now_ns, stamp_us in stamps:
            utc.hear(now_ns, _EPOCH + timedelta(microseconds=stamp_us))
    return Span(0.0, elapsed_s)


def _from(sender: tuple[int, int], data: bytes, start: int) -> bool:
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


def _timed(found: Iterator[Record]) -> Iterator[tuple[int, float, int, int]]:
    """(time stamp, seconds since the first record, first byte and end of the frame) of every record.

    Time stamps have no checksum, so each is replaced by the median of itself and its two neighbours. Where the
    logging computer's clock was set back, or ahead by more than a day, the log's own time stands still.
    """
    elapsed_us = 0
    before = here = next(found, None)
    previous_us = here[0] if here else 0
    while before is not None and here is not None:
        after = next(found, None)
        stamp_us = sorted((before[0], here[0], (after or here)[0]))[1]
        step_us = stamp_us - previous_us
        elapsed_us += step_us if 0 <= step_us <= _CLOCK_SET_US else 0
        previous_us = stamp_us
        yield stamp_us, elapsed_us / 1e6, here[1], here[2]
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
    return alone or (following is not None and abs(following[0] - record[0]) <= _CLOCK_SET_US)


def _survey(data: bytes, decode: framing.Decode) -> _Survey | None:
    """The first autopilot's heartbeat says whom to listen to; without any, the first who states a place."""
    autopilot: tuple[int, int] | None = None
    first: tuple[int, int] | None = None
    stating: set[tuple[int, int]] = set()
    for _, start, end in records(data, decode):
        number, source = framing.message_id(data, start), framing.source(data, start)
        if number == framing.HEARTBEAT and autopilot is None and _is_autopilot(decode(data[start:end])):
            autopilot = source
        if number in _TRACK:
            first = first or source
        if number == framing.GPS_RAW_INT:
            stating.add(source)
        if autopilot is not None and autopilot in stating:
            break
    chosen = autopilot or first
    return None if chosen is None or first is None else _Survey(*chosen, chosen in stating)


def _is_autopilot(heartbeat: Any) -> bool:
    return heartbeat is not None and is_autopilot(heartbeat)
