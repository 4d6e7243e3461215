"""What one report of gpsd says, and what is no report."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.navigation import Fix, FixKind
from edge.navigation.history import History
from edge.navigation.timebase import UtcTrack
from edge.navigation.tpv import Lines, Reports, position
from tests.navigation.gpsd_lines import S, line, tpv


def test_a_report_is_a_fix() -> None:
    assert position(tpv()) == Fix(FixKind.FIX_3D, 48.0, 11.0, 500.0, 3.0, 5.0, 0, 547.0)


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
    assert (got.alt_amsl_m, got.alt_ellipsoid_m, got.v_accuracy_m) == (None, None, None)


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
    assert (got.alt_amsl_m, got.alt_ellipsoid_m) == (512.0, None)


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
