"""The pictures of the fleet, fetched from the drones: those that cracks name and the folder lacks.

One thread, one picture at a time, the drones by turns. What a drone does not have, or sends wrongly, is remembered and
asked for again much later; a drone that is away is called again after a growing pause.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType

from edge.ground import CrackRow, Query, Reader
from edge.ground.fetch import AwayError, Link, NotLetInError, NotNowError, NotThereError, WrongPictureError
from edge.ground.pictures import Pictures
from edge.ground.settings import PictureOptions
from edge.support.clock import Clock
from edge.support.complaints import Complaints
from edge.support.disk import free_bytes_for
from edge.support.errors import TryAgainError
from edge.support.pace import Pace
from edge.support.retry import Backoff, Worker

log = logging.getLogger(__name__)

_LOOK_EVERY_NS = 2_000_000_000
_IDLE_S = 0.5
_AT_ONCE = 500
_AWAY_S = (2.0, 120.0)
_WRONG_NS = 600_000_000_000
_MISSING_NS = 3600_000_000_000
_NOT_LET_IN_NS = 60_000_000_000
_NO_ROOM_NS = 30_000_000_000
_STOPS_WITHIN_S = 15.0
_SHOWN_STATES = ("tentative", "confirmed")


@dataclass(slots=True)
class Fetched:
    """What has become of one drone's pictures in this run; read by any thread."""

    stored: int = 0
    wrong: int = 0
    """Times that something else came than was asked for."""
    size_bytes: int = 0
    """Received by the tries that were not cut."""
    waiting: int = 0
    """Cracks whose picture is still to be fetched."""
    away: bool = False
    """Whether it could not be reached the last time."""
    missing: int = 0
    """Cracks whose picture the drone does not have (any more)."""


@dataclass(slots=True)
class _Drone:
    link: Link
    backoff: Backoff
    wants: dict[str, str] = field(default_factory=dict)
    """By crack, the SHA-256 of the picture of its best view; only what the folder lacks."""
    not_before_ns: dict[str, int] = field(default_factory=dict)
    """By SHA-256, when one that was missing or wrong may be asked for again."""
    missing: set[str] = field(default_factory=set)
    next_ns: int = 0
    trouble: str | None = None
    wrong: str | None = None
    counts: Fetched = field(default_factory=Fetched)


