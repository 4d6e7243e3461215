"""``spanhawk ground``: the collector with its store and its broker, until it is told to stop."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from pathlib import Path
from types import FrameType

from edge.ground import Store
from edge.ground.collector import TOPICS, Collector
from edge.ground.incoming import MAX_PAYLOAD_BYTES
from edge.ground.settings import GroundSettings, read
from edge.ground.stores import open_store, shown
from edge.mqtt.address import parse_url
from edge.mqtt.listener import Line, Subscriber
from edge.mqtt.tls import read_password, tls_context
from edge.support.clock import Clock, SystemClock

log = logging.getLogger(__name__)

# Topic and properties of a packet, beside its payload.
_PACKET_OVERHEAD_BYTES = 4096


def serve(config: Path | None, *, broker: str | None, store: str | None, http: str | None) -> int:
    """Collect until SIGTERM or SIGINT; returns 0. Raises SpanhawkError."""
    settings, clock, stop = read(config, broker=broker, store=store, http=http), SystemClock(), threading.Event()

    def ask_to_stop(number: int, _: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)
    with open_store(settings.ground.store, clock) as opened:
        collector = collector_of(settings, opened, clock)
        log.info("storing in %s, listening at %s", shown(settings.ground.store), settings.mqtt.url)
        collector.run(stop)
    did = collector.counts
    log.info("stopped: %d messages, %d new, %d repeats, %d refused", did.messages, did.stored, did.repeats, did.refused)
    return 0


def collector_of(settings: GroundSettings, store: Store, clock: Clock) -> Collector:
    """A collector for ``store``. Raises ConfigError for what trying again cannot correct (files, addresses)."""
    mqtt, ground = settings.mqtt, settings.ground
    address = parse_url(mqtt.url)
    context = tls_context(mqtt.ca_file, mqtt.cert_file, mqtt.key_file) if address.encrypted else None
    password = None if mqtt.password_file is None else read_password(mqtt.password_file)
    who = Subscriber(
        # The broker keeps a session under this name while we are away, so it must be the same each time; and different
        # for each machine, as several may write into one database.
        client_id=mqtt.client_id or f"spanhawk-ground-{store.id}-{socket.gethostname()[:32]}",
        topics=TOPICS,
        is_5=mqtt.protocol == "5",
        share=ground.share,
        keepalive_s=mqtt.keepalive_s,
        session_expiry_s=ground.session_expiry_s,
        max_packet_bytes=MAX_PAYLOAD_BYTES + _PACKET_OVERHEAD_BYTES,
    )

    def connect() -> Line:
        return Line(address, who, context, mqtt.username, password)

    return Collector(store, connect, clock, batch=ground.batch, resend_after_s=ground.resend_after_s)
