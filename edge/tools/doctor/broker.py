"""The way to the ground: one message is taken by the broker, and no certificate is about to end."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from edge.delivery import PATIENCE_S
from edge.detections.wire import rfc3339
from edge.mqtt import Publisher
from edge.mqtt.status import status_payload
from edge.mqtt.topics import doctor_topic
from edge.support.errors import EXIT_CONFIG, EXIT_TRY_AGAIN
from edge.tools.doctor import Bench, Result, fail, not_applicable, ok, troubled, warn
from edge.tools.doctor.validity import Validity, of_broker, of_file

_PATIENCE_S = 5.0
_TURN_S = 0.05
_SOON = timedelta(days=14)


def message(bench: Bench) -> Result:
    """Log in under a name of our own (the daemon keeps its place), send one message, wait for the acknowledgement."""
    settings = bench.settings
    name, options = f"{settings.vehicle[:40]}-doctor", settings.mqtt.options
    if getattr(options, "client_id", None) is not None:
        options = replace(options, client_id=None)
    will = status_payload(name, "", "offline", [], flying=False)
    where = getattr(options, "url", settings.mqtt.name)
    with settings.mqtt.module.open_publisher(options, bench.clock, vehicle=name, last_will=will) as publisher:
        begun_ns = bench.clock.monotonic_ns()
        trouble = _exchange(bench, publisher)
        took_ms = (bench.clock.monotonic_ns() - begun_ns) / 1e6
        shortcoming = publisher.shortcoming
    if trouble is None and shortcoming is not None:
        return warn(shortcoming, "allow it in the broker's configuration (mosquitto.conf)")
    if trouble is None:
        return ok(f"{where}: a message on {doctor_topic(settings.vehicle)} was taken after {took_ms:.0f} ms")
    return troubled(trouble, "check the broker and [mqtt]", EXIT_TRY_AGAIN)


def _exchange(bench: Bench, publisher: Publisher) -> str | None:
    """Send one message; None when the broker took it, else one sentence on what is wrong."""
    clock, never, topic = bench.clock, threading.Event(), doctor_topic(bench.settings.vehicle)
    payload = json.dumps({"schema": "spanhawk/doctor-message/1", "at": rfc3339(clock.utc())}).encode()
    unknown, sent, trouble = publisher.health(), False, None
    until_ns = clock.monotonic_ns() + round((PATIENCE_S if unknown else _PATIENCE_S) * 1e9)
    while clock.monotonic_ns() < until_ns:
        if unknown and publisher.health() != unknown:  # it connects or knows why not; until then nothing is known
            unknown, until_ns = None, clock.monotonic_ns() + round(_PATIENCE_S * 1e9)
        sent = sent or publisher.send(secrets.token_hex(8), topic, payload)
        for receipt in publisher.receipts():
            if receipt.refused is None:
                return None
            return f"the broker refuses {topic}: {receipt.refused}; let this user write spanhawk/VEHICLE/#"
        trouble = publisher.health() or trouble
        clock.wait(never, _TURN_S)
    return trouble or "connected, but the broker acknowledges nothing; look into its log"


def certificates(bench: Bench) -> Result:
    """Our own certificate, the authority's and the broker's are valid now and for the next two weeks."""
    options = bench.settings.mqtt.options
    if not getattr(options, "url", "").startswith("mqtts:"):
        return not_applicable("the connection to the broker is not encrypted (mqtts://)")
    now = bench.clock.utc()
    soonest: tuple[str, Validity] | None = None
    for name, validity in _all(options.ca_file, options.cert_file, options.url):
        if not validity.begins <= now <= validity.ends:
            words = f"valid {validity.begins:%Y-%m-%d} to {validity.ends:%Y-%m-%d}, today is {now:%Y-%m-%d}"
            return fail(f"{name}: {words}", "set the clock if it is wrong; else have it issued again", EXIT_CONFIG)
        if soonest is None or validity.ends < soonest[1].ends:
            soonest = name, validity
    if soonest is None:
        return ok("only the system's authorities are used, and the broker cannot be asked for its certificate now")
    name, validity = soonest
    told = f"the first to end is {name}, on {validity.ends:%Y-%m-%d}"
    if validity.ends - now < _SOON:
        return warn(told, "have it issued again before then: without it nothing is delivered")
    return ok(told)


def _all(ca_file: Path | None, cert_file: Path | None, url: str) -> Iterator[tuple[str, Validity]]:
    for key, path in (("ca_file", ca_file), ("cert_file", cert_file)):
        for validity in of_file(key, path) if path is not None else ():
            yield str(path), validity
    broker = of_broker(url)
    if broker is not None:
        yield f"the broker's certificate ({url})", broker
