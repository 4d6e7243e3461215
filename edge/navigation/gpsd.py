"""A satellite receiver through gpsd's JSON socket (port 2947): position and UTC, no attitude, no range.

Reports are taken as measured when they arrive (less ``latency_s``): gpsd's own time stamps are UTC, which our
monotonic clock cannot be set against. A receiver at 9600 baud reports 0.1 to 0.5 s after the measurement.
What the reports mean is in ``tpv``. With several receivers on one gpsd, name one: their positions differ.
"""

from __future__ import annotations

import logging
import socket
import threading
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType

from edge.navigation import Navigator, NavState
from edge.navigation.history import History
from edge.navigation.timebase import UtcTrack
from edge.navigation.tpv import Lines, Reports
from edge.navigation.track import Limits
from edge.support.clock import EARLIEST_PLAUSIBLE_UTC, Clock
from edge.support.complaints import Trouble
from edge.support.retry import Backoff, Worker

log = logging.getLogger(__name__)

_WATCH = b'?WATCH={"enable":true,"json":true}\n'
_CONNECT_S = 5.0
_CLOSE_S = 10.0
_QUIET_S = 10.0
_FIRST_PAUSE_S, _CAP_S = 0.5, 10.0
_CHUNK_BYTES = 65536
_SILENT_NS = 5_000_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Where gpsd listens; checked at construction (ValueError)."""

    host: str = "127.0.0.1"
    """Host name or address of gpsd."""
    port: int = 2947
    """TCP port of gpsd."""
    device: str | None = None
    """Only this receiver, as ``/dev/ttyACM0``; None: any that gpsd has."""
    latency_s: float = 0.0
    """Seconds between the measurement and its arrival here, where it has been measured."""
    limits: Limits = field(default_factory=Limits)
    """What may still be said about a moment."""

    def __post_init__(self) -> None:
        host, mark, port = self.host.rpartition(":")
        if mark and ":" not in host and port.isdigit():
            raise ValueError(f"host is {self.host!r}; write host = {host!r} and port = {port}")
        if not self.host.strip() or "/" in self.host:
            raise ValueError(f"host is {self.host!r}; it is a host name or an address, as 127.0.0.1")
        if not 0 < self.port < 65536:
            raise ValueError(f"port is 1 to 65535, got {self.port}")
        if not 0.0 <= self.latency_s <= 5.0:
            raise ValueError(f"latency_s is 0 to 5, got {self.latency_s}")


def open_navigator(options: Options, clock: Clock) -> Navigator:
    """Listen to gpsd on a thread of its own; a gpsd that is not there yet is tried again and again."""
    return GpsdNavigator(options, clock)


class GpsdNavigator:
    """Feeds a history from one gpsd; connects again by itself."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self._options, self._clock = options, clock
        self._name = f"gpsd at {options.host}:{options.port}"
        self._history = History(options.limits)
        self._utc = UtcTrack(earliest=EARLIEST_PLAUSIBLE_UTC)
        latency_ns = round(options.latency_s * 1e9)
        self._reports = Reports(self._history, self._utc, device=options.device, latency_ns=latency_ns)
        self._trouble = Trouble(log, clock)
        self._backoff = Backoff(_FIRST_PAUSE_S, _CAP_S, least_s=_FIRST_PAUSE_S)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._connected_ns = clock.monotonic_ns()
        self._thread = Worker("gpsd", self._run, self._stop, clock)

    def at(self, exposed_ns: int) -> NavState:
        """Where the receiver was at ``exposed_ns``, interpolated."""
        return self._history.at(exposed_ns)

    def utc_at(self, exposed_ns: int) -> datetime | None:
        """UTC by the receiver; None until it has it from satellites."""
        return self._utc.at(exposed_ns)

    def health(self) -> str | None:
        """What is wrong: connection, receiver, silence or implausible fixes."""
        return self._thread.trouble or self._trouble.sentence or self._silence() or self._history.doubt()

    def warnings(self) -> tuple[str, ...]:
        """Several receivers on one gpsd, none of them named."""
        return self._reports.warnings(self._clock.monotonic_ns())

    @property
    def live(self) -> bool:
        """True: it is moving with us now."""
        return True

    def _silence(self) -> str | None:
        if self._socket is None:
            return f"{self._name} is not connected yet"
        heard_ns = self._reports.heard_ns
        quiet_ns = self._clock.monotonic_ns() - max(heard_ns or self._connected_ns, self._connected_ns)
        if self._reports.device_count == 0:
            return f"{self._name} has no receiver; plug it in, or name it in DEVICES of /etc/default/gpsd"
        if quiet_ns > _SILENT_NS:
            return f"{self._name} is connected but has not reported for {quiet_ns / 1e9:.0f} s; check the receiver"
        return None

    def __enter__(self) -> GpsdNavigator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        with self._lock:
            if self._socket is not None:
                _shut_down(self._socket)  # wakes the thread from its read
        self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            reports = self._reports.heard_ns
            try:
                self._converse()
                problem = "closed the connection"
            except OSError as error:
                problem = f"cannot be reached ({error.strerror or error})"
            if self._stop.is_set():
                return
            if self._reports.heard_ns != reports:
                self._backoff.reset()
            self._trouble.say(f"{self._name} {problem}; is gpsd running?")
            self._clock.wait(self._stop, self._backoff.pause_s())

    def _converse(self) -> None:
        """Listen until the other end closes; raises OSError."""
        with socket.create_connection((self._options.host, self._options.port), timeout=_CONNECT_S) as connection:
            with self._lock:
                self._socket = connection
            try:
                self._listen(connection)
            finally:
                with self._lock:
                    self._socket = None

    def _listen(self, connection: socket.socket) -> None:
        if self._stop.is_set():
            return
        connection.settimeout(_QUIET_S)
        connection.sendall(_WATCH)
        self._connected_ns = self._clock.monotonic_ns()
        self._reports.device_count = None
        lines = Lines()
        while data := _receive(connection):
            now_ns = self._clock.monotonic_ns()
            for line in lines.feed(data):
                self._reports.hear(line, now_ns)
            self._trouble.over(f"{self._name} is connected")


def _receive(connection: socket.socket) -> bytes:
    """The next bytes; a gpsd that has been quiet is asked again, and raises TimeoutError when it stays so."""
    try:
        return connection.recv(_CHUNK_BYTES)
    except TimeoutError:
        connection.sendall(_WATCH)  # a gpsd that lives answers at once, even without a receiver
        return connection.recv(_CHUNK_BYTES)


def _shut_down(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        log.debug("gpsd had closed the connection first")
