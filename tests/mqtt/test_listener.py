"""What a broker answers to a listener, byte by byte as in MQTT 5 (OASIS, sections 3.2 and 3.9)."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from datetime import datetime, timezone

from edge.mqtt.address import parse_url
from edge.mqtt.listener import Line, Subscriber
from edge.support.clock import ManualClock, SystemClock

CONNACK = bytes([0x20, 3, 0, 0, 0])
SUBSCRIBE = 0x82
GRANTED_QOS_1, NOT_AUTHORIZED, QUOTA_EXCEEDED = 0x01, 0x87, 0x97


def suback(packet: bytes, *reasons: int) -> bytes:
    """For a SUBSCRIBE shorter than 128 bytes, whose number stands behind its two first bytes."""
    assert packet[:2] == bytes([0x82, len(packet) - 2])
    return bytes([0x90, 3 + len(reasons), *packet[2:4], 0, *reasons])


def test_a_subscription_counts_when_it_is_answered_and_a_refused_one_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = parse_url(f"mqtt://127.0.0.1:{server.getsockname()[1]}")
        who = Subscriber("me", ("a/+/one", "a/+/two"), True, None, 10, 0, 1 << 20)
        line = Line(address, who, None, None, None, SystemClock())
        line.dial()
        broker, _ = server.accept()
        broker.settimeout(20.0)
        with broker:
            line.hear(10, 0.0)  # nothing is written before
            broker.recv(1000)
            broker.sendall(CONNACK)
            while not line._asked:
                line.hear(10, 0.1)
            line.hear(10, 0.0)
            assert not line.subscribed, "nobody has answered"
            broker.sendall(suback(broker.recv(1000), GRANTED_QOS_1, NOT_AUTHORIZED))
            while not line.subscribed:
                line.hear(10, 0.1)
            (told,) = line.complaints().values()
            assert f"{address} refuses the subscription to a/+/two: Not authorized" in told
            assert "access list" in told
            line.close(goodbye=False)


@contextlib.contextmanager
def _connected(line: Line, server: socket.socket) -> Iterator[socket.socket]:
    """The broker's end of a connection that it has just accepted."""
    line.dial()
    broker, _ = server.accept()
    broker.settimeout(20.0)
    with broker:
        line.hear(10, 0.0)
        broker.recv(1000)
        broker.sendall(CONNACK)
        yield broker


def test_a_new_group_is_joined_before_the_old_one_is_left() -> None:
    """What is published between the two is for nobody otherwise."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = parse_url(f"mqtt://127.0.0.1:{server.getsockname()[1]}")
        who = Subscriber("me", ("a/+/one",), True, "new", 10, 0, 1 << 20, ("old",))
        line = Line(address, who, None, None, None, SystemClock())
        with _connected(line, server) as broker:
            broker.setblocking(False)
            sent = b""
            for _ in range(2000):
                line.hear(10, 0.01)
                with contextlib.suppress(BlockingIOError):
                    sent += broker.recv(1000)
                if b"$share/old/a/+/one" in sent and b"$share/new/a/+/one" in sent:
                    break
            assert sent[0] == SUBSCRIBE, "first of all"
            assert sent.index(b"$share/new/") < sent.index(b"$share/old/")
            line.close(goodbye=False)


def test_what_the_broker_retains_is_not_shared_and_a_session_that_shared_it_gives_that_up() -> None:
    """A shared subscription brings nothing retained (MQTT 5.0, 4.8.2); with both, each message would come twice."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = parse_url(f"mqtt://127.0.0.1:{server.getsockname()[1]}")
        who = Subscriber("me", ("a/+/one",), True, "all", 10, 0, 1 << 20, kept=("a/+/status",))
        line = Line(address, who, None, None, None, SystemClock())
        with _connected(line, server) as broker:
            sent = _sent(line, broker)
            while b"$share/all/a/+/status" not in sent:
                sent += _sent(line, broker)
            assert sent[0] == SUBSCRIBE
            subscribe, unsubscribe = sent[: 2 + sent[1]], sent[2 + sent[1] :]
            assert subscribe.endswith(b"\x00\x12$share/all/a/+/one\x01\x00\x0aa/+/status\x01")
            assert unsubscribe[0] == 0xA2
            assert unsubscribe.endswith(b"\x00\x15$share/all/a/+/status")
            line.close(goodbye=False)


