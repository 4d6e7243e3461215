"""Whether every strip or tile of a TIFF decodes to what it must: OpenCV takes what libtiff gives it, complaint or not.

TIFF 6.0 and BigTIFF, the first picture of a file. Deflate carries a checksum, JPEG is heard by its own decoder; of LZW
and PackBits the codes must be valid and their lengths add up to the strip's. Other compressions are OpenCV's to judge.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.frames import jpeg
from edge.frames.whole import UnreadableImageError, check_pixels

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of a TIFF: either byte order, TIFF and BigTIFF."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIPS, _SAMPLES, _ROWS, _STRIP_BYTES, _PLANAR = 273, 277, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES, _JPEG_TABLES = 322, 323, 324, 325, 347
_COLOURS = (0, 1, 2, 3, 5, 6)
"""Photometric interpretations: grey from white, grey from black, RGB, palette, CMYK, YCbCr."""
_YCBCR, _MOST_BANDS, _MOST_ENTRIES, _MOST_PAGES = 6, 4, 4096, 1000
_SUBFILE, _ACCESSORY = 254, 0b101
_LETTERS = {1: "B", 2: "s", 3: "H", 4: "I", 7: "s", 13: "I", 16: "Q", 18: "Q"}

_PIECE = 1 << 20
_CLEAR, _END, _FIRST = 256, 257, 258
_MOST_CODES = 4096 - _FIRST + 2
_CODE_BITS = np.select([np.arange(_MOST_CODES) < limit for limit in (254, 766, 1790)], [9, 10, 11], 12)
"""Bits of the n-th LZW code after a clear: TIFF widens a code one entry early, at 511, 1023 and 2047."""
_CODE_AT = np.concatenate([[0], np.cumsum(_CODE_BITS)])


@dataclass(frozen=True, slots=True)
class _Part:
    """A strip or tile."""

    at: int
    size: int
    wanted: int | None
    """Bytes that it must decode to at least; None where that is not simply known."""


def check(data: bytes) -> None:
    """Raise UnreadableImageError where a part is missing or does not decode, and for more than four bands."""
    tags, following = _directory(data)
    _check_pages(data, tags, following)
    bands = _one(tags, _SAMPLES, 1)
    if bands > _MOST_BANDS:
        raise UnreadableImageError(f"it has {bands} bands, only grey, RGB and RGB with alpha are read; export RGB")
    colours = _one(tags, _PHOTOMETRIC, 1)
    if colours not in _COLOURS:
        raise UnreadableImageError(f"its colours are of kind {colours} (TIFF tag 262), which is not read; export RGB")
    if colours == 0 and _one(tags, _BITS, 1) > 8:  # OpenCV forgets to invert these
        raise UnreadableImageError("its 16-bit samples count from white down, which is not read; export 0 as black")
    parts, compression = _parts(tags, bands), _one(tags, _COMPRESSION, 1)
    if not parts:
        raise UnreadableImageError("damaged: the TIFF names no strips or tiles")
    if compression == 1:
        rows = max(1, min(_one(tags, _ROWS, 1), _one(tags, _HEIGHT, 1)))
        check_pixels(data, parts[0].at, (parts[0].wanted or 0) // rows)
    decoded = _DECODERS.get(compression)
    view = memoryview(data)
    for number, part in enumerate(parts):
        if part.at + part.size > len(data):
            raise UnreadableImageError(f"ends early: part {number + 1} of {len(parts)} lies beyond its end")
        trouble = None
        if decoded is not None:
            trouble = decoded(view[part.at : part.at + part.size], part.wanted)
        elif compression == 7:
            tables = tags.get(_JPEG_TABLES)
            trouble = _jpeg(tables if isinstance(tables, bytes) else b"", bytes(view[part.at : part.at + part.size]))
        if trouble is not None:
            raise UnreadableImageError(f"damaged inside: part {number + 1} of {len(parts)} {trouble}")


def pages(data: bytes) -> int:
    """How many pictures a TIFF holds, previews and masks of the others (tag 254) not counted."""
    at, count, seen = None, 0, set[int]()
    while len(seen) < _MOST_PAGES and at != 0 and at not in seen:
        seen.add(at or 0)
        try:
            tags, at = _directory(data, at)
        except UnreadableImageError:  # of a later picture: the first one is what is read
            return max(1, count)
        count += not _one(tags, _SUBFILE, 0) & _ACCESSORY
    return count


def _check_pages(data: bytes, tags: Mapping[int, Any], following: int) -> None:
    """Raise UnreadableImageError where the first picture, which is the one that is read, is a preview."""
    width, height = _one(tags, _WIDTH, 0), _one(tags, _HEIGHT, 0)
    later, seen = following, set[int]()
    while later and later not in seen and len(seen) < _MOST_PAGES:
        seen.add(later)
        try:
            other, later = _directory(data, later)
        except UnreadableImageError:
            return
        if _one(other, _WIDTH, 0) > width and _one(other, _HEIGHT, 0) > height:
            raise UnreadableImageError(
                f"its first picture is a preview of {width} x {height}, a later one has {_one(other, _WIDTH, 0)} x "
                f"{_one(other, _HEIGHT, 0)}; export that one alone"
            )


def _directory(data: bytes, start: int | None = None) -> tuple[Mapping[int, Any], int]:
    """Tags of a directory (None: the first): numbers as tuples, bytes as bytes; and where the next one stands, or 0."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    count_letter, entry, inline = ("Q", "HHQ8s", 8) if big else ("H", "HHI4s", 4)
    try:
        (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4) if start is None else (start,)
        (count,) = struct.unpack_from(order + count_letter, data, at)
        at += struct.calcsize("=" + count_letter)
        tags: dict[int, Any] = {}
        for _ in range(min(count, _MOST_ENTRIES)):
            tag, kind, length, raw = struct.unpack_from(order + entry, data, at)
            at += struct.calcsize("=" + entry)
            letter = _LETTERS.get(kind)
            if letter is None or length > len(data):
                continue
            size = length * struct.calcsize("=" + letter)
            place = struct.unpack(order + ("Q" if big else "I"), raw)[0] if size > inline else None
            block = raw[:size] if place is None else data[place : place + size]
            values = struct.unpack(f"{order}{length}{letter}", block)
            tags.setdefault(tag, values[0] if letter == "s" else values)
        following = struct.unpack_from(order + ("Q" if big else "I"), data, at)[0] if count <= _MOST_ENTRIES else 0
    except struct.error as error:
        raise UnreadableImageError("ends early, or its TIFF directory is damaged") from error
    return tags, following


