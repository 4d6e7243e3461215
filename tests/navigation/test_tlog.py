"""Telemetry logs: written with pymavlink, damaged on purpose."""

from __future__ import annotations

import logging
import math
import random
import struct
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from edge.navigation import FixKind, Navigator, rotation
from edge.navigation.recorded import Options, RecordedNavigator, open_navigator
from edge.navigation.tlog import records
from edge.navigation.vehicle import Mount
from edge.support.clock import ManualClock
from edge.support.errors import NavFileError
from tests.navigation.material import Autopilot, flight, tlog

S = 1_000_000_000
START = datetime(2026, 5, 4, 10, tzinfo=timezone.utc)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flight.tlog"


def opened(path: Path, data: bytes, **options: Any) -> Navigator:
    path.write_bytes(data)
    return open_navigator(Options(path=path, **options), ManualClock(datetime(2026, 5, 4, tzinfo=timezone.utc)))


def test_a_flight_comes_out_as_it_was_flown(path: Path) -> None:
    with opened(path, tlog(flight()), start_ns=77 * S) as nav:
        for t_s in (0.0, 0.25, 3.1, 9.99):
            state = nav.at(77 * S + round(t_s * S))
            assert state.fix is not None
            assert state.attitude is not None
            assert state.fix.lat_deg == pytest.approx(48.0 + t_s * 1e-5, abs=2e-7)
            assert state.fix.kind == FixKind.FIX_3D
            assert state.attitude.yaw_deg == pytest.approx(t_s, abs=1e-3)
            assert state.range_m == pytest.approx(4.2)
            assert nav.utc_at(77 * S + round(t_s * S)) == START + timedelta(seconds=t_s)
        assert nav.health() is None


def test_an_offset_moves_the_frames_into_the_log(path: Path) -> None:
    with opened(path, tlog(flight()), offset_s=4.0) as nav:
        got = nav.at(0).fix
        assert got is not None
        assert got.lat_deg == pytest.approx(48.00004, abs=2e-7)


def test_version_1_reads_the_same(path: Path) -> None:
    with opened(path, tlog(flight(make=lambda: Autopilot(version_1=True)))) as nav:
        assert nav.at(5 * S).fix is not None


