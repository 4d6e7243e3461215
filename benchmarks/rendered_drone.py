"""A drone before a rendered bridge, for the daemon: a camera and an autopilot that tell of one and the same flight.

    [camera]                                    [navigation]
    backend = "benchmarks.rendered_drone"       backend = "benchmarks.rendered_drone"

Both take the same options. The daemon opens them apart, and the flight begins when the camera is opened: the
autopilot's log is made for that flight, and again when the camera was opened again.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType

from edge.frames import synthetic
from edge.frames.synthetic import SyntheticCamera
from edge.navigation import Navigator, NavState, nowhere, recorded
from edge.rendered.flightpath import FlightPath
from edge.rendered.nav import Site, nav_rows, write_nav_csv
from edge.support.clock import Clock


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Which bridge, where it stands, and how it is flown."""

    seed: int = 1
    fps: float = 1.0
    speed_m_s: float = 0.25
    """With ``fps`` so that frames overlap by two thirds."""
    lat_deg: float = Site().lat_deg
    lon_deg: float = Site().lon_deg
    seconds: float = 1800.0
    """As long as the autopilot knows where it is."""


_flights: list[FlightPath] = []
"""The last one is being flown."""


def open_camera(options: Options, clock: Clock) -> SyntheticCamera:
    """Begin a flight."""
    wanted = synthetic.Options(seed=options.seed, fps=options.fps, speed_m_s=options.speed_m_s)
    camera = synthetic.open_camera(wanted, clock)
    _flights.append(camera.track)
    return camera


def open_navigator(options: Options, clock: Clock) -> Autopilot:
    """Of the flight that the camera is on."""
    return Autopilot(options, clock)


class Autopilot:
    """Knows nothing before the camera is open."""

    live = False

    def __init__(self, options: Options, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._of: FlightPath | None = None
        self._log: Navigator | None = None

    def at(self, exposed_ns: int) -> NavState:
        """Where the camera was."""
        log = self._current()
        return nowhere(exposed_ns) if log is None else log.at(exposed_ns)

    def utc_at(self, exposed_ns: int) -> datetime | None:
        """Its satellites' time."""
        log = self._current()
        return None if log is None else log.utc_at(exposed_ns)

    def health(self) -> str | None:
        """Nothing is ever wrong with it."""
        return None

    def warnings(self) -> Sequence[str]:
        """Nor is anything guessed."""
        return ()

    def __enter__(self) -> Autopilot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held."""

    def _current(self) -> Navigator | None:
        track = _flights[-1] if _flights else None
        if track is not None and track is not self._of:
            site = dataclasses.replace(Site(), lat_deg=self._options.lat_deg, lon_deg=self._options.lon_deg)
            rows = nav_rows(track, self._options.seconds, seed=self._options.seed, site=site)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "nav.csv"
                write_nav_csv(path, rows)
                self._log = recorded.open_navigator(recorded.Options(path=path, start_ns=track.start_ns), self._clock)
            self._of = track
        return self._log
