"""What a replay plays: a folder of images, one image, or a video; what is in it, and when it was taken."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edge.flights import MANIFEST, PHOTOS
from edge.frames import Camera, readable
from edge.frames.listing import Listing, list_pictures
from edge.frames.stills import SUFFIXES
from edge.support import backends
from edge.support.clock import Clock
from edge.support.errors import UsageError

log = logging.getLogger(__name__)

_SAID_FROM_BYTES = 1 << 30
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".mkv", ".avi", ".m4v", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".mjpeg"}
    | {".h264", ".264", ".h265", ".265", ".hevc"}
)


@dataclass(frozen=True, slots=True)
class Recording:
    """The files of a replay."""

    path: Path
    listing: Listing
    """Its pictures; of a video the file alone."""
    video: bool

    def content(self) -> list[tuple[str, str]]:
        """Name and SHA-256 of every file that is played, in order: ids of detections are derived from them.

        Names and sizes would not do: cameras number every flight from 1, and uncompressed pictures are of one size.
        Reads every byte once. A file that cannot be read counts by its name. Raises UsageError for a video that cannot.
        """
        size = sum(file.stat().st_size for file in self.listing.pictures if file.is_file())
        if size > _SAID_FROM_BYTES:
            log.info("%s: reading %.1f GB once for the ids of its detections", self.path, size / 1e9)
        return [(readable(file.name), self._sha256(file)) for file in self.listing.pictures]

    def recorded_at(self) -> datetime:
        """When the oldest file was last written, UTC: the label of last resort for pictures without their own time."""
        times = [file.stat().st_mtime for file in self.listing.pictures if file.is_file()]
        return datetime.fromtimestamp(min(times, default=0.0), timezone.utc)

    def _sha256(self, file: Path) -> str:
        if not file.is_file():
            return ""
        digest, buffer = hashlib.sha256(), bytearray(1 << 20)
        view = memoryview(buffer)
        try:
            with file.open("rb", buffering=0) as stream:
                while count := stream.readinto(buffer):
                    digest.update(view[:count])
        except OSError as error:
            if self.video:
                raise UsageError(f"{file}: cannot be read ({error.strerror})") from error
            return ""
        return digest.hexdigest()


def find_recording(path: Path) -> Recording:
    """Look at what ``path`` holds; of a flight's folder its photos, not the pictures that show what was found.

    Raises UsageError when it is nothing we can read.
    """
    if (path / MANIFEST).is_file():
        if not (path / PHOTOS).is_dir():
            raise UsageError(f"{path}: a flight's folder without {PHOTOS}; give the flight's pictures or video")
        log.warning("%s: a flight's folder: its %s are replayed, the views that were kept of it", path, PHOTOS)
        path = path / PHOTOS
    if path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES:
        return Recording(path, Listing((path,)), video=True)
    if path.is_file() and path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"{path}: neither an image nor a video by its name; images end in {' '.join(SUFFIXES)}, "
            f"videos in {' '.join(sorted(VIDEO_SUFFIXES))}"
        )
    return Recording(path, list_pictures(path), video=False)


def open_source(
    recording: Recording, fps: float | None, clock: Clock, *, timed: bool = False, reduce: int = 1
) -> Camera:
    """The camera that plays ``recording`` back; ``fps`` None: its own times, or one image a second.

    ``timed``: places will be looked up by time, so a time must not be made up. ``reduce``: pictures are read at that
    part of their size. Raises UsageError when it is nothing we can read, or a video that is to be reduced.
    """
    table: dict[str, Any] = {"path": str(recording.path)}
    if recording.video and reduce != 1:
        raise UsageError(f"--reduce {reduce}: {recording.path} is a video, which is read at its own size; leave it out")
    if recording.video:
        table = {"backend": "video", "source": str(recording.path)}
    table |= {} if reduce == 1 else {"reduce": reduce}
    table |= {"timed": timed} | ({} if fps is None else {"fps": fps})
    camera: Camera = backends.open_backend("edge.frames", "open_camera", table, clock, where="camera", default="folder")
    return camera
