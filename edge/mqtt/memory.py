"""A publisher without a broker, for tests and dry runs: it remembers what it was given, and misbehaves on request."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from edge.mqtt import Publisher, Receipt, Request
from edge.mqtt.connection import Arrived, Ended, News, Noticed, Up
from edge.mqtt.topics import check_vehicle, status_topic
from edge.mqtt.traffic import Traffic
from edge.support.clock import Clock
from edge.support.complaints import Complaints
from edge.support.errors import ConfigError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The ``[mqtt]`` table for ``backend = "memory"``."""

    window: int = 20
    """Letters on their way at one time."""
    max_payload_bytes: int = 256 << 10
    """Larger letters are refused, bytes."""
    at_once: bool = True
    """True: connected from the start, and everything is acknowledged when next looked at; False: only on request."""

    def __post_init__(self) -> None:
        if self.window < 1:
            raise ConfigError(f"mqtt.window: got {self.window}, needs at least 1")


def open_publisher(
    options: Options, clock: Clock, *, vehicle: str, last_will: bytes, receipts: str | None = None
) -> Publisher:
    """A publisher without a broker; ``receipts`` changes nothing here.

    Raises ConfigError for an impossible vehicle name.
    """
    check_vehicle(vehicle)
    return MemoryPublisher(options, clock, vehicle, last_will)


@dataclass(frozen=True, slots=True)
class Published:
    """What reached the far end."""

    topic: str
    payload: bytes
    qos: int
    retained: bool
    correlation: bytes | None


class _Wire:
    """A connection whose packets lie still until they are looked at."""

    def __init__(self) -> None:
        self.news: deque[News] = deque()
        self.packets: deque[tuple[int, Published]] = deque()
        self._mids = 0

    def dial(self) -> None:
        """Nothing to dial."""

    def work(self) -> None:
        """Nothing to serve."""

    def publish(self, topic: str, payload: bytes, *, qos: int, retained: bool, correlation: bytes | None) -> int | None:
        """Put a packet on the wire."""
        self._mids += 1
        self.packets.append((self._mids, Published(topic, payload, qos, retained, correlation)))
        return self._mids

    def close(self, *, goodbye: bool) -> None:
        """Nothing to close."""


class MemoryPublisher:
    """Keeps the contract of ``Publisher``; ``arrived`` is the far end."""

    def __init__(self, options: Options, clock: Clock, vehicle: str, last_will: bytes) -> None:
        self.arrived: list[Published] = []
        """Everything that reached the far end, in order; repeats are repeated."""
        self.refuse: Callable[[Published], str | None] = lambda published: None
        """The far end's rule: a reason to refuse this publication, None to take it."""
        self.closes_at: Callable[[Published], bool] = lambda published: False
        """Publications at which the far end closes the connection."""
        self.receive_maximum: int | None = None
        """Unacknowledged publications that the far end allows, from the next connection on; None: it does not say."""
        self._options = options
        self._will = Published(status_topic(vehicle), last_will, 1, True, None)
        self._traffic = Traffic(vehicle, options.window, options.max_payload_bytes, Complaints(log, clock))
        self._wire: _Wire | None = None
        self._sessions = 0
        if options.at_once:
            self.come_up()

    def come_up(self) -> None:
        """The connection comes up (again)."""
        self._wire = _Wire()
        self._traffic.open(self._wire, Up(None, self.receive_maximum))
        self._sessions += 1
        self.wake.set()
        self._look()

    def go_down(self) -> None:
        """The connection is lost with everything on the wire; the far end publishes the last will."""
        if self._wire is not None:
            self._wire = None
            self._traffic.close()
            self.arrived.append(self._will)
            self.wake.set()

    def deliver(self, count: int | None = None, *, acknowledge: bool = True) -> int:
        """Let ``count`` packets (None: all) reach the far end, which answers unless asked not to; returns how many."""
        done = 0
        while self._wire is not None and self._wire.packets and done != count:
            mid, published = self._wire.packets.popleft()
            done += 1
            if self.closes_at(published):
                self.go_down()
                break
            refused = self.refuse(published)
            if refused is None:
                self.arrived.append(published)
            if acknowledge:
                self._traffic.read(Ended(mid, refused))
        return done

    def command(self, payload: bytes, reply_to: str | None = None, correlation: bytes | None = None) -> None:
        """A command arrives."""
        self._traffic.read(Arrived(Request(payload, reply_to, correlation), retained=False))

    def receipt(self, payload: bytes) -> None:
        """A message arrives on the receipts topic."""
        self._traffic.read(Noticed(payload))

    def send(self, id: str, topic: str, payload: bytes) -> bool:
        """As ``Publisher.send``."""
        taken = self._traffic.send(id, topic, payload)
        if taken:
            self.wake.set()
        return taken

    def announce(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """As ``Publisher.announce``."""
        self._traffic.announce(topic, payload, retained=retained)
        self._look()

    def reply(self, request: Request, default_topic: str, payload: bytes) -> None:
        """As ``Publisher.reply``."""
        self._traffic.reply(request, default_topic, payload)
        self._look()

    def receipts(self) -> list[Receipt]:
        """As ``Publisher.receipts``."""
        self._look()
        return self._traffic.receipts()

    def notices(self) -> list[bytes]:
        """As ``Publisher.notices``."""
        return self._traffic.notices()

    def requests(self) -> list[Request]:
        """As ``Publisher.requests``."""
        return self._traffic.requests()

    @property
    def connected(self) -> bool:
        """True while up."""
        return self._wire is not None

    @property
    def window(self) -> int:
        """As configured."""
        return self._options.window

    @property
    def sessions(self) -> int:
        """How often it came up."""
        return self._sessions

    @property
    def wake(self) -> threading.Event:
        """Set whenever there is something new to read here."""
        return self._traffic.wake

    def health(self) -> str | None:
        """That it is down; None while up."""
        return None if self.connected else "the memory publisher is disconnected, as a test asked"

    @property
    def shortcoming(self) -> str | None:
        """Nothing."""
        return None

    def __enter__(self) -> MemoryPublisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.deliver()
        else:
            self.go_down()
        self._wire = None
        self._traffic.close()

    def _look(self) -> None:
        if self._options.at_once:
            self.deliver()
