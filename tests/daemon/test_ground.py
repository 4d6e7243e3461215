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
from edge.daemon.status import PositionWatch, Reporter, Sources
from edge.delivery import Delivery
from edge.detections.wire import feature, mark_historical, to_bytes
from edge.masks import Runtime
from edge.mqtt.memory import MemoryPublisher
from edge.mqtt.memory import Options as MqttOptions
from edge.navigation import NavState, fixed, nowhere
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


def test_the_watchdog_is_held_off_while_the_loop_waits_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write of half a minute is reported, and no reason to be killed by systemd after 15 s."""
    setup, beats = Setup(), []
    monkeypatch.setattr(Systemd, "alive", lambda systemd: beats.append(1))
    turns = iter([False, True, True, False])
    ground = setup.ground
    ground._excused = lambda: next(turns) or len(beats) > 9
    for _ in range(4):
        ground._stop.clear()
        turn(ground)
    assert len(beats) == 2


def turn(ground: Ground) -> None:
    """Go round once."""
    ground._publisher.announce = lambda *_, **__: ground._stop.set()  # type: ignore[method-assign]  # its last act
    ground._run()


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
    setup.ground.leave()
    assert [one["id"] for one in setup.told("detections")] == [found["id"]]
    assert setup.told("status")[-1]["state"] == "offline"
    assert setup.outbox.counts()[LetterState.CONFIRMED] == 1


def test_goodbye_does_not_wait_for_ever_for_a_silent_broker() -> None:
    setup = Setup()
    setup.publisher.go_down()
    found = feature(detection())
    setup.outbox.put([Letter(found["id"], "spanhawk/drone1/detections", to_bytes(found), 0)])
    setup.ground.leave()
    assert setup.outbox.counts()[LetterState.CONFIRMED] == 0


def test_a_dead_ground_thread_is_noticed() -> None:
    def broken() -> str | None:
        raise RuntimeError("the thermometer fell off")

    setup = Setup(broken)
    with setup.ground:
        setup.ground._thread.join(30)
        with pytest.raises(RuntimeError, match="thermometer"):
            setup.ground.check()


class Wandering:
    """A navigator whose fix comes and goes."""

    live = True

    def __init__(self, clock: ManualClock) -> None:
        self.inner = fixed.open_navigator(fixed.Options(lat_deg=51.0, lon_deg=3.7), clock)
        self.sees_satellites = True
        self.sick: str | None = None

    def at(self, exposed_ns: int) -> NavState:
        return self.inner.at(exposed_ns) if self.sees_satellites else nowhere(exposed_ns)

    def health(self) -> str | None:
        return self.sick


def test_a_position_that_is_lost_is_reported_and_one_that_is_late_is_not() -> None:
    """The receiver is heard as expected, it only sees no satellites: under a bridge, of all places."""
    clock = ManualClock(NOON)
    navigator = Wandering(clock)
    watch = PositionWatch(navigator, clock)  # type: ignore[arg-type]  # what is asked of it is there
    assert watch.trouble() is None
    navigator.sees_satellites = False
    clock.advance(4 * 10**9)
    assert watch.trouble() is None
    clock.advance(4 * 10**9)
    told = watch.trouble()
    assert told == "no satellite fix for 8 s: detections carry no position; check the antenna, or wait under open sky"
    navigator.sick = "the receiver was unplugged"
    assert watch.trouble() is None, "the source's own trouble says more"
    navigator.sick, navigator.sees_satellites = None, True
    assert watch.trouble() is None


def test_a_start_without_satellites_is_reported_unless_the_position_is_a_stated_one() -> None:
    clock = ManualClock(NOON)
    navigator = Wandering(clock)
    navigator.sees_satellites = False
    watch = PositionWatch(navigator, clock)  # type: ignore[arg-type]
    clock.advance(6 * 10**9)
    assert str(watch.trouble()).startswith("no satellite fix yet: detections carry no position")
    assert PositionWatch(fixed.open_navigator(fixed.Options(), clock), clock).trouble() is None


def test_a_trouble_that_comes_and_goes_each_second_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    turn = iter(range(10**6))
    setup = Setup(lambda: f"disk has {next(turn)} MB left" if next(turn) % 4 < 2 else None)
    for _ in range(60):
        setup.ground.report()
        setup.clock.advance(10**9)
    assert caplog.text.count("degraded: disk has") == 1
