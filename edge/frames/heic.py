"""HEIC, what phones save: read through pillow-heif where it is installed (``pip install 'spanhawk[heic]'``)."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.frames.whole import UnreadableImageError

_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def is_one(head: bytes) -> bool:
    """Whether these are the first bytes of a HEIC file (ISO/IEC 23008-12)."""
    return head[4:8] == b"ftyp" and head[8:12] in _BRANDS


def decode(data: bytes) -> npt.NDArray[Any]:
    """The first picture as RGB, (H, W, 3), uint8, upright. Raises UnreadableImageError.

    The file's own turns and mirrors (``irot``, ``imir``) are undone by the library; its EXIF orientation repeats them.
    """
    image = _open(data)
    try:
        return np.ascontiguousarray(image.to_pillow().convert("RGB"), np.uint8)
    except (ValueError, OSError, RuntimeError, EOFError) as error:
        raise UnreadableImageError(f"damaged inside: the HEIC decoder says {str(error)!r}") from error


def exif_of(data: bytes) -> bytes:
    """The EXIF block as a TIFF file of its own; empty where there is none, or where HEIC cannot be read here."""
    try:
        block = _open(data).info.get("exif") or b""
    except UnreadableImageError:  # reported where the picture is decoded
        return b""
    return bytes(block).removeprefix(b"Exif\0\0")


def _open(data: bytes) -> Any:
    try:
        import pillow_heif
    except ImportError as error:
        raise UnreadableImageError(
            "a HEIC picture, and pillow-heif is not installed; pip install 'spanhawk[heic]', or export it as JPEG"
        ) from error
    try:
        return pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
    except (ValueError, OSError, RuntimeError, EOFError, SyntaxError) as error:
        raise UnreadableImageError(f"damaged: the HEIC decoder says {str(error)!r}") from error