class Puller:
    """Works from entering ``with`` to leaving it. Raises ConfigError for what the settings cannot mean."""

    def __init__(self, options: PictureOptions, reader: Reader, pictures: Pictures, clock: Clock) -> None:
        self._reader = reader
        self._pictures = pictures
        self._clock = clock
        self._room_bytes = options.min_free_mb * 1_000_000
        pace = Pace(options.rate_kb_s * 1000, clock)
        self._drones = {
            name: _Drone(Link(name, drone, pictures, pace, clock), Backoff(*_AWAY_S, least_s=1.0))
            for name, drone in options.drones.items()
        }
        self._complaints = Complaints(log, clock)
        self._stop = threading.Event()
        self._worker: Worker | None = None
        self._row: int = 0
        self._looked_ns: int | None = None
        self._trouble: str | None = None
        self._low: str | None = None
        self.news = 0
        """Grows with each picture that has come in this run, and with each that turned out to be lost."""

    def health(self) -> list[str]:
        """What is wrong now, one sentence each. A drone that is away is nothing wrong."""
        told = [self._low or self._trouble, None if self._worker is None else self._worker.trouble]
        told += [sentence for one in self._drones.values() for sentence in (one.trouble, one.wrong)]
        return [sentence for sentence in told if sentence is not None]

    def lost(self, vehicle: str, sha256: str) -> bool:
        """Whether this drone has said that it does not have this picture (any more)."""
        drone = self._drones.get(vehicle)
        return drone is not None and sha256 in drone.missing

    @property
    def counts(self) -> Mapping[str, Fetched]:
        """By drone."""
        return {name: drone.counts for name, drone in self._drones.items()}

    def __enter__(self) -> Puller:
        self._worker = Worker("pull", self._run, self._stop, self._clock)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._worker is not None and not self._worker.join(_STOPS_WITHIN_S):
            log.error("the thread that fetches pictures did not end within %.0f s", _STOPS_WITHIN_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            if not self.step():
                self._clock.wait(self._stop, _IDLE_S)

    def step(self) -> bool:
        """Learn what is wanted, and fetch one picture from each drone that may be asked; False when there was none."""
        if not self._look() or not self._has_room():
            return False
        fetched = 0
        for name, drone in self._drones.items():
            fetched += not self._stop.is_set() and self._turn(name, drone)
        return fetched > 0

    def _look(self) -> bool:
        now_ns = self._clock.monotonic_ns()
        if self._looked_ns is not None and now_ns - self._looked_ns < _LOOK_EVERY_NS:
            return True
        try:
            while rows := self._reader.cracks(Query(after=self._row, limit=_AT_ONCE)):
                for row in rows:
                    self._row = max(self._row, row.row or 0)
                    self._want(row)
                if len(rows) < _AT_ONCE or self._stop.is_set():
                    break
        except TryAgainError as error:  # the collector tells it too
            self._complaints.warn("store", str(error))
            return False
        self._looked_ns = now_ns
        return True

    def _want(self, row: CrackRow) -> None:
        drone = self._drones.get(row.vehicle)
        if drone is None:
            return
        before, wanted = drone.wants.pop(row.crack_id, None), row.best_sha256
        if wanted is not None and row.state in _SHOWN_STATES and self._pictures.find(wanted) is None:
            drone.wants[row.crack_id] = wanted
        if before is not None and before not in drone.wants.values():
            drone.link.forget(before)
            was_missing = before in drone.missing
            drone.missing.discard(before)
            if drone.not_before_ns.pop(before, None) is not None and not was_missing:
                drone.wrong = None  # nobody wants that one any more
        self._count(drone)

    def _count(self, drone: _Drone) -> None:
        drone.counts.missing = sum(sha256 in drone.missing for sha256 in drone.wants.values())
        drone.counts.waiting = len(drone.wants) - drone.counts.missing

    def _has_room(self) -> bool:
        free = free_bytes_for(self._pictures.folder)
        if free is None or free >= self._room_bytes:
            self._low = None
            return True
        self._low = (
            f"no pictures are fetched: {self._pictures.folder} has {free // 1_000_000} MB left, less than [pictures] "
            "min_free_mb"
        )
        self._complaints.warn("room", self._low)
        return False

    def _turn(self, name: str, drone: _Drone) -> bool:
        now_ns = self._clock.monotonic_ns()
        if now_ns < drone.next_ns:
            return False
        due = (sha256 for sha256 in drone.wants.values() if drone.not_before_ns.get(sha256, 0) <= now_ns)
        sha256 = next(due, None)
        if sha256 is None:
            return False
        try:
            drone.counts.size_bytes += drone.link.fetch(sha256, self._stop)
        except NotThereError as error:
            log.info("%s", error)
            self._answered(drone)
            self.news += sha256 not in drone.missing
            drone.missing.add(sha256)
            drone.not_before_ns[sha256] = now_ns + _MISSING_NS
        except WrongPictureError as error:
            self._answered(drone)
            drone.counts.wrong += 1
            drone.wrong = f"{error}; it is asked for again in {_WRONG_NS // 60_000_000_000} minutes"
            self._complaints.warn(f"wrong {name}", drone.wrong)
            drone.not_before_ns[sha256] = now_ns + _WRONG_NS
        except NotNowError as error:
            log.debug("%s", error)
            self._answered(drone)
            drone.next_ns = now_ns + round(error.after_s * 1e9)
        except NotLetInError as error:
            drone.trouble = f"no pictures come from it: {error}"
            self._complaints.warn(f"let in {name}", drone.trouble)
            drone.next_ns = now_ns + _NOT_LET_IN_NS
        except AwayError as error:
            log.info("%s", error)
            drone.counts.away = True
            drone.next_ns = self._clock.monotonic_ns() + round(drone.backoff.pause_s() * 1e9)
        except TryAgainError as error:
            self._trouble = str(error)
            self._complaints.warn("disk", self._trouble)
            drone.next_ns = now_ns + _NO_ROOM_NS
        else:
            self._stored(drone, sha256)
        self._count(drone)
        return True

    def _answered(self, drone: _Drone) -> None:
        """Whatever it said: it is there, and it lets us in."""
        drone.backoff.reset()
        drone.counts.away = False
        drone.trouble = None

    def _stored(self, drone: _Drone, sha256: str) -> None:
        self._answered(drone)
        self._trouble = None
        drone.counts.stored += 1
        self.news += 1
        drone.missing.discard(sha256)
        if drone.not_before_ns.pop(sha256, None) is not None:
            drone.wrong = None
        drone.wants = {crack: wanted for crack, wanted in drone.wants.items() if wanted != sha256}
