"""gpsd's JSON socket: what a report means, and everything a server can do wrong."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import config
from edge.clock import ManualClock, SystemClock
from edge.errors import ConfigError
from edge.navigation import Fix, FixKind, Navigator
from edge.navigation.gpsd import Options, open_navigator
from edge.navigation.history import History
from edge.navigation.timebase import UtcTrack
from edge.navigation.tpv import Lines, Reports, position
from tests.navigation.waiting import PATIENCE_S, until

S = 1_000_000_000


def tpv(**fields: Any) -> dict[str, Any]:
    report = {"class": "TPV", "device": "/dev/ttyACM0", "mode": 3, "time": "2026-05-04T10:15:00.000Z"}
    return report | {"lat": 48.0, "lon": 11.0, "altHAE": 547.0, "altMSL": 500.0, "eph": 3.0, "epv": 5.0} | fields


def line(report: Any) -> bytes:
    return json.dumps(report).encode() + b"\r\n"


def test_a_report_is_a_fix() -> None:
    assert position(tpv()) == Fix(FixKind.FIX_3D, 48.0, 11.0, 500.0, 3.0, 5.0, 0)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"mode": 0}, None),
        ({"mode": 1}, None),
        ({"mode": 2}, FixKind.FIX_2D),
        ({"mode": 4}, None),
        ({"mode": "3"}, None),
        ({"mode": [3]}, None),
        ({"status": 0}, FixKind.FIX_3D),
        ({"status": 1}, FixKind.FIX_3D),
        ({"status": 2}, FixKind.DGPS),
        ({"status": 3}, FixKind.RTK_FIXED),
        ({"status": 4}, FixKind.RTK_FLOAT),
        ({"status": 5}, None),  # dead reckoning
        ({"status": 6}, FixKind.FIX_3D),
        ({"status": 7}, None),  # surveyed in
        ({"status": 8}, None),  # simulator
        ({"status": 9}, FixKind.FIX_3D),
        ({"status": 99}, FixKind.FIX_3D),
        ({"status": {}}, FixKind.FIX_3D),
        ({"mode": 2, "status": 2}, FixKind.FIX_2D),
        ({"lat": None}, None),
        ({"lon": "11"}, None),
        ({"lat": True}, None),
        ({"lat": float("nan")}, None),
        ({"lat": 10**400}, None),
    ],
)
def test_kinds(fields: dict[str, Any], kind: FixKind | None) -> None:
    got = position(tpv(**fields))
    assert (got.kind if got else None) == kind


def test_a_2d_report_has_no_altitude_however_many_it_carries() -> None:
    got = position(tpv(mode=2))
    assert got is not None
    assert (got.alt_amsl_m, got.v_accuracy_m) == (None, None)


def test_accuracy_falls_back_on_the_two_axes() -> None:
    report = tpv(epx=3.0, epy=4.0)
    del report["eph"]
    got = position(report)
    assert got is not None
    assert got.h_accuracy_m == 5.0


def test_altitude_of_an_old_gpsd() -> None:
    report = tpv(alt=512.0)
    del report["altMSL"], report["altHAE"]
    got = position(report)
    assert got is not None
    assert got.alt_amsl_m == 512.0


class Heard:
    """Reports fed by hand."""

    def __init__(self, device: str | None = None, latency_ns: int = 0) -> None:
        self.history, self.utc = History(), UtcTrack()
        self.reports = Reports(self.history, self.utc, device=device, latency_ns=latency_ns)

    def hear(self, report: Any, at_s: float) -> None:
        self.reports.hear(report if isinstance(report, bytes) else line(report), round(at_s * S))

    def fix(self, at_s: float) -> Fix | None:
        return self.history.at(round(at_s * S)).fix


@pytest.mark.parametrize("order", [("tpv", "gst"), ("gst", "tpv")])
def test_standard_deviations_of_the_same_moment_win(order: tuple[str, str]) -> None:
    gst = {"class": "GST", "device": "/dev/ttyACM0", "time": tpv()["time"], "lat": 0.03, "lon": 0.04, "alt": 0.08}
    heard = Heard()
    for place, which in enumerate(order):
        heard.hear(tpv() if which == "tpv" else gst, 10 + place / 10)
    got = heard.fix(10.5)
    assert got is not None
    assert (got.h_accuracy_m, got.v_accuracy_m) == (pytest.approx(0.05), 0.08)
    heard.hear(tpv(time="2026-05-04T10:15:01.000Z"), 11)
    got = heard.fix(11)
    assert got is not None
    assert got.h_accuracy_m == 3.0


def test_a_repeated_report_is_the_same_measurement() -> None:
    heard = Heard()
    heard.hear(tpv(), 10.0)
    heard.hear(tpv(status=2), 10.3)
    got = heard.fix(10.5)
    assert got is not None
    assert (got.age_ms, got.kind) == (500, FixKind.DGPS)


def test_a_known_latency_is_taken_off() -> None:
    heard = Heard(latency_ns=200_000_000)
    heard.hear(tpv(), 10.0)
    got = heard.fix(10.0)
    assert got is not None
    assert got.age_ms == 200


def test_losing_the_fix_is_not_the_old_fix() -> None:
    heard = Heard()
    heard.hear(tpv(), 10.0)
    heard.hear({"class": "TPV", "device": "/dev/ttyACM0", "mode": 1}, 10.5)
    assert heard.fix(10.6) is None


def test_only_the_receiver_that_was_named() -> None:
    heard = Heard(device="/dev/ttyACM1")
    heard.hear(tpv(), 10.0)
    assert heard.fix(10.0) is None
    heard.hear(tpv(device="/dev/ttyACM1"), 11.0)
    assert heard.fix(11.0) is not None


@pytest.mark.parametrize(
    ("stamp", "known"),
    [
        ("2026-05-04T10:15:00.000Z", True),
        ("2026-05-04T10:15:00.00Z", True),
        ("2026-05-04T10:15:00Z", True),
        ("1993-05-04T10:15:00.000Z", False),
        ("2026-05-04", False),
        ("", False),
        (17, False),
    ],
)
def test_utc_where_it_is_one(stamp: Any, known: bool) -> None:
    heard = Heard()
    heard.hear(tpv(time=stamp), 10.0)
    expected = datetime(2026, 5, 4, 10, 15, tzinfo=timezone.utc) if known else None
    assert heard.utc.at(10 * S) == expected
    assert heard.fix(10.0) is not None


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(["class", "mode", "status", "lat", "lon", "time", "devices", "device", "eph", "epv", "alt"])


@settings(max_examples=100)
@given(
    st.sampled_from(["TPV", "GST", "DEVICES", "SKY"]),
    st.dictionaries(keys, json_values, max_size=8),
    st.binary(max_size=50),
)
def test_no_report_raises(name: str, fields: dict[str, Any], noise: bytes) -> None:
    heard = Heard()
    heard.hear(fields, 1.0)
    heard.hear(tpv(**fields), 1.0)
    heard.hear({"class": name} | fields, 1.0)
    heard.hear(noise, 1.0)
    got = heard.fix(1.0)
    assert got is None or abs(got.lat_deg) + abs(got.lon_deg) > 1e-4


def test_nesting_without_end_and_numbers_without_end() -> None:
    heard = Heard()
    for bad in (b"[" * 60_000, b'{"a":' * 10_000, b"1" * 60_000, b'{"class":"TPV","mode":1e999}', b"null", b"\xff"):
        heard.hear(bad, 1.0)
    assert heard.fix(1.0) is None


def test_lines_are_cut_and_an_endless_one_is_dropped() -> None:
    lines = Lines()
    assert lines.feed(b"one\ntw") == [b"one"]
    assert lines.feed(b"o\r\n\n") == [b"two\r", b""]
    assert lines.feed(b"x" * 40_000) == []
    assert lines.feed(b"x" * 40_000) == []
    assert lines.feed(b"x" * 40_000) == []
    assert lines.feed(b"tail of it\nnext\n") == [b"next"]
    assert lines.feed(b"y" * 70_000 + b"\nlast\n") == [b"last"]


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
    [({"port": 0}, "port is 1 to 65535, got 0"), ({"latency_s": 9.0}, "latency_s is 0 to 5"), ({"hots": "x"}, "host")],
)
def test_options_refuse_nonsense(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config.build(Options, table, "navigation")
