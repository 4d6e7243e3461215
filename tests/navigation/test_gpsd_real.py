"""The real gpsd, fed with NMEA by a socket and by gpsfake."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.navigation import Fix, FixKind, Navigator
from edge.navigation.gpsd import Options, open_navigator
from edge.navigation.track import Limits
from edge.support.clock import SystemClock
from tests.navigation.material import gga, rmc, sentence
from tests.navigation.waiting import until

GPSD = shutil.which("gpsd", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
GPSFAKE = shutil.which("gpsfake")
# So patient that a missing fix can only be a refused one, never one that merely grew old.
PATIENT = Limits(stale_s=60.0, gap_s=60.0)

pytestmark = pytest.mark.skipif(GPSD is None or GPSFAKE is None, reason="needs gpsd and gpsfake (apt: gpsd-clients)")


def free(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Daemon:
    """A gpsd of our own that reads NMEA from a UDP port."""

    def __init__(self, serial: str | None = None) -> None:
        """``serial``: a serial port instead; ``say`` then is where its receiver's bytes go."""
        self.port, udp = free(socket.SOCK_STREAM), free(socket.SOCK_DGRAM)
        self._command = [str(GPSD), "-N", "-n", "-S", str(self.port), serial or f"udp://127.0.0.1:{udp}"]
        self.start()
        to, self._socket = ("127.0.0.1", udp), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.say: Callable[[bytes], object] = lambda line: self._socket.sendto(line, to)
        self._second = 0

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)

    def epoch(
        self, lat: str = "4800.0000", lon: str = "01100.0000", *, quality: str = "1", date: str = "040526"
    ) -> None:
        """One second of a receiver's output."""
        time_of_day = f"10{15 + self._second // 60}{self._second % 60:02d}.00"
        self._second += 1
        if quality == "0":  # as a receiver says it: the fields are empty
            text = sentence(f"GPRMC,{time_of_day},V,,,,,,,{date},,,N")
            text += sentence(f"GPGGA,{time_of_day},,,,,0,00,99.9,,,,,,") + sentence("GPGSA,A,1,,,,,,,,,,,,,9.9,9.9,9.9")
        else:
            text = rmc(time_of_day, date, "A", lat, lon) + gga(time_of_day, lat, lon, quality)
            text += sentence("GPGSA,A,3,01,02,03,04,,,,,,,,,1.0,0.8,0.6")
        for line in text.splitlines(keepends=True):
            self.say(line.encode())

    def close(self) -> None:
        self._socket.close()
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def gpsd() -> Iterator[Daemon]:
    daemon = Daemon()
    yield daemon
    daemon.close()


@pytest.fixture
def nav(gpsd: Daemon) -> Iterator[Navigator]:
    with open_navigator(Options(port=gpsd.port, limits=PATIENT), SystemClock()) as opened:
        until(lambda: "not connected" not in str(opened.health()) and "reached" not in str(opened.health()))
        yield opened


def fix(nav: Navigator) -> Fix | None:
    return nav.at(time.monotonic_ns()).fix


def _epochs_until_fix(gpsd: Daemon, nav: Navigator, lat: str, date: str = "040526") -> Fix:
    """One epoch after the other, each with time to arrive, until there is a fix."""
    for _ in range(100):
        gpsd.epoch(lat, date=date)
        for _ in range(20):
            found = fix(nav)
            if found is not None:
                return found
            threading.Event().wait(0.005)
    pytest.fail("no fix after 100 epochs")


