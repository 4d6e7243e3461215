"""Opening what the configuration names, and telling the ground when there will be no flight."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edge.mqtt import Publisher
from edge.mqtt.status import status_payload
from edge.mqtt.topics import status_topic
from edge.settings import Settings
from edge.support.clock import Clock
from edge.support.errors import ConfigError, SpanhawkError, UsageError

# A start that fails waits this long for the broker, to say why.
REPORT_WHY_S = 3.0


class Opening:
    """Opens the rooms of one run; the publisher first of those that may fail, since it carries the reason away."""

    def __init__(self, settings: Settings, clock: Clock, flight_id: str) -> None:
        self._settings = settings
        self._clock = clock
        self._flight_id = flight_id
        self._told_why = False

    def open(self, room: str, opener: str, **extra: Any) -> Any:
        """What ``opener`` of the module configured for ``room`` makes. Raises SpanhawkError."""
        backend = getattr(self._settings, room)
        try:
            return getattr(backend.module, opener)(backend.options, self._clock, **extra)
        except UsageError as error:  # what is usage on a command line is configuration here
            raise ConfigError(f"{room}: {error}") from error

    @contextmanager
    def publisher(self) -> Iterator[Publisher]:
        """Connected for as long as the block runs; the last will is left to speak where nothing said why it ended."""
        # Only where they are asked for: a third party's publisher may not know of receipts.
        listen = {"receipts": self._settings.vehicle} if self._settings.confirm == "ground" else {}
        publisher: Publisher = self.open(
            "mqtt", "open_publisher", vehicle=self._settings.vehicle, last_will=self._offline(), **listen
        )
        publisher.__enter__()
        try:
            yield publisher
        except BaseException as error:
            if self._told_why:
                publisher.__exit__(None, None, None)
            else:
                publisher.__exit__(type(error), error, error.__traceback__)
            raise
        publisher.__exit__(None, None, None)

    def tell_why(self, publisher: Publisher, error: SpanhawkError) -> None:
        """Publish why there will be no flight, if the broker can be reached within a moment."""
        until_ns = self._clock.monotonic_ns() + round(REPORT_WHY_S * 1e9)
        publisher.announce(status_topic(self._settings.vehicle), self._offline(str(error)), retained=True)
        while not publisher.connected and self._clock.monotonic_ns() < until_ns:
            publisher.wake.clear()
            self._clock.wait(publisher.wake, 0.1)
        self._told_why = publisher.connected

    def _offline(self, *reasons: str) -> bytes:
        vehicle, confirm = self._settings.vehicle, self._settings.confirm
        return status_payload(vehicle, self._flight_id, "offline", list(reasons), flying=False, confirm=confirm)
