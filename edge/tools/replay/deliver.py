"""A replay's way to the ground: a real outbox and publisher with ``--mqtt``, a box in memory without."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from edge.delivery import PATIENCE_S, Delivery
from edge.detections.wire import mark_historical
from edge.mqtt import Publisher
from edge.mqtt.status import status_payload
from edge.mqtt.topics import status_topic
from edge.outbox import LetterState, Outbox
from edge.outcome import Flight
from edge.support import backends
from edge.support.clock import SystemClock


@dataclass(frozen=True, slots=True)
class Told:
    """How the delivery ended."""

    delivered: int | None
    """Letters the broker acknowledged, an earlier run's leftovers among them; None without --mqtt."""
    trouble: str | None
    """One sentence when letters are left; None when all arrived."""


class Delivering:
    """Delivers in the background while the replay flies."""

    def __init__(
        self, url: str | None, folder: Path, flight: Flight, mqtt_table: dict[str, Any], *, afresh: bool = False
    ) -> None:
        """``afresh``: what an earlier run left undelivered in ``folder`` is thrown away."""
        self._url = url
        self._folder = folder
        self._flight = flight
        self._afresh = afresh
        # The drone's own client id would throw the drone off the broker.
        self._table = {key: value for key, value in mqtt_table.items() if key != "client_id"}
        self._clock = SystemClock()
        self._stop = threading.Event()
        self._stack = ExitStack()
        self._publisher: Publisher | None = None
        self._died: BaseException | None = None
        self.outbox: Outbox

    def __enter__(self) -> Delivering:
        with ExitStack() as stack:
            self.outbox = stack.enter_context(self._open_outbox())
            if self._url is not None:
                # Replaying a folder again must send again: what arrived last time is no longer needed.
                self.outbox.purge(everything=self._afresh)
                self.outbox.retry()
                self._publisher = stack.enter_context(self._open_publisher(self._url))
                self._delivery = Delivery(self.outbox, self._publisher, self._clock, late=mark_historical)
                thread = threading.Thread(target=self._deliver, name="delivery", daemon=True)
                thread.start()
                stack.callback(thread.join)
                stack.callback(self._halt)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def finish(self) -> Told:
        """Wait until everything is acknowledged, or until the broker has been silent for PATIENCE_S."""
        if self._publisher is None:
            return Told(None, None)
        left, waited_s = self._left(), 0.0
        while left and waited_s < PATIENCE_S and self._died is None:
            self._clock.wait(threading.Event(), 0.05)
            now = self._left()
            waited_s = 0.0 if now < left else waited_s + 0.05
            left = now
        if self._died is not None:
            raise self._died
        self._publisher.announce(status_topic(self._flight.vehicle), self._status("offline"), retained=True)
        counts = self.outbox.counts()
        return Told(counts[LetterState.CONFIRMED], self._trouble(left, counts[LetterState.PARKED]))

    def _deliver(self) -> None:
        try:
            self._delivery.run(self._stop)
        except BaseException as error:  # noqa: BLE001 - carried to finish(), which raises it
            self._died = error

    def _left(self) -> int:
        counts = self.outbox.counts()
        return counts[LetterState.PENDING] + counts[LetterState.SENT]

    def _trouble(self, left: int, parked: int) -> str | None:
        if not left and not parked:
            return None
        assert self._publisher is not None
        why = self._publisher.health() or self._delivery.health() or "the broker does not acknowledge"
        refused = f", {parked} were refused by it" if parked else ""
        return (
            f"--mqtt {self._url}: {left} letters (detections and cracks) did not reach the broker{refused} ({why}); "
            f"they are kept in {self._folder / 'outbox.db'}: replay again, or send them with "
            f"spanhawk outbox flush --outbox {self._folder / 'outbox.db'} --mqtt {self._url}"
        )

    def _halt(self) -> None:
        self._stop.set()
        if self._publisher is not None:
            self._publisher.wake.set()

    def _open_outbox(self) -> Outbox:
        table: dict[str, Any] = {"backend": "memory"}
        if self._url is not None:
            # A recording can be replayed: no ballast is needed to drain a full disk.
            table = {"path": str(self._folder / "outbox.db"), "ballast_bytes": 0}
        outbox: Outbox = backends.open_backend(
            "edge.outbox", "open_outbox", table, self._clock, where="outbox", default="sqlite"
        )
        return outbox

    def _open_publisher(self, url: str) -> Publisher:
        publisher: Publisher = backends.open_backend(
            "edge.mqtt", "open_publisher", {**self._table, "url": url}, self._clock,
            where="mqtt", default="paho", vehicle=self._flight.vehicle, last_will=self._status("offline"),
        )  # fmt: skip
        publisher.announce(status_topic(self._flight.vehicle), self._status("online"), retained=True)
        return publisher

    def _status(self, state: str) -> bytes:
        return status_payload(self._flight.vehicle, self._flight.flight_id, state, [], flying=False)
