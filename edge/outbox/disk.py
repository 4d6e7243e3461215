"""Room on the disk: how much is left, and a ballast file to throw off when there is none."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from edge.errors import ConfigError


def free_bytes(folder: Path) -> int:
    """Bytes an ordinary user may still write on the file system of ``folder``."""
    room = os.statvfs(folder)
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
    def complete(self) -> bool:
        """True when nothing is missing (always with a size of 0)."""
        try:
            return self._path.stat().st_size >= self._size_bytes
        except FileNotFoundError:
            return self._size_bytes == 0

    def drop(self) -> bool:
        """Give the room back to the file system; returns whether there was any to give."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True

    def restore(self) -> bool:
        """Take the room again; returns False, leaving nothing behind, when the disk does not have it."""
        if self.complete:
            return True
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size_bytes)
                os.fsync(file.fileno())
        except OSError as error:
            self._path.unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                return False
            raise
        return True
