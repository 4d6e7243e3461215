"""Whether what an outbox writes, waits where the watchdog can see it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from edge.support import waits


class _Watched(waits.Waits):
    """Looks at a folder before and after each wait of this thread."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.outside: set[str] = set()
        self.within = 0
        self._folder = folder
        self._names: set[str] = set()
        self.changes()

    def changes(self) -> set[str]:
        """The files that were written, made or removed since the last call."""
        names, changed = set(), set()
        for path in self._folder.rglob("*"):
            if path.is_file():
                names.add(path.name)
                if path.stat().st_mtime_ns:
                    changed.add(path.name)
                    os.utime(path, ns=(0, 0))  # so that the next write shows, however soon it comes
        changed |= self._names - names
        self._names = names
        return changed

    def settle(self, *words: str) -> None:
        """What has happened until now, happened outside of any wait, unless one is under way."""
        if not self.within:
            self.outside |= self.changes() | set(words)

    @contextmanager
    def for_(self, path: Path) -> Iterator[None]:
        self.settle()
        self.within += 1
        try:
            with super().for_(path):
                yield
        finally:
            self.within -= 1
            if not self.within:
                self.changes()


def unexcused(folder: Path, work: Callable[[], None]) -> set[str]:
    """What ``work`` did in ``folder`` outside of ``edge.support.waits.waiting``: files that changed, and "fsync"."""
    seen = _Watched(folder)

    def spied(name: str) -> mock._patch[Callable[[int], None]]:
        real = getattr(os, name)

        def spy(descriptor: int) -> None:
            seen.settle("fsync")
            real(descriptor)

        return mock.patch.object(os, name, spy)

    with mock.patch.object(waits._here, "waits", seen, create=True), spied("fsync"), spied("fdatasync"):
        work()
    seen.settle()
    return seen.outside
