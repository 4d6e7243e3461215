"""Bytes of an image file become an upright RGB array, or a reason why not.

OpenCV does the decoding; this module adds what it leaves out: files that end early, orientation that does not depend
on OpenCV's version, and 16-bit samples that use fewer bits than they have room for.
"""

from __future__ import annotations

import os
import re
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.frames import RGB

# Three channels whatever is stored (grey is repeated, alpha dropped), 16 bit left as it is, orientation ours.
_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
# From OpenCV 4.11 on the JPEG decoder can write RGB itself, which saves a pass over the picture. JPEG alone: asked for
# RGB, OpenCV 5.0 returns memory it never wrote for a TIFF of 16 bits that has an orientation.
_JPEG_RGB: int | None = getattr(cv2, "IMREAD_COLOR_RGB", None)

_JPEG_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")  # not a stuffed 0xFF, not fill, not a restart
_EOI, _STANDALONE = 0xD9, (0x01, 0xD8)
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # either byte order, TIFF and BigTIFF
_JPEG = b"\xff\xd8\xff"
_SIGNATURES = (_JPEG, b"\x89PNG\r\n\x1a\n", b"BM", *_TIFF)
_DEPTHS = (10, 12, 14, 16)


class UnreadableImageError(ValueError):
    """The bytes are not a whole image; the message is the reason, as ``ends early: the JPEG has no end marker``."""


def known_kind(head: bytes) -> bool:
    """Whether the first 12 bytes of a file are those of a JPEG, PNG, TIFF, WebP or BMP image."""
    return head.startswith(_SIGNATURES) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")


def quiet_opencv() -> None:
    """Keep OpenCV and its FFmpeg from writing to stderr: what they complain about is reported by the caller.

    A level set by the user in OPENCV_FFMPEG_LOGLEVEL stays.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
    # Up to OpenCV 4.12 the function stands in cv2 itself.
    set_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
    set_level(0)


def decode(data: bytes, orientation: int) -> npt.NDArray[Any]:
    """Decode to RGB, (H, W, 3), uint8 or uint16, turned upright by the EXIF ``orientation`` (1 to 8).

    Grey becomes three equal channels, alpha is dropped (the colours below it are kept), of several pages the first
    is taken. Raises UnreadableImageError.
    """
    reason = _ends_early(data)
    if reason is not None:
        raise UnreadableImageError(reason)
    flags, as_rgb = _FLAGS, False
    if _JPEG_RGB is not None and data.startswith(_JPEG):
        flags, as_rgb = _JPEG_RGB | cv2.IMREAD_IGNORE_ORIENTATION, True
    try:
        rgb = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise UnreadableImageError(f"the decoder refuses it ({error.err})") from error
    if rgb is None:
        raise UnreadableImageError("the image is damaged")
    if rgb.dtype not in (np.uint8, np.uint16):
        raise UnreadableImageError(f"its samples are {rgb.dtype}, only 8 and 16 bit integers are read")
    if not as_rgb:
        rgb = cv2.cvtColor(rgb, cv2.COLOR_BGR2RGB, dst=rgb)
    # OpenCV turns TIFF upright whatever it is told.
    return rgb if data.startswith(_TIFF) else upright(rgb, orientation)


def upright(rgb: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Undo an EXIF orientation (CIPA DC-008, tag 0x0112); the result is C-contiguous."""
    turned = cv2.transpose(rgb) if orientation in (5, 6, 7, 8) else rgb
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return np.asarray(turned if flip is None else cv2.flip(turned, flip))


def rgb_from_bgr(bgr: npt.NDArray[Any] | cv2.Mat) -> RGB:
    """OpenCV's 8-bit order of colours to ours, in place: the memory of a second picture costs more than the work."""
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr), np.uint8)


def significant_bits(rgb: npt.NDArray[np.uint16]) -> int:
    """The depth (10, 12, 14 or 16 bit) that the samples of a 16-bit picture fit in: many cameras leave room unused."""
    used = int(rgb.max()).bit_length()
    return next(depth for depth in _DEPTHS if used <= depth)


def to_eight_bits(rgb: npt.NDArray[np.uint16], bits: int) -> RGB:
    """Keep the upper 8 of ``bits`` bits; a sample beyond ``bits`` becomes 255."""
    return np.asarray(np.minimum(rgb >> (bits - 8), 255), np.uint8)


def _ends_early(data: bytes) -> str | None:
    """Why ``data`` is not the whole file; None when it is, or when its format does not tell."""
    if not data:
        return "the file is empty"
    if data.startswith(b"\xff\xd8"):
        return None if _has_jpeg_end(data) else "ends early: the JPEG has no end marker"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return None if _has_png_end(data) else "ends early: the PNG has no IEND chunk"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        whole = int.from_bytes(data[4:8], "little") + 8
        return None if len(data) >= whole else f"ends early: {len(data)} of {whole} bytes"
    return None


def _has_jpeg_end(data: bytes) -> bool:
    """Walk the segments and scans to EOI: a thumbnail inside a segment has one of its own, which must not count."""
    at = 2
    while match := _JPEG_MARKER.search(data, at):
        marker, at = match[1][0], match.end()
        if marker == _EOI:
            return True
        if marker not in _STANDALONE:
            at += int.from_bytes(data[at : at + 2], "big")
    return False


def _has_png_end(data: bytes) -> bool:
    at = 8
    while at + 12 <= len(data):
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return False
