"""The live autopilot: a fake vehicle on real UDP, TCP and serial ports of this machine."""

from __future__ import annotations

import logging
import math
import os
import random
import select
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pymavlink.dialects.v20 import common

from edge.navigation import FixKind, Navigator, NavState
from edge.navigation.link import open_link
from edge.navigation.mavlink import Options, open_navigator
from edge.support import config
from edge.support.clock import SystemClock
from edge.support.errors import ConfigError, DeviceError
from tests.navigation.material import START_US, Autopilot
from tests.navigation.waiting import PATIENCE_S, until

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
def port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def nav(port: int) -> Iterator[Navigator]:
    with open_navigator(Options(device=f"udp:127.0.0.1:{port}"), SystemClock()) as opened:
        yield opened


@pytest.fixture
def vehicle(port: int) -> Iterator[Vehicle]:
    fake = Vehicle(port)
    yield fake
    fake.close()


def now(nav: Navigator) -> Any:
    return nav.at(time.monotonic_ns())


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


def test_the_port_is_taken() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        device = f"udp:127.0.0.1:{holder.getsockname()[1]}"
        with pytest.raises(DeviceError, match="another program listens there"):
            open_navigator(Options(device=device), SystemClock())


@pytest.mark.parametrize(
    ("device", "baud", "error", "words"),
    [
        ("/dev/ttyNONE0", 57600, DeviceError, "cannot be opened .*raspi-config"),
        ("/dev/null", 57600, DeviceError, "is not a serial port"),
        ("/dev/ttyNONE0", 57601, ConfigError, "baud is 57601, which no serial port knows"),
        ("ttyAMA0", 57600, ConfigError, "device is 'ttyAMA0'; known forms: udp:HOST:PORT"),
        ("udp:14550", 57600, ConfigError, "known forms"),
        ("udp:127.0.0.1:port", 57600, ConfigError, "known forms"),
        ("tcp:127.0.0.1:99999", 57600, ConfigError, "known forms"),
        ("tcp:127.0.0.1:1", 57600, DeviceError, "no connection"),
    ],
)
def test_what_cannot_be_opened_is_named(device: str, baud: int, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        open_navigator(Options(device=device, baud=baud), SystemClock())


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"system_id": 256}, "system_id is 0 to 255, got 256"),
        ({"component_id": 256}, "component_id is 1 to 255"),
        ({"rate_hz": 0}, "rate_hz is 0.5 to 200"),
        ({"device": "/dev/ttyAMA0", "baud": 912600}, "baud is 912600, which no serial port knows; usual: 57600"),
        ({"device": "/dev/ttyAMA0", "baud": 0}, "baud is 0"),
        ({"device": "udp:14550"}, "write udp:127.0.0.1:14550"),
        ({"device": "tcp:host:99999"}, "known forms: udp:HOST:PORT"),
        ({"device": "serial:/dev/ttyAMA0:921600"}, "write device = '/dev/ttyAMA0' and baud = 921600"),
        ({"device": "/dev/serial0:921600"}, "write device = '/dev/serial0' and baud = 921600"),
        ({"device": "/dev/ttyUSB0,57600"}, "write device = '/dev/ttyUSB0' and baud = 57600"),
        ({"device": "COM3"}, "COM ports are those of Windows"),
        ({"device": ""}, "known forms"),
        ({"mount": {"camera_pitch": -90}}, "did you mean camera_pitch_deg"),
        ({"limits": {"stale_s": -1}}, "navigation.limits: stale_s must be above 0"),
    ],
)
def test_options_refuse_nonsense(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config.build(Options, table, "navigation")


@pytest.mark.parametrize(
    "device", ["/dev/serial/by-path/platform-pcie-0000:01:00.0-usb-0:1", "udpout:10.0.0.1:14550", "udpin:0.0.0.0:14550"]
)
def test_forms_that_are_taken(device: str) -> None:
    assert Options(device=device).device == device


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


def test_a_serial_port_and_its_unplugging(caplog: pytest.LogCaptureFixture) -> None:
    """A pseudo terminal stands for the UART; closing its other end is the cable coming out."""
    ours, theirs = os.openpty()
    path, pilot = os.ttyname(theirs), Autopilot()
    with open_navigator(Options(device=path, baud=57600), SystemClock()) as nav:
        os.close(theirs)
        os.write(ours, pilot.heartbeat() + pilot.gps() + pilot.place(1000))
        assert until(lambda: now(nav).fix).lat_deg == 48.0
        assert b"\xfd" in os.read(ours, 4096)  # our heartbeat
        with caplog.at_level(logging.WARNING):
            os.close(ours)
            until(lambda: "unplugged" in str(nav.health()) or "cannot be opened" in str(nav.health()))
    assert "unplugged" in caplog.text


def test_a_tcp_server_that_hangs_up_and_comes_back() -> None:
    pilot = Autopilot()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_S)
        device = f"tcp:127.0.0.1:{server.getsockname()[1]}"
        with open_navigator(Options(device=device), SystemClock()) as nav:
            first, _ = server.accept()
            with first:
                first.sendall(pilot.heartbeat() + pilot.gps() + pilot.place(1000))
                until(lambda: now(nav).fix)
            until(lambda: "closed" in str(nav.health()) or "broke" in str(nav.health()))
            second, _ = server.accept()
            with second:
                second.sendall(pilot.heartbeat() + pilot.gps() + pilot.place(1100, 48.00001))
                until(lambda: (f := now(nav).fix) and f.lat_deg > 48.000005)


