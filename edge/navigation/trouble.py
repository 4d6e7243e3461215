"""What is wrong with a source, as one sentence, logged once when it begins and again at most once a minute."""

from __future__ import annotations

import logging

_REPEAT_NS = 60_000_000_000


class Trouble:
    """Holds the present sentence; set by one thread, read by any."""

    def __init__(self, logger: logging.Logger) -> None:
        self._log = logger
        self._sentence: str | None = None
        self._logged_ns: int | None = None

    @property
    def sentence(self) -> str | None:
        """What is wrong now; None when nothing is."""
        return self._sentence

    def say(self, sentence: str, now_ns: int) -> None:
        """Something is wrong."""
        self._sentence = sentence
        if self._logged_ns is None or now_ns - self._logged_ns >= _REPEAT_NS:
            self._logged_ns = now_ns
            self._log.warning("%s", sentence)

    def over(self, sentence: str) -> None:
        """It is well again; ``sentence`` says so in the log."""
        if self._sentence is not None:
            self._sentence = None
            self._log.info("%s", sentence)
