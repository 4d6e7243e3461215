"""Reporting what is wrong: at once, then at most once a minute. A broker away for an hour must not fill the journal."""

from __future__ import annotations

import logging

from edge.support.clock import Clock

EVERY_NS = 60_000_000_000


class Complaints:
    """WARNINGs by kind; used by one thread, or under the caller's lock."""

    def __init__(self, log: logging.Logger, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._logged_ns: dict[str, int] = {}
        self._held_back: dict[str, int] = {}

    def warn(self, kind: str, sentence: str, *, error: BaseException | None = None) -> None:
        """Log ``sentence`` unless the same ``kind`` was logged within the last minute; those held back are counted.

        With ``error``, its traceback too.
        """
        now_ns, logged_ns = self._clock.monotonic_ns(), self._logged_ns.get(kind)
        if logged_ns is not None and now_ns - logged_ns < EVERY_NS:
            self._held_back[kind] = self._held_back.get(kind, 0) + 1
            return
        more = self._held_back.pop(kind, 0)
        note = f" (and {more} times more since the last such line)" if more else ""
        self._log.warning("%s%s", sentence, note, exc_info=error)
        self._logged_ns[kind] = now_ns

    def forget(self, kind: str) -> None:
        """The trouble is over: the next one of this ``kind`` is logged at once."""
        self._logged_ns.pop(kind, None)
        self._held_back.pop(kind, None)


class Trouble:
    """What is wrong with one device, as one sentence: set by one thread, read by any."""

    def __init__(self, log: logging.Logger, clock: Clock) -> None:
        self._log = log
        self._complaints = Complaints(log, clock)
        self._sentence: str | None = None

    @property
    def sentence(self) -> str | None:
        """What is wrong now; None when nothing is."""
        return self._sentence

    def say(self, sentence: str) -> None:
        """Something is wrong. A device that fails every second is logged once a minute."""
        self._sentence = sentence
        self._complaints.warn("trouble", sentence)

    def over(self, sentence: str) -> None:
        """It is well again; ``sentence`` says so in the log."""
        if self._sentence is not None:
            self._sentence = None
            self._log.info("%s", sentence)