def test_udpout_reaches_a_router(port: int) -> None:
    """The other direction: we speak first, and a router answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as router:
        router.bind(("127.0.0.1", port))
        router.settimeout(PATIENCE_S)
        with open_navigator(Options(device=f"udpout:127.0.0.1:{port}"), SystemClock()) as nav:
            _, sender = router.recvfrom(4096)
            pilot = Autopilot()
            for frame in (pilot.heartbeat(), pilot.gps(), pilot.place(1000)):
                router.sendto(frame, sender)
            until(lambda: now(nav).fix)


def test_udpout_to_a_port_nobody_has_opened_yet(port: int) -> None:
    link = open_link(f"udpout:127.0.0.1:{port}", 0)
    for _ in range(5):
        link.write(b"hello")
        assert link.read(0.01) == b""
    link.close()


def test_silence_becomes_a_sentence() -> None:
    """On a clock of our own: 6 s without a heartbeat, and before that a missing message."""
    from datetime import datetime, timezone

    from edge.navigation.mavlink import MavlinkNavigator
    from edge.support.clock import ManualClock

    clock = ManualClock(datetime(2026, 5, 4, tzinfo=timezone.utc))
    link = _Still()
    with MavlinkNavigator(Options(device="udp:still:1"), clock, link) as nav:
        link.say(Autopilot().heartbeat())
        until(lambda: nav.health() is None)
        clock.advance(4 * S)
        link.say(Autopilot().heartbeat())
        clock.advance(2 * S)
        until(lambda: "sends no GPS_RAW_INT" in str(nav.health()))
        clock.advance(4 * S)
        until(lambda: "last heard" in str(nav.health()))


class _Still:
    """A link that says what the test tells it to."""

    def __init__(self) -> None:
        self._data, self._lock, self._heard = b"", threading.Lock(), threading.Event()

    def say(self, data: bytes) -> None:
        with self._lock:
            self._data += data
        self._heard.clear()
        assert self._heard.wait(PATIENCE_S)

    def read(self, timeout_s: float) -> bytes:
        threading.Event().wait(0.005)
        with self._lock:
            data, self._data = self._data, b""
        if not data:
            self._heard.set()  # asked again, so what was said has been taken in
        return data

    def write(self, data: bytes) -> None:
        pass

    def settle(self) -> None:
        pass

    def close(self) -> None:
        pass
