"""Trying again: how long to wait before the next try, and threads that outlive their failures.

The pause doubles from a first value to a cap, with full jitter, so that a fleet whose broker restarts does not call it
in one moment (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable

from edge.support.clock import Clock
from edge.support.complaints import Complaints

log = logging.getLogger(__name__)

# 2^16 times the first pause is above every cap; more would overflow.
_MOST_DOUBLINGS = 16
# A thread that ran for so long was a good one: its next failure is the first.
_HELD_NS = 60_000_000_000


class Backoff:
    """Counts failures in a row and says how long to wait after each; used by one thread or under a lock."""

    def __init__(self, first_s: float, cap_s: float, *, least_s: float = 0.0, chance: random.Random | None = None):
        """Pauses lie between ``least_s`` and a ceiling that doubles from ``first_s`` to ``cap_s``, seconds."""
        self._first_s = first_s
        self._cap_s = cap_s
        self._least_s = least_s
        self._chance = chance or random.Random()
        self._failures = 0

    @property
    def failures(self) -> int:
        """Failures since the last success."""
        return self._failures

    def pause_s(self) -> float:
        """Count one more failure; the seconds to wait before the next try."""
        ceiling_s = min(self._cap_s, self._first_s * 2.0 ** min(self._failures, _MOST_DOUBLINGS))
        self._failures += 1
        return max(self._least_s, self._chance.uniform(0.0, ceiling_s))

    def reset(self) -> None:
        """It worked: the next failure is the first."""
        self._failures = 0


class Worker:
    """A thread that keeps doing its work: an unexpected error is logged, reported, and the work begins again.

    ``work`` runs until ``stop`` is set. It handles what it knows to go wrong by itself; this is for the rest, which
    would otherwise end the thread and leave a program that is blind or deaf.
    """

    def __init__(self, name: str, work: Callable[[], None], stop: threading.Event, clock: Clock) -> None:
        self._work = work
        self._stop = stop
        self._clock = clock
        self._complaints = Complaints(log, clock)
        self._backoff = Backoff(0.5, 10.0, least_s=0.05)
        self._trouble: str | None = None
        self._failed_ns = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str | None:
        """That the work failed within the last minute, and with what; None when it did not."""
        trouble, failed_ns = self._trouble, self._failed_ns
        return None if self._clock.monotonic_ns() - failed_ns > _HELD_NS else trouble

    @property
    def alive(self) -> bool:
        """True until the work has ended because ``stop`` was set."""
        return self._thread.is_alive()

    def join(self, timeout_s: float) -> bool:
        """Wait until the work has ended, at most ``timeout_s`` seconds; returns whether it has. Set ``stop`` first."""
        self._thread.join(timeout_s)
        return not self.alive

    def _run(self) -> None:
        while not self._stop.is_set():
            begun_ns = self._clock.monotonic_ns()
            try:
                self._work()
                return
            except BaseException as error:  # noqa: BLE001 - whatever it was, a library's SystemExit too: begin afresh
                self._failed(error, begun_ns)
            self._clock.wait(self._stop, self._backoff.pause_s())

    def _failed(self, error: BaseException, begun_ns: int) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns - begun_ns > _HELD_NS:
            self._backoff.reset()
        sentence = f"the thread {self._thread.name} failed ({type(error).__name__}: {error}) and is started again"
        self._failed_ns, self._trouble = now_ns, sentence
        self._complaints.warn("failed", sentence, error=error)
