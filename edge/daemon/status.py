"""What the ground hears of the daemon itself: retained status, and telemetry once a second."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.daemon.meter import Meter
from edge.detections.wire import rfc3339
from edge.masks import Runtime
from edge.mqtt.status import status_payload
from edge.navigation import Navigator
from edge.outbox import LetterState, Outbox
from edge.settings import FlightOptions
from edge.support import board, disk
from edge.support.clock import Clock
from edge.support.errors import TryAgainError
from edge.surface.visibility import Seen

# A fix that is late once is not reported.
_NO_FIX_NS = 5_000_000_000

FINEST_MM = 0.3
"""The narrowest crack that is asked for where nobody says: the limit of most codes for reinforced concrete."""

TELEMETRY_SCHEMA = "spanhawk/telemetry/1"


@dataclass(frozen=True, slots=True)
class Sources:
    """What is asked for the state of things."""

    meter: Meter
    dropped: Callable[[], int]
    """Frames of the camera that were not looked at."""
    navigator: Navigator
    outbox: Outbox
    runtime: Runtime
    flight: FlightOptions
    complaints: Sequence[Callable[[], str | None]]
    """Each returns one sentence on what is wrong, or None."""
    seen: Callable[[], Seen | None] = lambda: None
    """How narrow a crack the newest frame would have shown; None before the first."""
    finest_mm: float = FINEST_MM
    """The narrowest crack that is asked for."""


class PositionWatch:
    """Notices that detections carry no place, also where the source itself is heard as expected."""

    def __init__(self, navigator: Navigator, clock: Clock) -> None:
        self._navigator = navigator
        self._clock = clock
        self._last_fix_ns: int | None = None
        self._begun_ns = clock.monotonic_ns()

    def trouble(self) -> str | None:
        """One sentence when there has been no position for some seconds; the source's own trouble says more."""
        now_ns = self._clock.monotonic_ns()
        if not self._navigator.live:
            return None
        if self._navigator.at(now_ns).fix is not None:
            self._last_fix_ns = now_ns
            return None
        since_ns = self._begun_ns if self._last_fix_ns is None else self._last_fix_ns
        if now_ns - since_ns < _NO_FIX_NS or self._navigator.health() is not None:
            return None
        begin = (
            "no satellite fix yet"
            if self._last_fix_ns is None
            else f"no satellite fix for {(now_ns - since_ns) / 1e9:.0f} s"
        )
        return f"{begin}: detections carry no position; check the antenna, or wait under open sky"


class Reporter:
    """Composes status and telemetry; holds no connection."""

    def __init__(
        self, vehicle: str, flight_id: str, sources: Sources, clock: Clock, *, confirm: str = "broker"
    ) -> None:
        self._vehicle = vehicle
        self._flight_id = flight_id
        self._sources = sources
        self._clock = clock
        self._confirm = confirm
        self._position = PositionWatch(sources.navigator, clock)

    def reasons(self) -> list[str]:
        """Everything that is wrong now, one sentence each; empty when all is well."""
        sentences = [complaint() for complaint in self._sources.complaints]
        return [sentence for sentence in (*sentences, *self._place(), *self._board()) if sentence]

    def status(self, *, flying: bool, reasons: Sequence[str]) -> bytes:
        """The retained status: ``flying`` or ``online``, or ``degraded`` with the reasons."""
        state = "degraded" if reasons else "flying" if flying else "online"
        return status_payload(self._vehicle, self._flight_id, state, reasons, flying=flying, confirm=self._confirm)

    def farewell(self) -> bytes:
        """The retained status of a clean stop."""
        return status_payload(self._vehicle, self._flight_id, "offline", [], flying=False, confirm=self._confirm)

    def telemetry(self) -> bytes:
        """Once a second: frames, drops, latencies, fix, backend, temperature, disk, outbox."""
        now_ns = self._clock.monotonic_ns()
        reading = self._sources.meter.read(now_ns)
        fix = self._sources.navigator.at(now_ns).fix
        temperature, free = board.temperature_deg_c(), disk.free_bytes_for(self._sources.flight.snapshot_dir)
        resident = board.resident_bytes()
        runtime = self._sources.runtime
        seen = self._sources.seen()
        narrowest_mm = None if seen is None else seen.narrowest_mm
        document = {
            "schema": TELEMETRY_SCHEMA,
            "vehicle": self._vehicle,
            "flight_id": self._flight_id,
            "at": rfc3339(self._clock.utc()),
            "clock_synced": self._clock.synced(),
            "frames": reading.frames,
            "dropped": self._sources.dropped(),
            "detections": reading.detections,
            "left_out": reading.left_out,
            "suppressed": reading.suppressed,
            "second_looks": reading.second_looks,
            "looked_share": None if reading.looked_share is None else round(reading.looked_share, 3),
            "fps": None if reading.fps is None else round(reading.fps, 2),
            "stage_ms": reading.stage_ms,
            "narrowest_crack_mm": None if narrowest_mm is None else round(narrowest_mm, 2),
            "hint": None if seen is None else seen.hint(self._sources.finest_mm),
            "fix": {
                "kind": "NONE" if fix is None else fix.kind.name,
                "h_accuracy_m": None if fix is None else fix.h_accuracy_m,
                "age_ms": None if fix is None else fix.age_ms,
            },
            "backend": {
                "name": runtime.backend,
                "library": runtime.library,
                "accelerator": runtime.accelerator,
                "threads": runtime.threads,
            },
            "temperature_deg_c": None if temperature is None else round(temperature, 1),
            "under_voltage": board.under_voltage(),
            "disk_free_mb": None if free is None else free // 1_000_000,
            "resident_mb": None if resident is None else resident // 1_000_000,
            "outbox": self._depths(),
        }
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()

    def _depths(self) -> dict[str, int] | None:
        """Letters by state; None while the disk fails (``outbox.health`` says so)."""
        try:
            counts = self._sources.outbox.counts()
        except TryAgainError:
            return None
        return {state.value: counts.get(state, 0) for state in LetterState}

    def _place(self) -> list[str | None]:
        """A source that is heard and yet does not know where it is, or had to guess."""
        return [*self._sources.navigator.warnings(), self._position.trouble()]

    def _board(self) -> list[str | None]:
        options = self._sources.flight
        temperature, free = board.temperature_deg_c(), disk.free_bytes_for(options.snapshot_dir)
        return [
            f"processor at {temperature:.0f} °C, above {options.max_temperature_deg_c:.0f}: improve its cooling"
            if temperature is not None and temperature > options.max_temperature_deg_c
            else None,
            f"disk has {free // 1_000_000} MB left, below {options.min_free_mb}: land and free disk space"
            if free is not None and free < options.min_free_mb * 1_000_000
            else None,
            "supply voltage below 4.63 V: use a stronger supply or a shorter cable" if board.under_voltage() else None,
        ]
