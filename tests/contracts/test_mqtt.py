"""What every publisher promises; a new module of the room is tested here once it has a harness below."""

import contextlib
import logging

import pytest

from edge.mqtt import Receipt
from edge.mqtt.topics import commands_topic, detections_topic, replies_topic, status_topic, telemetry_topic
from edge.support import backends
from edge.support.clock import SystemClock
from edge.support.errors import ConfigError
from tests.mqtt.broker import PATIENCE_S, Ear, mosquitto

WILL = b'{"state":"offline"}'
DETECTIONS, STATUS, TELEMETRY = detections_topic("drone"), status_topic("drone"), telemetry_topic("drone")


class MemoryHarness:
    """The memory publisher is its own far end."""

    def __init__(self, stack, tmp_path):
        self.leaving = stack

    def open(self, vehicle="drone", **given):
        from edge.mqtt.memory import Options, open_publisher

        options = Options(at_once=False, **given)
        self.publisher = open_publisher(options, SystemClock(), vehicle=vehicle, last_will=WILL)
        self.leaving.enter_context(self.publisher)
        self.publisher.come_up()
        return self.publisher

    def wait(self, condition):
        self.publisher.deliver()
        return condition()

    def heard(self, topic):
        self.publisher.deliver()
        return [(p.payload, p.correlation) for p in self.publisher.arrived if p.topic == topic]

    def heard_retained(self, topic):
        return [p.payload for p in self.publisher.arrived if p.topic == topic and p.retained][-1:]

    def go_down(self):
        self.publisher.go_down()

    def come_up(self):
        self.publisher.come_up()

    def freeze(self):
        pass

    def thaw(self):
        pass

    def command(self, payload, reply_to=None, correlation=None):
        self.publisher.command(payload, reply_to, correlation)


class PahoHarness:
    """A real broker, and a consumer there."""

    protocol = "5"

    def __init__(self, stack, tmp_path):
        self.broker = stack.enter_context(mosquitto(tmp_path))
        self.leaving = stack
        self.ear = stack.enter_context(Ear(self.broker))

    def open(self, vehicle="drone", **given):
        from edge.mqtt.paho import Options, open_publisher

        options = Options(url=self.broker.url, protocol=self.protocol, keepalive_s=2, **given)
        self.publisher = open_publisher(options, SystemClock(), vehicle=vehicle, last_will=WILL)
        self.leaving.enter_context(self.publisher)
        assert self.wait(lambda: self.publisher.connected)
        assert self.broker.wait_log("Sending SUBACK to spanhawk")
        return self.publisher

    def wait(self, condition):
        clock, until_ns = SystemClock(), SystemClock().monotonic_ns() + PATIENCE_S * 1e9
        while not (met := condition()) and clock.monotonic_ns() < until_ns:
            clock.wait(self.publisher.wake, 0.05)
            self.publisher.wake.clear()
        return met

    def heard(self, topic):
        return [(p, getattr(props, "CorrelationData", None)) for t, p, _, props in self.ear.heard if t == topic]

    def heard_retained(self, topic):
        with Ear(self.broker, topic, client_id="late") as late:
            late.wait_heard(topic)
            return late.payloads(topic)

    def go_down(self):
        self.broker.kill()
        assert self.wait(lambda: not self.publisher.connected)

    def come_up(self):
        sessions = self.publisher.sessions
        self.broker.start()
        assert self.wait(lambda: self.publisher.sessions > sessions)
        assert self.ear.wait(lambda: self.ear.subscribed > 1)

    def freeze(self):
        self.broker.freeze()

    def thaw(self):
        self.broker.thaw()

    def command(self, payload, reply_to=None, correlation=None):
        self.ear.say(commands_topic("drone"), payload, reply_to=reply_to, correlation=correlation)


class Paho311Harness(PahoHarness):
    protocol = "3.1.1"


HARNESSES = {"memory": [MemoryHarness], "paho": [PahoHarness, Paho311Harness]}


@pytest.fixture(params=[h for harnesses in HARNESSES.values() for h in harnesses], ids=lambda h: h.__name__)
def harness(request, tmp_path):
    with contextlib.ExitStack() as stack:
        yield request.param(stack, tmp_path)


def gathered(publisher):
    """A condition that collects receipts, and the list it fills."""
    receipts = []

    def collect():
        receipts.extend(publisher.receipts())
        return receipts

    return collect, receipts


def test_every_module_has_a_harness():
    assert set(backends.names("edge.mqtt", "open_publisher")) == set(HARNESSES)


def test_it_says_how_many_letters_may_be_on_their_way(harness):
    """Asked for by whoever hands letters over: with a default of its own it would never use more."""
    assert harness.open(window=64).window == 64


def test_a_letter_goes_out_and_is_acknowledged(harness):
    publisher = harness.open()
    assert (publisher.connected, publisher.sessions, publisher.health()) == (True, 1, None)
    payload = bytes(range(256)) * 8
    assert publisher.send("a", DETECTIONS, payload)
    collect, receipts = gathered(publisher)
    assert harness.wait(collect)
    assert receipts == [Receipt("a", None)]
    assert publisher.receipts() == []
    assert harness.wait(lambda: harness.heard(DETECTIONS))
    assert [payload for payload, _ in harness.heard(DETECTIONS)] == [payload]


def test_many_letters_keep_their_order_and_their_ids(harness):
    publisher = harness.open()
    collect, receipts = gathered(publisher)
    for n in range(200):
        assert harness.wait(lambda n=n: collect() is not None and publisher.send(str(n), DETECTIONS, b"%d" % n))
    assert harness.wait(lambda: len(collect()) == 200)
    assert [receipt.id for receipt in receipts] == [str(n) for n in range(200)]
    assert harness.wait(lambda: len(harness.heard(DETECTIONS)) == 200)
    assert [payload for payload, _ in harness.heard(DETECTIONS)] == [b"%d" % n for n in range(200)]


