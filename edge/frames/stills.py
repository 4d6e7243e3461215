"""One image file: what it is, when it was taken, its pixels. Every room reads its pictures here."""

from __future__ import annotations

import io
import logging
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.frames import RGB, heic
from edge.frames.decode import (
    UnreadableImageError,
    decode,
    known_kind,
    several,
    significant_bits,
    to_eight_bits,
    too_dark,
)
from edge.frames.exif import Exif, read_exif

log = logging.getLogger(__name__)

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".webp", ".heic", ".heif",
)  # fmt: skip
"""File name endings taken for images, in any case."""

_MAX_FILE_BYTES = 1 << 30

_named_too_dark: set[Path] = set()
"""Folders of which ``read_rgb`` has said in this process that a picture may come out too dark."""


@dataclass(frozen=True, slots=True)
class Still:
    """An image file before it is decoded."""

    path: Path
    exif: Exif
    bad: str | None
    """Why the file can be no image, as far as its first bytes show; None when it may be one."""

    def decode(self, reduce: int = 1) -> npt.NDArray[Any]:
        """RGB, (H, W, 3), uint8 or uint16, upright, at one ``reduce``-th of its size. Raises UnreadableImageError."""
        if self.bad is not None:
            raise UnreadableImageError(self.bad)
        try:
            data = self.path.read_bytes()
            if several(data):
                log.warning("%s: holds several pictures; the first is read", self.path)
            return decode(data, self.exif.orientation, reduce)
        except OSError as error:
            raise UnreadableImageError(f"cannot be read ({error.strerror})") from error


def inspect(path: Path) -> Still:
    """Look at a file's first bytes and EXIF. Asks before it opens: a pipe without a writer would hang."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return Still(path, Exif(), "not a regular file")
        if not 0 < status.st_size <= _MAX_FILE_BYTES:
            reason = "the file is empty" if status.st_size == 0 else f"too large ({status.st_size} bytes)"
            return Still(path, Exif(), reason)
        with path.open("rb") as file:
            head = file.read(12)
            if not known_kind(head):
                return Still(path, Exif(), "not a JPEG, PNG, TIFF, WebP, BMP or HEIC image")
            if heic.is_one(head):
                file.seek(0)
                exif = read_exif(io.BytesIO(heic.exif_of(file.read())))
                return Still(path, replace(exif, orientation=1), None)  # the file's own turns are undone in decoding
            return Still(path, read_exif(file), None)
    except OSError as error:
        return Still(path, Exif(), f"cannot be read ({error.strerror})")


def read_rgb(path: Path) -> RGB:
    """Read one picture as uint8 RGB (H, W, 3), upright. Raises UnreadableImageError.

    Of 16-bit samples the upper 8 of the bits that this picture uses are kept; a folder played as a flight keeps to one
    depth for all (``folder``). Of pictures that may come out too dark by that the first of each folder is named.
    """
    samples = inspect(path).decode()
    if samples.dtype == np.uint8:
        return samples
    doubt = too_dark(samples)
    if doubt is not None and path.parent not in _named_too_dark:
        _named_too_dark.add(path.parent)
        log.warning("%s: %s", path, doubt)
    return to_eight_bits(samples, significant_bits(samples))
