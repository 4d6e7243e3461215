"""The picture that proves a detection: the frame as JPEG, with place and time in EXIF."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import dataclass
from pathlib import Path

from edge.evidence.exif import exif_segment
from edge.evidence.xmp import xmp_segment
from edge.frames import Frame, Moment
from edge.frames.tone import as_srgb
from edge.navigation import NavState
from edge.support.disk import free_bytes_for, make_folder, write_whole
from edge.surface.lens import Lens

# Cracks are thin: at 92 the blocks of JPEG stay below sensor noise, at a tenth of the size of PNG.
JPEG_QUALITY = 92


@dataclass(frozen=True, slots=True)
class Evidence:
    """The picture that proves a detection: a file that is on disk, synced, and will not change."""

    file: str
    """Name within the evidence folder."""
    sha256: str


def save(
    frame: Frame,
    nav: NavState,
    moment: Moment,
    folder: Path,
    name: str,
    lens: Lens | None = None,
    focal_mm: float | None = None,
) -> Evidence:
    """Write ``frame`` to ``folder/name`` so that a power cut leaves the whole file or none. Raises OSError.

    ``lens``: of the frame's own size, ``focal_mm``: its real focal length; None where they are unknown.
    """
    data = encode(frame, nav, moment, lens, focal_mm)
    make_folder(folder)
    write_whole(folder / name, data)
    return Evidence(name, hashlib.sha256(data).hexdigest())


def check_room(folder: Path, min_free_bytes: int) -> None:
    """Raise OSError when the disk of ``folder`` has less than ``min_free_bytes`` left."""
    free = free_bytes_for(folder)
    if free is None:
        raise OSError(errno.EIO, "the disk does not answer")
    if free < min_free_bytes:
        raise OSError(errno.ENOSPC, f"{free // 1_000_000} MB left, {min_free_bytes // 1_000_000} are for detections")


def encode(
    frame: Frame, nav: NavState, moment: Moment, lens: Lens | None = None, focal_mm: float | None = None
) -> bytes:
    """The frame as JPEG bytes with EXIF and XMP segments. Raises OSError when OpenCV cannot encode it.

    The picture is sRGB, as its EXIF says and every viewer and replay takes it, whatever the frame's ``tone``.
    """
    import cv2

    what = f"a frame of {frame.width_px} x {frame.height_px} pixels as JPEG"
    try:
        bgr = cv2.cvtColor(as_srgb(frame.rgb, frame.tone), cv2.COLOR_RGB2BGR)
        done, buffer = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    except cv2.error as error:
        raise OSError(f"OpenCV could not encode {what} ({error.err})") from error
    if not done:
        raise OSError(f"OpenCV could not encode {what}")
    plain = buffer.tobytes()
    # EXIF's APP1 stands right behind the SOI marker (EXIF 2.32, 4.5.4), XMP's behind it.
    exif = exif_segment(
        nav,
        moment.at,
        frame.exposure_us,
        satellite_time=moment.by_satellites,
        size_px=(frame.width_px, frame.height_px),
        lens=lens,
        focal_mm=focal_mm,
    )
    return plain[:2] + exif + xmp_segment(nav) + plain[2:]
