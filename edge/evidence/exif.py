"""The EXIF segment of an evidence picture: time, exposure, and GPS where there is a fix (EXIF 2.32, TIFF 6.0)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime, timezone

from edge.navigation import Fix, NavState

_ASCII, _SHORT, _LONG, _RATIONAL, _BYTE, _UNDEFINED = 2, 3, 4, 5, 1, 7

# A RATIONAL is two 32-bit numbers, here in millimetres.
_MOST_M = 4_000_000.0

Entry = tuple[int, int, int, bytes]
"""Tag, type, count, value bytes (big endian)."""


def exif_segment(nav: NavState, seen_at: datetime, exposure_us: int | None, *, satellite_time: bool = False) -> bytes:
    """A whole APP1 segment, marker included. GPS tags are absent without a fix: no place is made up.

    GPS time and date are written only where ``seen_at`` is the satellites' own (``satellite_time``).
    """
    tiff = _tiff(_exif_entries(seen_at, exposure_us), _gps_entries(nav, seen_at if satellite_time else None))
    body = b"Exif\x00\x00" + tiff
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def _exif_entries(seen_at: datetime, exposure_us: int | None) -> list[Entry]:
    utc = seen_at.astimezone(timezone.utc)
    entries = [
        _undefined(0x9000, b"0232"),  # ExifVersion
        _ascii(0x9003, utc.strftime("%Y:%m:%d %H:%M:%S")),  # DateTimeOriginal
        _ascii(0x9011, "+00:00"),  # OffsetTimeOriginal
        _ascii(0x9291, f"{utc.microsecond // 1000:03d}"),  # SubSecTimeOriginal
    ]
    if exposure_us is not None:
        entries.append(_rationals(0x829A, [(exposure_us, 1_000_000)]))  # ExposureTime
    return entries


def _gps_entries(nav: NavState, satellite_time: datetime | None) -> list[Entry]:
    fix = nav.fix
    if fix is None:
        return []
    entries = [
        (0x0000, _BYTE, 4, bytes([2, 3, 0, 0])),  # GPSVersionID
        _ascii(0x0001, "N" if fix.lat_deg >= 0 else "S"),
        _rationals(0x0002, _degrees(fix.lat_deg)),
        _ascii(0x0003, "E" if fix.lon_deg >= 0 else "W"),
        _rationals(0x0004, _degrees(fix.lon_deg)),
        _ascii(0x0012, "WGS-84"),  # GPSMapDatum
    ]
    return entries + _gps_time(satellite_time) + _quality(fix) + _direction(nav)


def _gps_time(satellite_time: datetime | None) -> list[Entry]:
    if satellite_time is None:
        return []
    utc = satellite_time.astimezone(timezone.utc)
    seconds = (utc.second * 1000 + utc.microsecond // 1000, 1000)
    return [
        _rationals(0x0007, [(utc.hour, 1), (utc.minute, 1), seconds]),  # GPSTimeStamp
        _ascii(0x001D, utc.strftime("%Y:%m:%d")),  # GPSDateStamp
    ]


def _quality(fix: Fix) -> list[Entry]:
    entries: list[Entry] = []
    if fix.alt_amsl_m is not None and abs(fix.alt_amsl_m) < _MOST_M:
        entries.append((0x0005, _BYTE, 1, bytes([0 if fix.alt_amsl_m >= 0 else 1])))  # GPSAltitudeRef
        entries.append(_rationals(0x0006, [(round(abs(fix.alt_amsl_m) * 1000), 1000)]))
    if fix.h_accuracy_m is not None and fix.h_accuracy_m < _MOST_M:
        entries.append(_rationals(0x001F, [(round(fix.h_accuracy_m * 1000), 1000)]))  # GPSHPositioningError
    return entries


def _direction(nav: NavState) -> list[Entry]:
    if nav.attitude is None:
        return []
    heading = round(nav.attitude.yaw_deg % 360 * 100) % 36000
    return [_ascii(0x0010, "T"), _rationals(0x0011, [(heading, 100)])]  # GPSImgDirection, true north


def _degrees(value: float) -> list[tuple[int, int]]:
    """Degrees, minutes, seconds to 0.0001 second (3 mm)."""
    ticks = round(abs(value) * 3600 * 10_000)
    minutes, seconds = divmod(ticks, 60 * 10_000)
    return [(minutes // 60, 1), (minutes % 60, 1), (seconds, 10_000)]


def _ascii(tag: int, text: str) -> Entry:
    data = text.encode("ascii") + b"\x00"
    return tag, _ASCII, len(data), data


def _undefined(tag: int, data: bytes) -> Entry:
    return tag, _UNDEFINED, len(data), data


def _rationals(tag: int, values: list[tuple[int, int]]) -> Entry:
    return tag, _RATIONAL, len(values), b"".join(struct.pack(">II", *value) for value in values)


@dataclass(slots=True)
class _Writer:
    """IFDs one after the other behind the 8-byte TIFF header."""

    data: bytearray

    def ifd(self, entries: list[Entry]) -> int:
        """Append an IFD with its values; returns its offset."""
        offset = len(self.data)
        values_at = offset + 2 + 12 * len(entries) + 4
        table, values = bytearray(struct.pack(">H", len(entries))), bytearray()
        for tag, kind, count, value in sorted(entries):
            table += struct.pack(">HHI", tag, kind, count)
            if len(value) <= 4:
                table += value.ljust(4, b"\x00")
            else:
                table += struct.pack(">I", values_at + len(values))
                values += value + b"\x00" * (len(value) % 2)
        self.data += table + struct.pack(">I", 0) + values
        return offset


def _tiff(exif: list[Entry], gps: list[Entry]) -> bytes:
    # IFD0 must come first and points at the others, so it is sized first and filled in last.
    pointers = 3 if gps else 2
    ifd0_bytes = 2 + 12 * pointers + 4 + len(_SOFTWARE) + len(_SOFTWARE) % 2
    writer = _Writer(bytearray(8 + ifd0_bytes))
    exif_at = writer.ifd(exif)
    gps_at = writer.ifd(gps) if gps else None
    ifd0 = [(0x0131, _ASCII, len(_SOFTWARE), _SOFTWARE), (0x8769, _LONG, 1, struct.pack(">I", exif_at))]
    if gps_at is not None:
        ifd0.append((0x8825, _LONG, 1, struct.pack(">I", gps_at)))
    head = _Writer(bytearray(b"MM\x00*" + struct.pack(">I", 8)))
    head.ifd(ifd0)
    return bytes(head.data) + bytes(writer.data[len(head.data) :])


_SOFTWARE = b"spanhawk\x00"
