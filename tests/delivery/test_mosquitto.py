"""An outbox on disk, a real broker that is killed again and again, a consumer that counts."""

import contextlib
import threading

from edge.delivery import Delivery
from edge.mqtt.paho import Options, open_publisher
from edge.outbox import Letter, LetterState, sqlite
from edge.support.clock import SystemClock
from tests.mqtt.broker import PATIENCE_S, Ear, mosquitto

TOPIC = "spanhawk/drone/detections"


def wait(condition, patience_s=PATIENCE_S):
    """Look every few milliseconds until it is so."""
    clock, tick = SystemClock(), threading.Event()
    until_ns = clock.monotonic_ns() + patience_s * 1e9
    while not (met := condition()) and clock.monotonic_ns() < until_ns:
        clock.wait(tick, 0.01)
    return met


@contextlib.contextmanager
def running(delivery, publisher):
    """The delivery's thread."""
    stop = threading.Event()
    thread = threading.Thread(target=delivery.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        publisher.wake.set()
        thread.join()


def test_what_a_killed_broker_lost_is_still_in_the_outbox(tmp_path):
    """A PUBACK is no receipt: a broker acknowledges before it has written or passed on anything."""
    clock = SystemClock()
    lines = ("persistence true", f"persistence_location {tmp_path}/", "max_queued_messages 0")
    with (
        mosquitto(tmp_path, config_lines=lines) as broker,
        Ear(broker, TOPIC, keep_session=True) as ear,
        sqlite.open_outbox(sqlite.Options(path=tmp_path / "o.db", ballast_bytes=0, min_free_bytes=0), clock) as outbox,
        open_publisher(Options(url=broker.url, keepalive_s=2), clock, vehicle="drone", last_will=b"") as publisher,
        contextlib.ExitStack() as stack,
    ):
        delivery = Delivery(outbox, publisher, clock, late=lambda payload: payload)
        stack.enter_context(running(delivery, publisher))
        everything = set()
        for kill in range(3):
            new = [f"{kill}-{n}" for n in range(150)]
            everything |= {id.encode() for id in new}
            outbox.put([Letter(id, TOPIC, id.encode(), None) for id in new])
            publisher.wake.set()
            assert wait(lambda kill=kill: delivery.delivered > 150 * kill + 60)
            broker.kill()
            assert wait(lambda: not publisher.connected)
            subscribed = ear.subscribed
            broker.start()
        assert wait(lambda: outbox.counts()[LetterState.CONFIRMED] == len(everything))
        assert wait(lambda: publisher.sessions == 4)  # all may be confirmed before the last kill is noticed
        assert ear.wait(lambda: ear.subscribed > subscribed)
        assert outbox.retry(confirmed=True) == len(everything)
        publisher.wake.set()
        assert ear.wait(lambda: set(ear.payloads(TOPIC)) == everything)


def test_a_fleet_of_trouble_at_one_broker(tmp_path):
    """Too large, refused by an access rule, impossible topic: parked among good ones, and nothing is held up."""
    rules = tmp_path / "acl"
    rules.write_text("topic write good/#\n")
    clock = SystemClock()
    with (
        mosquitto(tmp_path, config_lines=(f"acl_file {rules}", "max_packet_size 4000")) as broker,
        sqlite.open_outbox(sqlite.Options(path=tmp_path / "o.db", ballast_bytes=0, min_free_bytes=0), clock) as outbox,
        open_publisher(Options(url=broker.url), clock, vehicle="drone", last_will=b"") as publisher,
    ):
        good = [Letter(f"good-{n}", "good/x", b"x" * 500, None) for n in range(40)]
        outbox.put(good[:20])
        outbox.put([
            Letter("large", "good/x", b"x" * 5000, None),
            Letter("forbidden", TOPIC, b"x", None),
            Letter("topicless", "a/#", b"x", None),
        ])  # fmt: skip
        outbox.put(good[20:])
        delivery = Delivery(outbox, publisher, clock, late=lambda payload: payload)
        assert wait(lambda: delivery.step() and not delivery.waiting)
        reasons = {s.letter.id: s.reason for s in outbox.list(100) if s.state is LetterState.PARKED}
        assert reasons["forbidden"] == "Not authorized"
        assert "more than this broker accepts (4000)" in reasons["large"]
        assert "not a valid topic" in reasons["topicless"]
        assert outbox.counts()[LetterState.CONFIRMED] == 40
        assert publisher.sessions == 1
        assert delivery.refused == 3
