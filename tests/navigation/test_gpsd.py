"""gpsd's JSON socket: what a report means, and everything a server can do wrong."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from edge.navigation import Fix, FixKind, Navigator
from edge.navigation.gpsd import Options, open_navigator
from edge.navigation.history import History
from edge.navigation.timebase import UtcTrack
from edge.navigation.tpv import Reports
from edge.support import config
from edge.support.clock import ManualClock, SystemClock
from edge.support.errors import ConfigError
from tests.navigation.gpsd_lines import S, line, tpv
from tests.navigation.waiting import PATIENCE_S, until


class Server:
    """Speaks gpsd's protocol, or pretends to."""

    def __init__(self, port: int = 0) -> None:
        self._server = socket.create_server(("127.0.0.1", port))
        self._server.settimeout(PATIENCE_S)
        self.port = int(self._server.getsockname()[1])
        self._client: socket.socket | None = None

    def accept(self) -> bytes:
        """Wait for the navigator; returns what it asks."""
        client, _ = self._server.accept()
        client.settimeout(PATIENCE_S)
        self._client = client
        client.sendall(line({"class": "VERSION", "release": "3.22", "proto_major": 3, "proto_minor": 14}))
        return client.recv(4096)

    def send(self, data: bytes) -> None:
        assert self._client is not None
        self._client.sendall(data)

    def hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def close(self) -> None:
        self.hang_up()
        self._server.close()


@pytest.fixture
def server() -> Iterator[Server]:
    opened = Server()
    yield opened
    opened.close()


@pytest.fixture
def nav(server: Server) -> Iterator[Navigator]:
    with open_navigator(Options(port=server.port), SystemClock()) as opened:
        yield opened


def fix(nav: Navigator) -> Fix | None:
    return nav.at(time.monotonic_ns()).fix


def test_it_asks_for_reports_and_hears_them(server: Server, nav: Navigator) -> None:
    assert server.accept() == b'?WATCH={"enable":true,"json":true}\n'
    data = line({"class": "DEVICES", "devices": [{"path": "/dev/ttyACM0"}]}) + line({"class": "SKY"}) + line(tpv())
    server.send(data[:150])
    server.send(data[150:])
    got = until(lambda: fix(nav))
    assert (got.lat_deg, got.kind) == (48.0, FixKind.FIX_3D)
    assert nav.health() is None
    assert nav.utc_at(time.monotonic_ns()) is not None
    assert nav.at(time.monotonic_ns()).attitude is None


def test_garbage_in_between_is_stepped_over(server: Server, nav: Navigator) -> None:
    server.accept()
    server.send(b"\x00\xff\xfe{{{\n" + b"[" * 200_000 + b"\n" + line([1]) + line({"class": "NEW"}) + line(tpv()))
    until(lambda: fix(nav))


def test_a_server_that_hangs_up_is_called_again(
    server: Server, nav: Navigator, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        server.accept()
        server.send(line(tpv()))
        until(lambda: fix(nav))
        server.hang_up()
        until(lambda: "closed the connection; is gpsd running" in str(nav.health()))
        server.accept()
        server.send(line(tpv(lat=48.00001, time="2026-05-04T10:15:01.000Z")))
        until(lambda: (f := fix(nav)) and f.lat_deg > 48.000005)
        until(lambda: nav.health() is None)
    assert [r.levelname for r in caplog.records if "gpsd" in r.message] == ["WARNING", "INFO"]


def test_a_server_that_is_not_there_yet(server: Server) -> None:
    port = server.port
    server.close()
    with open_navigator(Options(port=port), SystemClock()) as nav:
        until(lambda: "cannot be reached (Connection refused); is gpsd running?" in str(nav.health()))
        assert fix(nav) is None
        late = Server(port)
        late.accept()
        late.send(line(tpv()))
        until(lambda: fix(nav))
        late.close()


def test_gpsd_without_a_receiver(server: Server, nav: Navigator) -> None:
    server.accept()
    server.send(line({"class": "DEVICES", "devices": []}))
    until(lambda: "has no receiver; plug it in" in str(nav.health()))


def test_a_receiver_that_falls_silent(server: Server) -> None:
    clock = ManualClock(datetime(2026, 5, 4, tzinfo=timezone.utc))
    with open_navigator(Options(port=server.port), clock) as nav:
        server.accept()
        server.send(line(tpv()))
        until(lambda: nav.at(0).fix)
        clock.advance(6 * S)
        until(lambda: "has not reported for 6 s; check the receiver" in str(nav.health()))
        assert nav.at(6 * S).fix is None


def test_a_jump_is_withheld_and_said(server: Server, nav: Navigator) -> None:
    server.accept()
    server.send(line(tpv()))
    until(lambda: fix(nav))
    server.send(line(tpv(lat=49.0, time="2026-05-04T10:15:01.000Z")))
    until(lambda: "jumped" in str(nav.health()))
    assert fix(nav) is None


def test_closing_does_not_wait_for_the_server(server: Server) -> None:
    with open_navigator(Options(port=server.port), SystemClock()):
        server.accept()
        began = time.monotonic()
    assert time.monotonic() - began < 5.0
    assert not [t for t in threading.enumerate() if t.name == "gpsd"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"port": 0}, "port is 1 to 65535, got 0"),
        ({"latency_s": 9.0}, "latency_s is 0 to 5"),
        ({"hots": "x"}, "host"),
        ({"host": "drone:2948"}, "write host = 'drone' and port = 2948"),
        ({"host": ""}, "host name or an address"),
        ({"host": "tcp://drone"}, "host name or an address"),
    ],
)
def test_options_refuse_nonsense(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config.build(Options, table, "navigation")


def test_a_receiver_may_be_named_by_a_link_to_it(tmp_path: Path) -> None:
    """udev's stable names are links; gpsd names a receiver as it was told."""
    (tmp_path / "by-id").symlink_to(tmp_path / "ttyACM0")
    history = History()
    reports = Reports(history, UtcTrack(), device=str(tmp_path / "by-id"), latency_ns=0)
    reports.hear(line(tpv(device=str(tmp_path / "ttyACM0"))), 0)
    reports.hear(line(tpv(device="/dev/ttyUSB7", lat=1.0)), 0)
    assert history.fix_count == 1


def test_two_receivers_of_which_none_is_named_are_a_warning() -> None:
    reports = Reports(History(), UtcTrack(), device=None, latency_ns=0)
    reports.hear(line(tpv(device="/dev/ttyACM0")), 0)
    assert reports.warnings(0) == ()
    reports.hear(line(tpv(device="/dev/ttyACM1")), S)
    assert reports.warnings(S) == (
        "gpsd mixes the positions of /dev/ttyACM0, /dev/ttyACM1; name one as navigation.device",
    )
    assert reports.warnings(60 * S) == ()


def test_an_error_nobody_expected_costs_a_moment_not_the_flight(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread used to end there, and the rest of the flight had no position."""
    hear, bad = Reports.hear, iter((True,))

    def once_broken(reports: Reports, said: bytes, now_ns: int) -> None:
        if next(bad, False):
            raise IndexError("a report nobody foresaw")
        hear(reports, said, now_ns)

    monkeypatch.setattr(Reports, "hear", once_broken)
    with open_navigator(Options(port=server.port), SystemClock()) as nav:
        server.accept()
        until(lambda: "IndexError: a report nobody foresaw" in str(nav.health()))
        server.hang_up()
        server.accept()
        server.send(line(tpv()))
        until(lambda: nav.at(SystemClock().monotonic_ns()).fix)
