"""The publisher over paho-mqtt 2, at MQTT 5 or 3.1.1. The only module that knows the library.

What the library is kept from, each seen on a real broker:

* its memory queue (65,535 messages, lost on exit): it is handed no more than what is in flight;
* an exception in a callback, which ends its network thread without a word: callbacks only append, and the loop is ours;
* sending what it kept, on top of what the outbox sends again: each connection has a client of its own;
* a packet above the broker's limit, which blocks everything behind it: checked before sending.

MQTT 3.1.1 cannot say that a publication was refused (an ACL, a size limit): the broker acknowledges it and throws it
away. Where the broker has access rules, use protocol 5.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from edge.mqtt import Publisher, Request
from edge.mqtt.abilities import Abilities
from edge.mqtt.address import Address, parse_url
from edge.mqtt.advice import loss, refusal, silence
from edge.mqtt.commands import MAX_COMMAND_BYTES
from edge.mqtt.connection import Arrived, Complaint, Disconnected, Ended, News, Noticed, Up, dialling, without_delay
from edge.mqtt.options import Options
from edge.mqtt.reconnecting import ReconnectingPublisher
from edge.mqtt.tls import Context, read_password, tls_context
from edge.mqtt.topics import check_vehicle, commands_topic, receipts_topic, status_topic
from edge.support.clock import Clock

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

log = logging.getLogger(__name__)

__all__ = ["Options", "PahoConnection", "open_publisher"]

_DIAL_TIMEOUT_S = 10.0
# How long one turn waits for the network; also how late a wish to leave is noticed.
_TURN_S = 0.1
_LEAVE_TURNS = 10
# MQTT_LOG_ERR of the library.
_LIBRARY_ERROR = 0x08
# The broker must not send us more than this in one packet (MQTT 5 only).
_MAX_INCOMING_BYTES = 64 << 10
# The words of reason codes (MQTT 5.0, 3.14.2.1).
_PROVOKED = ("Packet too large", "Protocol error", "Malformed packet", "Payload format invalid")


def open_publisher(
    options: Options, clock: Clock, *, vehicle: str, last_will: bytes, receipts: str | None = None
) -> Publisher:
    """A publisher that connects in the background and keeps trying: an absent broker is not an error here.

    ``last_will`` is what the broker publishes, retained, on the status topic when this vehicle vanishes.
    ``receipts`` is the vehicle of which it hears what the ground has stored (``Publisher.notices``); None: of none.
    Raises ConfigError for what trying again cannot correct (files, names, addresses).
    """
    check_vehicle(vehicle)
    address = parse_url(options.url)
    context = tls_context(options.ca_file, options.cert_file, options.key_file) if address.encrypted else None
    password = None if options.password_file is None else read_password(options.password_file)
    if password is not None and not address.encrypted and address.host not in ("localhost", "127.0.0.1", "::1"):
        log.warning("the password travels to %s unencrypted; use mqtts://", address)

    abilities = Abilities()

    def connect() -> PahoConnection:
        return PahoConnection(options, address, context, password, vehicle, last_will, abilities, receipts=receipts)

    return ReconnectingPublisher(
        connect,
        clock,
        broker=str(address),
        vehicle=vehicle,
        window=options.window,
        max_payload_bytes=options.max_payload_bytes,
    )


class PahoConnection:
    """A ``Connection`` made of one client. Its callbacks only append or assign: they must never raise."""

    def __init__(
        self,
        options: Options,
        address: Address,
        context: Context | None,
        password: str | None,
        vehicle: str,
        last_will: bytes,
        abilities: Abilities,
        *,
        receipts: str | None,
    ) -> None:
        self.news: deque[News] = deque()
        self._options = options
        self._address = address
        self._context = context
        self._receipts = None if receipts is None else receipts_topic(receipts)
        self._topics = [commands_topic(vehicle), *([] if self._receipts is None else [self._receipts])]
        self._is_5 = options.protocol == "5"
        self._abilities = abilities
        self._written: list[int] = []  # QoS 0 in place of QoS 1: written out, and not yet known to have arrived
        self._asked: tuple[int, list[int]] | None = None  # a question sent after them, and what its answer confirms
        self._accepted = False
        self._subscribed = False
        self._refused: str | None = None
        self._asks_less = False  # the next connection does without what this one was refused for
        self._ended: str | None = None
        self._library_error: str | None = None
        self._client: Client = self._prepared(vehicle, password, last_will)

    def dial(self) -> None:
        """Connect, shake hands where encrypted, queue the CONNECT packet."""
        special: dict[str, Any] = {"clean_start": True, "properties": self._connect_properties()} if self._is_5 else {}
        with dialling(self._address):
            self._client.connect(self._address.host, self._address.port, self._options.keepalive_s, **special)
        without_delay(self._client.socket())

    def work(self) -> None:
        """One turn of the library's loop."""
        status = self._client.loop(min(_TURN_S, self._options.keepalive_s / 4))
        if status != 0 or self._ended is not None:
            refused = self._refused is not None and not self._asks_less
            provoked = self._accepted and self._ended in _PROVOKED
            raise Disconnected(f"{self._address} {self._why(int(status))}", refused=refused, provoked=provoked)
        if self._accepted and not self._subscribed:
            self._subscribed = True
            self._client.subscribe(self._subscriptions())
        elif self._written and self._asked is None:
            self._ask()

    def publish(self, topic: str, payload: bytes, *, qos: int, retained: bool, correlation: bytes | None) -> int | None:
        """Queue for the loop."""
        properties = self._correlated(correlation) if correlation is not None and self._is_5 else None
        qos, retained = min(qos, int(self._abilities.acknowledges)), retained and self._abilities.retains
        info = self._client.publish(topic, payload, qos, retained, properties)
        return info.mid if info.rc == 0 else None

    def close(self, *, goodbye: bool) -> None:
        """DISCONNECT, or only close the socket. The client goes with its last reference, and its sockets with it."""
        client = self._client
        if goodbye and self._accepted and self._ended is None:
            client.disconnect()
            for _ in range(_LEAVE_TURNS):
                if self._ended is None and client.loop(_TURN_S) != 0:
                    break
        line = client.socket()
        if line is not None:
            line.close()
        if self._context is not None:
            self._context.close_last()
        client.on_connect = client.on_disconnect = client.on_publish = None
        client.on_subscribe = client.on_message = client.on_log = client.on_socket_register_write = None
        del self._client

    def _prepared(self, vehicle: str, password: str | None, last_will: bytes) -> Client:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._options.client_id or f"spanhawk-{vehicle}",
            clean_session=None if self._is_5 else True,
            protocol=MQTTProtocolVersion.MQTTv5 if self._is_5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = _DIAL_TIMEOUT_S
        client.max_inflight_messages = 0  # counted in Traffic, against the broker's own limit
        able = self._abilities
        client.will_set(status_topic(vehicle), last_will, qos=int(able.acknowledges), retain=able.retains)
        if self._options.username is not None:
            client.username_pw_set(self._options.username, password)
        if self._context is not None:
            client.tls_set_context(self._context)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_log = self._on_log
        # With this set, publish() leaves writing to our loop; two threads writing would mix their packets.
        client.on_socket_register_write = _nothing
        return client

    def _on_connect(
        self, client: Client, userdata: object, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._refused = str(reason)
            self._asks_less = self._abilities.refused(reason.value)
            return
        self._accepted = True
        self._abilities.learn(
            retains=getattr(properties, "RetainAvailable", 1) != 0,
            acknowledges=getattr(properties, "MaximumQoS", 2) != 0,
        )
        self.news.append(
            Up(
                getattr(properties, "MaximumPacketSize", None),
                getattr(properties, "ReceiveMaximum", None),
                self._abilities.shortcoming(self._address),
            )
        )

    def _ask(self) -> None:
        """Subscribe once more: packets of one connection are worked off in order, so its answer tells that what was
        written before it has arrived (MQTT 5.0, 4.6)."""
        written, self._written = self._written, []
        result, mid = self._client.subscribe(self._subscriptions())
        if result != 0 or mid is None:
            self._written = written + self._written
            return
        self._asked = (mid, written)

    def _on_disconnect(
        self, client: Client, userdata: object, flags: DisconnectFlags, reason: ReasonCode, properties: object
    ) -> None:
        self._ended = str(reason)

    def _on_publish(
        self, client: Client, userdata: object, mid: int, reason: ReasonCode, properties: Properties
    ) -> None:
        if not self._abilities.acknowledges:
            self._written.append(mid)
            return
        self.news.append(Ended(mid, str(reason) if reason.is_failure else None))

    def _on_subscribe(
        self, client: Client, userdata: object, mid: int, reasons: list[ReasonCode], properties: object
    ) -> None:
        if self._asked is not None and self._asked[0] == mid:
            self.news.extend(Ended(written, None) for written in self._asked[1])
            self._asked = None
            return
        for topic, reason in zip(self._topics, reasons, strict=False):
            if reason.is_failure:
                sentence = f"refuses the subscription to {topic.rpartition('/')[2]} ({topic}): {reason}"
                self.news.append(Complaint(f"{self._address} {sentence}"))

    def _on_message(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        if message.topic == self._receipts:
            if not message.retain:
                self.news.append(Noticed(bytes(message.payload)))
            return
        properties = message.properties
        payload = message.payload[: MAX_COMMAND_BYTES + 1]  # enough for the parser to refuse it for its size
        reply_to, correlation = getattr(properties, "ResponseTopic", None), getattr(properties, "CorrelationData", None)
        self.news.append(Arrived(Request(bytes(payload), reply_to, correlation), bool(message.retain)))

    def _on_log(self, client: Client, userdata: object, level: int, text: str) -> None:
        if level == _LIBRARY_ERROR:
            self._library_error = text.rpartition("socket: ")[2]

    def _why(self, status: int) -> str:
        if self._refused is not None:
            return refusal(self._refused)
        detail = f" ({self._library_error})" if self._library_error else ""
        if self._accepted:
            return loss(f"{self._ended or f'error {status}'}", detail)
        return silence(detail, encrypted=self._address.encrypted, is_5=self._is_5)

    def _connect_properties(self) -> Properties:
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types here
        properties.SessionExpiryInterval = 0
        properties.MaximumPacketSize = _MAX_INCOMING_BYTES
        return properties

    def _correlated(self, correlation: bytes) -> Properties:
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types here
        properties.CorrelationData = correlation
        return properties

    def _subscriptions(self) -> list[tuple[str, Any]]:
        from paho.mqtt.subscribeoptions import SubscribeOptions

        # Retained commands are not wanted: they would come again with every connection.
        never, qos = SubscribeOptions.RETAIN_DO_NOT_SEND, int(self._abilities.acknowledges)
        how = SubscribeOptions(qos=qos, retainHandling=never) if self._is_5 else qos
        return [(topic, how) for topic in self._topics]


def _nothing(client: object, userdata: object, line: object) -> None:
    """For a callback that only has to be there."""
