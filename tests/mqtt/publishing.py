"""A publisher at a real broker, and waiting for its news."""

import contextlib

from edge.mqtt.paho import Options, open_publisher
from edge.mqtt.topics import detections_topic, status_topic
from edge.support.clock import SystemClock
from tests.mqtt.broker import PATIENCE_S

DETECTIONS, STATUS = detections_topic("drone"), status_topic("drone")


@contextlib.contextmanager
def publisher_at(broker, **given):
    options = Options(**({"url": broker.url, "keepalive_s": 2} | given))
    with open_publisher(options, SystemClock(), vehicle="drone", last_will=b"offline") as publisher:
        yield publisher


def wait(publisher, condition, patience_s=PATIENCE_S):
    """Wait for a condition that changes with the publisher's news."""
    clock = SystemClock()
    until_ns = clock.monotonic_ns() + patience_s * 1e9
    while not (met := condition()) and clock.monotonic_ns() < until_ns:
        clock.wait(publisher.wake, 0.05)
        publisher.wake.clear()
    return met


def receipts(publisher, count):
    got = []
    assert wait(publisher, lambda: got.extend(publisher.receipts()) or len(got) >= count)
    return {receipt.id: receipt.refused for receipt in got}
