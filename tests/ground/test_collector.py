"""The collector with a real broker: what is stored is confirmed, nothing else is, and nobody's payload stops it."""

import contextlib
import dataclasses
import json
import threading
from datetime import datetime, timezone

import jsonschema
import pytest

from edge.detections import receipts
from edge.ground import Added, Query, Unfit
from edge.ground.collector import Collector
from edge.ground.serve import collector_of
from edge.ground.settings import read as settings_of
from edge.ground.stores import open_store
from edge.mqtt.listener import Heard
from edge.support.clock import ManualClock, SystemClock
from tests.ground.letters import as_bytes, crack, detection
from tests.mqtt.broker import PATIENCE_S, Ear, mosquitto

DETECTIONS, RECEIPTS = "spanhawk/drone1/detections", "spanhawk/drone1/receipts"


@contextlib.contextmanager
def collecting(url, broker, share=None, **mqtt):
    """A collector at work; its store."""
    clock, stop = SystemClock(), threading.Event()
    with open_store(url, clock) as store:
        settings = settings_of(None, broker=broker.url, store=url)
        settings = dataclasses.replace(settings, ground=dataclasses.replace(settings.ground, share=share))
        settings = dataclasses.replace(settings, mqtt=dataclasses.replace(settings.mqtt, **mqtt))
        collector = collector_of(settings, store, clock)
        thread = threading.Thread(target=collector.run, args=(stop,), name="collector")
        thread.start()
        try:
            yield store, collector
        finally:
            stop.set()
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


@pytest.fixture
def broker(tmp_path):
    with mosquitto(tmp_path) as one:
        yield one


@pytest.fixture
def ear(broker):
    with Ear(broker, "spanhawk/+/+") as one:
        yield one


def listening(broker, count=1):
    assert broker.wait_log("Sending SUBACK to spanhawk-ground", count=count)


def confirmed(ear):
    """The ids of letters that receipts have named so far; each receipt validates against its schema."""
    ids = set()
    for payload in ear.payloads(RECEIPTS):
        jsonschema.validate(json.loads(payload), receipts.schema())
        ids.update(receipts.letter_ids("drone1", payload))
    return ids


def test_what_is_stored_is_confirmed(url, broker, ear):
    with collecting(url, broker) as (store, collector):
        listening(broker)
        sent = [detection(seq) for seq in range(1, 41)]
        for one in sent:
            ear.say(DETECTIONS, as_bytes(one), qos=0)
        ear.say("spanhawk/drone1/cracks", as_bytes(crack(3, 2)))
        ids = {one["id"] for one in sent} | {receipts.revision_id(crack(3, 2)["id"], 2)}
        assert ear.wait(lambda: confirmed(ear) == ids)
        assert store.ranges("drone1", "f1") == ((1, 40),)
        assert len(store.cracks(Query())) == 1
        ear.say(DETECTIONS, as_bytes(detection(7, historical=True)))
        assert ear.wait(lambda: [7, 7] in json.loads(ear.payloads(RECEIPTS)[-1])["ranges"])
        assert (collector.counts.stored, collector.counts.repeats) == (41, 1)


HOSTILE = {
    "script": b"<script>alert(1)</script>",
    "deep": b"[" * 100_000,
    "deep objects": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "twice": as_bytes(detection(1)).replace(b'"seq":1', b'"seq":1,"seq":2'),
    "twice in a list": as_bytes(detection(1)).replace(b'"kind"', b'"x":[{"a":1,"a":2}],"kind"'),
    "nan": as_bytes(detection(1)).replace(b"0.9", b"NaN"),
    "endless": as_bytes(detection(1)).replace(b"0.9", b"1e999"),
    "long number": as_bytes(detection(1)).replace(b"0.9", b"9" * 5000),
    "schema": as_bytes(detection(1, schema="spanhawk/detection/3")),
    "traversal": as_bytes(detection(1, flight="../../etc/passwd\n")),
    "another's id": as_bytes(detection(1)).replace(b'"seq":1', b'"seq":2'),
    "another vehicle": as_bytes(detection(1, "drone2")),
    "seq below 1": as_bytes(detection(0)),
    "not utf-8": b'{"\xff":1}',
    "twice, with a space": as_bytes(detection(1)).replace(b'"seq":1', b'"seq":1,"seq" :1'),
    "endless elsewhere": as_bytes(detection(1)).replace(b'"kind"', b'"x":1e999,"kind"'),
    "long number elsewhere": as_bytes(detection(1)).replace(b'"kind"', b'"x":' + b"9" * 400 + b',"kind"'),
    "half a character elsewhere": as_bytes(detection(1, note="\ud83d")),
    "a list": b"[]",
    "nothing": b"",
    "NUL": as_bytes(detection(1, kind="a\0b")),
    "lone surrogate": as_bytes(detection(1, kind="\udc80")),
    "far away": as_bytes(detection(1, lon=1e6)),
    "no date": as_bytes(detection(1)).replace(b"2026-05-01T", b"2026-13-45T"),
    "kind of a list": as_bytes(detection(1, kind=["crack"])),
}


