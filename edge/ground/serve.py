"""``spanhawk ground``: the collector with its store and its broker, until it is told to stop."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from edge.ground import Store
from edge.ground.collector import RETAINED_TOPICS, TOPICS, Collector
from edge.ground.fetch import check
from edge.ground.incoming import MAX_PAYLOAD_BYTES
from edge.ground.pictures import Pictures
from edge.ground.pull import Puller
from edge.ground.report import bands
from edge.ground.settings import GroundOptions, GroundSettings, read
from edge.ground.stores import open_store, shown
from edge.mqtt.address import parse_url
from edge.mqtt.listener import Line, Subscriber
from edge.mqtt.tls import read_password, tls_context
from edge.support.access import Guesses, listen
from edge.support.clock import Clock, SystemClock
from edge.support.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from edge.ground.web.site import Site

log = logging.getLogger(__name__)

# Topic and properties of a packet, beside its payload.
_PACKET_OVERHEAD_BYTES = 4096
SHARE_BEFORE = "ground"
"""What every collector shared by default once: the session that a broker kept of another store took half of all."""


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
        puller = puller_of(settings, closing, clock)
        if settings.ground.http is not None:
            # Connections of its own: a slow question of the page must not hold up the collector's.
            reader = closing.enter_context(open_store(settings.ground.store, clock))
            site = closing.enter_context(site_of(settings.ground, reader, collector, clock, puller))
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
    # The broker keeps a session under this name while we are away, so it must be the same each time; and different for
    # each machine, as several may write into one database.
    client_id = mqtt.client_id or f"spanhawk-ground-{store.id}-{socket.gethostname()[:32]}"
    is_5 = mqtt.protocol == "5"
    own = f"{SHARE_BEFORE}-{store.id}"
    share = own if ground.share is None else ground.share
    # No broker tells which subscriptions a session has: what it may have had is given up by name.
    before = {SHARE_BEFORE, own, *(store.listens(client_id, share) if is_5 else ())} - {share}
    who = Subscriber(
        client_id=client_id,
        topics=TOPICS,
        kept=RETAINED_TOPICS,
        is_5=is_5,
        share=share,
        left=sorted(before),
        keepalive_s=mqtt.keepalive_s,
        session_expiry_s=ground.session_expiry_s,
        max_packet_bytes=MAX_PAYLOAD_BYTES + _PACKET_OVERHEAD_BYTES,
    )

    def connect() -> Line:
        return Line(address, who, context, mqtt.username, password, clock)

    return Collector(store, connect, clock, batch=ground.batch, resend_after_s=ground.resend_after_s)


def puller_of(settings: GroundSettings, closing: contextlib.ExitStack, clock: Clock) -> Puller | None:
    """What fetches pictures from the drones, at work until ``closing``; None where no drone is named.

    Raises ConfigError.
    """
    folder = settings.ground.picture_folder
    if not settings.pictures.drones or folder is None:
        return None
    for name, drone in settings.pictures.drones.items():
        check(drone, name)
    reader = closing.enter_context(open_store(settings.ground.store, clock))
    puller = closing.enter_context(Puller(settings.pictures, reader, Pictures(folder), clock))
    log.info("fetching pictures from %s", ", ".join(settings.pictures.drones))
    return puller


def site_of(
    options: GroundOptions, reader: Store, collector: Collector, clock: Clock, puller: Puller | None = None
) -> Site:
    """The page over ``reader``, not started yet; only reviews are written to it.

    ``puller`` None: no pictures are fetched. Raises ConfigError."""
    if options.http is None:
        raise ConfigError("ground.http: nothing is given, needs HOST:PORT")
    try:
        from edge.ground.web.routes import Shown
        from edge.ground.web.site import Site
    except ImportError as error:
        raise ConfigError(
            f"ground.http: the live page needs aiohttp ({error}); install it: pip install 'spanhawk[ground]'"
        ) from error
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
    lost = (lambda vehicle, sha256: False) if puller is None else puller.lost

    def troubles() -> list[str]:
        return [*collector.health(), *([] if puller is None else puller.health())]

    def heads() -> list[Any]:
        now = reader.heads()
        # The last one tells the page that pictures have come or are lost: the store does not know of them.
        told = now.detections, now.cracks, list(now.coverage), now.states_us, now.reviews
        return [*told, 0 if puller is None else puller.news]

    shown = Shown(
        reader=reader,
        features=Features(reader, table, clock),
        live=Live(reader, pictures, table, clock, lost),
        reviews=Reviews(reader, clock),
        pictures=pictures,
        tiles=options.tiles,
        troubles=troubles,
        heads=heads,
        metrics=lambda: metrics(
            reader,
            collector.counts,
            connected=collector.connected,
            troubles=len(troubles()),
            fetched={} if puller is None else puller.counts,
        ),
    )
    address, guard = listen(options.http, "ground.http"), options.guard
    return Site(address, guard.door(), Guesses(clock), guard.context(), shown)
