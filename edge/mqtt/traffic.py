"""What is on its way over a connection, what goes next, and what has come in. Does no waiting and no I/O of its own.

The broker's window (MQTT 5 Receive Maximum) is never exceeded, and letters leave some of it to status and replies.
"""

from __future__ import annotations

import logging
import threading
from collections import deque

from edge.mqtt import Receipt, Request
from edge.mqtt.commands import reply
from edge.mqtt.connection import Arrived, Complaint, Connection, Ended, News, Noticed, Up
from edge.mqtt.topics import may_reply_to, replies_topic, topic_size_bytes
from edge.support.complaints import Complaints

log = logging.getLogger(__name__)

MAX_REQUESTS = 100
"""Commands waiting to be read; further ones are answered with an error and dropped."""
_MAX_REPLIES = 100
MAX_NOTICES = 1000
"""Receipts of the ground waiting to be read; the oldest go first."""
# Places in the broker's window that letters leave to status and replies.
_RESERVED = 4
# Fixed header, topic length, packet identifier and empty properties of a PUBLISH (MQTT 5.0, 3.3).
_PUBLISH_OVERHEAD_BYTES = 5 + 2 + 2 + 1
_BUSY = reply(None, error=f"busy: {MAX_REQUESTS} commands are waiting; send it again later")


