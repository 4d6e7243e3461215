"""NMEA logs: which position counts, at which time, and how sure it is."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.navigation import FixKind, Navigator
from edge.navigation.recorded import Options, open_navigator
from edge.support.clock import ManualClock
from edge.support.errors import NavFileError
from tests.navigation.material import gga, rmc, sentence

S = 1_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "receiver.log"


def opened(path: Path, content: str | bytes) -> Navigator:
    path.write_bytes(content.encode("latin-1") if isinstance(content, str) else content)
    return open_navigator(Options(path=path), ManualClock(datetime(2026, 5, 4, tzinfo=timezone.utc)))


def test_position_altitude_time_and_accuracy(path: Path) -> None:
    text = rmc("101500.00") + gga("101500.00", "4807.0380", "01131.0000", "4", "545.4")
    text += sentence("GPGST,101500.00,0.01,,,,0.03,0.04,0.08") + sentence("GNGSA,A,3,01,02,,,,,,,,,,,1.0,0.8,0.6")
    text += gga("101501.00", "4807.0380", "01131.0000", "4", "545.4")
    with opened(path, text) as nav:
        got = nav.at(0).fix
        assert got is not None
        assert (got.lat_deg, got.lon_deg) == pytest.approx((48 + 7.038 / 60, 11 + 31 / 60), abs=1e-12)
        assert (got.kind, got.alt_amsl_m) == (FixKind.RTK_FIXED, 545.4)
        assert got.alt_ellipsoid_m == pytest.approx(545.4 + 47.0)
        assert (got.h_accuracy_m, got.v_accuracy_m) == (pytest.approx(0.05), 0.08)
        assert nav.utc_at(S // 2) == datetime(2026, 5, 4, 10, 15, 0, 500_000, tzinfo=timezone.utc)
        later = nav.at(S).fix
        assert later is not None
        assert later.h_accuracy_m is None


def test_south_and_west_are_negative(path: Path) -> None:
    text = sentence("GPGGA,101500,3330.0000,S,07030.0000,W,1,08,0.9,520,M,,M,,")
    with opened(path, text) as nav:
        got = nav.at(0).fix
    assert got is not None
    assert (got.lat_deg, got.lon_deg) == (-33.5, -70.5)
    assert (got.alt_amsl_m, got.alt_ellipsoid_m) == (520.0, None)  # no geoid separation was sent


@pytest.mark.parametrize(
    ("quality", "kind"),
    [
        ("0", None),
        ("1", FixKind.FIX_3D),
        ("2", FixKind.DGPS),
        ("3", FixKind.FIX_3D),
        ("4", FixKind.RTK_FIXED),
        ("5", FixKind.RTK_FLOAT),
        ("6", None),  # estimated: dead reckoning
        ("7", None),  # manual
        ("8", None),  # simulator
        ("", None),
        ("x", None),
    ],
)
def test_qualities(path: Path, quality: str, kind: FixKind | None) -> None:
    with opened(path, gga("101500", quality=quality)) as nav:
        got = nav.at(0).fix
    assert (got.kind if got else None) == kind


def test_one_sentence_that_denies_the_fix_is_enough(path: Path) -> None:
    with opened(path, rmc("101500", status="V") + gga("101500")) as nav:
        assert nav.at(0).fix is None
    with opened(path, gga("101500") + sentence("GPGSA,A,1,,,,,,,,,,,,,9.9,9.9,9.9")) as nav:
        assert nav.at(0).fix is None


def test_gsa_two_dimensions_takes_the_altitude_away(path: Path) -> None:
    with opened(path, gga("101500", quality="2") + sentence("GPGSA,A,2,01,02,,,,,,,,,,,1,1,1")) as nav:
        got = nav.at(0).fix
    assert got is not None
    assert (got.kind, got.alt_amsl_m) == (FixKind.FIX_2D, None)


def test_gsa_of_a_constellation_without_satellites_does_not_deny_the_fix(path: Path) -> None:
    text = gga("101500") + sentence("GNGSA,A,3,01,02,03,,,,,,,,,,1,1,1") + sentence("GNGSA,A,1,,,,,,,,,,,,,9,9,9")
    with opened(path, text) as nav:
        assert nav.at(0).fix is not None


def test_rmc_alone_gives_a_position_without_altitude(path: Path) -> None:
    with opened(path, rmc("101500") + rmc("101501")) as nav:
        got = nav.at(S // 2).fix
    assert got is not None
    assert (got.kind, got.alt_amsl_m) == (FixKind.FIX_2D, None)


def test_the_combined_solution_wins_over_one_constellation(path: Path) -> None:
    combined = sentence("GNGGA,101500,4900.0000,N,01100.0000,E,2,12,0.6,500,M,47,M,,")
    for text in (gga("101500") + combined, combined + gga("101500")):
        with opened(path, text) as nav:
            got = nav.at(0).fix
        assert got is not None
        assert (got.lat_deg, got.kind) == (49.0, FixKind.DGPS)


def test_a_minute_without_a_fix_then_the_clock_is_set(path: Path) -> None:
    """A receiver that counts from midnight until it has a fix: its leap to the true time is not flight time."""
    text = "".join(rmc(f"0000{t:02d}", date="060180", status="V") for t in range(60))
    text += "".join(rmc(f"1015{t:02d}") + gga(f"1015{t:02d}") for t in range(5))
    with opened(path, text) as nav:
        assert all(nav.at(t * S).fix is None for t in range(60))
        assert nav.at(60 * S).fix is not None
        assert nav.at(64 * S).fix is not None
        assert nav.utc_at(60 * S) == datetime(2026, 5, 4, 10, 15, tzinfo=timezone.utc)
        assert "the receiver set its clock by +36841.0 s at 59.0 s" in nav.warnings()[0]


def test_over_midnight(path: Path) -> None:
    text = rmc("235959.00", date="311226") + rmc("000000.00", date="010127") + rmc("000001.00", date="010127")
    with opened(path, text) as nav:
        assert nav.at(2 * S).fix is not None
        assert nav.at(5 * S).fix is None
        new_year = datetime(2027, 1, 1, tzinfo=timezone.utc)
        assert [nav.utc_at(t * S) for t in (0, 1, 2)] == [new_year + timedelta(seconds=s) for s in (-1, 0, 1)]


def test_a_real_gap_stays_a_gap(path: Path) -> None:
    with opened(path, gga("101500") + gga("103500")) as nav:
        assert nav.at(10 * S).fix is None
        assert nav.at(1200 * S).fix is not None


def test_a_log_with_a_loggers_stamp_noise_and_windows_ends(path: Path) -> None:
    text = b"\xff\x00\x81noise\r\n" + f"2026-05-04 10:15:00.123 {gga('101500')}".encode()
    text += sentence("GPGSV,1,1,01,01,40,083,46").encode() + sentence("PUBX,00,1").encode() + b"\r\n!AIVDM,1,1\r\n"
    with opened(path, text) as nav:
        assert nav.at(0).fix is not None


def test_bad_checksums_are_skipped_and_counted_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wrong = gga("101501", lat="4900.0000").replace("4900", "4909")
    cut = gga("101502").split("*")[0][:-30] + "\r\n"
    with caplog.at_level(logging.WARNING), opened(path, gga("101500") + wrong + cut + gga("101503")) as nav:
        assert nav.at(S).fix is None  # 3 s between what is left
    assert "skipped 2 of 4 NMEA sentences" in caplog.text
    assert "the first in line 2" in caplog.text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gga("101500").split("*")[0] + "\r\n", "none of its 1 NMEA sentences has a right checksum"),
        (gga("") + rmc(""), "none of its 2 NMEA sentences holds a time"),
        (gga("996161"), "none of its 1 NMEA sentences holds a time"),
    ],
)
def test_nothing_usable_is_refused(path: Path, content: str, words: str) -> None:
    with pytest.raises(NavFileError, match=words):
        opened(path, content)


@pytest.mark.parametrize(
    "body",
    [
        "GPGGA,101500,4860.0000,N,01100.0000,E,1,08,0.9,500,M,,M,,",  # 60 minutes
        "GPGGA,101500,9900.0000,N,01100.0000,E,1,08,0.9,500,M,,M,,",
        "GPGGA,101500,4800.0000,X,01100.0000,E,1,08,0.9,500,M,,M,,",
        "GPGGA,101500,,,,,1,08,0.9,500,M,,M,,",
        "GPGGA,101500,0000.0000,N,00000.0000,E,1,08,0.9,0,M,,M,,",
        "GPGGA,101500",
        "GPRMC,101500,A",
        "GPRMC,101500,A,4800.0,N,01100.0,E,0,0,310226,,,E",  # estimated
    ],
)
def test_no_position_is_no_fix(path: Path, body: str) -> None:
    with opened(path, sentence(body)) as nav:
        assert nav.at(0).fix is None


@settings(max_examples=100)
@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=80), st.integers(0, 6))
def test_any_content_under_a_right_checksum_is_survived(
    tmp_path_factory: pytest.TempPathFactory, text: str, which: int
) -> None:
    kind = ("GGA", "RMC", "GSA", "GST", "GNS", "GLL", "ZDA")[which]
    body = text.replace("*", "").replace("$", "")
    target = tmp_path_factory.getbasetemp() / "any.nmea"
    with opened(target, gga("101500") + sentence(f"GP{kind},{body}") + sentence(f"GP{kind},101501,{body}")) as nav:
        assert nav.at(S // 2).at_ns == S // 2
