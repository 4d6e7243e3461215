"""The publisher that keeps one connection up and, when it ends, waits and connects again. Knows no MQTT library."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from types import TracebackType

from edge.mqtt import Receipt, Request
from edge.mqtt.connection import Connection, Disconnected, Up
from edge.mqtt.traffic import Traffic
from edge.support.clock import Clock
from edge.support.complaints import Complaints
from edge.support.retry import Backoff, Worker

log = logging.getLogger(__name__)

# A connection that lived so long was a good one: the next failure is the first of its kind.
_HELD_NS = 10_000_000_000
# A broker that answers pings but acknowledges nothing is of no use; a slow link needs some seconds per letter.
_STALLED_NS = 60_000_000_000
FIRST_PAUSE_S, CAP_S = 0.5, 30.0
# Never at once: a broker that accepts and closes the connection would otherwise be dialled in a tight loop.
_LEAST_PAUSE_S = 0.05
REFUSED_S = (10.0, 60.0)
"""Pause after the broker answered, and said no: a refused password is not put right in seconds."""
# What is on its way when we leave gets so long to be acknowledged.
_LEAVE_NS = 2_000_000_000
# A broker that closes the connection at what we sent accepts the next one at once, but not indefinitely.
_PROVOKED_S, _MOST_PROVOKED = 1.0, 50
_JOIN_S = 15.0


class ReconnectingPublisher:
    """A ``Publisher`` over connections made by ``connect``, with a thread of its own until the ``with`` block ends.

    Leaving the block with an exception ends the connection as if the vehicle had vanished, so that the broker
    publishes the last will; otherwise say ``offline`` before leaving.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        clock: Clock,
        *,
        broker: str,
        vehicle: str,
        window: int,
        max_payload_bytes: int,
        chance: random.Random | None = None,
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._broker = broker
        self._complaints = Complaints(log, clock)
        self._traffic = Traffic(vehicle, window, max_payload_bytes, Complaints(log, clock))
        self._chance = chance or random.Random()
        self._backoff = Backoff(FIRST_PAUSE_S, CAP_S, least_s=_LEAST_PAUSE_S, chance=self._chance)
        self._closing = threading.Event()
        self._with_goodbye = True
        self._leave_ns = 0
        self._sessions = 0
        self._up_ns: int | None = None
        self._ended = 0
        self._progress_ns = 0
        self._trouble: str | None = f"{broker}: not connected yet"
        self._shortcoming: str | None = None
        self._provoked = 0
        self._thread = Worker("mqtt", self._run, self._closing, clock)

    def send(self, id: str, topic: str, payload: bytes) -> bool:
        """Hand over at QoS 1; False when it cannot be taken now.

        What can never be delivered (too large, impossible topic) is taken, and its receipt says why.
        """
        return self._traffic.send(id, topic, payload)

    def announce(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Telemetry (QoS 0) or, retained, status (QoS 1), now or, retained, as soon as connected."""
        self._traffic.announce(topic, payload, retained=retained)

    def reply(self, request: Request, default_topic: str, payload: bytes) -> None:
        """Answer a command at QoS 1; on ``default_topic`` where it named no topic, or one it must not."""
        self._traffic.reply(request, default_topic, payload)

    def receipts(self) -> list[Receipt]:
        """What the broker has sent since the last call, oldest first."""
        return self._traffic.receipts()

    def requests(self) -> list[Request]:
        """Commands that arrived since the last call, oldest first; payloads are cut just above the size limit."""
        return self._traffic.requests()

    def notices(self) -> list[bytes]:
        """What the ground has sent on the receipts topic since the last call, oldest first."""
        return self._traffic.notices()

    @property
    def dropped_requests(self) -> int:
        """Commands that were not passed on: retained ones, and those beyond what may wait."""
        return self._traffic.dropped_requests

    @property
    def connected(self) -> bool:
        """True between CONNACK success and the loss of the connection."""
        return self._up_ns is not None

    @property
    def window(self) -> int:
        """How many letters may be on their way at one time; a broker may allow fewer."""
        return self._traffic.window

    @property
    def sessions(self) -> int:
        """How often a connection came up."""
        return self._sessions

    @property
    def wake(self) -> threading.Event:
        """Set whenever there is something new to read here."""
        return self._traffic.wake

    def health(self) -> str | None:
        """One sentence on what is wrong; None when connected."""
        return None if self.connected else self._thread.trouble or self._trouble

    @property
    def shortcoming(self) -> str | None:
        """What the broker of the newest connection cannot do."""
        return self._shortcoming

    def __enter__(self) -> ReconnectingPublisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._with_goodbye = kind is None
        self._leave_ns = self._clock.monotonic_ns() + _LEAVE_NS
        self._closing.set()
        self._thread.join(_JOIN_S)

    def _run(self) -> None:
        while not self._closing.is_set():
            ended = self._one_connection()
            pause_s = self._backoff.pause_s()
            if ended is not None and ended.provoked and self._provoked < _MOST_PROVOKED:
                self._provoked += 1  # which letter it was is found by trying
                pause_s = min(pause_s, _PROVOKED_S)
            if ended is not None and ended.refused:
                pause_s = self._chance.uniform(*REFUSED_S)
            self._clock.wait(self._closing, pause_s)

    def _one_connection(self) -> Disconnected | None:
        """From dialling to the end; returns how the other side ended it."""
        line, ended = self._connect(), None
        try:
            line.dial()
            while not self._leaving():
                line.work()
                self._read(line)
                self._check_progress()
        except Disconnected as end:
            self._lost(str(end))
            ended = end
        except Exception as error:  # an error inside the library ends a connection, not the thread
            log.warning("%s: the MQTT library failed; connecting again", self._broker, exc_info=True)
            self._lost(f"{self._broker}: the MQTT library failed ({type(error).__name__}: {error})")
        finally:
            self._finish(line)
        return ended

    def _read(self, line: Connection) -> None:
        while line.news:
            news = line.news.popleft()
            if isinstance(news, Up):
                self._came_up(line, news)
            else:
                self._traffic.read(news)

    def _check_progress(self) -> None:
        now_ns, ended = self._clock.monotonic_ns(), self._traffic.ended
        if self._up_ns is None or self._traffic.idle or ended != self._ended:
            self._ended, self._progress_ns = ended, now_ns
        elif now_ns - self._progress_ns > _STALLED_NS:
            stalled_s = _STALLED_NS // 10**9
            raise Disconnected(f"{self._broker} was connected, but acknowledged nothing for {stalled_s} seconds")

    def _came_up(self, line: Connection, up: Up) -> None:
        log.info("connected to %s", self._broker)
        self._shortcoming = up.shortcoming
        if up.shortcoming is not None:
            self._complaints.warn("shortcoming", up.shortcoming)
        self._traffic.open(line, up)
        self._sessions += 1
        self._trouble = None
        self._up_ns = self._progress_ns = self._clock.monotonic_ns()
        self.wake.set()

    def _lost(self, sentence: str) -> None:
        self._trouble = sentence
        self._complaints.warn("away", sentence)

    def _finish(self, line: Connection) -> None:
        self._read(line)  # what the broker said before the end counts
        self._traffic.close()
        if self._up_ns is not None and self._clock.monotonic_ns() - self._up_ns > _HELD_NS:
            self._backoff.reset()
            self._provoked = 0
            self._complaints.forget("away")
        self._up_ns = None
        self._trouble = self._trouble or f"{self._broker}: not connected any more"
        try:
            line.close(goodbye=self._with_goodbye)
        except Exception:  # whatever it was, the connection is gone and the next one is a new client
            log.warning("%s: the MQTT library failed while disconnecting", self._broker, exc_info=True)
        self.wake.set()

    def _leaving(self) -> bool:
        if not self._closing.is_set():
            return False
        late = self._clock.monotonic_ns() > self._leave_ns
        return late or not self._with_goodbye or self._up_ns is None or self._traffic.idle
