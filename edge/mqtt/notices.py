"""Saying what is wrong once loudly, then at most once a minute: a broker away for an hour must not fill the journal."""

from __future__ import annotations

import logging

from edge.support.clock import Clock

_EVERY_NS = 60_000_000_000


class Notices:
    """WARNINGs by kind; used under the caller's lock or by one thread."""

    def __init__(self, log: logging.Logger, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._said_ns: dict[str, int] = {}
        self._unsaid: dict[str, int] = {}

    def warn(self, kind: str, sentence: str) -> None:
        """Log ``sentence`` unless the same ``kind`` was logged within the last minute; silent ones are counted."""
        now_ns, said_ns = self._clock.monotonic_ns(), self._said_ns.get(kind)
        if said_ns is not None and now_ns - said_ns < _EVERY_NS:
            self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
            return
        more = self._unsaid.pop(kind, 0)
        self._log.warning("%s%s", sentence, f" (and {more} times more since the last such line)" if more else "")
        self._said_ns[kind] = now_ns

    def forget(self, kind: str) -> None:
        """The trouble is over: the next one of this ``kind`` is news again."""
        self._said_ns.pop(kind, None)
        self._unsaid.pop(kind, None)