def test_everything_a_receiver_does_wrong(gpsd: Daemon, nav: Navigator) -> None:
    """Fault test 17: no fix, null island, a jump, dead reckoning, an old date: never a position out of it."""
    gpsd.epoch(quality="0")
    assert fix(nav) is None
    got = _epochs_until_fix(gpsd, nav, "4800.0000")
    assert (got.lat_deg, got.kind, got.alt_amsl_m) == (48.0, FixKind.FIX_3D, 500.0)
    assert got.h_accuracy_m is not None

    gpsd.epoch("0000.0000", "00000.0000")  # mode 3, says gpsd
    until(lambda: fix(nav) is None)
    _epochs_until_fix(gpsd, nav, "4800.0010")

    gpsd.epoch("4902.0000")  # 115 km in a second
    until(lambda: fix(nav) is None)
    assert "jumped" in str(nav.health())
    _epochs_until_fix(gpsd, nav, "4800.0020")
    assert nav.health() is None

    gpsd.epoch("4800.0030", quality="6")
    until(lambda: fix(nav) is None)
    _epochs_until_fix(gpsd, nav, "4800.0040")

    gpsd.epoch(quality="0")
    until(lambda: fix(nav) is None)


def test_a_date_before_the_rollover_is_no_time_but_still_a_place(gpsd: Daemon, nav: Navigator) -> None:
    assert _epochs_until_fix(gpsd, nav, "4800.0000", date="040307").lat_deg == 48.0
    utc = nav.utc_at(time.monotonic_ns())
    assert utc is None or utc.year >= 2025


def test_gpsd_is_killed_and_comes_back(gpsd: Daemon) -> None:
    with open_navigator(Options(port=gpsd.port), SystemClock()) as nav:
        until(lambda: "not connected" not in str(nav.health()) and "reached" not in str(nav.health()))
        _epochs_until_fix(gpsd, nav, "4800.0000")
        gpsd.process.kill()
        gpsd.process.wait(10)
        until(lambda: "is gpsd running?" in str(nav.health()))
        until(lambda: fix(nav) is None)  # an old fix never stands in for a lost one
        gpsd.start()
        until(lambda: "is gpsd running?" not in str(nav.health()))
        assert _epochs_until_fix(gpsd, nav, "4800.0010").lat_deg == pytest.approx(48.0 + 0.001 / 60)
        assert nav.health() is None


def test_a_receiver_that_falls_silent_sends_noise_and_is_pulled_out() -> None:
    """On a serial port, which is a pseudo terminal here: gpsd lives on, and says less and less."""
    receiver, port = os.openpty()
    tty.setraw(port)
    os.chmod(os.ttyname(port), 0o666)  # gpsd gives up root
    gpsd = Daemon(os.ttyname(port))
    gpsd.say = lambda line: os.write(receiver, line)
    try:
        with open_navigator(Options(port=gpsd.port), SystemClock()) as nav:
            until(lambda: "not connected" not in str(nav.health()) and "reached" not in str(nav.health()))
            _epochs_until_fix(gpsd, nav, "4800.0000")
            until(lambda: fix(nav) is None)  # silent, and the last one grew old
            assert "has not reported" in str(until(nav.health)) or "no satellite fix" in str(nav.health())
            gpsd.say(random.Random(7).randbytes(4_000))
            assert fix(nav) is None
            assert _epochs_until_fix(gpsd, nav, "4800.0010").lat_deg == pytest.approx(48.0 + 0.001 / 60)
            os.close(port)
            os.close(receiver)
            receiver = -1
            until(lambda: fix(nav) is None)
            assert "has not reported" in str(until(nav.health)) or "no satellite fix" in str(nav.health())
            assert gpsd.process.poll() is None
    finally:
        if receiver >= 0:
            os.close(port)
            os.close(receiver)
        gpsd.close()


def test_gpsfake_replays_a_log(tmp_path: Path) -> None:
    log = tmp_path / "receiver.nmea"
    log.write_text("".join(rmc(f"1015{n:02d}.00") + gga(f"1015{n:02d}.00", quality="2") for n in range(30)))
    port = free(socket.SOCK_STREAM)
    command = [str(GPSFAKE), "-q", "-u", "-c", "0.02", "-P", str(port), str(log)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with open_navigator(Options(port=port), SystemClock()) as nav:
            got = until(lambda: f if (f := fix(nav)) and f.kind == FixKind.DGPS else None)
            assert (got.lat_deg, got.lon_deg) == (48.0, 11.0)
    finally:
        process.terminate()
        process.wait(10)
