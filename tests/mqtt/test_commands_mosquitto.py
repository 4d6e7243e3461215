"""What a hostile asker sends through a real broker."""

import json
import random
import string

import pytest

from edge.mqtt.commands import CommandError, parse, reply
from edge.mqtt.topics import commands_topic, replies_topic
from edge.support.clock import SystemClock
from tests.mqtt.broker import Ear, mosquitto
from tests.mqtt.publishing import DETECTIONS, publisher_at, receipts, wait


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