class Traffic:
    """Safe to use from several threads."""

    def __init__(self, vehicle: str, window: int, max_payload_bytes: int, complaints: Complaints) -> None:
        self.wake = threading.Event()
        self.dropped_requests = 0
        """Commands that were not passed on: retained ones, and those beyond MAX_REQUESTS."""
        self.ended = 0
        """Publications the broker was done with, ever: as long as it rises, or nothing is on its way, all is well."""
        self._vehicle = vehicle
        self.window = window
        """Letters on their way at one time, as configured; a broker may allow fewer."""
        self._max_payload_bytes = max_payload_bytes
        self._complaints = complaints
        self._lock = threading.RLock()
        self._line: Connection | None = None
        self._max_packet_bytes: int | None = None
        self._places = 0
        self._letters: dict[int, str] = {}
        self._others: dict[int, str] = {}
        self._telemetry: dict[str, int] = {}
        self._retained: dict[str, bytes] = {}
        self._stale: dict[str, None] = {}
        self._replies: deque[tuple[str, bytes, bytes | None]] = deque()
        self._receipts: list[Receipt] = []
        self._requests: list[Request] = []
        # Receipts that find no room are only given again: their letters are sent once more.
        self._notices: deque[bytes] = deque(maxlen=MAX_NOTICES)

    def open(self, line: Connection, up: Up) -> None:
        """A connection came up: tell it the retained state."""
        with self._lock:
            self._line = line
            self._max_packet_bytes = up.max_packet_bytes
            self._places = min(self.window + _RESERVED, up.receive_maximum or 65535)
            self._stale = dict.fromkeys(self._retained)
            self._flush()

    def close(self) -> None:
        """The connection is over; what was on its way over it may or may not have arrived."""
        with self._lock:
            self._line = None
            for pending in (self._letters, self._others, self._telemetry, self._replies):
                pending.clear()

    @property
    def idle(self) -> bool:
        """True when nothing is on its way."""
        with self._lock:
            return not (self._letters or self._others or self._telemetry or self._stale or self._replies)

    def read(self, news: News) -> None:
        """Take in what a connection says, other than that it came up."""
        with self._lock:
            if isinstance(news, Ended):
                self._ended(news)
            elif isinstance(news, Arrived):
                self._arrived(news)
            elif isinstance(news, Noticed):
                self._notices.append(news.payload)
            elif isinstance(news, Complaint):
                self._complaints.warn(news.sentence, news.sentence)
            self._flush()
        self.wake.set()

    def send(self, id: str, topic: str, payload: bytes) -> bool:
        """As ``Publisher.send``. What can never be delivered is taken, and its receipt says why."""
        with self._lock:
            letters = max(1, min(self.window, self._places - _RESERVED))
            if self._line is None or len(self._letters) >= letters or self._in_flight() >= self._places:
                return False
            unfit = self._unfit(topic, payload)
            if unfit is not None:
                self._receipts.append(Receipt(id, unfit))
                self.wake.set()
                return True
            mid = self._line.publish(topic, payload, qos=1, retained=False, correlation=None)
            if mid is None:
                return False
            self._letters[mid] = id
            return True

    def announce(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """As ``Publisher.announce``; telemetry is skipped while its last message is still being written out."""
        with self._lock:
            if retained:
                self._retained[topic] = payload
                self._stale[topic] = None
                self._flush()
            elif self._line is not None and topic not in self._telemetry and self._fits(topic, payload):
                mid = self._line.publish(topic, payload, qos=0, retained=False, correlation=None)
                if mid is not None:
                    self._telemetry[topic] = mid

    def reply(self, request: Request, default_topic: str, payload: bytes) -> None:
        """As ``Publisher.reply``."""
        asked = request.reply_to
        topic = asked if asked is not None and may_reply_to(asked, self._vehicle) else default_topic
        with self._lock:
            if self._line is None or len(self._replies) >= _MAX_REPLIES:
                self._complaints.warn(
                    "replies", f"a reply on {topic} is dropped: the broker is not connected or too slow"
                )
                return
            self._replies.append((topic, payload, request.correlation))
            self._flush()

    def receipts(self) -> list[Receipt]:
        """As ``Publisher.receipts``."""
        with self._lock:
            receipts, self._receipts = self._receipts, []
            return receipts

    def requests(self) -> list[Request]:
        """As ``Publisher.requests``."""
        with self._lock:
            requests, self._requests = self._requests, []
            return requests

    def notices(self) -> list[bytes]:
        """As ``Publisher.notices``."""
        with self._lock:
            notices = list(self._notices)
            self._notices.clear()
            return notices

    def _in_flight(self) -> int:
        return len(self._letters) + len(self._others)

    def _flush(self) -> None:
        """Hand over what waits for a place: the retained state first, then replies."""
        line = self._line
        while line is not None and (self._stale or self._replies) and self._in_flight() < self._places:
            correlation, retained = None, bool(self._stale)
            if retained:
                topic = next(iter(self._stale))
                payload = self._retained[topic]
                del self._stale[topic]
            else:
                topic, payload, correlation = self._replies.popleft()
            if not self._fits(topic, payload):
                continue
            mid = line.publish(topic, payload, qos=1, retained=retained, correlation=correlation)
            if mid is not None:
                self._others[mid] = topic

    def _ended(self, news: Ended) -> None:
        self.ended += 1
        if news.mid in self._letters:
            self._receipts.append(Receipt(self._letters.pop(news.mid), news.refused))
            return
        topic = self._others.pop(news.mid, None)
        if topic is not None and news.refused is not None:
            self._complaints.warn(topic, f"the broker refuses what is published on {topic}: {news.refused}")
        self._telemetry = {topic: mid for topic, mid in self._telemetry.items() if mid != news.mid}

    def _arrived(self, news: Arrived) -> None:
        if news.retained:
            self.dropped_requests += 1
            self._complaints.warn(
                "retained", "a retained command is ignored: it would be carried out at every connection"
            )
        elif len(self._requests) >= MAX_REQUESTS:
            self.dropped_requests += 1
            self._complaints.warn("busy", f"a command is dropped: {MAX_REQUESTS} are waiting")
            self.reply(news.request, replies_topic(self._vehicle), _BUSY)
        else:
            self._requests.append(news.request)

    def _fits(self, topic: str, payload: bytes) -> bool:
        """Whether it can be sent here; a status at which the broker closes the connection would end every one."""
        unfit = self._unfit(topic, payload)
        if unfit is not None:
            self._complaints.warn(f"unfit {topic}", f"a message for {topic[:80]!r} is not sent: {unfit}")
        return unfit is None

    def _unfit(self, topic: str, payload: bytes) -> str | None:
        """Why a publication can never be delivered here; None when it can."""
        topic_bytes = topic_size_bytes(topic)
        if topic_bytes is None:
            return f"{topic[:80]!r} is not a valid topic to publish on"
        if len(payload) > self._max_payload_bytes:
            return f"{len(payload)} bytes, more than mqtt.max_payload_bytes ({self._max_payload_bytes})"
        packet_bytes = _PUBLISH_OVERHEAD_BYTES + topic_bytes + len(payload)
        if self._max_packet_bytes is not None and packet_bytes > self._max_packet_bytes:
            return f"{packet_bytes} bytes, more than this broker accepts ({self._max_packet_bytes})"
        return None