def test_a_minute_of_zeros_before_the_fix(path: Path) -> None:
    pilot, log = Autopilot(), []
    for step in range(900):
        t_s, there = step / 10, step >= 600
        log += [(t_s, pilot.heartbeat())] if step % 10 == 0 else []
        where = (48.0, 11.0) if there else (0.0, 0.0)
        log += [(t_s, pilot.gps(fix_type=3 if there else 1, lat_deg=where[0], lon_deg=where[1]))]
        log += [(t_s, pilot.place(1000 + step * 100, *where))]
    with opened(path, tlog(log)) as nav:
        assert all(nav.at(t * S // 4).fix is None for t in range(240))
        assert all(nav.at(t * S // 4).fix is not None for t in range(240, 360))


def test_other_senders_in_the_log_are_ignored(path: Path) -> None:
    station, other, log = Autopilot(255, 190), Autopilot(2, 1), []
    for t_s, frame in flight():
        log += [(t_s, station.heartbeat(kind=6, autopilot=8)), (t_s, other.place(round(t_s * 1000), 10.0, 10.0))]
        log += [(t_s, frame)]
    with opened(path, tlog(log)) as nav:
        got = nav.at(5 * S).fix
    assert got is not None
    assert got.lat_deg == pytest.approx(48.00005, abs=2e-7)


def test_the_log_begins_before_the_first_heartbeat(path: Path) -> None:
    late = [record for record in flight() if record[0] > 0.0]
    pilot = Autopilot()
    early = [(0.0, pilot.gps()), (0.0, pilot.place(5000)), (0.0, pilot.attitude(5000))]
    with opened(path, tlog(early + late)) as nav:
        assert nav.at(0).fix is not None


def test_a_log_without_heartbeats_or_gps_raw_is_still_read(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pilot = Autopilot(3, 1)
    log = [(n / 10, pilot.place(n * 100, 48.0)) for n in range(20)]
    with caplog.at_level(logging.WARNING), opened(path, tlog(log)) as nav:
        got = nav.at(S).fix
    assert got is not None
    assert (got.kind, got.h_accuracy_m) == (FixKind.FIX_3D, None)
    assert "holds no GPS_RAW_INT" in caplog.text


def test_without_satellite_time_the_loggers_own_is_no_more_than_a_label(path: Path) -> None:
    pilot = Autopilot()
    log = [(0.0, pilot.heartbeat()), *((n / 10, pilot.place(n * 100)) for n in range(20))]
    with opened(path, tlog(log), offset_s=0.5) as nav:
        assert isinstance(nav, RecordedNavigator)
        assert nav.utc_at(S) is None
        assert nav.began_at == START + timedelta(seconds=0.5)


def test_the_mount_turns_the_attitude(path: Path) -> None:
    with opened(path, tlog(flight()), mount=Mount(camera_pitch_deg=-90, range_orientation=0)) as nav:
        state = nav.at(2 * S)
    assert state.attitude is not None
    assert state.attitude.pitch_deg == pytest.approx(-90)
    assert abs(rotation.wrap_deg(state.attitude.yaw_deg - 2.0)) < 1e-3
    assert state.range_m is not None


def test_jitter_of_the_recording_link_is_taken_out(path: Path) -> None:
    """The station heard every message 20 to 300 ms late, at random; positions stay on the line."""
    dice = random.Random(3)
    late = sorted((t_s + 0.02 + dice.random() ** 4 * 0.28, frame) for t_s, frame in flight(20.0))
    with opened(path, tlog([(0.0, Autopilot().heartbeat()), *late])) as nav:
        for step in range(40, 190):
            got = nav.at(round((step / 10 + 0.02) * S)).fix
            assert got is not None
            assert got.lat_deg == pytest.approx(48.0 + step * 1e-6, abs=2e-7)  # 20 ms at 1 m/s


def test_a_restart_in_the_middle_keeps_both_flights(path: Path) -> None:
    second = [(t_s + 12.0, frame) for t_s, frame in flight()]
    with opened(path, tlog(flight() + second)) as nav:
        assert nav.at(5 * S).fix is not None
        assert nav.at(round(11.5 * S)).fix is None
        assert nav.at(17 * S).fix is not None


def test_a_log_cut_off_and_a_log_that_begins_in_the_middle(path: Path) -> None:
    data = tlog(flight())
    for piece in (data[:-7], data[-4000:], b"\x00\x01" + data, data[5:]):
        with opened(path, piece) as nav:
            assert nav.health() is None


def test_damage_gives_no_wrong_position(path: Path) -> None:
    """One flipped bit per 200 bytes, runs of noise and missing pieces."""
    dice, data = random.Random(5), bytearray(tlog(flight(60.0)))
    for _ in range(len(data) // 200):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    for _ in range(10):
        start = dice.randrange(len(data))
        data[start : start + 100] = dice.randbytes(dice.randrange(200))
    path.write_bytes(data)
    with opened(path, bytes(data)) as nav:
        found = [nav.at(t * S // 10).fix for t in range(600)]
    known = [fix for fix in found if fix is not None]
    assert len(known) > 100
    assert all(47.9999 < fix.lat_deg < 48.0007 and fix.lon_deg == 11.0 for fix in known)


def test_a_record_before_a_damaged_one_is_kept_when_its_checksum_is_right(path: Path) -> None:
    from edge.navigation.mavlink import decoder

    pilot = Autopilot()
    frames = [pilot.place(n * 100) for n in range(3)]
    data = bytearray(tlog([(n / 10, frame) for n, frame in enumerate(frames)]))
    second = 8 + len(frames[0]) + 8
    data[second] = 0x00  # its magic
    kept = [data[start:end] for _, start, end in records(bytes(data), decoder())]
    assert kept == [frames[0], frames[2]]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: tlog([(n, Autopilot().heartbeat()) for n in range(5)]), "without a position or attitude"),
        (lambda: random.Random(1).randbytes(5000), "binary but no MAVLink tlog"),
        (lambda: bytes(range(256)) * 10, "binary but no MAVLink tlog"),
        (lambda: b"\xa3\x95\x80" + bytes(500), "ArduPilot dataflash log; replay takes the telemetry log"),
        (lambda: b"ULog\x01\x12\x35" + bytes(500), "PX4 ULog"),
        (lambda: b"\xb5\x62" + bytes(500), "u-blox UBX log"),
        (lambda: b"PK\x03\x04" + bytes(500), "zip archive"),
        (lambda: b"<?xml version='1.0'?><gpx/>", "XML or HTML"),
        (lambda: bytes(1000), "is empty"),
    ],
)
def test_what_is_no_track_is_named(path: Path, make: Any, words: str) -> None:
    with pytest.raises(NavFileError, match=words):
        opened(path, make())


def test_an_offset_past_the_end_is_a_mistake_in_units(path: Path) -> None:
    with pytest.raises(NavFileError, match=r"ends at 10 s of its own time, before the first frame at 4000 s; --nav"):
        opened(path, tlog(flight()), offset_s=4000.0)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NavFileError, match="cannot be read"):
        open_navigator(Options(path=tmp_path / "none.tlog"), ManualClock(datetime(2026, 5, 4, tzinfo=timezone.utc)))
    with pytest.raises(NavFileError, match="cannot be read"):
        open_navigator(Options(path=tmp_path), ManualClock(datetime(2026, 5, 4, tzinfo=timezone.utc)))


def test_options_refuse_nonsense(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="offset_s is in seconds"):
        Options(path=tmp_path, offset_s=math.nan)


def test_only_a_tlog_loads_pymavlink(tmp_path: Path) -> None:
    """In a fresh interpreter: CSV, NMEA and even refused binaries never touch the vendor library."""
    import subprocess
    import sys

    (tmp_path / "a.csv").write_text("t_s,lat_deg,lon_deg\n0,48,11\n")
    (tmp_path / "b.bin").write_bytes(struct.pack(">Q", 5) + b"\xfd\xfe" * 50)
    program = (
        "import sys, datetime\n"
        "from pathlib import Path\n"
        "from edge.support.clock import ManualClock\n"
        "from edge.support.errors import NavFileError\n"
        "from edge.navigation.recorded import Options, RecordedNavigator, open_navigator\n"
        "clock = ManualClock(datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc))\n"
        f"open_navigator(Options(path=Path({str(tmp_path / 'a.csv')!r})), clock)\n"
        "try:\n"
        f"    open_navigator(Options(path=Path({str(tmp_path / 'b.bin')!r})), clock)\n"
        "except NavFileError:\n"
        "    pass\n"
        "assert not [name for name in sys.modules if name.startswith('pymavlink')]\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)


@pytest.mark.parametrize(("counted", "per_s"), [("nothing", 0), ("seconds", 1), ("microseconds", 1_000_000)])
def test_a_count_in_another_unit_is_never_believed_in_a_log(path: Path, counted: str, per_s: int) -> None:
    """In flight it takes some seconds to notice; a log is read whole, so its first frames are right too."""
    pilot, log = Autopilot(), []
    for step in range(300):
        t_s = step / 10
        boot = 60_000 + round(t_s * per_s)
        log += [(t_s, pilot.heartbeat())] if step % 10 == 0 else []
        log += [(t_s, pilot.gps(lat_deg=48.0 + t_s * 1e-5)), (t_s, pilot.place(boot, 48.0 + t_s * 1e-5))]
    with opened(path, tlog(log)) as nav:
        for t_s in (0.0, 1.0, 4.0, 20.0):
            state = nav.at(round(t_s * S))
            assert state.fix is not None, counted
            assert state.fix.lat_deg == pytest.approx(48.0 + t_s * 1e-5, abs=2e-7)
        assert any("does not count milliseconds" in sentence for sentence in warned(nav))


def test_time_stamps_in_another_unit_and_frames_beyond_them_are_named(path: Path) -> None:
    stamps_ms = [(t_s / 1000, frame) for t_s, frame in flight(30.0)]
    with opened(path, tlog(stamps_ms)) as nav:
        assert any("1e+03 times as fast as the log's time stamps" in sentence for sentence in warned(nav))
        assert nav.at(0).fix is not None
        assert nav.at(20 * S).fix is None
        assert str(nav.health()).startswith(
            f"1 frames stand outside of {path} and have no position: it covers 0 to 0.03"
        )


@pytest.mark.parametrize("filtered", [(214.7, 11.0), (0.0, 0.0), (-91.0, 11.0)])
def test_a_filter_that_is_nowhere_leaves_the_word_to_the_receiver(path: Path, filtered: tuple[float, float]) -> None:
    pilot, log = Autopilot(), []
    for step in range(100):
        log += [(step / 10, pilot.heartbeat())] if step % 10 == 0 else []
        log += [(step / 10, pilot.gps()), (step / 10, pilot.place(1000 + step * 100, *filtered))]
    with opened(path, tlog(log)) as nav:
        state = nav.at(5 * S)
        assert state.fix is not None
        assert state.fix.lat_deg == 48.0


def test_a_filter_far_from_its_receiver_is_no_place_and_named(path: Path) -> None:
    pilot, log = Autopilot(), []
    for step in range(100):
        log += [(step / 10, pilot.heartbeat())] if step % 10 == 0 else []
        log += [(step / 10, pilot.gps()), (step / 10, pilot.place(1000 + step * 100, 48.5, 11.0))]
    with opened(path, tlog(log)) as nav:
        assert nav.at(5 * S).fix is None
        assert any("lies 56 km from its satellite receiver's" in sentence for sentence in warned(nav))


def test_a_receiver_that_leaves_its_place_out_contradicts_nobody(path: Path) -> None:
    pilot, log = Autopilot(), []
    for step in range(100):
        log += [(step / 10, pilot.heartbeat())] if step % 10 == 0 else []
        log += [(step / 10, pilot.gps(lat_deg=0.0, lon_deg=0.0)), (step / 10, pilot.place(1000 + step * 100))]
    with opened(path, tlog(log)) as nav:
        state = nav.at(5 * S)
        assert state.fix is not None
        assert state.fix.lat_deg == 48.0
        assert warned(nav) == ()


def warned(nav: Navigator) -> tuple[str, ...]:
    assert isinstance(nav, RecordedNavigator)
    return nav.warnings()
