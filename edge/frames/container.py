"""What a video's container says of its own length: whether the file ends early, and how much of it is shown.

The number of frames that OpenCV gives is not enough: an MP4 stores frames that its edit list does not show, a Matroska
file counts its time from a start that need not be 0, and the frames of neither need be evenly spaced.
Sources: ISO/IEC 14496-12 (MP4, MOV), RFC 8794 and 9559 (Matroska, WebM), the RIFF of AVI.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_MOST_BOXES = 100_000
_MOST_MOOV = 64 << 20
_SEGMENT, _INFO, _DURATION, _SCALE, _CLUSTER, _TIMECODE = 0x18538067, 0x1549A966, 0x4489, 0x2AD7B1, 0x1F43B675, 0xE7


@dataclass(frozen=True, slots=True)
class Length:
    """What the container promises; None where it does not say."""

    cut_off: str | None = None
    """Why bytes are missing at the end; None where none are, or where it does not say."""
    shown: float | None = None
    """Of an MP4: the share of the stored frames that its edit list shows, 0 to 1."""
    duration_s: float | None = None
    """Of a Matroska file: from the start of its first cluster to the end of the last frame."""
    counted: bool = False
    """Whether the number of frames in the header is one of frames, not a guess from a duration."""


def read_length(path: Path) -> Length:
    """Look at the headers of a video file; an unknown or damaged one promises nothing. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(12)
        size = file.seek(0, 2)
        try:
            if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
                return _mp4(file, size)
            if head.startswith(b"\x1aE\xdf\xa3"):
                return _matroska(file, size)
            if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
                return _avi(file, size, int.from_bytes(head[4:8], "little") + 8)
        except (struct.error, IndexError):
            return Length()
    return Length()


def _missing(size: int, wanted: int) -> str | None:
    return f"cut off: {size} of {wanted} bytes are there" if size < wanted else None


def _avi(file: BinaryIO, size: int, wanted: int) -> Length:
    return Length(cut_off=_missing(size, wanted), counted=True)


def _mp4(file: BinaryIO, size: int) -> Length:
    at, moov = 0, b""
    for _ in range(_MOST_BOXES):
        if at + 8 > size:
            break
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        elif length == 0:  # to the end of the file
            length = size - at
        if length < 8:
            return Length()
        if at + length > size:
            return Length(cut_off=_missing(size, at + length), counted=bool(moov))
        if head[4:8] == b"moov" and length <= _MOST_MOOV:
            file.seek(at + 8)
            moov = file.read(length - 8)
        at += length
    if not moov or next(_inside(moov, b"mvex"), None) is not None:  # in fragments: moov counts none of their frames
        return Length()
    for track in _inside(moov, b"trak"):
        media = next(_inside(track, b"mdia"), b"")
        if next(_inside(media, b"hdlr"), b"")[8:12] == b"vide":
            return Length(counted=True, shown=_shown(moov, track, media))
    return Length()


def _shown(moov: bytes, track: bytes, media: bytes) -> float | None:
    """Share of a track's time that its edit list shows; None without one."""
    edits = next(_inside(next(_inside(track, b"edts"), b""), b"elst"), None)
    if edits is None:
        return None
    movie_scale, _ = _clock(next(_inside(moov, b"mvhd"), b""))
    media_scale, media_duration = _clock(next(_inside(media, b"mdhd"), b""))
    wide = edits[0] == 1
    row, entry = struct.Struct(">QqI" if wide else ">IiI"), 8
    (count,) = struct.unpack_from(">I", edits, 4)
    shown = 0
    for number in range(min(count, (len(edits) - entry) // row.size)):
        duration, start, _ = row.unpack_from(edits, entry + number * row.size)
        shown += duration if start >= 0 else 0  # -1 is a pause
    stored_s, shown_s = media_duration / media_scale, shown / movie_scale
    return min(1.0, shown_s / stored_s) if shown_s and stored_s else None


def _clock(box: bytes) -> tuple[int, int]:
    """Units per second, and the duration in them, of an mvhd or mdhd box."""
    scale, duration = struct.unpack_from(">IQ", box, 20) if box[0] == 1 else struct.unpack_from(">II", box, 12)
    if not scale:
        raise IndexError("a clock without units")
    return scale, duration


def _inside(box: bytes, name: bytes) -> Iterator[bytes]:
    """Contents of the boxes called ``name`` directly in ``box``."""
    at = 0
    while at + 8 <= len(box):
        length = int.from_bytes(box[at : at + 4], "big")
        if length < 8:
            return
        if box[at + 4 : at + 8] == name:
            yield box[at + 8 : at + length]
        at += length


def _matroska(file: BinaryIO, size: int) -> Length:
    """Walk the top level to the first cluster: what a cut leaves is shorter than the segment said."""
    at, end, scale_ns, duration = 0, size, 1_000_000, None
    for _ in range(_MOST_BOXES):
        if at + 2 > size:
            break
        file.seek(at)
        name, length, head = _element(file.read(12))
        if name == _SEGMENT:
            end = size if length is None else at + head + length
            at += head
            continue
        if name == _CLUSTER:
            file.seek(at + head)
            start = _number(file.read(64), _TIMECODE)
            if start is None or duration is None:
                break
            return Length(_missing(size, end), duration_s=(duration - start) * scale_ns / 1e9)
        if name == _INFO and length is not None:
            file.seek(at + head)
            scale_ns, duration = _info(file.read(min(length, 1 << 16)), scale_ns)
        if length is None:
            break
        at += head + length
    return Length(_missing(size, end))


def _info(block: bytes, scale_ns: int) -> tuple[int, float | None]:
    at, duration = 0, None
    while at + 2 <= len(block):
        name, length, head = _element(block[at : at + 12])
        content = block[at + head : at + head + (length or 0)]
        if name == _SCALE:
            scale_ns = int.from_bytes(content, "big")
        elif name == _DURATION:
            (duration,) = struct.unpack(">f" if length == 4 else ">d", content)
        at += head + (length or 0)
    return scale_ns, duration


def _number(block: bytes, wanted: int) -> int | None:
    """The first element called ``wanted``, a number; a checksum may stand before it."""
    at = 0
    while at + 2 <= len(block):
        name, length, head = _element(block[at:])
        if name == wanted:
            return int.from_bytes(block[at + head : at + head + (length or 0)], "big")
        at += head + (length or 0)
    return None


def _element(data: bytes) -> tuple[int, int | None, int]:
    """An EBML element's name, the length of its content (None: not known), and the length of both together."""
    name_bytes = 9 - data[0].bit_length()
    length_bytes = 9 - data[name_bytes].bit_length()
    raw = int.from_bytes(data[name_bytes : name_bytes + length_bytes], "big")
    mask = (1 << 7 * length_bytes) - 1
    length = raw & mask
    return int.from_bytes(data[:name_bytes], "big"), None if length == mask else length, name_bytes + length_bytes
