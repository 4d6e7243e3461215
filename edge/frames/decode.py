"""Bytes of an image file become an upright RGB array, or a reason why not.

JPEG is decoded by simplejpeg, because it hands on what libjpeg complains about: OpenCV writes "Corrupt JPEG data" to
stderr and returns the picture all the same, with its blocks shifted. The rest is decoded by OpenCV; this module and its
neighbours ``whole`` and ``tiff`` add what OpenCV leaves out: damage inside a file, files that end early, orientation
that does not depend on OpenCV's version, and 16-bit samples that use fewer bits than they have room for.

What carries no check of its own cannot be told: most damage within uncompressed pixels (BMP, plain TIFF) or a WebP, and
a single wrong bit in a JPEG that its decoder gets over.
"""

from __future__ import annotations

import os
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.frames import RGB, heic, jpeg, tiff, whole
from edge.frames.jpeg import reduced
from edge.frames.whole import UnreadableImageError

__all__ = [
    "UnreadableImageError",
    "decode",
    "known_kind",
    "quiet_opencv",
    "rgb_from_bgr",
    "several",
    "significant_bits",
    "sound_bytes",
    "to_eight_bits",
    "too_dark",
    "unchanged",
    "upright",
]  # fmt: skip

# Three channels whatever is stored (grey is repeated, alpha dropped), 16 bit left as it is, orientation ours.
_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
_DEPTHS = (10, 12, 14, 16)


def known_kind(head: bytes) -> bool:
    """Whether the first 12 bytes of a file are those of a JPEG, PNG, TIFF, WebP, BMP or HEIC image."""
    return head.startswith((whole.JPEG, whole.PNG, b"BM", *tiff.SIGNATURES)) or whole.is_webp(head) or heic.is_one(head)


def quiet_opencv() -> None:
    """Keep OpenCV and its FFmpeg from writing to stderr: what they complain about is reported by the caller.

    A level set by the user in OPENCV_FFMPEG_LOGLEVEL stays.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
    # Up to OpenCV 4.12 the function stands in cv2 itself.
    set_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
    set_level(0)


def sound_bytes(data: bytes) -> None:
    """Raise UnreadableImageError where ``data`` is not a whole image, or where a check that it carries fails."""
    whole.check(data)
    if data.startswith(tiff.SIGNATURES):
        tiff.check(data)


def several(data: bytes) -> bool:
    """Whether the bytes hold more than one picture, of which ``decode`` and ``unchanged`` read the first."""
    return tiff.pages(data) > 1 if data.startswith(tiff.SIGNATURES) else whole.is_series(data)


def decode(data: bytes, orientation: int, reduce: int = 1) -> npt.NDArray[Any]:
    """Decode to RGB, (H, W, 3), uint8 or uint16, turned upright by the EXIF ``orientation`` (1 to 8).

    ``reduce`` 2, 4 or 8: at that part of its height and width, rounded up.

    Grey becomes three equal channels, alpha is dropped (the colours below it are kept), of several pages the first
    is taken. Raises UnreadableImageError.
    """
    sound_bytes(data)
    if heic.is_one(data):
        return reduced(heic.decode(data), reduce)
    if data.startswith(whole.JPEG):
        return upright(jpeg.decode(data, reduce), orientation)
    bgr = _opencv(data, _FLAGS)
    if bgr.dtype not in (np.uint8, np.uint16):
        raise UnreadableImageError(f"its samples are {bgr.dtype}, only 8 and 16 bit integers are read")
    rgb = reduced(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr)), reduce)
    # OpenCV turns TIFF upright whatever it is told.
    return rgb if data.startswith(tiff.SIGNATURES) else upright(rgb, orientation)


def unchanged(data: bytes, orientation: int) -> npt.NDArray[Any]:
    """Decode to what is stored, turned upright: (H, W) or (H, W, 3 or 4) in OpenCV's order of colours, any dtype.

    For masks, whose samples are numbers and not brightness. Of a palette the colours are
    returned. Raises UnreadableImageError.
    """
    sound_bytes(data)
    if data.startswith(whole.JPEG):
        jpeg.decode(data)  # hears what is damaged; OpenCV keeps grey grey
    samples = _opencv(data, cv2.IMREAD_UNCHANGED)
    return samples if data.startswith(tiff.SIGNATURES) else upright(samples, orientation)


def _opencv(data: bytes, flags: int) -> npt.NDArray[Any]:
    quiet_opencv()
    try:
        samples = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise UnreadableImageError(f"the decoder refuses it ({error.err})") from error
    if samples is None:
        raise UnreadableImageError("the image is damaged, or of a kind that the decoder does not know")
    return np.asarray(samples)


def upright(samples: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Undo an EXIF orientation (CIPA DC-008, tag 0x0112); the result is C-contiguous."""
    turned = cv2.transpose(samples) if orientation in (5, 6, 7, 8) else samples
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return np.asarray(turned if flip is None else cv2.flip(turned, flip))


def rgb_from_bgr(bgr: npt.NDArray[Any] | cv2.Mat) -> RGB:
    """OpenCV's 8-bit order of colours to ours, in place: the memory of a second picture costs more than the work."""
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr), np.uint8)


def significant_bits(rgb: npt.NDArray[np.uint16]) -> int:
    """The depth (10, 12, 14 or 16 bit) that the samples of a 16-bit picture fit in: many cameras leave room unused."""
    used = int(rgb.max()).bit_length()
    return next(depth for depth in _DEPTHS if used <= depth)


def too_dark(rgb: npt.NDArray[np.uint16]) -> str | None:
    """Why a 16-bit picture may come out a quarter as bright as it should be, in words; None where it does not.

    Values up to 255 are those of a dark picture of 10 bits, or of 8 bits in a file of 16: nothing in it says which.
    """
    most = int(rgb.max())
    if most > 255 or not most:
        return None
    return (
        f"its 16-bit samples reach {most} only and are read as 10 bits: a quarter as bright as they should be if they "
        "are 8-bit values; save it with 8 bits then"
    )


def to_eight_bits(rgb: npt.NDArray[np.uint16], bits: int) -> RGB:
    """Keep the upper 8 of ``bits`` bits; a sample beyond ``bits`` becomes 255."""
    return np.asarray(np.minimum(rgb >> (bits - 8), 255), np.uint8)
