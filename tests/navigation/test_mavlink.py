"""The live autopilot: a fake vehicle on real UDP, TCP and serial ports of this machine."""

from __future__ import annotations

import logging
import math
import random
import select
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pymavlink.dialects.v20 import common

from edge.navigation import FixKind, Navigator, NavState
from edge.navigation.mavlink import Options, open_navigator
from edge.navigation.track import Limits
from edge.support.clock import SystemClock
from tests.navigation.material import START_US, Autopilot
from tests.navigation.waiting import PATIENCE_S, now, until

S = 1_000_000_000


class Vehicle:
    """A fake autopilot behind a UDP socket; its boot clock runs with ours, ``boot_s`` ahead of nothing."""

    def __init__(self, port: int, **ids: int) -> None:
        self.pilot = Autopilot(**ids)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(PATIENCE_S)
        self.to = ("127.0.0.1", port)
        self.born_ns = time.monotonic_ns() - 30 * S

    def boot_ms(self) -> int:
        return (time.monotonic_ns() - self.born_ns) // 1_000_000

    def send(self, *frames: bytes) -> None:
        for frame in frames:
            self.socket.sendto(frame, self.to)

    def tell(self, lat_deg: float = 48.0, fix_type: int = 3, cm: int = 420) -> None:
        """One round of everything."""
        ms = self.boot_ms()
        self.send(self.pilot.heartbeat(), self.pilot.gps(fix_type=fix_type, lat_deg=lat_deg))
        self.send(self.pilot.system_time(ms, START_US + ms * 1000), self.pilot.place(ms, lat_deg))
        self.send(self.pilot.attitude(ms, yaw=1.0), self.pilot.distance(ms, cm))

    def receive(self, kind: str) -> Any:
        """The next message of this kind that the other side sends."""
        while True:
            for message in _messages(self.socket.recv(4096)):
                if message.get_type() == kind:
                    return message

    def hears(self, kind: str) -> bool:
        """Whether the next datagram, if there is one, is of this kind."""
        ready = select.select([self.socket], [], [], 0)[0]
        return bool(ready) and kind in [message.get_type() for message in _messages(self.socket.recv(4096))]

    def close(self) -> None:
        self.socket.close()


def _messages(data: bytes) -> list[Any]:
    parser = common.MAVLink(None)
    parser.robust_parsing = True
    return parser.parse_buffer(data) or []


@pytest.fixture
def nav(port: int) -> Iterator[Navigator]:
    # One word of the vehicle must last until a busy machine comes to look for it.
    patient = Limits(stale_s=PATIENCE_S, hold_s=PATIENCE_S)
    with open_navigator(Options(device=f"udp:127.0.0.1:{port}", limits=patient), SystemClock()) as opened:
        yield opened


@pytest.fixture
def vehicle(port: int) -> Iterator[Vehicle]:
    fake = Vehicle(port)
    yield fake
    fake.close()


def test_position_attitude_range_and_time_arrive(nav: Navigator, vehicle: Vehicle) -> None:
    assert "no heartbeat from an autopilot" in str(nav.health())
    vehicle.tell()
    state = until(lambda: now(nav) if now(nav).range_m else None)
    assert state.fix.kind == FixKind.FIX_3D
    assert (state.fix.lat_deg, state.fix.lon_deg, state.fix.h_accuracy_m) == (48.0, 11.0, 0.8)
    assert state.attitude.yaw_deg == pytest.approx(math.degrees(1.0), abs=1e-4)
    assert state.range_m == pytest.approx(4.2)
    utc = nav.utc_at(vehicle.born_ns)
    assert utc is not None
    assert abs(utc.timestamp() - START_US / 1e6) < 0.5
    assert nav.health() is None


def test_it_asks_for_what_it_needs_and_commands_nothing_else(nav: Navigator, vehicle: Vehicle) -> None:
    vehicle.send(vehicle.pilot.heartbeat())
    beat = vehicle.receive("HEARTBEAT")
    assert (beat.type, beat.autopilot) == (common.MAV_TYPE_ONBOARD_CONTROLLER, common.MAV_AUTOPILOT_INVALID)
    asked = {}
    while len(asked) < 6:
        command = vehicle.receive("COMMAND_LONG")
        assert command.command == common.MAV_CMD_SET_MESSAGE_INTERVAL
        assert (command.target_system, command.target_component) == (1, 1)
        assert (command.get_srcSystem(), command.get_srcComponent()) == (1, 191)
        asked[int(command.param1)] = command.param2
    assert asked == {30: 50_000, 33: 50_000, 132: 50_000, 24: 200_000, 124: 200_000, 2: 1_000_000}


def test_a_timesync_answer_is_used(nav: Navigator, vehicle: Vehicle) -> None:
    vehicle.send(vehicle.pilot.heartbeat())
    question = vehicle.receive("TIMESYNC")
    assert question.tc1 == 0
    vehicle.send(vehicle.pilot.timesync(time.monotonic_ns() - vehicle.born_ns, question.ts1))
    vehicle.send(vehicle.pilot.timesync(999 * S, 12345))  # an answer to nobody's question
    vehicle.tell()
    assert until(lambda: now(nav).fix)


