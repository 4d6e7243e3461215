"""Dialling, backing off and surviving, with connections that follow a script instead of a library."""

import contextlib
import logging
import random
import threading
from collections import deque

from edge.mqtt import Receipt, Request
from edge.mqtt.connection import Arrived, Complaint, Disconnected, Ended, Up
from edge.mqtt.reconnecting import REFUSED_S, ReconnectingPublisher
from edge.mqtt.traffic import MAX_REQUESTS
from edge.support.clock import SystemClock

PATIENCE_S = 60  # for events that are certain to come; never waited out


class Script:
    """A connection that does what the test says: each turn of ``work`` takes one step of ``steps``."""

    def __init__(self, *steps, dial=None):
        self.news = deque()
        self.steps = deque(steps)
        self.dialling = dial
        self.published = []
        self.closed = threading.Event()
        self.goodbye = None
        self.quiet = threading.Event()

    def dial(self):
        if self.dialling is not None:
            raise self.dialling

    def work(self):
        if not self.steps:
            self.quiet.set()
            threading.Event().wait(0.005)
            return
        step = self.steps.popleft()
        if isinstance(step, tuple):  # the last words of a connection
            *words, step = step
            self.news.extend(words)
        if isinstance(step, BaseException):
            raise step
        self.news.append(step)

    def publish(self, topic, payload, *, qos, retained, correlation):
        self.published.append((topic, payload, qos, retained, correlation))
        return len(self.published)

    def close(self, *, goodbye):
        self.goodbye = goodbye
        self.closed.set()


class NoWaiting:
    """The machine's clock, except that pauses between dials are only written down."""

    def __init__(self):
        self.pauses_s = []
        self.monotonic_ns = SystemClock().monotonic_ns

    def wait(self, event, timeout_s):
        self.pauses_s.append(timeout_s)
        return event.is_set()


def open_link(*scripts, window=20, clock=None):
    """A link over these connections, in order; the last one stays."""
    left = list(scripts)
    return ReconnectingPublisher(
        lambda: left.pop(0) if len(left) > 1 else left[0], clock or NoWaiting(),
        broker="mqtt://b:1", vehicle="drone", window=window, max_payload_bytes=1000, chance=random.Random(1),
    )  # fmt: skip


@contextlib.contextmanager
def link(*scripts, **given):
    """The same, left at once instead of waiting for what is on its way."""
    publisher = open_link(*scripts, **given)
    try:
        yield publisher
    finally:
        publisher.__exit__(InterruptedError, None, None)


UP = Up(None, None)


def test_it_dials_until_somebody_answers(caplog):
    caplog.set_level(logging.INFO)
    clock = NoWaiting()
    refusals = [Script(dial=Disconnected("mqtt://b:1 cannot be reached: nothing listens there")) for _ in range(5)]
    last = Script(UP)
    with link(*refusals, last, clock=clock) as publisher:
        assert last.quiet.wait(PATIENCE_S)
        assert (publisher.connected, publisher.sessions, publisher.health()) == (True, 1, None)
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert said == [
        ("WARNING", "mqtt://b:1 cannot be reached: nothing listens there"),
        ("INFO", "connected to mqtt://b:1"),
    ]
    assert len(clock.pauses_s) >= 5
    assert all(script.closed.is_set() for script in refusals)


def test_what_the_library_stumbles_over_ends_a_connection_not_the_thread(caplog):
    broken = Script(UP, ValueError("Expected exactly one name, found []"))
    last = Script(UP)
    with link(broken, last) as publisher:
        assert last.quiet.wait(PATIENCE_S)
        assert publisher.sessions == 2
        assert publisher.send("a", "t", b"")
    assert "the MQTT library failed" in caplog.text
    assert "Expected exactly one name" in caplog.text


def test_what_would_end_the_network_thread_only_costs_a_connection(caplog):
    dead = Script(UP, SystemExit())
    last = Script(UP)
    with link(dead, last) as publisher:
        assert dead.closed.wait(PATIENCE_S)
        assert last.quiet.wait(PATIENCE_S)
        assert (publisher.connected, publisher.health()) == (True, None)
    assert "the thread mqtt failed (SystemExit: ) and is started again" in caplog.text