def test_nobody_s_payload_stops_it_or_is_confirmed(url, broker, ear):
    with collecting(url, broker) as (store, collector):
        listening(broker)
        for payload in HOSTILE.values():
            ear.say(DETECTIONS, payload, qos=0)
        ear.say("spanhawk/drone1/status", b'{"schema":"spanhawk/status/1"}', qos=0)
        ear.say("spanhawk/ drone /status", b"{}", qos=0)
        ear.say(DETECTIONS, b"x" * 3_000_000, qos=0)  # the broker keeps this one away from us
        ear.say(DETECTIONS, as_bytes(detection(5)))
        assert ear.wait(lambda: confirmed(ear))
        assert confirmed(ear) == {detection(5)["id"]}
        assert collector.counts.refused == len(HOSTILE) + 2
        reasons = {row.payload: row.reason for row in store.refused(100)}
        assert len(store.refused(100)) == len(HOSTILE) + 2
        assert "a key appears twice" in reasons[HOSTILE["twice"]]
        assert "this ground reads spanhawk/detection/2" in reasons[HOSTILE["schema"]]
        assert collector.health() == []


def test_another_content_under_a_stored_name_is_kept_and_not_confirmed(url, broker, ear):
    with collecting(url, broker) as (store, collector):
        listening(broker)
        ear.say(DETECTIONS, as_bytes(detection(2, score=0.5)))
        assert ear.wait(lambda: len(ear.payloads(RECEIPTS)) == 1)
        ear.say(DETECTIONS, as_bytes(detection(2, score=0.7)))  # a seq that runs back
        ear.say(DETECTIONS, as_bytes(detection(3)))
        assert ear.wait(lambda: detection(3)["id"] in confirmed(ear))
        assert [json.loads(payload)["ranges"] for payload in ear.payloads(RECEIPTS)] == [[[2, 2]], [[3, 3]]]
        assert collector.counts.conflicts == 1
        assert [row.payload for row in store.refused(9)] == [as_bytes(detection(2, score=0.7))]


def test_a_full_disk_confirms_nothing_and_says_so(tmp_path, broker, ear):
    url = str(tmp_path / "ground.db")
    with collecting(url, broker) as (store, collector):
        listening(broker)
        ear.say(DETECTIONS, as_bytes(detection(1)))
        assert ear.wait(lambda: confirmed(ear) == {detection(1)["id"]})
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own way to be full
        for seq in range(2, 40):
            ear.say(DETECTIONS, as_bytes(detection(seq, note="x" * 5000)), qos=0)
        assert ear.wait(lambda: False, 1.0) is False
        assert any("is full" in trouble and "nothing is confirmed" in trouble for trouble in collector.health())
        last = max(last for _, last in store.ranges("drone1", "f1"))
        assert len(confirmed(ear)) == last < 39
        store._db.execute("PRAGMA max_page_count = 1000000")
        assert ear.wait(lambda: len(confirmed(ear)) == 39)
        assert store.ranges("drone1", "f1") == ((1, 39),)
        assert collector.health() == []


