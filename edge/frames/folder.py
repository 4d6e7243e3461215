"""A folder of images, or one image, as a camera: what ``spanhawk replay`` reads.

Files are taken in natural order of name (img2 before img10). One bad file in a thousand is reported, listed in
``skipped`` and leaves a gap in ``seq``; the rest continues. The next image is decoded while the last one is worked on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edge.frames import RGB, Frame, SkippedFrame, Tone, readable
from edge.frames.decode import UnreadableImageError, significant_bits, to_eight_bits, too_dark
from edge.frames.geotag import has_unread_xmp, read_pose
from edge.frames.listing import list_pictures
from edge.frames.spacing import Moment, moments
from edge.frames.stills import SUFFIXES, Still, inspect
from edge.support.clock import Clock
from edge.support.errors import DeviceError, UsageError

log = logging.getLogger(__name__)

_LEAST_PX = 3  # what a filter of three by three needs

__all__ = ["SUFFIXES", "FolderCamera", "Options", "open_camera"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What to read and how the images lie in time."""

    path: Path
    """A folder (its own images, not those of folders in it) or one image file."""
    fps: float | None = None
    """Images per second, before any EXIF time; None: as ``spacing`` says, by EXIF, else one a second."""
    timed: bool = False
    """Places will be looked up by time: refuse images whose times would have to be made up for that."""
    start_ns: int = 0
    """``exposed_ns`` of the first image."""
    tone: Tone = "srgb"
    """What the codes stand for: ``linear`` for images written without a gamma, as TIFFs of industrial cameras are."""
    reduce: Literal[1, 2, 4, 8] = 1
    """Images are read at one so-many-th of their height and width: where they are far sharper than is asked, a quarter
    of the tiles and less; what is narrower than two of the larger pixels is bounded, not measured."""

    def __post_init__(self) -> None:
        if self.fps is not None and not 0 < self.fps < float("inf"):
            raise UsageError(f"fps is {self.fps}; needs a number of images per second above 0")


@dataclass(frozen=True, slots=True)
class _Shot:
    still: Still
    name: str


def open_camera(options: Options, clock: Clock) -> FolderCamera:
    """Open the folder; raises UsageError when there is nothing in it to read. ``clock`` is not asked."""
    listing = list_pictures(options.path)
    left_out = listing.left_out()
    if left_out is not None:
        log.warning("%s: %s", options.path, left_out)
    shots = _shots(listing.pictures)
    when = moments([shot.still for shot in shots], options.path, options.fps, timed=options.timed)
    return FolderCamera(options, shots, when)


class FolderCamera:
    """See ``edge.frames.Camera``; made by ``open_camera``."""

    def __init__(self, options: Options, shots: Sequence[_Shot], when: Sequence[Moment]) -> None:
        self._path = options.path
        self._shots = shots
        self._when = when
        self._start_ns = options.start_ns
        self._tone = options.tone
        self._reduce: int = options.reduce
        self._skipped: list[SkippedFrame] = []
        self._bits: int | None = None
        self._xmp_sought = False  # in the first picture that says where it was taken and not where it looks
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
                current = following or ahead.submit(shot.still.decode, self._reduce)
                after = self._shots[seq + 1].still if seq + 1 < len(self._shots) else None
                following = None if after is None else ahead.submit(after.decode, self._reduce)
                try:
                    picture = current.result()
                except UnreadableImageError as error:
                    self._skip(shot, str(error))
                else:
                    height, width = picture.shape[:2]
                    if min(height, width) < _LEAST_PX:
                        self._skip(shot, f"{width} x {height} pixels are no picture")
                        continue
                    yield self._frame(seq, shot, self._eight_bits(shot, picture))

    def _frame(self, seq: int, shot: _Shot, rgb: RGB) -> Frame:
        pose = read_pose(shot.still.path, rgb.shape[1], rgb.shape[0])
        if pose is not None and pose.lat_deg is not None and pose.angles_deg is None and not self._xmp_sought:
            self._xmp_sought = True
            if has_unread_xmp(shot.still.path):
                log.warning(
                    "%s: its place is read from EXIF, but XMP, where drones write the camera's angles, is read of JPEG "
                    "only: replay the JPEGs that the drone wrote",
                    shot.still.path,
                )
        return Frame(
            seq=seq,
            exposed_ns=self._start_ns + self._when[seq].offset_ns,
            time_known=self._when[seq].known,
            exposure_us=shot.still.exif.exposure_us,
            rgb=rgb,
            name=shot.name,
            taken_at=shot.still.exif.taken_at,
            tone=self._tone,
            pose=pose,
        )

    def _skip(self, shot: _Shot, reason: str) -> None:
        log.warning("%s: skipped: %s", shot.still.path, reason)
        self._skipped.append(SkippedFrame(name=shot.name, reason=reason))

    def _eight_bits(self, shot: _Shot, picture: npt.NDArray[Any]) -> RGB:
        """The first 16-bit image fixes the depth for all, so brightness does not flicker; a brighter one widens it."""
        if picture.dtype == np.uint8:
            return picture
        bits = significant_bits(picture)
        if self._bits is None:
            log.info("%s: 16-bit samples hold %d bits, the upper 8 of them are used", shot.still.path, bits)
            doubt = too_dark(picture)
            if doubt is not None:
                log.warning("%s: %s", shot.still.path, doubt)
        elif bits > self._bits:
            log.warning("%s: needs %d bits, not %d: images look darker from here on", shot.still.path, bits, self._bits)
        self._bits = max(bits, self._bits or bits)
        return to_eight_bits(picture, self._bits)

    def __enter__(self) -> FolderCamera:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False


def _shots(files: Sequence[Path]) -> list[_Shot]:
    shots: list[_Shot] = []
    names: set[str] = set()
    for file in files:
        name = readable(file.stem)
        if name in names:
            name = next(other for other in _other_names(file) if other not in names)
            log.warning("%s: another image is named %s too; this one is reported as %s", file, file.stem, name)
        names.add(name)
        shots.append(_Shot(inspect(file), name))
    return shots


def _other_names(file: Path) -> Iterator[str]:
    yield file.name
    number = 2
    while True:
        yield f"{file.name}-{number}"
        number += 1
