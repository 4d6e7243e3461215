"""The few EXIF tags that say when and how a photograph was taken, read strictly and within bounds.

Standard: CIPA DC-008 (Exif 2.32) on TIFF 6.0. Containers: JPEG (APP1), PNG (``eXIf``), WebP (``EXIF``) and TIFF
itself. A file is hostile until proven otherwise: every length is checked before it is used, nothing is followed
twice, and whatever does not make sense counts as not said. Nothing here raises for bad content.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, BinaryIO

_ORIENTATION, EXIF_IFD, GPS_IFD = 0x0112, 0x8769, 0x8825
_EXPOSURE_TIME, _TAKEN, _TAKEN_OFFSET, _TAKEN_SUBSEC = 0x829A, 0x9003, 0x9011, 0x9291
_GPS_TIME, _GPS_DATE = 0x0007, 0x001D

_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL = 1, 2, 3, 4, 5
_TYPE_BYTES = {_BYTE: 1, _ASCII: 1, _SHORT: 2, _LONG: 4, _RATIONAL: 8}

_MAX_ENTRIES = 1024  # the longest directories seen in the wild hold about a hundred
_MAX_FIELD_BYTES = 64  # the longest field wanted here, GPSTimeStamp, has 24
_MAX_BLOCKS = 100_000  # JPEG segments or PNG chunks walked before giving up
_MAX_EXPOSURE_US = 3_600_000_000

_DATE_TIME = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)", re.ASCII)
_DATE = re.compile(r"(\d{4}):(\d\d):(\d\d)", re.ASCII)
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)", re.ASCII)

Reader = Callable[[int, int], bytes]
"""``read(offset, count)``: at most ``count`` bytes at ``offset``, fewer where there are fewer."""


@dataclass(frozen=True, slots=True)
class Exif:
    """What a photograph says of itself."""

    orientation: int = 1
    """Tag Orientation, 1 to 8: how the stored rows and columns lie in the picture; 1 is upright."""
    taken_local: datetime | None = None
    """DateTimeOriginal and SubSecTimeOriginal on the camera's own clock, without a zone; None when absent.
    Good for the time between two photographs of one camera, not for the time of day."""
    taken_at: datetime | None = None
    """UTC: DateTimeOriginal where OffsetTimeOriginal gives its zone, else GPSDateStamp and GPSTimeStamp (the time of
    the fix, mostly whole seconds), else None: a local time without a zone is not taken for UTC."""
    exposure_us: int | None = None
    """ExposureTime, microseconds; None when absent."""


def read_exif(file: BinaryIO) -> Exif:
    """Read the tags from an image open for reading; all of them unknown when there is no sound EXIF in it."""
    tiff = tiff_in(file)
    return Exif() if tiff is None else _interpret(tiff)


def tiff_in(file: BinaryIO) -> Tiff | None:
    """The directories of tags in an image open for reading; None when there is no EXIF in it."""
    read = reader(file)
    place = _locate(read)
    if place is None:
        return None
    start, size = place
    return Tiff(lambda offset, count: read(start + offset, max(0, min(count, size - offset))))


def reader(file: BinaryIO) -> Reader:
    """Bytes of a file by offset, none where there are none or they cannot be read."""

    def read(offset: int, count: int) -> bytes:
        if offset < 0 or count <= 0:
            return b""
        try:
            file.seek(offset)
            return file.read(count)
        except OSError:  # a failing card: the decoder will meet it too, and says so
            return b""

    return read


def _locate(read: Reader) -> tuple[int, int] | None:
    """Offset and size of the TIFF block in the file; None when there is none."""
    head = read(0, 12)
    if head[:3] == b"\xff\xd8\xff":
        return _in_jpeg(read)
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return _in_chunks(read, 8, ">I4s", b"eXIf")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _in_chunks(read, 12, "<4sI", b"EXIF")
    if head[:4] in (b"II*\0", b"MM\0*"):
        return 0, 1 << 32
    return None


def _in_jpeg(read: Reader) -> tuple[int, int] | None:
    at = 2
    for _ in range(_MAX_BLOCKS):
        head = read(at, 10)
        if len(head) < 4 or head[0] != 0xFF:
            return None
        marker, size = head[1], int.from_bytes(head[2:4], "big")
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in (0xD9, 0xDA) or size < 2:  # the picture begins: no APP1 behind it
            return None
        if marker == 0xE1 and head[4:10] == b"Exif\0\0":
            return at + 10, size - 8
        at += 2 + size
    return None


def _in_chunks(read: Reader, at: int, header: str, wanted: bytes) -> tuple[int, int] | None:
    """Walk PNG or RIFF chunks from ``at``; ``header`` is the struct format of a chunk's 8-byte head."""
    tail = 4 if header == ">I4s" else 0  # PNG ends a chunk with its CRC; RIFF pads it to an even size
    for _ in range(_MAX_BLOCKS):
        head = read(at, 8)
        if len(head) < 8:
            return None
        first, second = struct.unpack(header, head)
        size, name = (first, second) if tail else (second, first)
        if name == wanted:
            prefix = 6 if read(at + 8, 6) == b"Exif\0\0" else 0
            return at + 8 + prefix, size - prefix
        at += 8 + size + (tail or size % 2)
    return None


@dataclass(frozen=True, slots=True)
class _Field:
    kind: int
    count: int
    raw: bytes
    """The value itself when it fits in 4 bytes, else its offset."""