def test_a_passing_refusal_of_what_is_published_is_told_for_a_minute_under_one_kind() -> None:
    """It stayed until the connection ended, advised an access list, and was another line for each number of topics."""
    clock = ManualClock(datetime(2026, 6, 1, tzinfo=timezone.utc))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = parse_url(f"mqtt://127.0.0.1:{server.getsockname()[1]}")
        line = Line(address, Subscriber("me", ("a/+/one",), True, None, 10, 0, 1 << 20), None, None, None, clock)
        with _connected(line, server) as broker:
            while not line._asked:
                line.hear(10, 0.1)
            line.hear(10, 0.0)
            subscribe = broker.recv(1000)
            broker.sendall(suback(subscribe, GRANTED_QOS_1))
            for topic in ("a/1/said", "a/2/said"):
                line.publish(topic, b"x")
            first = int.from_bytes(subscribe[2:4], "big") + 1  # numbers go up by one
            for number in (first, first + 1):
                broker.sendall(bytes([0x40, 4, 0, number, QUOTA_EXCEEDED, 0]))
                before = dict(line._on_its_way)
                while line._on_its_way == before:
                    line.hear(10, 0.1)
                assert list(line.complaints()) == ["published"]
            (told,) = line.complaints().values()
            assert "refuses what is published on a/1/said and on 1 more topics: Quota exceeded" in told
            assert "access list" not in told
            clock.advance_to(clock.monotonic_ns() + 59_000_000_000)
            assert line.complaints()
            clock.advance_to(clock.monotonic_ns() + 2_000_000_000)
            assert line.complaints() == {}
            line.close(goodbye=False)


def _sent(line: Line, broker: socket.socket, *, turns: int = 2000) -> bytes:
    """What the line sends next, waited for; with few ``turns`` what it sends by itself, which may be nothing."""
    broker.setblocking(False)
    sent = b""
    while not sent and turns > 0:
        line.hear(10, 0.01 if turns > 20 else 0.0)
        turns -= 1
        with contextlib.suppress(BlockingIOError):
            sent = broker.recv(1000)
    broker.settimeout(20.0)
    return sent


def test_a_refused_subscription_is_asked_for_again_after_a_while_and_only_that_one() -> None:
    """It stayed refused until the connection ended, which may be weeks: a right given meanwhile changed nothing."""
    clock = ManualClock(datetime(2026, 6, 1, tzinfo=timezone.utc))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = parse_url(f"mqtt://127.0.0.1:{server.getsockname()[1]}")
        who = Subscriber("me", ("a/+/one", "a/+/two", "a/+/six"), True, "all", 10, 0, 1 << 20)
        line = Line(address, who, None, None, None, clock)
        with _connected(line, server) as broker:
            asked = _sent(line, broker)
            while len(asked) == 2 + asked[1]:  # what an earlier run may have left is given up in a packet behind it
                asked += _sent(line, broker)
            broker.sendall(suback(asked[: 2 + asked[1]], GRANTED_QOS_1, NOT_AUTHORIZED, NOT_AUTHORIZED))
            while not line.subscribed:
                line.hear(10, 0.1)
            for refused in (("two", "six"), ("six",)):
                assert sorted(line.complaints()) == sorted(f"subscription to a/+/{one}" for one in refused)
                assert all("asked for again" in told for told in line.complaints().values())
                clock.advance_to(clock.monotonic_ns() + 9_000_000_000)
                assert _sent(line, broker, turns=20) == b"", "not at once"
                clock.advance_to(clock.monotonic_ns() + 600_000_000_000)
                asked = _sent(line, broker)
                assert asked[0] == SUBSCRIBE
                assert [f"$share/all/a/+/{one}".encode() in asked for one in ("one", "two", "six")] == [
                    False, *(one in refused for one in ("two", "six"))
                ]  # fmt: skip
                assert _sent(line, broker, turns=20) == b"", "not while the answer is on its way"
                broker.sendall(suback(asked, GRANTED_QOS_1, *[NOT_AUTHORIZED] * (len(refused) - 1)))
                before = line.complaints()
                while line.complaints() == before:
                    line.hear(10, 0.1)
            assert line.complaints() == {}
            clock.advance_to(clock.monotonic_ns() + 3600_000_000_000)
            assert _sent(line, broker, turns=20) == b"", "all is taken"
            line.close(goodbye=False)