def test_what_was_said_before_the_end_still_counts():
    dying = Script(UP)
    last = Script(UP)
    with link(dying, last) as publisher:
        assert dying.quiet.wait(PATIENCE_S)
        publisher.wake.clear()
        assert publisher.send("a", "t", b"")
        assert publisher.send("b", "t", b"")
        dying.steps.append((Ended(1, None), Disconnected("gone")))
        assert last.quiet.wait(PATIENCE_S)
        assert publisher.wake.is_set()
        assert publisher.receipts() == [Receipt("a", None)]
        last.news.append(Ended(2, None))  # an old number on a new connection means nothing
        assert publisher.sessions == 2
        assert publisher.receipts() == []


def test_the_brokers_window_and_size_are_respected():
    line = Script(Up(max_packet_bytes=100, receive_maximum=6))
    with link(line) as publisher:
        assert line.quiet.wait(PATIENCE_S)
        assert [publisher.send(str(n), "topic", b"x") for n in range(4)] == [True, True, False, False]
        for n in range(9):
            publisher.announce(f"status-{n}", b"s", retained=True)
        assert len(line.published) == 6
        line.news.extend(Ended(mid, None) for mid in range(1, 7))
        line.quiet.clear()
        assert line.quiet.wait(PATIENCE_S)
        assert publisher.receipts() == [Receipt("0", None), Receipt("1", None)]
        assert len(line.published) == 11
        line.news.extend(Ended(mid, None) for mid in range(7, 12))
        line.quiet.clear()
        assert line.quiet.wait(PATIENCE_S)
        assert publisher.send("fits", "topic", b"x" * 85)
        assert publisher.send("large", "topic", b"x" * 86)
        assert publisher.receipts() == [Receipt("large", "101 bytes, more than this broker accepts (100)")]


def test_a_status_the_broker_would_not_take_is_not_sent(caplog):
    line = Script(Up(max_packet_bytes=100, receive_maximum=None))
    with link(line) as publisher:
        publisher.announce("status", b"x" * 200, retained=True)
        publisher.announce("a/#", b"x", retained=True)
        assert line.quiet.wait(PATIENCE_S)
        publisher.announce("telemetry", b"x" * 200, retained=False)
        publisher.announce("status", b"short", retained=True)
        assert [payload for _, payload, *_ in line.published] == [b"short"]
    assert "a message for 'status' is not sent: 216 bytes, more than this broker accepts (100)" in caplog.text
    assert "'a/#' is not a valid topic" in caplog.text


def test_a_library_that_fails_while_disconnecting(caplog):
    class Clumsy(Script):
        def close(self, *, goodbye):
            raise OSError("already gone")

    last = Script(UP)
    with link(Clumsy(UP, Disconnected("gone")), last) as publisher:
        assert last.quiet.wait(PATIENCE_S)
        assert publisher.sessions == 2
    assert "failed while disconnecting" in caplog.text


def test_a_window_of_one():
    line = Script(Up(None, receive_maximum=1))
    with link(line) as publisher:
        assert line.quiet.wait(PATIENCE_S)
        assert [publisher.send(str(n), "t", b"") for n in range(2)] == [True, False]
        publisher.announce("s", b"1", retained=True)
        publisher.announce("s", b"2", retained=True)
        assert len(line.published) == 1
        line.news.append(Ended(1, None))
        line.quiet.clear()
        assert line.quiet.wait(PATIENCE_S)
        assert line.published[1:] == [("s", b"2", 1, True, None)]
        assert not publisher.send("2", "t", b""), "the one place is taken by the status"


def test_refusals_reach_the_receipt_and_the_log(caplog):
    line = Script(UP, Complaint("mqtt://b:1 lets no commands through"))
    with link(line) as publisher:
        assert line.quiet.wait(PATIENCE_S)
        publisher.send("a", "t", b"")
        publisher.announce("status", b"", retained=True)
        line.news.extend([Ended(1, "Not authorized"), Ended(2, "Not authorized")])
        line.quiet.clear()
        assert line.quiet.wait(PATIENCE_S)
        assert publisher.receipts() == [Receipt("a", "Not authorized")]
    assert "lets no commands through" in caplog.text
    assert "refuses what is published on status: Not authorized" in caplog.text


