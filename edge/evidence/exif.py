"""The EXIF segment of an evidence picture: time, exposure, lens, and GPS where there is a fix (EXIF 2.32, TIFF 6.0).

Photogrammetry takes such a picture at once: maker, model and focal length tell it the camera, SubSecTime the order
(OpenDroneMap reads 0x9290, others 0x9291), and ``xmp`` beside this module where the camera looked.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from datetime import datetime, timezone

from edge.navigation import Fix, NavState
from edge.surface.lens import Lens

_ASCII, _SHORT, _LONG, _RATIONAL, _BYTE, _UNDEFINED = 2, 3, 4, 5, 1, 7

MAKE = "spanhawk"
"""Never a drone maker's name: programs turn the angles of some makers by 90 degrees."""
_FILM_WIDTH_MM, _FILM_DIAGONAL_MM = 36.0, math.hypot(36.0, 24.0)
_CENTIMETRE = 3

# A RATIONAL is two 32-bit numbers, here in millimetres.
_MOST_M = 4_000_000.0

Entry = tuple[int, int, int, bytes]
"""Tag, type, count, value bytes (big endian)."""


def exif_segment(
    nav: NavState,
    seen_at: datetime,
    exposure_us: int | None,
    *,
    satellite_time: bool = False,
    size_px: tuple[int, int] | None = None,
    lens: Lens | None = None,
    focal_mm: float | None = None,
) -> bytes:
    """A whole APP1 segment, marker included. GPS tags are absent without a fix: no place is made up.

    GPS time and date are written only where ``seen_at`` is the satellites' own (``satellite_time``). ``size_px``: width
    and height; None: they are not written. ``lens``: of the
    picture's own size; None: the model is not named. ``focal_mm``: its real focal length, None where that is unknown.
    """
    main = [
        _ascii(0x010F, MAKE),  # Make
        _ascii(0x0131, MAKE),  # Software
        _ascii(0x0132, _date(seen_at)),  # DateTime
        # What the standard requires of every JPEG: a nominal 72 dpi, and samples centred as OpenCV writes them.
        _rationals(0x011A, [(72, 1)]),  # XResolution
        _rationals(0x011B, [(72, 1)]),  # YResolution
        _short(0x0128, 2),  # ResolutionUnit: inches
        _short(0x0213, 1),  # YCbCrPositioning
    ]
    exif = _exif_entries(seen_at, exposure_us)
    if size_px is not None:
        exif += [_long(0xA002, size_px[0]), _long(0xA003, size_px[1])]  # ExifImageWidth, …Height
    if lens is not None:
        # Model: photogrammetry keeps one calibration for each, so size and focal length belong to its name.
        main.append(_ascii(0x0110, _plain(f"{lens.name} {lens.width_px}x{lens.height_px} {lens.fx_px:.0f}px")))
        exif += _lens_entries(lens, focal_mm)
    tiff = _tiff(main, exif, _gps_entries(nav, seen_at if satellite_time else None))
    body = b"Exif\x00\x00" + tiff
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def _exif_entries(seen_at: datetime, exposure_us: int | None) -> list[Entry]:
    utc = seen_at.astimezone(timezone.utc)
    entries = [
        _undefined(0x9000, b"0232"),  # ExifVersion
        _undefined(0x9101, bytes([1, 2, 3, 0])),  # ComponentsConfiguration: Y, Cb, Cr
        _undefined(0xA000, b"0100"),  # FlashpixVersion
        _short(0xA001, 1),  # ColorSpace: sRGB
        _ascii(0x9003, _date(utc)),  # DateTimeOriginal
        _ascii(0x9010, "+00:00"),  # OffsetTime
        _ascii(0x9011, "+00:00"),  # OffsetTimeOriginal
        _ascii(0x9290, f"{utc.microsecond // 1000:03d}"),  # SubSecTime
        _ascii(0x9291, f"{utc.microsecond // 1000:03d}"),  # SubSecTimeOriginal
    ]
    if exposure_us is not None:
        entries.append(_rationals(0x829A, [(exposure_us, 1_000_000)]))  # ExposureTime
    return entries


def _date(seen_at: datetime) -> str:
    return seen_at.astimezone(timezone.utc).strftime("%Y:%m:%d %H:%M:%S")


def _plain(name: str) -> str:
    return name.encode("ascii", "replace").decode("ascii")


def _lens_entries(lens: Lens, focal_mm: float | None) -> list[Entry]:
    """Focal length, the same on 35 mm film (CIPA DCG-001: by the diagonal), and pixels per centimetre of the sensor.

    A picture shows focal length over pixel size and neither alone. Where the millimetres are unknown both are given for
    a sensor as wide as 35 mm film, which takes the same picture.
    """
    longer_px = max(lens.width_px, lens.height_px)
    if focal_mm is None:
        focal_mm = lens.fx_px * _FILM_WIDTH_MM / longer_px
    on_film_mm = lens.fx_px * _FILM_DIAGONAL_MM / math.hypot(lens.width_px, lens.height_px)
    entries = [_rationals(0x920A, [(round(focal_mm * 10_000), 10_000)])]  # FocalLength
    if 1 <= round(on_film_mm) <= 65_535:
        entries.append(_short(0xA405, round(on_film_mm)))  # FocalLengthIn35mmFilm
    for tag, focal_px in ((0xA20E, lens.fx_px), (0xA20F, lens.fy_px)):  # FocalPlaneXResolution, …YResolution
        entries.append(_rationals(tag, [(round(focal_px / focal_mm * 10 * 1000), 1000)]))
    entries.append(_short(0xA210, _CENTIMETRE))  # FocalPlaneResolutionUnit
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


def _short(tag: int, value: int) -> Entry:
    return tag, _SHORT, 1, struct.pack(">H", value)


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


def _tiff(main: list[Entry], exif: list[Entry], gps: list[Entry]) -> bytes:
    # IFD0 must come first and points at the others, so it is sized first and filled in last.
    pointers = [_long(0x8769, 0), *([_long(0x8825, 0)] if gps else [])]
    sized = _Writer(bytearray(8))
    sized.ifd([*main, *pointers])
    writer = _Writer(bytearray(len(sized.data)))
    exif_at = writer.ifd(exif)
    gps_at = writer.ifd(gps) if gps else None
    ifd0 = [*main, _long(0x8769, exif_at)]
    if gps_at is not None:
        ifd0.append(_long(0x8825, gps_at))
    head = _Writer(bytearray(b"MM\x00*" + struct.pack(">I", 8)))
    head.ifd(ifd0)
    return bytes(head.data) + bytes(writer.data[len(head.data) :])


def _long(tag: int, value: int) -> Entry:
    return tag, _LONG, 1, struct.pack(">I", value)
