"""Room for new letters: the quota, the disk, confirmed letters that may go, and the ballast of a full disk.

The ballast is a file of real blocks that holds room free. A deletion needs room too (the journal grows before anything
shrinks), so without it a full outbox could not drain itself.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from edge.outbox import LetterState, standing
from edge.outbox.schema import pragma
from edge.support.disk import free_bytes
from edge.support.errors import TryAgainError

log = logging.getLogger(__name__)

_RECYCLED_AT_ONCE = 64
# Headers of a row and of its page, its index entries.
_ROW_OVERHEAD_BYTES = 200
# The inner pages of table and indexes that one transaction may add.
_SPARE_PAGES = 16
# So that taking the ballast back does not at once fill the disk again.
_MARGIN_BYTES = 1 << 20


class FullError(TryAgainError):
    """Quota or disk are full of letters that are not confirmed."""


class Ballast:
    """A file that holds room free: removed on a full disk, so that even a deletion can be written."""

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
        if free_bytes_of(self._path.parent) < missing + keep_free_bytes + _MARGIN_BYTES:
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


class Room:
    """Judges and makes room for one outbox file."""

    def __init__(self, folder: Path, max_bytes: int, min_free_bytes: int, ballast: Ballast) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._min_free_bytes = min_free_bytes
        self._ballast = ballast

    def make(self, db: sqlite3.Connection, sizes_bytes: Sequence[int]) -> None:
        """Within the caller's transaction, delete the oldest confirmed letters until letters of these sizes fit.

        Raises FullError when deleting them all would not be enough.
        """
        page_bytes = pragma(db, "page_size")
        # Twice the bytes: a letter of just over half a page takes a whole one.
        need = _SPARE_PAGES + 2 * sum(size + _ROW_OVERHEAD_BYTES for size in sizes_bytes) // page_bytes
        while (shortage := self._shortage(db, need, page_bytes)) is not None:
            gone = standing.oldest(db, LetterState.CONFIRMED, _RECYCLED_AT_ONCE)
            if not gone:
                raise FullError(shortage)
            standing.delete(db, gone)

    def disk_shortage(self, growth_bytes: int) -> str | None:
        """Why the file must not grow by so much on this disk; None when it may."""
        free = free_bytes_of(self._folder)
        wanted = self._min_free_bytes + self._ballast.missing_bytes + growth_bytes
        if free >= wanted:
            return None
        return (
            f"storage is full: {megabytes(free)} free on the disk of {self._folder}, the outbox needs "
            f"{megabytes(wanted)}; delete files there, or land and put in a larger card"
        )

    def _shortage(self, db: sqlite3.Connection, need: int, page_bytes: int) -> str | None:
        spare = pragma(db, "freelist_count")
        if (pragma(db, "page_count") - spare + need) * page_bytes > self._max_bytes:
            return (
                f"storage is full: the outbox in {self._folder} holds its {megabytes(self._max_bytes)} of letters that "
                "are not confirmed (outbox.max_bytes); bring the broker within reach, or raise that limit"
            )
        return None if spare >= need else self.disk_shortage((need - spare) * page_bytes)


def free_bytes_of(folder: Path) -> int:
    """Bytes an ordinary user may still write there. Raises TryAgainError when the disk does not answer."""
    try:
        return free_bytes(folder)
    except OSError as error:
        raise TryAgainError(f"{folder}: the disk does not answer ({error.strerror}); mount or replace it") from error


def megabytes(size_bytes: int) -> str:
    """For a sentence, as ``12.3 MB`` (10^6 bytes)."""
    return f"{size_bytes / 1e6:.1f} MB"
