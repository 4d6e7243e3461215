"""Against a real broker: refusals, limits, death and silence."""

import contextlib
import socket
import threading

import pytest

from edge.delivery import Delivery
from edge.mqtt.paho import Options, open_publisher
from edge.mqtt.topics import commands_topic, replies_topic
from edge.outbox import Letter, memory
from edge.support.clock import SystemClock
from tests.mqtt.broker import Ear, mosquitto
from tests.mqtt.publishing import DETECTIONS, STATUS, publisher_at, receipts, wait


def test_the_last_will_when_the_process_dies(tmp_path):
    with mosquitto(tmp_path) as broker, Ear(broker, STATUS) as ear, publisher_at(broker) as publisher:
        publisher.announce(STATUS, b"online", retained=True)
        assert ear.wait_heard(STATUS, b"online")
        publisher.__exit__(SystemExit, None, None)
        assert ear.wait_heard(STATUS, b"offline")


def test_an_absent_broker_is_waited_for(tmp_path, caplog):
    with mosquitto(tmp_path) as broker:
        broker.kill()
        with publisher_at(broker) as publisher:
            assert wait(
                publisher,
                lambda: (
                    "nothing listens there; start the broker (mosquitto: with a listener" in str(publisher.health())
                ),
            )
            broker.start()
            assert wait(publisher, lambda: publisher.connected)
            assert publisher.health() is None
    assert [r.levelname for r in caplog.records if "cannot be reached" in r.getMessage()] == ["WARNING"]


def test_a_wrong_password(tmp_path, caplog):
    passwords = tmp_path / "passwords"
    passwords.write_text("drone:$7$101$AAAAAAAAAAAAAAAA$AAAA\n")
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    lines = (f"password_file {passwords}",)
    with (
        mosquitto(tmp_path, config_lines=lines, anonymous=False) as broker,
        publisher_at(broker, username="drone", password_file=secret) as publisher,
    ):
        assert wait(publisher, lambda: "refused" in str(publisher.health()))
        assert publisher.health() == (
            f"mqtt://localhost:{broker.port} refused: Not authorized; check mqtt.username and mqtt.password_file"
        )
        assert not publisher.connected
    assert "hunter2" not in caplog.text


def access_rules(tmp_path):
    rules = tmp_path / "acl"
    rules.write_text(f"topic write {STATUS}\ntopic write good/#\ntopic read spanhawk/#\ntopic readwrite ear/#\n")
    return (f"acl_file {rules}",)


def test_an_access_rule_refuses_a_letter_and_nothing_else(tmp_path, caplog):
    with (
        mosquitto(tmp_path, config_lines=access_rules(tmp_path)) as broker,
        publisher_at(broker) as publisher,
    ):
        assert wait(publisher, lambda: publisher.connected)
        for id, topic in (("1", "good/a"), ("2", DETECTIONS), ("3", "good/b")):
            assert publisher.send(id, topic, b"x")
        assert receipts(publisher, 3) == {"1": None, "2": "Not authorized", "3": None}
        publisher.announce(replies_topic("drone"), b"x", retained=True)
        assert wait(publisher, lambda: "refuses what is published" in caplog.text)
        assert publisher.sessions == 1


def test_mqtt_311_cannot_see_a_refusal(tmp_path):
    """Documented, not wished for: should this fail one day, the documentation may be relaxed."""
    with (
        mosquitto(tmp_path, config_lines=access_rules(tmp_path)) as broker,
        publisher_at(broker, protocol="3.1.1") as publisher,
    ):
        assert wait(publisher, lambda: publisher.connected)
        assert publisher.send("1", DETECTIONS, b"x")
        assert receipts(publisher, 1) == {"1": None}


def test_a_large_letter_among_good_ones(tmp_path):
    """The broker announces its limit (MQTT 5), so that the letter is refused before it is sent."""
    with (
        mosquitto(tmp_path, config_lines=("max_packet_size 2000",)) as broker,
        Ear(broker, DETECTIONS) as ear,
        publisher_at(broker) as publisher,
    ):
        assert wait(publisher, lambda: publisher.connected)
        for n in range(6):
            assert publisher.send(str(n), DETECTIONS, b"x" * (5000 if n == 2 else 500))
        told = receipts(publisher, 6)
        assert {id for id, refused in told.items() if refused is None} == {"0", "1", "3", "4", "5"}
        assert "more than this broker accepts (2000)" in told["2"]
        assert ear.wait(lambda: len(ear.heard) == 5)
        assert publisher.sessions == 1