def test_telemetry_does_not_pile_up():
    line = Script(UP)
    with link(line) as publisher:
        assert line.quiet.wait(PATIENCE_S)
        for n in range(50):
            publisher.announce("telemetry", b"%d" % n, retained=False)
        assert [payload for _, payload, *_ in line.published] == [b"0"]
        line.news.append(Ended(1, None))
        line.quiet.clear()
        assert line.quiet.wait(PATIENCE_S)
        publisher.announce("telemetry", b"50", retained=False)
        assert [payload for _, payload, *_ in line.published] == [b"0", b"50"]


def test_commands_beyond_what_may_wait_are_answered_and_counted(caplog):
    asked = [Arrived(Request(b"%d" % n, "asker", b"%d" % n), retained=False) for n in range(MAX_REQUESTS + 3)]
    line = Script(UP, Arrived(Request(b"old", None, None), retained=True), *asked)
    with link(line, window=200) as publisher:
        assert line.quiet.wait(PATIENCE_S)
        assert [request.payload for request in publisher.requests()] == [b"%d" % n for n in range(MAX_REQUESTS)]
        assert publisher.dropped_requests == 4
    assert [(topic, correlation) for topic, _, _, _, correlation in line.published] == [
        ("asker", b"100"), ("asker", b"101"), ("asker", b"102"),
    ]  # fmt: skip
    assert all(b"busy" in payload for _, payload, *_ in line.published)
    assert caplog.text.count("a command is dropped") == 1
    assert "a retained command is ignored" in caplog.text


def test_replies_never_go_where_they_would_be_believed():
    line = Script(UP)
    with link(line) as publisher:
        assert line.quiet.wait(PATIENCE_S)
        for topic in ("spanhawk/drone/commands", "spanhawk/drone/detections", "a/#", None, "ground/7"):
            publisher.reply(Request(b"", topic, b"c"), "default", b"answer")
    assert [topic for topic, *_ in line.published] == ["default", "default", "default", "default", "ground/7"]


def test_a_reply_while_away_is_dropped_and_said(caplog):
    with link(Script(dial=Disconnected("away"))) as publisher:
        publisher.reply(Request(b"", None, None), "default", b"answer")
    assert "a reply on default is dropped" in caplog.text


def test_a_broker_that_acknowledges_nothing_is_left():
    class Clock(NoWaiting):
        """Jumps two minutes when told to."""

        def __init__(self):
            super().__init__()
            self.ahead_ns = 0
            real_ns = self.monotonic_ns
            self.monotonic_ns = lambda: real_ns() + self.ahead_ns

    clock, deaf, last = Clock(), Script(UP), Script(UP)
    with link(deaf, last, clock=clock) as publisher:
        assert deaf.quiet.wait(PATIENCE_S)
        clock.ahead_ns += 120 * 10**9
        deaf.quiet.clear()
        assert deaf.quiet.wait(PATIENCE_S)
        assert publisher.sessions == 1, "with nothing on its way there is nothing to acknowledge"
        assert publisher.send("a", "t", b"")
        deaf.quiet.clear()
        assert deaf.quiet.wait(PATIENCE_S)
        clock.ahead_ns += 61 * 10**9
        assert last.quiet.wait(PATIENCE_S)
        assert publisher.sessions == 2


def test_leaving_waits_for_what_is_on_its_way():
    line = Script(UP)
    publisher = open_link(line)
    assert line.quiet.wait(PATIENCE_S)
    publisher.announce("status", b"offline", retained=True)
    leaving = threading.Thread(target=publisher.__exit__, args=(None, None, None))
    leaving.start()
    line.quiet.clear()
    assert line.quiet.wait(PATIENCE_S)
    assert not line.closed.is_set()
    line.news.append(Ended(1, None))
    leaving.join(PATIENCE_S)
    assert line.closed.is_set()
    assert line.goodbye is True


def test_a_broker_that_says_no_is_not_asked_again_in_seconds():
    """A wrong password does not become right in seconds; a broker that locks accounts would lock this one."""
    clock = NoWaiting()
    no = [Script(Disconnected("mqtt://b:1 refused: Not authorized", refused=True)) for _ in range(20)]
    last = Script(UP)
    with link(*no, last, clock=clock):
        assert last.quiet.wait(PATIENCE_S)
    pauses_s = clock.pauses_s[: len(no)]
    assert len(pauses_s) == len(no)
    assert min(pauses_s) >= REFUSED_S[0]
    assert max(pauses_s) <= REFUSED_S[1]
