"""What pilots of DJI drones own: subtitles of a video, AirData's CSV, flight records as CSV."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from edge.navigation import Attitude, FixKind
from edge.navigation.recorded import Options, open_navigator
from edge.support.clock import SystemClock
from edge.support.errors import NavFileError

S = 1_000_000_000
NEW = (
    "[iso: 100] [latitude: {lat:.6f}] [longitude: 4.000000] [rel_alt: 12.000 abs_alt: 57.000] "
    "[gb_yaw: 30.5 gb_pitch: -20.0 gb_roll: 0.0]"
)
OLD = "GPS(4.000000,{lat:.6f},19) BAROMETER:12.0"
MINI = "F/2.8, SS 640.0, ISO 100, EV 0, GPS (4.000000, {lat:.6f}, 15), D 10.0m, H 12.0m"
MISSPELT = "[latitude : {lat:.6f}] [longtitude : 4.000000] [altitude: 57.0]"


def srt(body: str, count: int = 4) -> str:
    cue = "{number}\n00:00:0{second},000 --> 00:00:0{second},033\n<font>{words} </font>\n"
    cues = (cue.format(number=n + 1, second=n, words=body.format(lat=51 + n * 4.5e-5)) for n in range(count))
    return "\n".join(cues)


def open_text(tmp_path: Path, text: str, name: str = "a.txt"):  # type: ignore[no-untyped-def]
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return open_navigator(Options(path=path), SystemClock())


@pytest.mark.parametrize(
    ("body", "kind", "alt_m"),
    [
        (NEW, FixKind.FIX_3D, 57.0),
        (OLD, FixKind.FIX_2D, None),
        (MINI, FixKind.FIX_2D, None),
        (MISSPELT, FixKind.FIX_3D, 57.0),
    ],
)
def test_subtitles_of_every_age(tmp_path: Path, body: str, kind: FixKind, alt_m: float | None) -> None:
    state = open_text(tmp_path, srt(body)).at(3 * S // 2)
    assert (state.fix.kind, state.fix.lon_deg, state.fix.alt_amsl_m) == (kind, 4.0, alt_m)
    assert state.fix.lat_deg == pytest.approx(51.0000675, abs=1e-9)
    assert state.fix.h_accuracy_m is None


def test_the_gimbals_angles_are_the_cameras(tmp_path: Path) -> None:
    assert open_text(tmp_path, srt(NEW)).at(S).attitude == Attitude(0.0, -20.0, 30.5)


def test_subtitles_of_a_gimbal_past_straight_down_do_not_tell_where_the_camera_looked(tmp_path: Path) -> None:
    """Roll 180 and pitch -95 with whatever yaw: by some firmware the yaw is turned with it, by some it is not."""
    past = srt(NEW.replace("gb_pitch: -20.0 gb_roll: 0.0", "gb_pitch: -95.0 gb_roll: 180.0"), 2)
    navigator = open_text(tmp_path, srt(NEW, 2) + "\n" + past.replace("00:00:0", "00:00:1"))
    assert [navigator.at(n * S).attitude is None for n in (0, 1, 10, 11)] == [False, False, True, True]
    said = "the gimbal is past straight down or up (roll 180, pitch -95) in 2 rows, of which it is not known where"
    assert any(one.startswith(said) for one in navigator.warnings())


@pytest.mark.parametrize(
    ("pitch", "roll", "known"), [(-95, 180, False), (-95, 0, True), (-130, 0, False), (-90, 0, True)]
)
def test_airdata_of_a_gimbal_past_straight_down(tmp_path: Path, pitch: int, roll: int, known: bool) -> None:
    rows = "".join(f"{100 * n},,51.0,4.0,39.4,200.0,10,300,{pitch},{roll},1\n" for n in range(3))
    navigator = open_text(tmp_path, AIR + rows)
    assert (navigator.at(S // 10).attitude is not None) == known
    assert any("past straight down" in one for one in navigator.warnings()) != known


def test_no_fix_in_a_cue_is_none_and_not_0_0(tmp_path: Path) -> None:
    navigator = open_text(
        tmp_path,
        srt(NEW) + srt(NEW.replace("{lat:.6f}", "0.000000").replace("4.0", "0.0")).replace("00:00:0", "00:00:1"),
    )
    assert navigator.at(S).fix is not None
    assert navigator.at(11 * S).fix is None


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (srt("[iso: 100]"), "no position"),
        (srt(NEW.replace("{lat:.6f}", "51,0536")), "damaged"),
        (srt(OLD.replace("{lat:.6f}", "51,0536")), "no position"),
        (srt(NEW.replace("{lat:.6f}", "151.0")), "damaged"),
        (srt(NEW, 2) + "\n" + srt(NEW, 2), "not after"),
    ],
)
def test_subtitles_that_cannot_be_are_refused_with_their_line(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(NavFileError, match=word):
        open_text(tmp_path, text)


AIR = (
    "time(millisecond),datetime(utc),latitude,longitude,height_above_takeoff(feet),altitude_above_seaLevel(feet),"
    " compass_heading(degrees),gimbal_heading(degrees),gimbal_pitch(degrees),gimbal_roll(degrees),isVideo\n"
)
RECORD = (
    "sep=,\nCUSTOM.date [local],CUSTOM.updateTime [local],OSD.flyTime [s],OSD.latitude,OSD.longitude,OSD.height [ft],"
    "OSD.altitude [ft],GIMBAL.pitch,GIMBAL.roll,GIMBAL.yaw [360]\n"
)


def test_airdata_in_feet_and_utc(tmp_path: Path) -> None:
    rows = "".join(
        f"{500 + 100 * n},2026-05-28 12:00:0{n},51.0,{4 + n * 1e-5},39.4,200.0,10,300,-15,0.5,1\n" for n in range(3)
    )
    navigator = open_text(tmp_path, AIR + rows)
    state = navigator.at(S // 10)
    assert state.fix.alt_amsl_m == pytest.approx(60.96)
    assert state.fix.lon_deg == pytest.approx(4.00001), "the first row stands at the first frame"
    assert state.attitude == Attitude(0.5, -15.0, 300.0)
    assert open_text(tmp_path, AIR.replace("(feet)", "(meters)") + rows).at(0).fix.alt_amsl_m == 200.0


def test_whole_seconds_that_ten_rows_repeat_tell_when_the_log_began_and_are_not_the_satellites_time(
    tmp_path: Path,
) -> None:
    """The log began 0.3 s after a full second: by the clock of whoever wrote it, which no satellite has set."""
    rows = "".join(
        f"{100 * n},2026-05-28 12:00:{(3 + n) // 10:02d},51.0,4.0,39.4,200.0,10,300,-15,0.5,1\n" for n in range(40)
    )
    navigator = open_text(tmp_path, AIR + rows)
    begin = datetime(2026, 5, 28, 12, 0, 0, 300_000, tzinfo=timezone.utc)
    assert abs(navigator.began_at - begin) <= timedelta(milliseconds=1)
    assert [navigator.utc_at(seconds * S) for seconds in (0, 1, 3)] == [None, None, None]


@pytest.mark.parametrize(
    ("cell", "began"),
    [
        ("2026-05-28 12:00:00", datetime(2026, 5, 28, 12, tzinfo=timezone.utc)),
        ("", None),
        ("5/28/2026", None),
        ("0001-01-01", None),
    ],
)
def test_when_a_log_of_one_second_began(tmp_path: Path, cell: str, began: datetime | None) -> None:
    rows = "".join(f"{100 * n},{cell},51.0,4.0,39.4,200.0,10,300,-15,0.5,1\n" for n in range(3))
    assert open_text(tmp_path, AIR + rows).began_at == began


def test_a_flight_record_with_its_sep_line(tmp_path: Path) -> None:
    rows = "".join(f"5/28/2026,2:00:0{n}.1 PM,{n / 10 + 0.1},51.0,4.0,39.4,100,-30,0,270.5\n" for n in range(3))
    state = open_text(tmp_path, RECORD + rows).at(S // 10)
    assert state.fix.alt_amsl_m == pytest.approx(30.48)
    assert state.attitude == Attitude(0.0, -30.0, 270.5)


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        ("0,,51.0,4.0,0,0,0,0,0,0,0\n-100,,51.0,4.0,0,0,0,0,0,0,0\n", "backwards"),
        ('0,,"51,05",4.0,0,0,0,0,0,0,0\n', "point"),
        ("0,,inf,4.0,0,0,0,0,0,0,0\n", "latitude"),
        (",,51.0,4.0,0,0,0,0,0,0,0\n", "no time"),
        ("", "no rows"),
    ],
)
def test_rows_that_cannot_be_are_refused_by_number(tmp_path: Path, rows: str, word: str) -> None:
    with pytest.raises(NavFileError, match=word):
        open_text(tmp_path, AIR + rows)


def test_airdata_before_the_satellites_is_no_fix(tmp_path: Path) -> None:
    rows = "0,,0.0,0.0,0,0,0,0,0,0,0\n100,,,,0,0,0,0,0,0,0\n200,,51.0,4.0,0,0,0,0,0,0,0\n"
    navigator = open_text(tmp_path, AIR + rows)
    assert [navigator.at(n * S // 10).fix is None for n in range(3)] == [True, True, False]
