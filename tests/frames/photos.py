"""Photographs with the tags that drones and phones write, made byte by byte: nothing of the package, no library."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

Rational = tuple[int, int]


@dataclass
class Tags:
    make: str = "DJI"
    model: str = "M3E"
    orientation: int = 1
    taken: str | None = None
    focal_mm: Rational | None = (1229, 100)
    focal_35_mm: int | None = 24
    zoom: Rational | None = None
    lat_deg: float | None = None
    lon_deg: float | None = None
    alt_m: float | None = None
    alt_ref: int = 0
    status: str | None = None
    h_error: Rational | None = None
    xmp: str = ""
    gps_more: dict[int, tuple[int, int, bytes]] = field(default_factory=dict)


def dji(**values: object) -> str:
    """A packet as DJI writes it: attributes of one element."""
    inside = "\n".join(f'   drone-dji:{name}="{value}"' for name, value in values.items())
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
        ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        '  <rdf:Description rdf:about="DJI Meta Data" xmlns:drone-dji="http://www.dji.com/drone-dji/1.0/"\n'
        f'{inside}>\n  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="w"?>'
    )


def write(path: Path, rgb: np.ndarray, tags: Tags, quality: int = 95) -> Path:
    """``rgb`` (H, W, 3) as a JPEG with these tags."""
    done, data = cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    jpeg = data.tobytes()
    blocks = _segment(b"Exif\0\0" + _tiff(tags))
    if tags.xmp:
        blocks += _segment(b"http://ns.adobe.com/xap/1.0/\0" + tags.xmp.encode())
    path.write_bytes(jpeg[:2] + blocks + jpeg[2:])
    return path


def _segment(body: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def _ascii(text: str) -> tuple[int, int, bytes]:
    return 2, len(text) + 1, text.encode() + b"\0"


def _ratio(*parts: Rational) -> tuple[int, int, bytes]:
    return 5, len(parts), b"".join(struct.pack("<II", *part) for part in parts)


def _degrees(value: float) -> tuple[int, int, bytes]:
    whole = round(abs(value) * 3600 * 1_000_000)
    return _ratio((whole // 3_600_000_000, 1), (whole // 60_000_000 % 60, 1), (whole % 60_000_000, 1_000_000))


def _tiff(tags: Tags) -> bytes:
    exif: dict[int, tuple[int, int, bytes]] = {}
    if tags.taken is not None:
        exif[0x9003] = _ascii(tags.taken)
    if tags.focal_mm is not None:
        exif[0x920A] = _ratio(tags.focal_mm)
    if tags.zoom is not None:
        exif[0xA404] = _ratio(tags.zoom)
    if tags.focal_35_mm is not None:
        exif[0xA405] = (3, 1, struct.pack("<H", tags.focal_35_mm))
    gps: dict[int, tuple[int, int, bytes]] = {}
    if tags.lat_deg is not None and tags.lon_deg is not None:
        gps |= {1: _ascii("N" if tags.lat_deg >= 0 else "S"), 2: _degrees(tags.lat_deg)}
        gps |= {3: _ascii("E" if tags.lon_deg >= 0 else "W"), 4: _degrees(tags.lon_deg)}
    if tags.alt_m is not None:
        gps |= {5: (1, 1, bytes([tags.alt_ref])), 6: _ratio((round(abs(tags.alt_m) * 1000), 1000))}
    if tags.status is not None:
        gps[9] = _ascii(tags.status)
    if tags.h_error is not None:
        gps[0x1F] = _ratio(tags.h_error)
    gps |= tags.gps_more
    main = {0x010F: _ascii(tags.make), 0x0110: _ascii(tags.model), 0x0112: (3, 1, struct.pack("<H", tags.orientation))}
    at = 8
    size = sum(_bytes(entry) for entry in main.values()) + 6 + 24
    exif_at = at + size
    gps_at = exif_at + 6 + sum(_bytes(entry) for entry in exif.values())
    main[0x8769] = (4, 1, struct.pack("<I", exif_at))
    main[0x8825] = (4, 1, struct.pack("<I", gps_at))
    return b"II*\0" + struct.pack("<I", 8) + _ifd(main, at) + _ifd(exif, exif_at) + _ifd(gps, gps_at)


def _bytes(entry: tuple[int, int, bytes]) -> int:
    return 12 + (len(entry[2]) if len(entry[2]) > 4 else 0)


def _ifd(entries: dict[int, tuple[int, int, bytes]], at: int) -> bytes:
    values_at = at + 6 + 12 * len(entries)
    table, values = struct.pack("<H", len(entries)), b""
    for tag in sorted(entries):
        kind, count, data = entries[tag]
        table += struct.pack("<HHI", tag, kind, count)
        if len(data) <= 4:
            table += data.ljust(4, b"\0")
        else:
            table += struct.pack("<I", values_at + len(values))
            values += data
    return table + struct.pack("<I", 0) + values
