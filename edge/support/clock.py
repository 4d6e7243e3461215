"""The only place where time is read.

Durations and exposure times use the monotonic clock, which no NTP step can move; wall time (UTC) is
only for labels, and says whether it can be trusted (a Raspberry Pi has no battery-backed clock).
"""

from __future__ import annotations

import ctypes
import threading
import time
from datetime import datetime, timedelta, timezone
from typing import Protocol

UTC = timezone.utc

# A board without a battery-backed clock starts in 1970 or at its image's build date; nothing flew before this.
EARLIEST_PLAUSIBLE_UTC = datetime(2025, 1, 1, tzinfo=UTC)

# adjtimex(2): TIME_ERROR means the kernel clock is not disciplined by anything.
_TIME_ERROR = 5
_TIMEX_BYTES = 512  # larger than struct timex on every Linux ABI


class Clock(Protocol):
    """Time as the rest of spanhawk sees it."""

    def monotonic_ns(self) -> int:
        """Nanoseconds on a clock that never steps (CLOCK_MONOTONIC)."""

    def utc(self) -> datetime:
        """Wall time, timezone-aware UTC."""

    def synced(self) -> bool:
        """True when wall time is disciplined by NTP, PPS or GPS and plausible."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until ``event`` is set or ``timeout_s`` has passed; return whether it is set."""


class SystemClock:
    """The machine's own clocks."""

    def monotonic_ns(self) -> int:
        """Nanoseconds of CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def utc(self) -> datetime:
        """Wall time, timezone-aware UTC."""
        return datetime.now(UTC)

    def synced(self) -> bool:
        """Ask the kernel (adjtimex) whether anything disciplines its clock."""
        return self.utc() >= EARLIEST_PLAUSIBLE_UTC and _kernel_clock_disciplined()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait on ``event`` for at most ``timeout_s`` seconds."""
        return event.wait(timeout_s)


class ManualClock:
    """A clock that moves only when told to: replays and tests run on it.

    ``wait`` advances the clock by the whole timeout at once, so nothing ever sleeps.
    """

    def __init__(self, utc: datetime, monotonic_ns: int = 0, *, synced: bool = True) -> None:
        if utc.tzinfo is None:
            raise ValueError(f"ManualClock needs a timezone-aware UTC, got {utc!r}")
        self._utc = utc
        self._monotonic_ns = monotonic_ns
        self._synced = synced
        self._lock = threading.Lock()

    def monotonic_ns(self) -> int:
        """The time set so far, nanoseconds."""
        with self._lock:
            return self._monotonic_ns

    def utc(self) -> datetime:
        """Wall time, moved together with the monotonic clock."""
        with self._lock:
            return self._utc

    def synced(self) -> bool:
        """As given at construction."""
        return self._synced

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Advance by ``timeout_s`` unless ``event`` is already set."""
        if not event.is_set():
            self.advance(round(timeout_s * 1e9))
        return event.is_set()

    def advance(self, by_ns: int) -> None:
        """Move both clocks forward by ``by_ns`` nanoseconds."""
        if by_ns < 0:
            raise ValueError(f"a monotonic clock cannot go back by {-by_ns} ns")
        with self._lock:
            self._monotonic_ns += by_ns
            self._utc += timedelta(microseconds=by_ns / 1000)

    def advance_to(self, monotonic_ns: int) -> None:
        """Move forward to ``monotonic_ns``; a time already passed changes nothing."""
        self.advance(max(0, monotonic_ns - self.monotonic_ns()))


def _kernel_clock_disciplined() -> bool:
    """True when adjtimex(2) reports a state other than TIME_ERROR."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        state = int(libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
    except (AttributeError, OSError):  # not Linux: nothing to ask, so nothing to trust
        return False
    return 0 <= state < _TIME_ERROR


def stopwatch_ns() -> int:
    """Real nanoseconds for measuring our own speed, also in a replay whose Clock moves by frame times."""
    return time.perf_counter_ns()


def cpu_ns() -> int:
    """CPU time this process has used so far, nanoseconds, all threads together: other load does not count."""
    return time.process_time_ns()
