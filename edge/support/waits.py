"""How long a thread waits for its disks: a card that collects its garbage takes half a minute for one write.

The thread that is held up cannot say so itself. What it waits for stands in its ``Waits``, which others may read.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.support.clock import stopwatch_ns

SLOW_S = 2.0
"""A write that takes so long is told."""
# And for so long after its end: status must not change with every write.
_TOLD_NS = 60_000_000_000


class Waits:
    """Of one thread: written by it alone, read by any."""

    def __init__(self, untold: Path | None = None) -> None:
        """Of waits for ``untold`` there is no ``trouble``: they are told elsewhere."""
        self._untold = untold
        self._now: tuple[Path, int] | None = None
        self._done_ns = 0
        self._slow: tuple[Path, int, int] | None = None

    @property
    def now_s(self) -> float:
        """How long the write under way has taken, seconds; 0 when none is."""
        now = self._now
        return 0.0 if now is None else (stopwatch_ns() - now[1]) / 1e9

    @property
    def total_ns(self) -> int:
        """Nanoseconds that went into all writes so far, the one under way among them."""
        now = self._now
        return self._done_ns + (0 if now is None else stopwatch_ns() - now[1])

    def trouble(self) -> str | None:
        """That a write takes long, or took long in the last minute; None where none did."""
        now, slow, at_ns = self._now, self._slow, stopwatch_ns()
        if now is not None and now[0] != self._untold and (said := slowness(now[0], (at_ns - now[1]) / 1e9)):
            return said
        return None if slow is None or at_ns - slow[2] > _TOLD_NS else slowness(slow[0], slow[1] / 1e9)

    @contextmanager
    def for_(self, path: Path) -> Iterator[None]:
        """The body waits for the disk of ``path``. One within another is a step of it: each step has its own time."""
        outer = self._now
        self._turn(path)
        try:
            yield
        finally:
            self._turn(None if outer is None else outer[0])

    def _turn(self, path: Path | None) -> None:
        now_ns = stopwatch_ns()
        if self._now is not None:
            before, since_ns = self._now
            self._done_ns += now_ns - since_ns
            if before != self._untold and now_ns - since_ns >= SLOW_S * 1e9:
                self._slow = before, now_ns - since_ns, now_ns
        self._now = None if path is None else (path, now_ns)


_here = threading.local()


def watch(waits: Waits) -> None:
    """From now on ``waits`` knows for what this thread waits; a thread that nobody watches waits unnoticed."""
    _here.waits = waits


@contextmanager
def waiting(path: Path) -> Iterator[None]:
    """Around each write that waits for the disk of ``path``: a folder, or the file of a database."""
    waits: Waits | None = getattr(_here, "waits", None)
    if waits is None:
        yield
        return
    with waits.for_(path):
        yield


def slowness(path: Path, took_s: float) -> str | None:
    """That a write to ``path`` takes long; None while it does not."""
    if took_s < SLOW_S:
        return None
    return (
        f"the disk of {path} takes {took_s:.0f} s for a write, and frames are missed meanwhile: "
        "put in a faster card, or a new one (dmesg says more)"
    )
