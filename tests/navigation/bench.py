"""The vehicle's reader under test, fed by an autopilot."""

from __future__ import annotations

from typing import Any

from edge.navigation.history import History
from edge.navigation.mavlink import decoder
from edge.navigation.timebase import UtcTrack
from edge.navigation.vehicle import Mount, Vehicle
from tests.navigation.material import Autopilot

S = 1_000_000_000
MS = 1_000_000
decode = decoder()


class Bench:
    """A vehicle under test; ``boot`` counts from 0 at ``base_ns``."""

    base_ns = 500 * S

    def __init__(self, mount: Mount | None = None, *, heard: bool = True, **options: Any) -> None:
        self.history, self.utc = History(), UtcTrack()
        self.vehicle = Vehicle(self.history, self.utc, mount or Mount(), **options)
        self.pilot = Autopilot()
        if heard:
            self.hear(0, self.pilot.heartbeat())

    def hear(self, boot_ms: int, *frames: bytes) -> None:
        for frame in frames:
            self.vehicle.hear(decode(frame), self.base_ns + boot_ms * MS)

    def at(self, boot_ms: int) -> Any:
        return self.history.at(self.base_ns + boot_ms * MS)