@pytest.mark.parametrize(
    ("lines", "missing"),
    [
        (("retain_available false",), ["keeps no retained messages"]),
        (("max_qos 0",), ["takes QoS 0 only"]),
        (("max_qos 0", "retain_available false"), ["keeps no retained messages", "takes QoS 0 only"]),
        (("max_qos 1",), []),
    ],
)
def test_a_broker_that_cannot_do_everything_is_called_again_without_it(tmp_path, caplog, lines, missing):
    """It refuses a connection whose last will asks for what it cannot do (MQTT 5.0, 3.2.2.2)."""
    with (
        mosquitto(tmp_path, listener_lines=lines) as broker,
        Ear(broker, DETECTIONS) as ear,
        publisher_at(broker) as publisher,
    ):
        publisher.announce(STATUS, b"online", retained=True)
        assert wait(publisher, lambda: publisher.connected)
        for n in range(10):
            assert publisher.send(str(n), DETECTIONS, b"%d" % n)
        assert receipts(publisher, 10) == {str(n): None for n in range(10)}
        assert ear.wait(lambda: ear.payloads(DETECTIONS) == [b"%d" % n for n in range(10)])
        assert publisher.health() is None
        assert all(words in str(publisher.shortcoming) for words in missing)
        assert (publisher.shortcoming is None) is (not missing)
        assert all(words in caplog.text for words in missing)
        ear.say(commands_topic("drone"), b'{"command": "ping"}', qos=0)
        assert wait(publisher, publisher.requests)


def test_without_acknowledgements_a_letter_is_confirmed_only_when_it_has_arrived(tmp_path):
    with (
        mosquitto(tmp_path, listener_lines=("max_qos 0",)) as broker,
        publisher_at(broker, keepalive_s=60) as publisher,
    ):
        assert wait(publisher, lambda: publisher.connected)
        broker.freeze()
        assert publisher.send("1", DETECTIONS, b"x")
        assert not wait(publisher, publisher.receipts, patience_s=1.0), "written out is not arrived"
        broker.thaw()
        assert receipts(publisher, 1) == {"1": None}


def test_large_letters_at_which_the_broker_hangs_up_do_not_hold_up_the_others(tmp_path):
    """mosquitto's message_size_limit is announced to nobody: it is learnt once, not once per letter."""
    clock = SystemClock()
    outbox = memory.open_outbox(memory.Options(), clock)
    sizes = {f"{n}": 2000 if n % 3 == 1 else 300 for n in range(120)}
    outbox.put([Letter(id, DETECTIONS, b"x" * size, clock.monotonic_ns()) for id, size in sizes.items()])
    with (
        mosquitto(tmp_path, config_lines=("message_size_limit 1500",)) as broker,
        Ear(broker, DETECTIONS) as ear,
        publisher_at(broker) as publisher,
    ):
        delivery = Delivery(outbox, publisher, clock, late=bytes)
        assert wait(publisher, lambda: delivery.step() and not delivery.waiting, patience_s=60.0)
        assert delivery.refused == 40
        assert "2000 bytes, and the broker closed the connection at a letter of 2000" in str(delivery.health())
        assert ear.wait(lambda: len(ear.payloads(DETECTIONS)) >= 80)


def test_a_broker_whose_name_resolves_late(tmp_path, monkeypatch):
    resolve, tries = socket.getaddrinfo, []

    def late(host, *rest, **more):
        if host != "broker.drone.example":
            return resolve(host, *rest, **more)
        tries.append(host)
        if len(tries) < 3:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return resolve("127.0.0.1", *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", late)
    with (
        mosquitto(tmp_path) as broker,
        publisher_at(broker, url=f"mqtt://broker.drone.example:{broker.port}") as publisher,
    ):
        assert wait(publisher, lambda: "this name is not known here" in str(publisher.health()))
        assert wait(publisher, lambda: publisher.connected)
        assert publisher.health() is None


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_silent_broker_is_noticed(tmp_path, protocol):
    clock = SystemClock()
    with mosquitto(tmp_path) as broker, publisher_at(broker, keepalive_s=1, protocol=protocol) as publisher:
        assert wait(publisher, lambda: publisher.connected)
        broker.freeze()
        frozen_ns = clock.monotonic_ns()
        assert publisher.send("a", DETECTIONS, b"x")
        assert wait(publisher, lambda: not publisher.connected)
        noticed_s = (clock.monotonic_ns() - frozen_ns) / 1e9
        assert not publisher.send("b", DETECTIONS, b"x")
        broker.thaw()
        assert wait(publisher, lambda: publisher.sessions == 2)
        assert publisher.send("a", DETECTIONS, b"x")
        assert receipts(publisher, 1) == {"a": None}
    assert 0.9 <= noticed_s < 4.5, "twice the keepalive, and some patience with a busy machine"


def test_two_vehicles_with_one_name_are_told(tmp_path):
    with mosquitto(tmp_path) as broker, publisher_at(broker) as first:
        assert wait(first, lambda: first.connected)
        with publisher_at(broker) as second:
            assert wait(second, lambda: second.sessions > 0)
            assert wait(
                first, lambda: "give each vehicle a name of its own" in str(first._trouble) or first.sessions > 1
            )
            assert first.sessions > 1 or "Session taken over" in first.health()


def test_something_that_is_no_broker():
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def answer():
            with contextlib.suppress(OSError):
                while True:
                    line, _ = server.accept()
                    line.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                    line.close()

        threading.Thread(target=answer, daemon=True).start()
        options = Options(url=f"mqtt://127.0.0.1:{server.getsockname()[1]}")
        with open_publisher(options, SystemClock(), vehicle="drone", last_will=b"") as publisher:
            assert wait(publisher, lambda: "is it an MQTT broker" in str(publisher.health()))
        server.shutdown(socket.SHUT_RDWR)
