"""Not more than so many bytes a second, all threads together."""

from __future__ import annotations

import threading

from edge.support.clock import Clock


class Pace:
    """Each piece reserves its time behind the pieces before it."""

    def __init__(self, bytes_per_s: float, clock: Clock) -> None:
        self._ns_per_byte = 1e9 / bytes_per_s
        self._clock = clock
        self._lock = threading.Lock()
        self._free_ns = 0

    def wait(self, size_bytes: int, stop: threading.Event) -> bool:
        """Wait until so many bytes may move; returns whether ``stop`` was set meanwhile."""
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            at_ns = max(now_ns, self._free_ns)
            self._free_ns = at_ns + round(size_bytes * self._ns_per_byte)
        if at_ns <= now_ns:
            return stop.is_set()
        return self._clock.wait(stop, (at_ns - now_ns) / 1e9)
