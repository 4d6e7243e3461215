"""``spanhawk ground``: the collector with its store and its broker, until it is told to stop."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from edge.ground import Store
from edge.ground.collector import TOPICS, Collector
from edge.ground.incoming import MAX_PAYLOAD_BYTES
from edge.ground.pictures import Pictures
from edge.ground.report import bands
from edge.ground.settings import GroundOptions, GroundSettings, listen, read
from edge.ground.stores import open_store, shown
from edge.mqtt.address import parse_url
from edge.mqtt.listener import Line, Subscriber
from edge.mqtt.tls import read_password, tls_context
from edge.support.clock import Clock, SystemClock
from edge.support.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from edge.ground.web.site import Site

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
    with contextlib.ExitStack() as closing:
        opened = closing.enter_context(open_store(settings.ground.store, clock))
        collector = collector_of(settings, opened, clock)
        log.info("storing in %s, listening at %s", shown(settings.ground.store), settings.mqtt.url)
        if settings.ground.http is not None:
            # Connections of its own: a slow question of the page must not hold up the collector's.
            reader = closing.enter_context(open_store(settings.ground.store, clock))
            site = closing.enter_context(site_of(settings.ground, reader, collector, clock))
            log.info("the page is at %s", site.url)
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


def site_of(options: GroundOptions, reader: Store, collector: Collector, clock: Clock) -> Site:
    """The page over ``reader``, not started yet; only reviews are written to it. Raises ConfigError."""
    if options.http is None:
        raise ConfigError("ground.http: nothing is given, needs HOST:PORT")
    try:
        from edge.ground.web.site import Shown, Site
    except ImportError as error:
        raise ConfigError(
            f"ground.http: the live page needs aiohttp ({error}); install it: pip install 'spanhawk[ground]'"
        ) from error
    from edge.ground.web.access import Door, read_token, tls_context
    from edge.ground.web.features import Features
    from edge.ground.web.live import Live
    from edge.ground.web.metrics import metrics
    from edge.ground.web.reviews import Reviews

    try:
        table = bands.load(options.bands)
    except UsageError as error:
        raise ConfigError(f"ground.bands: {str(error).removeprefix('--bands ')}") from error
    if options.tiles is not None and not options.tiles.is_dir():
        raise ConfigError(f"ground.tiles: there is no folder {options.tiles}")
    folder = options.picture_folder
    pictures = None if folder is None else Pictures(folder)
    shown = Shown(
        reader=reader,
        features=Features(reader, table, clock),
        live=Live(reader, pictures, table, clock),
        reviews=Reviews(reader, clock),
        pictures=pictures,
        tiles=options.tiles,
        troubles=collector.health,
        metrics=lambda: metrics(
            reader, collector.counts, connected=collector.connected, troubles=len(collector.health())
        ),
    )
    context = None if options.http_cert_file is None else tls_context(options.http_cert_file, options.http_key_file)
    door = Door(None if options.http_token_file is None else read_token(options.http_token_file))
    return Site(listen(options.http), door, context, shown)