class Tiff:
    """Fields of a TIFF block's directories; a missing or malformed one reads as None."""

    def __init__(self, read: Reader) -> None:
        self._read = read
        head = read(0, 8)
        self._order = {b"II*\0": "<", b"MM\0*": ">"}.get(head[:4], "<")
        sound = len(head) == 8 and head[:4] in (b"II*\0", b"MM\0*")
        self.main = self.directory(self._unpack("I", head[4:8])[0]) if sound else {}

    def directory(self, at: int | None) -> dict[int, _Field]:
        """The directory at offset ``at``; where a tag repeats the first one counts."""
        if at is None or at < 8:
            return {}
        count = self._read(at, 2)
        if len(count) < 2:
            return {}
        block = self._read(at + 2, 12 * min(self._unpack("H", count)[0], _MAX_ENTRIES))
        fields: dict[int, _Field] = {}
        for entry in range(len(block) // 12):
            tag, kind, size, raw = self._unpack("HHI4s", block[12 * entry : 12 * entry + 12])
            fields.setdefault(tag, _Field(kind, size, raw))
        return fields

    def number(self, fields: dict[int, _Field], tag: int) -> int | None:
        """A single SHORT or LONG."""
        for kind, letter in ((_SHORT, "H"), (_LONG, "I")):
            data = self._bytes(fields, tag, kind)
            if data is not None and len(data) == _TYPE_BYTES[kind]:
                return int(self._unpack(letter, data)[0])
        return None

    def byte(self, fields: dict[int, _Field], tag: int) -> int | None:
        """A single BYTE."""
        data = self._bytes(fields, tag, _BYTE)
        return data[0] if data is not None and len(data) == 1 else None

    def text(self, fields: dict[int, _Field], tag: int) -> str:
        """An ASCII field up to its first NUL, stripped; empty when absent."""
        data = self._bytes(fields, tag, _ASCII) or b""
        return data.split(b"\0")[0].decode("ascii", "replace").strip()

    def ratios(self, fields: dict[int, _Field], tag: int) -> list[float]:
        """RATIONALs as numbers; empty when absent or when one divides by zero."""
        data = self._bytes(fields, tag, _RATIONAL) or b""
        pairs = [self._unpack("II", data[i : i + 8]) for i in range(0, len(data), 8)]
        return [a / b for a, b in pairs] if all(b for _, b in pairs) else []

    def _bytes(self, fields: dict[int, _Field], tag: int, kind: int) -> bytes | None:
        field = fields.get(tag)
        if field is None or field.kind != kind:
            return None
        size = field.count * _TYPE_BYTES[kind]
        if size > _MAX_FIELD_BYTES:
            return None
        data = field.raw[:size] if size <= 4 else self._read(self._unpack("I", field.raw)[0], size)
        return data if len(data) == size else None

    def _unpack(self, layout: str, data: bytes) -> tuple[Any, ...]:
        return struct.unpack(self._order + layout, data)


def _interpret(tiff: Tiff) -> Exif:
    exif = tiff.directory(tiff.number(tiff.main, EXIF_IFD))
    gps = tiff.directory(tiff.number(tiff.main, GPS_IFD))
    orientation = tiff.number(tiff.main, _ORIENTATION)
    local = _local_time(tiff.text(exif, _TAKEN), tiff.text(exif, _TAKEN_SUBSEC))
    return Exif(
        orientation=orientation if orientation is not None and 1 <= orientation <= 8 else 1,
        taken_local=local,
        taken_at=_utc(local, tiff.text(exif, _TAKEN_OFFSET))
        or _gps_time(tiff.text(gps, _GPS_DATE), tiff.ratios(gps, _GPS_TIME)),
        exposure_us=_exposure_us(tiff.ratios(exif, _EXPOSURE_TIME)),
    )


def taken_local(tiff: Tiff | None) -> datetime | None:
    """DateTimeOriginal and SubSecTimeOriginal, without a zone."""
    if tiff is None:
        return None
    exif = tiff.directory(tiff.number(tiff.main, EXIF_IFD))
    return _local_time(tiff.text(exif, _TAKEN), tiff.text(exif, _TAKEN_SUBSEC))


def _local_time(text: str, subsec: str) -> datetime | None:
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return None
    digits = subsec if subsec.isascii() and subsec.isdigit() else ""
    try:
        year, month, day, hour, minute, second = map(int, match.groups())
        return datetime(year, month, day, hour, minute, second, int(f"{digits:0<6}"[:6]))
    except ValueError:  # 0000:00:00 is how a camera says that its clock was never set
        return None


def _utc(local: datetime | None, offset: str) -> datetime | None:
    match = _OFFSET.fullmatch(offset)
    if local is None or match is None:
        return None
    ahead = timedelta(hours=int(match[2]), minutes=int(match[3]))
    if ahead > timedelta(hours=14):  # the largest there is, UTC+14
        return None
    try:
        return (local + ahead if match[1] == "-" else local - ahead).replace(tzinfo=timezone.utc)
    except OverflowError:
        return None


def _gps_time(date: str, time: list[float]) -> datetime | None:
    match = _DATE.fullmatch(date)
    if match is None or len(time) != 3 or time[0] >= 24 or time[1] >= 60 or time[2] >= 61:
        return None
    try:
        day = datetime(int(match[1]), int(match[2]), int(match[3]), tzinfo=timezone.utc)
        return day + timedelta(hours=time[0], minutes=time[1], seconds=time[2])
    except (ValueError, OverflowError):
        return None


def _exposure_us(ratios: list[float]) -> int | None:
    exposure_us = round(ratios[0] * 1e6) if len(ratios) == 1 else 0
    return exposure_us if 0 < exposure_us <= _MAX_EXPOSURE_US else None
