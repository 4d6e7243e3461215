"""Whether new letters fit: the quota, the disk, and confirmed letters that may go to make room."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from edge.outbox.disk import Ballast, free_bytes, megabytes
from edge.outbox.schema import pragma
from edge.support.errors import TryAgainError

_RECYCLED_AT_ONCE = 64
# Headers of a row and of its page, its index entries.
_ROW_OVERHEAD_BYTES = 200
# The inner pages of table and indexes that one transaction may add.
_SPARE_PAGES = 6

_RECYCLE = """DELETE FROM letter WHERE seq IN
    (SELECT seq FROM letter WHERE state = 'confirmed' ORDER BY seq LIMIT ?)"""


class FullError(TryAgainError):
    """Quota or disk are full of letters that are not confirmed."""


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
            if not db.execute(_RECYCLE, (_RECYCLED_AT_ONCE,)).rowcount:
                raise FullError(shortage)

    def disk_shortage(self, growth_bytes: int) -> str | None:
        """Why the file must not grow by so much on this disk; None when it may."""
        free = free_bytes(self._folder)
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
                "are not confirmed (outbox.max_bytes); bring the broker within reach, or allow it more"
            )
        return None if spare >= need else self.disk_shortage((need - spare) * page_bytes)