def test_a_database_that_goes_and_comes_back(postgres, broker, ear):
    with collecting(postgres.database("away"), broker) as (store, collector):
        listening(broker)
        ear.say(DETECTIONS, as_bytes(detection(1)))
        assert ear.wait(lambda: len(confirmed(ear)) == 1)
        postgres.stop()
        try:
            for seq in range(2, 10):
                ear.say(DETECTIONS, as_bytes(detection(seq)))
            assert ear.wait(lambda: False, 1.0) is False
            assert len(confirmed(ear)) == 1
            assert "nothing is confirmed" in collector.health()[0]
        finally:
            postgres.start()
        assert ear.wait(lambda: len(confirmed(ear)) == 9)
        assert store.ranges("drone1", "f1") == ((1, 9),)


def test_two_collectors_of_one_name_lose_nothing_and_name_the_reason(tmp_path, broker, ear, caplog):
    url = str(tmp_path / "ground.db")
    with collecting(url, broker), collecting(url, broker) as (store, _):
        listening(broker, 3)  # the one whose session was taken has come back
        for seq in range(1, 21):
            ear.say(DETECTIONS, as_bytes(detection(seq)))
        assert ear.wait(lambda: len(confirmed(ear)) == 20)
        assert store.ranges("drone1", "f1") == ((1, 20),)
    told = {record.message for record in caplog.records if record.levelname == "WARNING"}
    assert all("give each collector a mqtt.client_id of its own" in one for one in told)
    assert told


def test_a_broker_that_refuses_receipts_is_told(tmp_path):
    """The drones sent everything again and again, and the page said that all was well."""
    (tmp_path / "acl").write_text("topic readwrite spanhawk/+/detections\n")
    lines = (f"acl_file {tmp_path}/acl",)
    with (
        mosquitto(tmp_path, config_lines=lines) as broker,
        Ear(broker, "spanhawk/drone1/detections") as ear,
        collecting(str(tmp_path / "ground.db"), broker) as (_, collector),
    ):
        listening(broker)
        ear.say(DETECTIONS, as_bytes(detection(1)))
        assert broker.wait_log("Denied PUBLISH from spanhawk-ground")
        while not collector.health():  # the answer is on its way
            assert ear.wait(lambda: False, 0.05) is False
        (told,) = collector.health()
    assert f"refuses what is published on {RECEIPTS}: Not authorized" in told


def test_a_ground_with_a_new_store_gets_all_whatever_session_another_left(tmp_path, broker, ear):
    """For a day the broker kept half of everything for the session of a store that was there before."""
    with collecting(str(tmp_path / "before.db"), broker):
        listening(broker)
    with collecting(str(tmp_path / "new.db"), broker) as (store, _):
        listening(broker, 2)
        for seq in range(1, 41):
            ear.say(DETECTIONS, as_bytes(detection(seq)))
        assert ear.wait(lambda: len(confirmed(ear)) == 40)
        assert store.ranges("drone1", "f1") == ((1, 40),)


def test_a_new_store_has_what_the_broker_retains(tmp_path, broker, ear):
    """Until the next change of a status, which may be hours away, the page said that no drone had been heard."""
    status = {"schema": "spanhawk/status/1", "vehicle": "drone1", "flight_id": "f1", "state": "offline", "reasons": []}
    ear.say("spanhawk/drone1/status", as_bytes(status), retain=True)
    seen = {"type": "FeatureCollection", "vehicle": "drone1", "flight_id": "f1", "features": []}
    ear.say("spanhawk/drone1/coverage", as_bytes(seen), retain=True)
    with collecting(str(tmp_path / "new.db"), broker) as (store, _):
        listening(broker)
        ear.say(DETECTIONS, as_bytes(detection(1)))  # comes after what the broker retained
        assert ear.wait(lambda: len(confirmed(ear)) == 1)
        assert [json.loads(row.payload) for row in store.states()] == [status]
        assert [row.payload for row in store.coverage()] == [as_bytes(seen)]
    # mosquitto 2.0.11 gives them to who shares, too; other brokers keep to MQTT 5.0, 4.8.2, and do not.
    asked = {line.split()[-3] for line in broker.log if "/+/" in line and line.endswith("(QoS 1)")}
    assert {"spanhawk/+/status", "spanhawk/+/coverage"} < asked
    assert not any(one.startswith("$share") and one.endswith(("status", "coverage")) for one in asked)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ([{"share": "ground"}], {}),  # the one that all grounds shared
        ([{"share": "laptop"}], {}),
        ([{}], {"share": "laptop"}),
        ([{"share": "laptop"}, {"share": "truck"}], {"share": "boat"}),
        ([{"protocol": "3.1.1"}], {}),
    ],
)
def test_a_ground_under_another_share_gives_its_old_subscription_up(tmp_path, broker, ear, before, now):
    """The session under its name still has it; with both, each message came twice."""
    url = str(tmp_path / "ground.db")
    for number, settings in enumerate(before):
        with collecting(url, broker, **settings):
            listening(broker, number + 1)
    with collecting(url, broker, **now) as (_, collector):
        given_up = 1 + sum("protocol" not in settings for settings in before)
        assert broker.wait_log("Sending UNSUBACK to spanhawk-ground", count=given_up)  # until then both hold
        for seq in range(1, 21):
            ear.say(DETECTIONS, as_bytes(detection(seq)))
        assert ear.wait(lambda: len(confirmed(ear)) == 20)
        assert (collector.counts.messages, collector.counts.repeats) == (20, 0)


