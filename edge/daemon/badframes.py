"""Frames that cannot be processed: one must not end the flight; many in a row mean that we are broken."""

from __future__ import annotations

import logging

from edge.frames import Frame
from edge.support.clock import Clock
from edge.support.complaints import Complaints

log = logging.getLogger(__name__)

MAX_BAD_IN_A_ROW = 20
"""So many end the daemon; systemd starts it anew."""
TOLD_NS = 60_000_000_000
"""So long is one of them reported on status."""


class BadFrames:
    """Counts them, and remembers the last one for a while."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._in_a_row = 0
        self._last: tuple[int, str] | None = None
        self._complaints = Complaints(log, clock)

    def see(self, frame: Frame, error: Exception) -> None:
        """This one could not be processed; raises ``error`` where it is the last of too many in a row."""
        self._in_a_row += 1
        sentence = f"frame {frame.seq} could not be processed ({type(error).__name__}: {error})"
        self._last = self._clock.monotonic_ns(), sentence
        self._complaints.warn("frame", sentence, error=error)
        if self._in_a_row >= MAX_BAD_IN_A_ROW:
            raise error

    def well(self) -> None:
        """One could be processed."""
        self._in_a_row = 0

    def trouble(self) -> str | None:
        """What was wrong with a frame of the last minute: long enough to be read, not for the rest of the flight."""
        at_ns, sentence = self._last or (0, None)
        return sentence if self._clock.monotonic_ns() - at_ns < TOLD_NS else None
