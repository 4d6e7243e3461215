"""CSV tracks: what is understood, and the sentence for everything that is not."""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.navigation import Attitude, FixKind, Navigator
from edge.navigation.recorded import Options, open_navigator
from edge.support.clock import ManualClock
from edge.support.errors import EXIT_CONFIG, NavFileError
from tests.navigation.material import HEADER

S = 1_000_000_000


def opened(path: Path, content: str | bytes, **options: float) -> Navigator:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return open_navigator(
        Options(path=path, **options),  # type: ignore[arg-type]
        ManualClock(datetime(2026, 5, 4, tzinfo=timezone.utc)),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nav.csv"


FLIGHT = f"""{HEADER}
0,48.0,11.0,500,1,-90,359,5.0,0.5
1,48.00001,11.00002,501,1,-90,1,5.2,0.8
2,,,,,,,,
3,48.00003,11.00006,503,,,,,
"""


def test_every_column_comes_out_where_it_belongs(path: Path) -> None:
    with opened(path, FLIGHT) as nav:
        state = nav.at(0)
        assert state.fix is not None
        assert (state.fix.lat_deg, state.fix.lon_deg, state.fix.alt_amsl_m) == (48.0, 11.0, 500.0)
        assert (state.fix.kind, state.fix.h_accuracy_m, state.fix.v_accuracy_m) == (FixKind.FIX_3D, 0.5, None)
        assert state.attitude == Attitude(1, -90, 359)
        assert state.range_m == 5.0
        assert nav.utc_at(0) is None
        assert nav.health() is None


def test_between_rows_it_is_interpolated(path: Path) -> None:
    with opened(path, FLIGHT) as nav:
        state = nav.at(S // 2)
    assert state.fix is not None
    assert state.fix.lat_deg == pytest.approx(48.000005)
    assert (state.fix.h_accuracy_m, state.fix.age_ms) == (0.8, 0)
    assert state.range_m == pytest.approx(5.1)
    assert state.attitude is not None
    assert state.attitude.pitch_deg == -90


def test_an_empty_cell_is_unknown_and_never_the_row_before(path: Path) -> None:
    with opened(path, FLIGHT) as nav:
        assert [nav.at(t * S // 2).fix is not None for t in range(8)] == [1, 1, 1, 0, 0, 0, 1, 1]
        assert nav.at(3 * S).attitude is None
        assert nav.at(3 * S).range_m is None
        assert nav.at(5 * S).fix is not None
        assert nav.at(5 * S + 1).fix is None


def test_the_first_frame_may_stand_anywhere(path: Path) -> None:
    with opened(path, FLIGHT, offset_s=1.0, start_ns=70 * S) as nav:
        got = nav.at(70 * S).fix
        assert got is not None
        assert got.lat_deg == 48.00001
        assert nav.at(69 * S).fix is not None
        assert nav.at(0).fix is None
    with opened(path, FLIGHT, offset_s=-10.0) as nav:
        assert nav.at(9 * S).fix is None
        assert nav.at(10 * S).fix is not None


def test_columns_in_any_order_windows_line_ends_bom_and_blank_lines(path: Path) -> None:
    text = "\ufeffLon_deg , lat_deg,T_S\r\n\r\n 11.5 , 48.5 ,0\r\n11.5,48.5,1\r\n\r\n"
    with opened(path, text) as nav:
        state = nav.at(0)
    assert state.fix is not None
    assert (state.fix.lat_deg, state.fix.lon_deg, state.fix.kind) == (48.5, 11.5, FixKind.FIX_2D)
    assert state.fix.alt_amsl_m is None
    assert state.attitude is None


def test_a_minute_of_zeros_is_a_minute_without_a_fix(path: Path) -> None:
    rows = "".join(f"{t},{0 if t < 60 else 48.0},{0 if t < 60 else 11.0},0,,,,,\n" for t in range(65))
    with opened(path, f"{HEADER}\n{rows}") as nav:
        assert all(nav.at(t * S // 4).fix is None for t in range(240))
        assert all(nav.at(t * S // 4).fix is not None for t in range(240, 257))


def test_other_columns_are_ignored_with_a_warning(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), opened(path, "t_s,lat_deg,lon_deg,speed,note\n0,48,11,5,x\n") as nav:
        assert nav.at(0).fix is not None
    assert "ignores the columns speed, note" in caplog.text


def test_wide_gaps_are_announced(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), opened(path, "t_s,lat_deg,lon_deg\n0,48,11\n5,48,11\n10,48,11\n") as nav:
        assert nav.at(2 * S).fix is None
    assert "neighbouring fixes are more than 2.5 s apart in 2 places" in caplog.text


def test_a_jump_is_announced(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = "".join(f"{t},{49.0 if t == 3 else 48.0},11\n" for t in range(9))
    with caplog.at_level(logging.WARNING), opened(path, f"t_s,lat_deg,lon_deg\n{rows}") as nav:
        assert [nav.at(t * S).fix is not None for t in range(9)] == [1, 1, 1, 0, 0, 0, 0, 1, 1]
    assert "4 fixes are withheld" in caplog.text


def test_a_log_without_any_fix_says_so(path: Path) -> None:
    with opened(path, "t_s,lat_deg,lon_deg\n0,0,0\n1,,\n") as nav:
        assert nav.at(0).fix is None
        assert "no fix at all" in str(nav.health())


def test_zero_range_and_accuracy_are_unknown(path: Path) -> None:
    with opened(path, f"{HEADER}\n0,48,11,500,0,0,0,0,0\n") as nav:
        state = nav.at(0)
    assert state.range_m is None
    assert state.fix is not None
    assert state.fix.h_accuracy_m is None


ROW = "0,48.0,11.0,500,1,2,3,5.0,0.5"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"{HEADER}\n{ROW}\nx,48,11,,,,,,\n", r"row 3: t_s is 'x'; expected a number from -1e\+07 to 1e\+07"),
        (f"{HEADER}\n,48,11,,,,,,\n", "row 2: t_s is empty"),
        (f"{HEADER}\n0,91,11,,,,,,\n", "row 2: lat_deg is '91'; expected a number from -90 to 90, or nothing"),
        (f"{HEADER}\n0,48,-180.5,,,,,,\n", "row 2: lon_deg is '-180.5'; expected a number from -180 to 180"),
        (f"{HEADER}\n0,48,11,nan,,,,,\n", "row 2: alt_amsl_m is 'nan'"),
        (f"{HEADER}\n0,48,11,1_000,,,,,\n", "row 2: alt_amsl_m is '1_000'"),
        (f"{HEADER}\n0,48,11,inf,,,,,\n", "alt_amsl_m is 'inf'"),
        (f"{HEADER}\n0,48,11,,,,720,,\n", "yaw_deg is '720'"),
        (f"{HEADER}\n0,48,11,,,,,-1,\n", "range_m is '-1'; expected a number from 0 to 10000"),
        (f"{HEADER}\n0,48,11,,,,,,-0.1\n", "h_accuracy_m is '-0.1'"),
        (f"{HEADER}\n0,48,,,,,,,\n", "row 2: lon_deg is empty but its partner is not"),
        (f"{HEADER}\n0,,11,,,,,,\n", "row 2: lat_deg is empty but its partner is not"),
        (f"{HEADER}\n1,48,11,,,,,,\n1,48,11,,,,,,\n", "row 3: t_s is 1 after 1; it must rise"),
        (f"{HEADER}\n2,48,11,,,,,,\n\n1,48,11,,,,,,\n", "row 4: t_s is 1 after 2"),
        (f"{HEADER}\n0,48,11\n", "row 2: has 3 cells where the header has 9; cut off while writing"),
        (f"{HEADER}\n{ROW},7\n", "row 2: has 10 cells where the header has 9; decimal commas"),
        ("t_s;lat_deg;lon_deg\n0;48,1;11,2\n", "separated by semicolons; export it with commas"),
        ("t_s\tlat_deg\tlon_deg\n0\t48\t11\n", "separated by tabs"),
        ('t_s,lat_deg,lon_deg\n0,"48,1","11,2"\n', "lat_deg is '48,1'.*write the decimal point as a point"),
        ("time,lat_deg,lon_deg\n0,48,11\n", "no column t_s"),
        ("0,48,11\n1,48,11\n", "no column t_s or lat_deg or lon_deg"),
        ("t_s,lat_deg,lon_deg,lat_deg\n0,48,11,48\n", "the column lat_deg is there twice"),
        (f"{HEADER}\n", "has a header but no rows"),
        ("", "is empty"),
        ("\n\n  \n", "is empty"),
        (f"{HEADER}\n{ROW}\n".encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        (f"{HEADER}\n{ROW}\n".encode("utf-16-be"), "binary"),
        (f"{HEADER}\n{ROW}\n".encode() + b"1,48\xff,11,,,,,,\n", "row 3: is not UTF-8"),
        ('t_s,lat_deg,lon_deg\n0,"48,11\n', "row 2: not CSV"),
    ],
)
def test_what_is_wrong_is_named(path: Path, content: str | bytes, words: str) -> None:
    with pytest.raises(NavFileError, match=words) as caught:
        opened(path, content)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == EXIT_CONFIG


@settings(max_examples=100)
@given(st.text(alphabet='0123456789.,;-+eE\n\r "tslat_deg\x00\u00e9', max_size=200))
def test_garbage_is_refused_not_raised_through(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    target = tmp_path_factory.getbasetemp() / "garbage.csv"
    for content in (text, f"t_s,lat_deg,lon_deg\n{text}"):
        try:
            nav = opened(target, content)
        except NavFileError:
            continue
        assert nav.at(0).at_ns == 0


def test_radians_are_named(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    opened(path, "t_s,lat_deg,lon_deg\n0,0.8901179,0.0698132\n1,0.8901187,0.0698132\n")
    assert "are they in radians?" in caplog.text
    caplog.clear()
    opened(path, "t_s,lat_deg,lon_deg\n0,0.8901179,0.0698132\n1,48.1,11.0\n")
    assert "in radians?" not in caplog.text
