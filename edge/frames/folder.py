"""A folder of images, or one image, as a camera: what ``spanhawk replay`` reads.

Files are taken in natural order of name (img2 before img10). One bad file in a thousand is reported, listed in
``skipped`` and leaves a gap in ``seq``; the rest goes on. The next image is decoded while the last one is worked on.
"""

from __future__ import annotations

import logging
import re
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.frames import RGB, Frame, SkippedFrame, readable
from edge.frames.decode import (
    UnreadableImageError,
    decode,
    known_kind,
    quiet_opencv,
    significant_bits,
    to_eight_bits,
)
from edge.frames.exif import Exif, read_exif
from edge.frames.geotag import read_pose
from edge.support.clock import Clock
from edge.support.errors import DeviceError, UsageError

log = logging.getLogger(__name__)

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
"""File name endings taken for images, in any case."""

_MAX_FILE_BYTES = 1 << 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What to read and how the images lie in time."""

    path: Path
    """A folder (its own images, not those of folders in it) or one image file."""
    fps: float = 1.0
    """Images per second; where every image carries an EXIF time that never runs back, that spaces them instead."""
    start_ns: int = 0
    """``exposed_ns`` of the first image."""

    def __post_init__(self) -> None:
        if not 0 < self.fps < float("inf"):
            raise UsageError(f"fps is {self.fps}; needs a number of images per second above 0")


@dataclass(frozen=True, slots=True)
class _Shot:
    path: Path
    name: str
    exif: Exif
    bad: str | None
    """Why the file can be no image, as far as its first bytes show; None when it may be one."""


def open_camera(options: Options, clock: Clock) -> FolderCamera:
    """Open the folder; raises UsageError when there is nothing in it to read. ``clock`` is not asked."""
    quiet_opencv()
    shots = _shots(_image_files(options.path))
    offsets_ns = _exif_offsets_ns(shots)
    how = "spaced by their EXIF times" if offsets_ns else f"{options.fps:g} per second"
    log.info("%s: %d images, %s", options.path, len(shots), how)
    offsets_ns = offsets_ns or [round(index * 1e9 / options.fps) for index in range(len(shots))]
    return FolderCamera(options.path, shots, [options.start_ns + offset_ns for offset_ns in offsets_ns])


class FolderCamera:
    """See ``edge.frames.Camera``; made by ``open_camera``."""

    def __init__(self, path: Path, shots: Sequence[_Shot], exposed_ns: Sequence[int]) -> None:
        self._path = path
        self._shots = shots
        self._exposed_ns = exposed_ns
        self._skipped: list[SkippedFrame] = []
        self._bits: int | None = None
        self._open = True

    @property
    def live(self) -> bool:
        """False: every image counts."""
        return False

    @property
    def frame_count(self) -> int | None:
        """Image files found, the unreadable ones included."""
        return len(self._shots)

    @property
    def timeout_s(self) -> float | None:
        """None: a recording takes its time."""
        return None

    @property
    def skipped(self) -> tuple[SkippedFrame, ...]:
        """Files that turned out unreadable so far."""
        return tuple(self._skipped)

    def frames(self) -> Iterator[Frame]:
        """Yield the images; ``name`` is the stem (the whole file name where two files share a stem)."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode") as ahead:
            following: Future[npt.NDArray[Any]] | None = None
            for seq, shot in enumerate(self._shots):
                if not self._open:
                    raise DeviceError(f"{self._path} was closed; open it again to read on")
                current = following or ahead.submit(_load, shot)
                following = ahead.submit(_load, self._shots[seq + 1]) if seq + 1 < len(self._shots) else None
                try:
                    picture = current.result()
                except UnreadableImageError as error:
                    self._skip(shot, str(error))
                else:
                    yield self._frame(seq, shot, self._eight_bits(shot, picture))

    def _frame(self, seq: int, shot: _Shot, rgb: RGB) -> Frame:
        return Frame(
            seq=seq,
            exposed_ns=self._exposed_ns[seq],
            exposure_us=shot.exif.exposure_us,
            rgb=rgb,
            name=shot.name,
            taken_at=shot.exif.taken_at,
            pose=read_pose(shot.path, rgb.shape[1], rgb.shape[0]),
        )

    def _skip(self, shot: _Shot, reason: str) -> None:
        log.warning("%s: skipped: %s", shot.path, reason)
        self._skipped.append(SkippedFrame(name=shot.name, reason=reason))

    def _eight_bits(self, shot: _Shot, picture: npt.NDArray[Any]) -> RGB:
        """The first 16-bit image fixes the depth for all, so brightness does not flicker; a brighter one widens it."""
        if picture.dtype == np.uint8:
            return picture
        bits = significant_bits(picture)
        if self._bits is None:
            log.info("%s: 16-bit samples hold %d bits, the upper 8 of them are used", shot.path, bits)
        elif bits > self._bits:
            log.warning("%s: needs %d bits, not %d: images look darker from here on", shot.path, bits, self._bits)
        self._bits = max(bits, self._bits or bits)
        return to_eight_bits(picture, self._bits)

    def __enter__(self) -> FolderCamera:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False