def test_the_link_may_be_late_but_the_time_is_the_measurements(nav: Navigator, vehicle: Vehicle) -> None:
    """A prompt message sets the offset; a later one is told 300 ms late and still lands where it was measured."""
    vehicle.tell()
    until(lambda: now(nav).attitude)
    then_ms = vehicle.boot_ms()
    then_ns = vehicle.born_ns + then_ms * 1_000_000
    late = vehicle.pilot.attitude(then_ms, yaw=2.0)
    until(lambda: time.monotonic_ns() > then_ns + 300_000_000)
    vehicle.send(late)
    until(lambda: (a := nav.at(then_ns + 20_000_000).attitude) and abs(a.yaw_deg - math.degrees(2.0)) < 0.1)


def test_foreign_senders_are_ignored(nav: Navigator, vehicle: Vehicle, port: int) -> None:
    vehicle.tell()
    until(lambda: now(nav).fix)
    stranger = Vehicle(port, system=77)
    for _ in range(20):
        stranger.tell(lat_deg=10.0, cm=900)
    stranger.close()

    def moved() -> NavState | None:  # told again and again: on a busy machine one word is stale before it is looked for
        vehicle.tell(lat_deg=48.00001)
        state = now(nav)
        return state if state.fix and state.fix.lat_deg > 48.000005 else None

    state = until(moved)
    assert state.range_m == pytest.approx(4.2)


def test_answers_go_to_the_vehicle_and_not_to_whoever_spoke_last(nav: Navigator, vehicle: Vehicle, port: int) -> None:
    vehicle.tell()
    vehicle.receive("TIMESYNC")
    stranger = Vehicle(port, system=77)
    stranger.tell()
    first = vehicle.receive("TIMESYNC")
    stranger.tell()
    assert vehicle.receive("TIMESYNC").ts1 > first.ts1
    stranger.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        stranger.socket.recv(4096)
    stranger.close()


def test_losing_the_satellites_takes_the_fix_at_once(nav: Navigator, vehicle: Vehicle) -> None:
    vehicle.tell()
    until(lambda: now(nav).fix)
    vehicle.tell(fix_type=1)
    until(lambda: now(nav).fix is None and now(nav).attitude is not None)


def test_a_restart_of_the_autopilot(nav: Navigator, vehicle: Vehicle, caplog: pytest.LogCaptureFixture) -> None:
    vehicle.tell()
    until(lambda: now(nav).fix)
    for _ in range(5):
        vehicle.receive("COMMAND_LONG")
    with caplog.at_level(logging.WARNING):
        vehicle.born_ns = time.monotonic_ns()
        vehicle.send(vehicle.pilot.heartbeat(), vehicle.pilot.attitude(vehicle.boot_ms()))
        until(lambda: now(nav).fix is None)
        until(lambda: "began anew" in caplog.text)
    # An autopilot forgets the rates it was asked for: it is asked again, though everything still comes.
    until(lambda: vehicle.tell() or vehicle.hears("COMMAND_LONG"))
    vehicle.tell()
    until(lambda: now(nav).fix)


def test_noise_on_the_port_does_no_harm(nav: Navigator, vehicle: Vehicle) -> None:
    dice = random.Random(18)
    for _ in range(300):
        frame = bytearray(vehicle.pilot.place(vehicle.boot_ms(), 10.0, 10.0))
        frame[dice.randrange(1, len(frame))] ^= 1 << dice.randrange(8)
        vehicle.send(bytes(frame), dice.randbytes(dice.randrange(1, 300)))
    # The end of the noise may look like the beginning of a frame, until enough bytes have come to tell.
    assert until(lambda: vehicle.tell() or now(nav).fix).lat_deg == 48.0


def test_whom_it_hears_instead_of_a_vehicle(nav: Navigator, vehicle: Vehicle) -> None:
    """Cleanflight is component 200, and a tracker is no drone: both are named with what to set."""
    vehicle.send(Autopilot(0, 200).heartbeat(), Autopilot(2).heartbeat(kind=5))
    said = until(lambda: s if "antenna tracker" in (s := str(nav.health())) else None)
    assert "no heartbeat from an autopilot, component 1" in said
    assert "heard so far: system 0, component 200 (quadrotor); system 2, component 1 (antenna tracker)" in said
    assert "set navigation.system_id and component_id" in said
    assert now(nav).fix is None


def test_a_second_drone_on_the_link_is_a_warning_on_status_and_in_the_log(
    nav: Navigator, vehicle: Vehicle, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        vehicle.tell()
        until(lambda: now(nav).fix)
        vehicle.send(Autopilot(3).heartbeat(kind=13))
        [said] = until(nav.warnings)
        until(lambda: said in caplog.text)
    assert "not of system 3, component 1 (hexarotor)" in said
    assert nav.health() is None
