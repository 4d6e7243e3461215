"""The demo's own broker, both kinds, with a real client; and the witness that listens to it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge.support.clock import SystemClock
from edge.support.errors import DeviceError
from edge.tools.demo import broker as room
from edge.tools.demo.broker import Broker, Kind, open_broker
from edge.tools.demo.witness import Witness

KINDS: list[Kind] = ["mosquitto", "amqtt"]


@pytest.fixture(params=KINDS)
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    with open_broker(kind=request.param) as running:
        yield running


def publish(url: str, messages: list[tuple[str, bytes]], level: int = paho.MQTTv311) -> None:
    """Publish at QoS 1 and return when the broker has acknowledged everything."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=level)
    where = urlsplit(url)
    connected = threading.Event()
    client.on_connect = lambda *_: connected.set()
    client.connect(str(where.hostname), where.port or 1883)
    client.loop_start()
    try:
        assert connected.wait(10)
        for topic, payload in messages:
            client.publish(topic, payload, qos=1).wait_for_publish(10)
    finally:
        client.disconnect()
        client.loop_stop()


def until(true: Callable[[], bool]) -> bool:
    clock, never = SystemClock(), threading.Event()
    return any(true() or clock.wait(never, 0.02) for _ in range(500))


def test_what_is_published_arrives(broker: Broker) -> None:
    # Lengths around the steps of MQTT's length field, and more messages than a broker sends without being answered.
    sizes = [0, 1, 125, 128, 20_000, 200_000, *[10] * 60]
    sent = [(f"spanhawk/demo/{n % 3}", b"x" * size) for n, size in enumerate(sizes)]
    with Witness(broker.url, "spanhawk/#") as witness:
        publish(broker.url, [*sent, ("other", b"not for us")])
        assert until(lambda: len(witness.heard) == len(sent))
        assert witness.heard == sent


def test_mosquitto_speaks_mqtt_5_too() -> None:
    with open_broker(kind="mosquitto") as running, Witness(running.url, "#") as witness:
        publish(running.url, [("a", b"5")], level=paho.MQTTv5)
        assert until(lambda: witness.heard == [("a", b"5")])


def test_two_brokers_do_not_meet() -> None:
    with open_broker() as one, open_broker() as two, Witness(two.url, "#") as witness:
        assert one.url != two.url
        publish(one.url, [("a", b"one")])
        publish(two.url, [("a", b"two")])
        assert until(lambda: len(witness.heard) > 0)
        assert witness.heard == [("a", b"two")]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_behind(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    threads = threading.active_count()
    with open_broker(kind=kind) as running:
        port = urlsplit(running.url).port or 0
        publish(running.url, [("a", b"b")])
    with pytest.raises(OSError, match=r"."):
        socket.create_connection(("127.0.0.1", port), 0.5).close()
    assert list(tmp_path.iterdir()) == []
    assert threading.active_count() == threads


@pytest.mark.parametrize("kind", KINDS)
def test_a_port_that_is_taken_is_named(kind: Kind) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(DeviceError, match=f"does not start on 127.0.0.1:{port}"), open_broker(port, kind):
            pass


def test_without_any_broker_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(room, "_MORE_PLACES", ())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DeviceError, match=r"apt install mosquitto, or pip install 'spanhawk\[demo\]'"):
        open_broker()


def test_mosquitto_is_found_where_only_root_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program = tmp_path / "sbin" / "mosquitto"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(room, "_MORE_PLACES", (str(program.parent),))
    assert room._mosquitto() == str(program)
    os.remove(program)
    assert room._mosquitto() is None


def test_a_witness_without_a_broker_says_where_it_looked() -> None:
    with (
        pytest.raises(DeviceError, match=r"cannot listen at mqtt://127\.0\.0\.1:1:"),
        Witness("mqtt://127.0.0.1:1", "#"),
    ):
        pass


def test_a_witness_that_hears_nonsense_refuses() -> None:
    with socket.socket() as fake:
        fake.bind(("127.0.0.1", 0))
        fake.listen()

        def answer() -> None:
            peer, _ = fake.accept()
            with peer:
                peer.recv(100)
                peer.sendall(bytes([0x20, 2, 0, 5]))  # CONNACK: not authorised

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(DeviceError, match="00 05"), Witness(f"mqtt://127.0.0.1:{fake.getsockname()[1]}", "#"):
            pass
        thread.join()
