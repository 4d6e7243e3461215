from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from edge.daemon.control import Control, Switch
from edge.daemon.ground import Ground
from edge.daemon.meter import Meter
from edge.daemon.notify import Systemd
from edge.daemon.status import Reporter, Sources
from edge.delivery import Delivery
from edge.detections.wire import feature, mark_historical, to_bytes
from edge.masks import Runtime
from edge.mqtt.memory import MemoryPublisher
from edge.mqtt.memory import Options as MqttOptions
from edge.navigation import fixed
from edge.outbox import Letter, LetterState, memory
from edge.settings import FlightOptions
from edge.support import board
from edge.support.clock import ManualClock
from tests.detections.examples import detection

NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)


class Setup:
    """A ground whose thread is not started: tests turn it by hand."""

    def __init__(self, complaint: Callable[[], str | None] = lambda: None) -> None:
        self.clock = ManualClock(NOON)
        self.publisher = MemoryPublisher(MqttOptions(), self.clock, "drone1", b"gone")
        self.outbox = memory.open_outbox(memory.Options(), self.clock)
        self.switch = Switch(flying=True)
        navigator = fixed.open_navigator(fixed.Options(), self.clock)
        flight = FlightOptions(min_free_mb=0, max_temperature_deg_c=1000.0)
        runtime = Runtime("dark", "none", "cpu", None)
        sources = Sources(Meter(), lambda: 3, navigator, self.outbox, runtime, flight, (complaint,))
        self.ground = Ground(
            "drone1",
            self.publisher,
            Delivery(self.outbox, self.publisher, self.clock, late=mark_historical),
            Control(self.publisher, "spanhawk/drone1/commands/replies", {}, self.clock),
            Reporter("drone1", "flight", sources, self.clock),
            self.switch,
            Systemd("", ""),
            self.clock,
        )

    def told(self, topic: str) -> list[dict[str, Any]]:
        self.publisher.deliver()
        return [json.loads(one.payload) for one in self.publisher.arrived if one.topic == f"spanhawk/drone1/{topic}"]


def test_status_is_told_on_change_only_and_numbers_are_no_change() -> None:
    troubles = iter([None, None, "no frame for 2.0 s", "no frame for 3.1 s", None])
    setup = Setup(lambda: next(troubles))
    for _ in range(5):
        setup.ground.report()
    states = [(status["state"], status["reasons"]) for status in setup.told("status")]
    assert states == [("flying", []), ("degraded", ["no frame for 2.0 s"]), ("flying", [])]
    assert all(one.retained for one in setup.publisher.arrived if one.topic.endswith("status"))


def test_a_command_changes_the_state_that_is_told() -> None:
    setup = Setup()
    setup.ground.report()
    setup.switch.stop()
    setup.ground.report()
    assert [status["state"] for status in setup.told("status")] == ["flying", "online"]


def test_telemetry_knows_what_it_does_not_know() -> None:
    setup = Setup()
    setup.ground.report()
    (telemetry,) = setup.told("telemetry")
    assert telemetry["fps"] is None
    assert telemetry["fix"] == {"kind": "NONE", "h_accuracy_m": None, "age_ms": None}
    assert telemetry["dropped"] == 3
    assert telemetry["suppressed"] == {}
    assert telemetry["temperature_deg_c"] is None or telemetry["temperature_deg_c"] == board.temperature_deg_c()
    assert telemetry["outbox"] == {"pending": 0, "sent": 0, "confirmed": 0, "parked": 0}
    assert telemetry["at"] == "2026-06-01T12:00:00.000Z"


def test_goodbye_delivers_what_waits_and_says_offline() -> None:
    setup = Setup()
    found = feature(detection())
    setup.outbox.put([Letter(found["id"], "spanhawk/drone1/detections", to_bytes(found), setup.clock.monotonic_ns())])
    setup.ground.say_goodbye()
    assert [one["id"] for one in setup.told("detections")] == [found["id"]]
    assert setup.told("status")[-1]["state"] == "offline"
    assert setup.outbox.counts()[LetterState.CONFIRMED] == 1


def test_goodbye_does_not_wait_for_ever_for_a_silent_broker() -> None:
    setup = Setup()
    setup.publisher.go_down()
    found = feature(detection())
    setup.outbox.put([Letter(found["id"], "spanhawk/drone1/detections", to_bytes(found), 0)])
    setup.ground.say_goodbye()
    assert setup.outbox.counts()[LetterState.CONFIRMED] == 0


def test_a_dead_ground_thread_is_noticed() -> None:
    def broken() -> str | None:
        raise RuntimeError("the thermometer fell off")

    setup = Setup(broken)
    with setup.ground:
        setup.ground._thread.join(30)
        with pytest.raises(RuntimeError, match="thermometer"):
            setup.ground.check()
