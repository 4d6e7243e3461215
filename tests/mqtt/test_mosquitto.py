"""Against a real broker: refusals, limits, death, silence, encryption, and what a hostile asker sends."""

import contextlib
import json
import logging
import random
import socket
import string
import threading

import pytest

from edge.delivery import Delivery
from edge.mqtt.commands import CommandError, parse, reply
from edge.mqtt.paho import Options, open_publisher
from edge.mqtt.topics import commands_topic, detections_topic, replies_topic, status_topic
from edge.outbox import Letter, memory
from edge.support.clock import SystemClock
from tests.mqtt.broker import PATIENCE_S, Ear, mosquitto
from tests.mqtt.certificates import authority, signed

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
            assert wait(publisher, lambda: "nothing listens there" in str(publisher.health()))
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


def junk(chance):
    """One of many things that are no command."""
    kind = chance.randrange(8)
    return [
        lambda: chance.randbytes(chance.randrange(60)),
        lambda: b"[" * chance.randrange(1, 4096),
        lambda: b'{"command":' * chance.randrange(1, 300),
        lambda: b'{"command":"ping","id":NaN}',
        lambda: b'{"command":"ping","command":"stop"}',
        lambda: b"x" * chance.choice([4095, 4096, 4097, 50_000]),
        lambda: json.dumps({"command": "".join(chance.choices(string.printable, k=9))}).encode(),
        lambda: b'{"command":"ping","expires_at":"2001-01-01T00:00:00Z"}',
    ][kind]()


def test_200_malformed_commands_and_the_thread_lives(tmp_path):
    chance, answered = random.Random(11), 0
    with mosquitto(tmp_path) as broker, Ear(broker, "ear/#") as ear, publisher_at(broker) as publisher:
        assert wait(publisher, lambda: publisher.connected)
        assert broker.wait_log("Sending SUBACK to spanhawk")
        for n in range(200):
            ear.say(commands_topic("drone"), junk(chance), reply_to="ear/replies", correlation=b"%d" % n)
            for request in publisher.requests():
                answered += 1
                with pytest.raises(CommandError) as refusal:
                    parse(request.payload, ("ping", "stop"), SystemClock().utc())
                publisher.reply(request, replies_topic("drone"), reply(refusal.value))

        def answer_the_rest():
            nonlocal answered
            for request in publisher.requests():
                answered += 1
                publisher.reply(request, replies_topic("drone"), reply(None, error="late"))
            return answered + publisher.dropped_requests == 200

        assert wait(publisher, answer_the_rest)
        assert ear.wait(lambda: len(ear.heard) == 200)
        assert {properties.CorrelationData for _, _, _, properties in ear.heard} == {b"%d" % n for n in range(200)}
        assert all(json.loads(payload)["ok"] is False for _, payload, _, _ in ear.heard)
        assert publisher.send("a", DETECTIONS, b"x")
        assert receipts(publisher, 1) == {"a": None}
        assert publisher.sessions == 1


def test_a_retained_command_is_not_carried_out(tmp_path, caplog):
    with mosquitto(tmp_path) as broker, Ear(broker, "none") as ear:
        ear.say(commands_topic("drone"), b'{"command":"start"}', retain=True)
        for protocol in ("5", "3.1.1"):
            with publisher_at(broker, protocol=protocol) as publisher:
                assert wait(publisher, lambda p=publisher: p.connected)
                assert broker.wait_log("Sending SUBACK to spanhawk", count=1 if protocol == "5" else 2)
                ear.say(commands_topic("drone"), b'{"command":"stop"}')
                got = []
                assert wait(publisher, lambda p=publisher, got=got: got.extend(p.requests()) or got)
                assert [request.payload for request in got] == [b'{"command":"stop"}']
    assert "a retained command is ignored" in caplog.text  # 3.1.1 cannot ask the broker to keep it


# --- encryption --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    authority(folder, "ca")
    authority(folder, "stranger")
    signed(folder, "broker", "ca")
    signed(folder, "drone", "ca")
    signed(folder, "foreign", "stranger")
    signed(folder, "old", "ca", days=-1)
    return folder


def encrypted(folder, certificate="broker"):
    return (
        f"cafile {folder / 'ca.pem'}", f"certfile {folder / certificate}.pem", f"keyfile {folder / certificate}.key",
        "require_certificate true",
    )  # fmt: skip


def own(folder, name="drone", ca="ca"):
    return {"ca_file": folder / f"{ca}.pem", "cert_file": folder / f"{name}.pem", "key_file": folder / f"{name}.key"}


def test_encrypted_with_certificates_on_both_sides(tmp_path, certificates):
    with (
        mosquitto(tmp_path, listener_lines=encrypted(certificates)) as broker,
        publisher_at(broker, **own(certificates)) as publisher,
    ):
        assert wait(publisher, lambda: publisher.connected)
        for n in range(20):
            assert wait(publisher, lambda n=n: publisher.send(str(n), DETECTIONS, random.Random(n).randbytes(30_000)))
        got = []
        assert wait(publisher, lambda: got.extend(publisher.receipts()) or len(got) == 20)
        assert [receipt for receipt in got if receipt.refused] == []


@pytest.mark.parametrize(
    ("given", "broker_certificate", "why"),
    [
        (
            lambda folder: own(folder, ca="stranger"),
            "broker",
            "set mqtt.ca_file to the certificate of the authority that signed it",
        ),
        (lambda folder: {"ca_file": folder / "ca.pem"}, "broker", "does it ask for a certificate"),
        (lambda folder: own(folder, "foreign"), "broker", "does it ask for a certificate"),
        (own, "old", "check the clock of this computer"),
    ],
    ids=["wrong authority", "no certificate", "foreign certificate", "expired"],
)
def test_encryption_that_fails_says_why(tmp_path, certificates, given, broker_certificate, why):
    with (
        mosquitto(tmp_path, listener_lines=encrypted(certificates, broker_certificate)) as broker,
        publisher_at(broker, **given(certificates)) as publisher,
    ):
        assert wait(publisher, lambda: why in str(publisher.health())), publisher.health()
        assert not publisher.connected
        assert publisher.sessions == 0


def test_the_wrong_scheme_is_told(tmp_path, certificates, caplog):
    caplog.set_level(logging.INFO)
    with mosquitto(tmp_path) as plain, publisher_at(plain, url=plain.url.replace("mqtt", "mqtts")) as publisher:
        assert wait(publisher, lambda: "is this its mqtts" in str(publisher.health())), publisher.health()
    with (
        mosquitto(tmp_path, listener_lines=encrypted(certificates)) as broker,
        publisher_at(broker, url=f"mqtt://localhost:{broker.port}") as publisher,
    ):
        assert wait(publisher, lambda: "does it require mqtts://" in str(publisher.health())), publisher.health()


def test_a_certificate_for_another_name(tmp_path, certificates):
    with (
        mosquitto(tmp_path, listener_lines=encrypted(certificates)) as broker,
        publisher_at(broker, url=f"mqtts://127.0.0.1:{broker.port}", **own(certificates)) as publisher,
    ):
        assert wait(publisher, lambda: "as it is in the certificate" in str(publisher.health())), publisher.health()
