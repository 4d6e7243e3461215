"""What an autopilot hangs on: ports that are named wrongly, taken, unplugged, hung up, or silent."""

from __future__ import annotations

import logging
import os
import socket
import threading
from datetime import datetime, timezone
from typing import Any

import pytest

from edge.navigation.link import open_link
from edge.navigation.mavlink import MavlinkNavigator, Options, open_navigator
from edge.support import config
from edge.support.clock import ManualClock, SystemClock
from edge.support.errors import ConfigError, DeviceError
from tests.navigation.material import Autopilot
from tests.navigation.waiting import PATIENCE_S, now, until

S = 1_000_000_000


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
    clock = ManualClock(datetime(2026, 5, 4, tzinfo=timezone.utc))
    link = Still()
    with MavlinkNavigator(Options(device="udp:still:1"), clock, link) as nav:
        link.say(Autopilot().heartbeat())
        until(lambda: nav.health() is None)
        clock.advance(4 * S)
        link.say(Autopilot().heartbeat())
        clock.advance(2 * S)
        until(lambda: "sends no GPS_RAW_INT" in str(nav.health()))
        clock.advance(4 * S)
        until(lambda: "last heard" in str(nav.health()))


class Still:
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
