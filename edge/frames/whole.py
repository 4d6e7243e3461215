"""Whether bytes are a whole image, as far as its format tells: end markers, lengths, checksums."""

from __future__ import annotations

import re
import zlib

import numpy as np

JPEG = b"\xff\xd8\xff"
PNG = b"\x89PNG\r\n\x1a\n"

_JPEG_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")  # not a stuffed 0xFF, not fill, not a restart
_EOI, _STANDALONE = 0xD9, (0x01, 0xD8)
_PROGRESSIVE, _SCAN, _COEFFICIENTS = 0xC2, 0xDA, 64
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15 without tables
# A lost sector reads as zeros. Compressed data holds no such run; 512 bytes is the smallest sector there is.
_SECTOR = 512
_NO_SCAN = 16  # more than any scan can leave out
_LOST_SECTOR = bytes(_SECTOR)
_WEBP_ANIMATED = 0x02
_CLUSTER_SECTORS = 8  # 4 KiB, the smallest cluster of the file systems on cards


class UnreadableImageError(ValueError):
    """The bytes are not a whole image; the message is the reason, as ``ends early: the JPEG has no end marker``."""


def is_webp(head: bytes) -> bool:
    """Whether these are the first bytes of a WebP file."""
    return head.startswith(b"RIFF") and head[8:12] == b"WEBP"


def is_series(data: bytes) -> bool:
    """Whether a PNG or WebP holds several pictures, one after the other in time."""
    if data.startswith(PNG):
        pixels = data.find(b"IDAT")
        return b"acTL" in data[8 : pixels if pixels > 0 else 8]
    return is_webp(data) and data[12:16] == b"VP8X" and len(data) > 20 and bool(data[20] & _WEBP_ANIMATED)


def check_pixels(data: bytes, start: int, row: int) -> None:
    """Raise UnreadableImageError where clusters of the card are missing among uncompressed pixels.

    They carry no check, but a lost cluster is zeros from one sector's border to another's, with something on either
    side; what is black in a picture begins and ends at a pixel of its own. ``start``: the first pixel's byte, ``row``:
    bytes per row. Rows that are whole sectors cannot be told from lost ones.
    """
    if start % _SECTOR == 0 and row % _SECTOR == 0:
        return
    sectors = np.frombuffer(data, np.uint8, len(data) // _SECTOR * _SECTOR).reshape(-1, _SECTOR)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], ~sectors.any(axis=1), [0]]).astype(np.int8)))
    for first, end in edges.reshape(-1, 2).tolist():
        at, behind = first * _SECTOR, end * _SECTOR
        if end - first >= _CLUSTER_SECTORS and at > start and data[at - 1] and behind < len(data) and data[behind]:
            raise UnreadableImageError(f"damaged inside: nothing but zeros from byte {at} to {behind}, a lost cluster")


def check(data: bytes) -> None:
    """Raise UnreadableImageError where the format shows that something is missing or changed; not for TIFF."""
    if not data:
        raise UnreadableImageError("the file is empty")
    if data.startswith(b"\xff\xd8"):
        _check_jpeg(data)
    elif data.startswith(PNG):
        _check_png(data)
    elif is_webp(data):
        _check_webp(data)
    elif data.startswith(b"BM") and len(data) >= 30:
        start, width = (int.from_bytes(data[at : at + 4], "little") for at in (10, 18))
        bits = int.from_bytes(data[28:30], "little")
        check_pixels(data, start, (width * bits + 31) // 32 * 4)


def _check_jpeg(data: bytes) -> None:
    """Walk the segments and scans to EOI: a thumbnail inside a segment has one of its own, which must not count."""
    at, progressive = 2, False
    missing: dict[int, list[int]] = {}  # of each component, bits of each coefficient that no scan has brought yet
    while match := _JPEG_MARKER.search(data, at):
        marker, at = match[1][0], match.end()
        if marker == _EOI:
            if progressive and any(any(bits) for bits in missing.values()):
                raise UnreadableImageError("ends early: scans of the progressive JPEG are missing")
            return
        if marker == _PROGRESSIVE and len(data) > at + 8:
            progressive = True
            missing = {id: [_NO_SCAN] * _COEFFICIENTS for id in data[at + 8 : at + 8 + 3 * data[at + 7] : 3]}
        if marker == _SCAN and progressive:
            _note_scan(data[at : at + 2 + int.from_bytes(data[at : at + 2], "big")], missing)
        if marker in _FRAMES and len(data) > at + 2 and data[at + 2] != 8:
            raise UnreadableImageError(f"a JPEG of {data[at + 2]} bits a sample, only 8 are read; export it as TIFF")
        if marker not in _STANDALONE:
            at += int.from_bytes(data[at : at + 2], "big")
    raise UnreadableImageError("ends early: the JPEG has no end marker")


def _note_scan(header: bytes, missing: dict[int, list[int]]) -> None:
    """A scan of a progressive JPEG brings some coefficients of some components, down to one bit (T.81, G.1.1.1)."""
    count = header[2] if len(header) > 2 else 0
    if len(header) < 6 + 2 * count:
        return
    first, last, low = header[3 + 2 * count], min(header[4 + 2 * count], _COEFFICIENTS - 1), header[5 + 2 * count] & 15
    for id in header[3 : 3 + 2 * count : 2]:
        for number in range(first, last + 1):
            if id in missing:
                missing[id][number] = min(missing[id][number], low)


def _check_png(data: bytes) -> None:
    """Every chunk carries a CRC-32 of its name and content."""
    at, view = 8, memoryview(data)
    while at + 12 <= len(data):
        size, name = int.from_bytes(view[at : at + 4], "big"), bytes(view[at + 4 : at + 8])
        end = at + 8 + size
        if end + 4 > len(data):
            break
        # A capital begins what the picture hangs on; a note may be wrong without harm.
        if name[:1].isupper() and zlib.crc32(view[at + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            shown = name.decode("ascii", "replace")
            raise UnreadableImageError(f"damaged inside: the checksum of its {shown} chunk at byte {at} is wrong")
        if name == b"IEND":
            return
        at = end + 4
    raise UnreadableImageError("ends early: the PNG has no IEND chunk")


def _check_webp(data: bytes) -> None:
    size = int.from_bytes(data[4:8], "little") + 8
    if len(data) < size:
        raise UnreadableImageError(f"ends early: {len(data)} of {size} bytes")
    at = 12
    while at + 8 <= size:
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + length > size:
            raise UnreadableImageError(f"ends early: a chunk at byte {at} is longer than the file")
        if name in (b"VP8 ", b"VP8L") and (lost := data.find(_LOST_SECTOR, at + 8, at + 8 + length)) >= 0:
            raise UnreadableImageError(f"damaged inside: nothing but zeros for {len(_LOST_SECTOR)} bytes from {lost}")
        at += 8 + length + length % 2