def _image_files(path: Path) -> list[Path]:
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            return [_single(path)]
        if not stat.S_ISDIR(mode):
            raise UsageError(f"{path}: neither a folder nor a file; give a folder of images or one image")
        entries = list(path.iterdir())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); give a folder of images or one image") from error
    files = [entry for entry in entries if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".")]
    if not files:
        raise UsageError(f"{path}: no image in this folder ({_contents(entries)}); images end in {' '.join(SUFFIXES)}")
    return sorted(files, key=lambda file: (_natural(file.name), file.name))


def _single(path: Path) -> Path:
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: not an image by its name; images end in {' '.join(SUFFIXES)}")
    return path


def _contents(entries: list[Path]) -> str:
    """What is there instead of images, briefly."""
    if not entries:
        return "it is empty"
    names = sorted(entry.name + "/" * entry.is_dir() for entry in entries)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"it holds {', '.join(names[:3])}{more}"


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key in which digits count as numbers: img2 before img10."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [(int(part), "") if index % 2 else (0, part) for index, part in enumerate(parts)]


def _shots(files: list[Path]) -> list[_Shot]:
    shots: list[_Shot] = []
    names: set[str] = set()
    for file in files:
        name = readable(file.stem)
        if name in names:
            name = next(other for other in _other_names(file) if other not in names)
            log.warning("%s: another image is called %s too; this one goes by %s", file, file.stem, name)
        names.add(name)
        shots.append(_Shot(file, name, *_inspect(file)))
    return shots


def _other_names(file: Path) -> Iterator[str]:
    yield file.name
    number = 2
    while True:
        yield f"{file.name}-{number}"
        number += 1


def _inspect(path: Path) -> tuple[Exif, str | None]:
    """The file's EXIF, and why it can be no image. Asks before it opens: a pipe without a writer would hang."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return Exif(), "not a regular file"
        if not 0 < status.st_size <= _MAX_FILE_BYTES:
            return Exif(), "the file is empty" if status.st_size == 0 else f"too large ({status.st_size} bytes)"
        with path.open("rb") as file:
            if not known_kind(file.read(12)):
                return Exif(), "not a JPEG, PNG, TIFF, WebP or BMP image"
            return read_exif(file), None
    except OSError as error:
        return Exif(), f"cannot be read ({error.strerror})"


def _load(shot: _Shot) -> npt.NDArray[Any]:
    if shot.bad is not None:
        raise UnreadableImageError(shot.bad)
    try:
        return decode(shot.path.read_bytes(), shot.exif.orientation)
    except OSError as error:
        raise UnreadableImageError(f"cannot be read ({error.strerror})") from error


def _exif_offsets_ns(shots: list[_Shot]) -> list[int] | None:
    """Time of each image from the first, ns; None unless every one that may be readable has a time, none runs back
    and not all are equal (then a program that saved the images wrote its own)."""
    good = [shot for shot in shots if shot.bad is None]
    for times in ([shot.exif.taken_at for shot in good], [shot.exif.taken_local for shot in good]):
        known = [time for time in times if time is not None]
        if not good or len(known) < len(good):
            continue
        backwards = next((i for i, (a, b) in enumerate(pairwise(known)) if b < a), None)
        if backwards is not None:
            first, second = good[backwards], good[backwards + 1]
            log.warning("%s is older than %s by EXIF: EXIF does not space these images", second.path, first.path.name)
            return None
        if len(known) > 1 and known[0] == known[-1]:
            return None
        offsets = iter([round((time - known[0]).total_seconds() * 1e9) for time in known])
        return [next(offsets) if shot.bad is None else 0 for shot in shots]
    return None
