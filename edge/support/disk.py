"""The disk: how much room is left, and files and folders that outlive a power cut."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from edge.support.waits import waiting


def free_bytes(folder: Path) -> int:
    """Bytes an ordinary user may still write on the file system of ``folder``. Raises OSError when it does not answer.

    The reserve that some file systems keep for root does not count (statvfs(3), f_bavail).
    """
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize


def free_bytes_for(folder: Path) -> int | None:
    """The same for a folder that need not be there yet (then its nearest existing parent); None without an answer."""
    for candidate in (folder, *folder.parents):
        try:
            return free_bytes(candidate)
        except (FileNotFoundError, NotADirectoryError):  # below a file there can be no folder, but a disk there is
            continue
        except OSError:
            return None
    return None


def advice(error: OSError) -> str:
    """What to do about a folder that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free disk space there"
    if error.errno in (errno.EIO, errno.EROFS):
        return "replace the disk, or mount it again"
    return "name a folder that can be made and written"


def sync_file(path: Path, descriptor: int) -> None:
    """Wait until what was written to ``descriptor``, an open file at ``path``, is on the disk. Raises OSError."""
    with waiting(path.parent):
        os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Make created, renamed and removed names in ``folder`` durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with waiting(folder):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Create ``folder`` and its parents so that they outlive a power cut. Raises OSError."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with waiting(folder.parent):
        folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def write_whole(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write ``path`` so that a reader, a full disk or a kill finds the whole file, or what was there before.

    ``durable``: also a power cut, at the price of waiting for the disk. Raises OSError; nothing is left behind then.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with waiting(path.parent):
            with part.open("wb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    sync_file(path, file.fileno())
            part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)
