"""What a broker answers to a listener, byte by byte as in MQTT 5 (OASIS, sections 3.2 and 3.9)."""

from __future__ import annotations

import contextlib
import socket

from edge.mqtt.address import parse_url
from edge.mqtt.listener import Line, Subscriber

CONNACK = bytes([0x20, 3, 0, 0, 0])
SUBSCRIBE = 0x82
GRANTED_QOS_1, NOT_AUTHORIZED = 0x01, 0x87


def suback(packet: bytes, *reasons: int) -> bytes:
    """For a SUBSCRIBE shorter than 128 bytes, whose number stands behind its two first bytes."""
    assert packet[:2] == bytes([0x82, len(packet) - 2])
    return bytes([0x90, 3 + len(reasons), *packet[2:4], 0, *reasons])


def test_a_subscription_counts_when_it_is_answered_and_a_refused_one_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = parse_url(f"mqtt://127.0.0.1:{server.getsockname()[1]}")
        who = Subscriber("me", ("a/+/one", "a/+/two"), True, None, 10, 0, 1 << 20)
        line = Line(address, who, None, None, None)
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
            (told,) = line.complaints()
            assert f"{address} refuses the subscription to a/+/two: Not authorized" in told
            line.close(goodbye=False)


def test_a_new_group_is_joined_before_the_old_one_is_left() -> None:
    """What is published between the two is for nobody otherwise."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = parse_url(f"mqtt://127.0.0.1:{server.getsockname()[1]}")
        line = Line(address, Subscriber("me", ("a/+/one",), True, "new", 10, 0, 1 << 20, ("old",)), None, None, None)
        line.dial()
        broker, _ = server.accept()
        broker.settimeout(20.0)
        with broker:
            line.hear(10, 0.0)
            broker.recv(1000)
            broker.sendall(CONNACK)
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
