"""Listening for a ground: MQTT messages that are acknowledged only when whoever listens has them on its disk.

The one door to paho for receivers, as ``paho`` is for publishers. One thread does everything: while the listener writes
a batch down nothing is read, so a slow disk holds up the broker and not this process's memory.
"""

from __future__ import annotations

import logging
import select
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.mqtt.address import Address
from edge.mqtt.advice import loss, refusal, silence
from edge.mqtt.connection import Disconnected, dialling, without_delay
from edge.mqtt.tls import Context
from edge.support.clock import Clock
from edge.support.retry import Backoff

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

log = logging.getLogger(__name__)

_DIAL_TIMEOUT_S = 10.0
_PUBLISH_LIMIT = 1000
TAKEN_OVER = "Session taken over"
_NOT_AUTHORIZED = "Not authorized"
# Where nothing more is published on a topic, nobody will ever say that it is taken again.
_UNSAID_NS = 60_000_000_000
_RIGHTS = "; give this ground the right in the broker's access list"
# A refused subscription: a right that is given meanwhile counts without a new connection.
_ASK_AGAIN_S = (20.0, 600.0)
_ASK_AGAIN_LEAST_S = 10.0
_OWN_NAME = "give each collector a mqtt.client_id of its own"


@dataclass(frozen=True, slots=True)
class Heard:
    """One message, not acknowledged yet."""

    topic: str
    payload: bytes
    retained: bool
    qos: int
    mid: int


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Who listens, and how."""

    client_id: str
    topics: Sequence[str]
    """Filters, as ``spanhawk/+/detections``."""
    is_5: bool
    share: str | None
    """Name of the shared subscription (MQTT 5 only); None: every listener gets everything."""
    keepalive_s: int
    session_expiry_s: int
    """The broker keeps what arrives for so long while this listener is away, seconds; of MQTT 3.1.1, indefinitely."""
    max_packet_bytes: int
    """The broker must not send more in one packet (MQTT 5 only)."""
    left: Sequence[str] = ()
    """Names of shared subscriptions that an earlier run under this ``client_id`` had; the session gives them up."""
    kept: Sequence[str] = ()
    """Further filters, of what the broker retains; never shared, so that each listener has it with each connection."""


class Line:
    """One connection, from its beginning to its end; used by one thread."""

    def __init__(
        self,
        address: Address,
        who: Subscriber,
        context: Context | None,
        username: str | None,
        password: str | None,
        clock: Clock,
    ) -> None:
        self._address = address
        self._who = who
        self._context = context
        self._clock = clock
        self._heard: list[Heard] = []
        self._accepted = False
        self._refused: str | None = None
        self._ended: str | None = None
        self._asked = self._subscribed = False
        # What each SUBSCRIBE that has no answer yet asks for, by its number; the filters that are refused, each with a
        # sentence; and when they are asked for again, None while that is not due.
        self._asking: dict[int, Sequence[str]] = {}
        self._unheard: dict[str, str] = {}
        self._ask_again_ns: int | None = None
        self._backoff = Backoff(*_ASK_AGAIN_S, least_s=_ASK_AGAIN_LEAST_S)
        # By topic: what the broker says against what is published there, and when it last did. And by number, what it
        # has not answered yet.
        self._unsaid: dict[str, tuple[str, int]] = {}
        self._on_its_way: dict[int, str] = {}
        self._client = self._prepared(username, password)

    @property
    def subscribed(self) -> bool:
        """Whether the broker has answered the subscription to every topic, taken or refused."""
        return self._subscribed

    def complaints(self) -> dict[str, str]:
        """What the broker refuses, one sentence for each kind: subscriptions, and what was published on a topic.

        The latter for a minute, unless it takes something on that topic before.
        """
        told = {f"subscription to {topic}": sentence for topic, sentence in self._unheard.items()}
        since_ns = self._clock.monotonic_ns() - _UNSAID_NS
        self._unsaid = {topic: one for topic, one in self._unsaid.items() if one[1] > since_ns}
        if self._unsaid:
            topic, (reason, _) = next(iter(self._unsaid.items()))
            more = f" and on {len(self._unsaid) - 1} more topics" if len(self._unsaid) > 1 else ""
            told["published"] = f"{self._address} refuses what is published on {topic}{more}: {_with_advice(reason)}"
        return told

    @property
    def taken_over(self) -> bool:
        """True when it ended because another client came under this name."""
        return self._ended == TAKEN_OVER

    def dial(self) -> None:
        """Connect; returns before the broker has answered. Raises Disconnected."""
        special: dict[str, Any] = {"clean_start": False, "properties": self._properties()} if self._who.is_5 else {}
        with dialling(self._address):
            self._client.connect(self._address.host, self._address.port, self._who.keepalive_s, **special)
        without_delay(self._client.socket())

    def hear(self, most: int, patience_s: float) -> list[Heard]:
        """Wait for news and return it: at most ``most`` messages, empty when none came. Raises Disconnected."""
        client, socket = self._client, self._client.socket()
        if socket is None or self._ended is not None:
            raise Disconnected(self._why(0), refused=self._refused is not None)
        writing = [socket] if client.want_write() else []
        readable, _, _ = select.select([socket], writing, [], 0.0 if _buffered(socket) else patience_s)
        status = 0
        if readable or _buffered(socket):
            before = -1
            while status == 0 and before != len(self._heard) < most:
                before = len(self._heard)
                status = client.loop_read()
        while status == 0 and client.want_write():
            status = client.loop_write()
            if not writing:
                break
        if status == 0:
            status = client.loop_misc()
        heard, self._heard = self._heard, []
        if (status != 0 or self._ended is not None) and not heard:
            raise Disconnected(self._why(int(status)), refused=self._refused is not None)
        if self._accepted:
            self._ask()
        return heard

    def acknowledge(self, heard: Sequence[Heard]) -> None:
        """PUBACK these; where the connection has ended in the meantime the broker sends them again."""
        for one in heard:
            if one.qos:
                self._client.ack(one.mid, one.qos)

    def publish(self, topic: str, payload: bytes) -> None:
        """At QoS 1, without waiting; what is lost with the connection was of this connection only."""
        number = self._client.publish(topic, payload, qos=1).mid
        self._on_its_way[number] = topic

    def close(self, *, goodbye: bool) -> None:
        """DISCONNECT, or only close the socket."""
        client = self._client
        if goodbye and self._accepted and self._ended is None:
            client.disconnect()
            for _ in range(10):
                if self._ended is None and client.loop(0.1) != 0:
                    break
        socket = client.socket()
        if socket is not None:
            socket.close()
        if self._context is not None:
            self._context.close_last()
        client.on_connect = client.on_disconnect = client.on_subscribe = client.on_publish = client.on_message = None
        client.on_socket_register_write = None
        del self._client

    def _prepared(self, username: str | None, password: str | None) -> Client:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._who.client_id,
            clean_session=None if self._who.is_5 else False,
            protocol=MQTTProtocolVersion.MQTTv5 if self._who.is_5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = _DIAL_TIMEOUT_S
        client.max_inflight_messages = _PUBLISH_LIMIT
        if username is not None:
            client.username_pw_set(username, password)
        if self._context is not None:
            client.tls_set_context(self._context)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_socket_register_write = _nothing  # publish() and ack() leave writing to our loop
        return client

    def _ask(self) -> None:
        """Subscribe, when that is due: to everything once, and from time to time to what was refused."""
        if not self._asked:
            self._asked = True
            self._subscribe([*self._who.topics, *self._who.kept])
            self._leave()
        elif self._ask_again_ns is not None and self._clock.monotonic_ns() >= self._ask_again_ns:
            self._ask_again_ns = None
            self._subscribe(list(self._unheard))

    def _subscribe(self, topics: Sequence[str]) -> None:
        # A shared subscription brings nothing that the broker retains (MQTT 5.0, 3.3.1.3 and 4.8.2).
        number = self._client.subscribe(
            [(topic if topic in self._who.kept else self._shared(topic), 1) for topic in topics]
        )[1]
        if number is not None:
            self._asking[number] = topics

    def _shared(self, topic: str) -> str:
        return f"$share/{self._who.share}/{topic}" if self._who.share is not None and self._who.is_5 else topic

    def _leave(self) -> None:
        """Give up what the session may have: of earlier groups, of MQTT 3.1.1, of a version that shared everything."""
        # Only now: between the two what is published would be for nobody. What comes twice is a repeat to the store.
        who = self._who
        left = [f"$share/{name}/{topic}" for name in who.left for topic in (*who.topics, *who.kept)]
        if who.share is not None:
            left += [*who.topics, *(self._shared(topic) for topic in who.kept)]
        if who.is_5 and left:
            self._client.unsubscribe(left)

    def _on_connect(
        self, client: Client, userdata: object, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._refused = str(reason)
        else:
            self._accepted = True

    def _on_disconnect(
        self, client: Client, userdata: object, flags: DisconnectFlags, reason: ReasonCode, properties: object
    ) -> None:
        if self._ended is None:  # the broker's own word comes first, the end of the socket after it
            self._ended = str(reason)

    def _on_subscribe(
        self, client: Client, userdata: object, mid: int, reasons: list[ReasonCode], properties: object
    ) -> None:
        for topic, reason in zip(self._asking.pop(mid, ()), reasons, strict=False):
            if reason.is_failure:
                advice = f"{_with_advice(str(reason))}; it is asked for again from time to time"
                self._unheard[topic] = f"{self._address} refuses the subscription to {topic}: {advice}"
            elif self._unheard.pop(topic, None) is not None:
                log.info("%s takes the subscription to %s now", self._address, topic)
        if self._unheard:
            self._ask_again_ns = self._clock.monotonic_ns() + round(self._backoff.pause_s() * 1e9)
        self._subscribed = True

    def _on_publish(
        self, client: Client, userdata: object, mid: int, reason: ReasonCode, properties: Properties | None
    ) -> None:
        topic = self._on_its_way.pop(mid, None)
        if topic is None:
            return
        if reason.is_failure:
            self._unsaid[topic] = str(reason), self._clock.monotonic_ns()
        else:
            self._unsaid.pop(topic, None)

    def _on_message(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        self._heard.append(Heard(message.topic, bytes(message.payload), bool(message.retain), message.qos, message.mid))

    def _why(self, status: int) -> str:
        if self._refused is not None:
            return f"{self._address} {refusal(self._refused)}"
        if self.taken_over:
            return f"{self._address}: another client came under the name {self._who.client_id!r}: {_OWN_NAME}"
        if self._accepted:
            # mosquitto 2.0 says nothing when another client of the same name takes a kept session.
            name = f"; if it does so again and again, another client uses the name {self._who.client_id!r}: {_OWN_NAME}"
            return f"{self._address} {loss(self._ended or f'error {status}', '')}{name}"
        return f"{self._address} {silence('', encrypted=self._address.encrypted, is_5=self._who.is_5)}"

    def _properties(self) -> Properties:
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types here
        properties.SessionExpiryInterval = self._who.session_expiry_s
        properties.MaximumPacketSize = self._who.max_packet_bytes
        return properties


def _with_advice(reason: str) -> str:
    return reason + (_RIGHTS if reason == _NOT_AUTHORIZED else "; the log of the broker may say more")


def _buffered(socket: Any) -> int:
    """Bytes that TLS has read and nobody has asked for; select does not see them."""
    pending = getattr(socket, "pending", None)
    return int(pending()) if pending is not None else 0


def _nothing(client: object, userdata: object, socket: object) -> None:
    """For a callback that only has to be there."""
