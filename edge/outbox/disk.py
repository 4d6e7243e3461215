"""Room on the disk: how much is left, and a ballast file to throw off when there is none."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from edge.support.errors import ConfigError, TryAgainError

log = logging.getLogger(__name__)

# So that taking the ballast back does not at once fill the disk again.
_MARGIN_BYTES = 1 << 20


def free_bytes(folder: Path) -> int:
    """Bytes an ordinary user may still write on the file system of ``folder``. Raises TryAgainError if it is gone."""
    try:
        room = os.statvfs(folder)
    except OSError as error:
        raise TryAgainError(f"{folder}: the disk does not answer ({error.strerror}); mount or replace it") from error
    return room.f_bavail * room.f_frsize


def megabytes(size_bytes: int) -> str:
    """For a sentence, as ``12.3 MB`` (10^6 bytes)."""
    return f"{size_bytes / 1e6:.1f} MB"


def make_folder(folder: Path) -> None:
    """Create ``folder`` and its parents so that they outlive a power cut; raises ConfigError with what to do."""
    if folder.is_dir():
        return
    try:
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot create this folder for the outbox ({error.strerror}); create it and give it to the "
            "user spanhawk runs as, or point outbox.path elsewhere"
        ) from error


def sync_folder(folder: Path) -> None:
    """Make created, renamed and removed names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Ballast:
    """A file of real blocks that holds room free: removed on a full disk, so that even a deletion can be written.

    A deletion needs room too (the journal grows before anything shrinks); without ballast a full
    outbox could not drain itself.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes

    @property
    def missing_bytes(self) -> int:
        """What is not there at the moment; always 0 for a ballast of 0."""
        try:
            return max(0, self._size_bytes - self._path.stat().st_size)
        except OSError:
            return self._size_bytes

    def drop(self) -> bool:
        """Give the room back to the file system; returns whether there was any to give."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def restore(self, keep_free_bytes: int) -> bool:
        """Take the room again if ``keep_free_bytes`` stay free beside it; returns whether it is all there."""
        missing = self.missing_bytes
        if not missing:
            return True
        if free_bytes(self._path.parent) < missing + keep_free_bytes + _MARGIN_BYTES:
            return False
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size_bytes)
                os.fsync(file.fileno())
        except OSError as error:
            log.warning("%s: cannot write the ballast (%s)", self._path, error.strerror)
            self.drop()
            return False
        return True