def test_what_is_missing_is_asked_for(tmp_path, broker):
    with Ear(broker, "spanhawk/drone1/commands") as ear:
        url, clock, stop = str(tmp_path / "ground.db"), SystemClock(), threading.Event()
        with open_store(url, clock) as store:
            collector = collector_of(settings_of(None, broker=broker.url, store=url), store, clock)
            collector._gaps._after_ns = 0
            thread = threading.Thread(target=collector.run, args=(stop,))
            thread.start()
            listening(broker)
            for seq in (1, 2, 5, 9):
                ear.say(DETECTIONS, as_bytes(detection(seq)))
            assert ear.wait(lambda: ear.heard)
            stop.set()
            thread.join(PATIENCE_S)
    asked = json.loads(ear.payloads("spanhawk/drone1/commands")[0])
    assert asked == {"command": "resend", "flight_id": "f1", "ranges": [[3, 4], [6, 8]]}


def test_what_the_database_refuses_is_told_with_its_reason_and_not_confirmed(caplog):
    """Nobody heard of it: its drone sent it again and again, and the log was silent."""

    class Choosy:
        def add(self, batch):
            return Added(1, 0, (), (Unfit(batch.detections[1], "detections", "it holds a 0x00"),))

    class Said:
        def __init__(self):
            self.sent = []

        def publish(self, topic, payload):
            self.sent.append(json.loads(payload))

        def acknowledge(self, heard):
            pass

    line = Said()
    collector = Collector(Choosy(), lambda: line, SystemClock())
    heard = [Heard(DETECTIONS, as_bytes(detection(seq)), False, 1, seq) for seq in (1, 2)]
    collector._take(line, heard, threading.Event())
    (told,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert told.startswith("detections 2 of drone1's flight f1: it holds a 0x00")
    assert [one["ranges"] for one in line.sent] == [[[1, 1]]]
    assert collector.counts.refused == 1


def test_a_refusal_that_lasts_is_logged_once_and_stays_in_the_status(caplog):
    """One line a minute for weeks, each with "and 299 times more", hid all the others."""
    clock, stop = ManualClock(datetime(2026, 6, 1, tzinfo=timezone.utc)), threading.Event()
    seen = []

    class Refused:
        subscribed = True

        def dial(self):
            pass

        def hear(self, most, patience_s):
            seen.append(collector.health())
            clock.advance_to(clock.monotonic_ns() + 61_000_000_000)
            if len(seen) == 5:
                stop.set()
            return []

        def complaints(self):
            return {"subscription to a": "it refuses a"} if len(seen) != 4 else {}

        def close(self, *, goodbye):
            pass

    collector = Collector(None, Refused, clock)
    collector._ask_again = lambda line: None
    collector.run(stop)
    assert seen[1:] == [["it refuses a"]] * 3 + [[]]
    told = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert told == ["it refuses a"] * 2, "once, and once more when it came back"