def test_what_is_too_large_is_refused_by_its_receipt_and_blocks_nothing(harness):
    publisher = harness.open(max_payload_bytes=2000)
    for id, size in (("good-1", 2000), ("large", 2001), ("good-2", 2000)):
        assert publisher.send(id, DETECTIONS, b"x" * size)
    collect, receipts = gathered(publisher)
    assert harness.wait(lambda: len(collect()) == 3)
    refused = {receipt.id: receipt.refused for receipt in receipts}
    assert refused == {"good-1": None, "good-2": None, "large": "2001 bytes, more than mqtt.max_payload_bytes (2000)"}
    assert publisher.sessions == 1


def test_an_impossible_topic_is_refused_by_its_receipt(harness):
    publisher = harness.open()
    for topic in ("", "a/+/b", "#", "a\0b", "x" * 70_000, "lone \udc80"):
        assert publisher.send("a", topic, b"")
        [receipt] = publisher.receipts()
        assert "not a valid topic" in receipt.refused


def test_the_window_is_kept(harness):
    publisher = harness.open(window=3)
    harness.freeze()
    taken = [publisher.send(str(n), DETECTIONS, b"x") for n in range(5)]
    harness.thaw()
    assert taken == [True, True, True, False, False]
    collect, _ = gathered(publisher)
    assert harness.wait(lambda: len(collect()) == 3)
    assert publisher.send("again", DETECTIONS, b"x")


def test_while_down_nothing_is_taken(harness):
    publisher = harness.open()
    harness.go_down()
    assert not publisher.connected
    assert not publisher.send("a", DETECTIONS, b"x")
    assert publisher.health()
    publisher.announce(TELEMETRY, b"lost", retained=False)
    harness.come_up()
    assert publisher.sessions == 2
    assert publisher.health() is None
    assert publisher.send("a", DETECTIONS, b"x")
    collect, receipts = gathered(publisher)
    assert harness.wait(collect)
    assert receipts == [Receipt("a", None)]
    assert [payload for payload, _ in harness.heard(TELEMETRY)] == []


def test_what_was_on_its_way_when_the_connection_broke_gets_no_receipt(harness):
    publisher = harness.open()
    harness.freeze()
    assert publisher.send("a", DETECTIONS, b"x")
    harness.go_down()
    harness.come_up()
    assert publisher.send("b", DETECTIONS, b"y")
    collect, receipts = gathered(publisher)
    assert harness.wait(collect)
    assert receipts == [Receipt("b", None)]


def test_the_retained_state_is_told_again_after_a_reconnection(harness):
    publisher = harness.open()
    publisher.announce(STATUS, b"one", retained=True)
    assert harness.wait(lambda: harness.heard(STATUS))
    harness.go_down()
    publisher.announce(STATUS, b"two", retained=True)
    publisher.announce(STATUS, b"three", retained=True)
    harness.come_up()
    assert harness.wait(lambda: b"three" in [payload for payload, _ in harness.heard(STATUS)])
    assert b"two" not in [payload for payload, _ in harness.heard(STATUS)]
    assert harness.heard_retained(STATUS) == [b"three"]


def test_telemetry_goes_out(harness):
    publisher = harness.open()
    publisher.announce(TELEMETRY, b"1", retained=False)
    assert harness.wait(lambda: harness.heard(TELEMETRY))
    assert harness.wait(
        lambda: publisher.announce(TELEMETRY, b"2", retained=False) or len(harness.heard(TELEMETRY)) > 1
    )


def test_a_command_arrives_and_is_answered(harness):
    publisher = harness.open()
    harness.command(b'{"command":"ping"}')
    requests = []
    assert harness.wait(lambda: requests.extend(publisher.requests()) or requests)
    assert [(r.payload, r.reply_to, r.correlation) for r in requests] == [(b'{"command":"ping"}', None, None)]
    publisher.reply(requests[0], replies_topic("drone"), b"pong")
    assert harness.wait(lambda: harness.heard(replies_topic("drone")))
    assert harness.heard(replies_topic("drone")) == [(b"pong", None)]


def test_leaving_with_an_exception_sets_off_the_last_will(harness):
    publisher = harness.open()
    publisher.announce(STATUS, b"online", retained=True)
    assert harness.wait(lambda: harness.heard(STATUS))
    publisher.__exit__(RuntimeError, RuntimeError("crashed"), None)
    assert harness.wait(lambda: len(harness.heard(STATUS)) == 2)
    assert harness.heard_retained(STATUS) == [WILL]


def test_leaving_in_order_keeps_what_was_said_last(harness):
    publisher = harness.open()
    publisher.announce(STATUS, b"landed", retained=True)
    publisher.__exit__(None, None, None)
    assert harness.wait(lambda: harness.heard(STATUS))
    assert harness.heard_retained(STATUS) == [b"landed"]
    assert not publisher.connected
    assert not publisher.send("a", DETECTIONS, b"")


def test_an_impossible_vehicle_name(harness):
    for vehicle in ("", "a/b", "a+b", "#", "x" * 65, "tab\t"):
        with pytest.raises(ConfigError, match="vehicle"):
            harness.open(vehicle=vehicle)


def test_nothing_is_logged_about_a_quiet_life(harness, caplog):
    caplog.set_level(logging.WARNING)
    publisher = harness.open()
    publisher.announce(STATUS, b"online", retained=True)
    harness.wait(lambda: harness.heard(STATUS))
    assert caplog.records == []
