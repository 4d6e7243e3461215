"""A short storm: the long one is ``benchmarks/storm.py``."""

import os

from benchmarks.storm import storm
from tests.mqtt.broker import mosquitto_path

KILLS = 8


def test_nothing_is_lost_when_drone_broker_and_collector_are_killed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{os.path.dirname(mosquitto_path())}:{os.environ['PATH']}")
    found = storm(KILLS, tmp_path, int.from_bytes(os.urandom(4), "big"))
    assert found["put"] >= 3 * KILLS
    assert (found["lost"], found["confirmed_not_stored"], found["parked"]) == (0, 0, 0), found
