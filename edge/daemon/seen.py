"""Tells the ground what the flight saw so far: one retained message, small, and not often."""

from __future__ import annotations

from edge.flightmap import FlightMap
from edge.mqtt import Publisher
from edge.mqtt.topics import coverage_topic
from edge.support.clock import Clock

MOST_BYTES = 64 << 10
"""Of one message: a radio link of 100 kbit/s carries it in five seconds."""
EVERY_S = 30.0


class SeenSoFar:
    """Belongs to the inference thread, as the coverage does, which has no lock; the publisher takes it from there."""

    def __init__(self, vehicle: str, publisher: Publisher, clock: Clock) -> None:
        self._topic = coverage_topic(vehicle)
        self._publisher = publisher
        self._clock = clock
        self._told_ns: int | None = None
        self._told_changes = 0

    def tell(self, map_: FlightMap, *, now: bool = False) -> None:
        """Publish the coverage if it changed, at most every EVERY_S; ``now``: whenever it changed."""
        at_ns = self._clock.monotonic_ns()
        early = self._told_ns is not None and at_ns - self._told_ns < EVERY_S * 1e9
        if map_.coverage_changes == self._told_changes or (early and not now):
            return
        self._publisher.announce(self._topic, map_.coverage_payload(MOST_BYTES), retained=True)
        self._told_ns, self._told_changes = at_ns, map_.coverage_changes