def _one(tags: Mapping[int, Any], tag: int, absent: int) -> int:
    values = tags.get(tag)
    return int(values[0]) if isinstance(values, tuple) and values else absent


def _parts(tags: Mapping[int, Any], bands: int) -> list[_Part]:
    width, height, bits = _one(tags, _WIDTH, 0), _one(tags, _HEIGHT, 0), _one(tags, _BITS, 1)
    if not width or not height:
        raise UnreadableImageError("damaged: the TIFF says no width or height")
    apart = _one(tags, _PLANAR, 1) == 2
    row = (bits * (1 if apart else bands), _one(tags, _PHOTOMETRIC, 0) == _YCBCR)
    if _TILES in tags:
        across, down = _one(tags, _TILE_WIDTH, width), _one(tags, _TILE_HEIGHT, height)
        places, sizes = tags[_TILES], tags.get(_TILE_BYTES, ())
        return [_part(at, size, across, down, *row) for at, size in zip(places, sizes, strict=False)]
    rows = min(_one(tags, _ROWS, height), height) or height
    places, sizes = tags.get(_STRIPS, ()), tags.get(_STRIP_BYTES, ())
    each = -(-height // rows)  # strips of one plane
    if len(places) < each * (bands if apart else 1) or len(sizes) != len(places):
        raise UnreadableImageError(f"damaged: the TIFF names {len(places)} of its {each} strips")
    return [
        _part(at, size, width, min(rows, height - (number % each) * rows), *row)
        for number, (at, size) in enumerate(zip(places, sizes, strict=True))
    ]


def _part(at: int, size: int, width: int, rows: int, pixel_bits: int, subsampled: bool) -> _Part:
    return _Part(at, size, None if subsampled else rows * (-(-width * pixel_bits // 8)))


def _plain(part: memoryview, wanted: int | None) -> str | None:
    return None if wanted is None or len(part) >= wanted else f"holds {len(part)} of {wanted} bytes"


def _deflate(part: memoryview, wanted: int | None) -> str | None:
    inflate = zlib.decompressobj()
    try:
        found = 0
        rest: bytes | memoryview = part
        while rest and not inflate.eof:
            found += len(inflate.decompress(rest, _PIECE))
            rest = inflate.unconsumed_tail
            if wanted is not None and found > wanted + _PIECE:  # forged, to fill the memory or the day
                return f"decodes to more than {wanted} bytes"
    except zlib.error as error:
        return f"does not decode ({error})"
    if not inflate.eof:
        return "ends early"
    return None if wanted is None or found >= wanted else f"decodes to {found} of {wanted} bytes"


def _packbits(part: memoryview, wanted: int | None) -> str | None:
    at = found = 0
    while at < len(part):
        head = part[at]
        if head < 128:
            at, found = at + head + 2, found + head + 1
        else:
            at, found = at + (2 if head > 128 else 1), found + (257 - head if head > 128 else 0)
    if at > len(part):
        return "ends within a run"
    return None if wanted is None or found == wanted else f"decodes to {found} of {wanted} bytes"


def _lzw(part: memoryview, wanted: int | None) -> str | None:
    """Follow the codes from clear to clear; which string each stands for is not needed, only how long it is."""
    if bytes(part[:2]) == b"\0\1":  # bits in the reverse order, as before TIFF 6.0
        return None
    padded = np.concatenate([np.frombuffer(part, np.uint8), np.zeros(3, np.uint8)]).astype(np.uint32)
    window = padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]
    bits, at, found = 8 * len(part), 0, 0
    while at + _CODE_BITS[0] <= bits:
        count = int(np.searchsorted(_CODE_AT, bits - at, "right")) - 1
        place, width = at + _CODE_AT[:count], _CODE_BITS[:count]
        codes = (window[place >> 3] >> (24 - (place & 7) - width) & (1 << width) - 1).astype(np.intp)
        stops = np.flatnonzero((codes == _CLEAR) | (codes == _END))
        if not stops.size and count == _MOST_CODES:
            return "does not decode (its table overflows)"
        used = int(stops[0]) if stops.size else count
        length = _strings(codes[:used])
        if length is None:
            return "does not decode (a code that does not exist yet)"
        found += length
        at += int(_CODE_AT[used + 1]) if stops.size else bits
        if stops.size and codes[used] == _END:
            break
    return None if wanted is None or found == wanted else f"decodes to {found} of {wanted} bytes"


def _strings(codes: npt.NDArray[np.intp]) -> int | None:
    """How many bytes the codes after a clear stand for; None where one refers to an entry not made yet.

    Entry n is the string of code n and one byte more, so a code's length is one more than that of the code it names:
    a chain that ends at a plain byte, followed for all codes at once by doubling the step.
    """
    own = np.arange(len(codes))
    if ((codes >= _FIRST) & (codes - _FIRST >= own)).any():
        return None
    to = np.where(codes >= _FIRST, codes - _FIRST, own)
    length = (codes >= _FIRST).astype(np.intp)
    while length[to].any():
        length, to = length + length[to], to[to]
    return int(length.sum()) + len(codes)


def _jpeg(tables: bytes, part: bytes) -> str | None:
    """Tables that all parts share stand in a tag, as a JPEG without a picture."""
    if len(part) < 4 or not part.startswith(b"\xff\xd8"):
        return "is no JPEG"
    try:
        jpeg.decode(tables[:-2] + part[2:] if tables else part)
    except UnreadableImageError as error:
        return f"is {error}"
    return None


_Decoder = Callable[[memoryview, "int | None"], "str | None"]
_DECODERS: Mapping[int, _Decoder] = {1: _plain, 5: _lzw, 8: _deflate, 32946: _deflate, 32773: _packbits}
