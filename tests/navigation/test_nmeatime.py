"""When the epochs of an NMEA log were: late sentences, sessions, midnights, set clocks, two receivers in one log."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.navigation import Navigator
from edge.navigation.recorded import Options, open_navigator
from edge.support.clock import ManualClock
from edge.support.errors import NavFileError
from tests.navigation.material import sentence

S = 1_000_000_000
NOON = datetime(2026, 5, 28, 12, tzinfo=timezone.utc)
METRE_DEG = 1 / 111_195
NEAR_DEG = 0.3 * METRE_DEG


def place(seconds: float, aside_m: float = 0.0) -> str:
    """5 m/s due north, so many seconds after the start."""
    return f"51{60 * (seconds * 5 + aside_m) * METRE_DEG:010.7f},N,00400.0000,E"


def clock(at: datetime) -> str:
    return f"{at:%H%M%S}.{at.microsecond // 10_000:02d}"


def gga(t_s: float, *, start: datetime = NOON, talker: str = "GN", aside_m: float = 0.0, says: float = 0.0) -> str:
    """``says``: seconds by which the receiver's clock is ahead."""
    at = clock(start + timedelta(seconds=t_s + says))
    return sentence(f"{talker}GGA,{at},{place(t_s, aside_m)},1,12,0.8,20.0,M,45.0,M,,")


def rmc(t_s: float, *, start: datetime = NOON, talker: str = "GN", aside_m: float = 0.0, says: float = 0.0) -> str:
    at = start + timedelta(seconds=t_s + says)
    return sentence(f"{talker}RMC,{clock(at)},A,{place(t_s, aside_m)},9.7,0.0,{at:%d%m%y},,,A,V")


def both(t_s: float, **how: object) -> str:
    return rmc(t_s, **how) + gga(t_s, **how)  # type: ignore[arg-type]  # the options of either


def opened(folder: Path, text: str) -> Navigator:
    path = folder / "log.nmea"
    path.write_text(text)
    return open_navigator(Options(path=path), ManualClock(NOON))


def right_at(nav: Navigator, *moments_s: float) -> bool:
    """The position flown at each of these seconds."""
    fixes = [nav.at(round(t_s * S)).fix for t_s in moments_s]
    return all(
        fix is not None and abs(fix.lat_deg - 51.0 - 5 * t_s * METRE_DEG) < NEAR_DEG
        for fix, t_s in zip(fixes, moments_s, strict=True)
    )


@pytest.mark.parametrize("late", [1, 2, 5])
def test_two_receivers_of_which_one_is_late_in_the_log(tmp_path: Path, late: int) -> None:
    text = "".join(
        both(t_s) + (both(t_s - late, talker="GP", aside_m=1.1) if t_s >= late else "") for t_s in range(100)
    )
    with opened(tmp_path, text) as nav:
        assert right_at(nav, *range(0, 99, 7))
        assert "two receivers are in one log: positions are those of GN, and GP" in nav.warnings()[0]
        assert nav.utc_at(50 * S) == NOON + timedelta(seconds=50)


@pytest.mark.parametrize("ahead_s", [18.0, -2.0, 0.5])
def test_two_receivers_of_which_one_has_the_wrong_time(tmp_path: Path, ahead_s: float) -> None:
    """Until it knows of leap seconds, a receiver gives GPS time, 18 s ahead of UTC."""
    text = "".join(both(t_s) + both(t_s, talker="GP", says=ahead_s) for t_s in range(100))
    with opened(tmp_path, text) as nav:
        assert right_at(nav, *range(0, 99, 7))
        assert "two receivers" in nav.warnings()[0]


def test_two_receivers_under_one_name_that_agree(tmp_path: Path) -> None:
    text = "".join(both(t_s) + (both(t_s - 1, aside_m=0.2) if t_s else "") for t_s in range(100))
    with opened(tmp_path, text) as nav:
        assert right_at(nav, *range(0, 99, 7))
        assert "two receivers under one name" in nav.warnings()[0]


def test_two_receivers_under_one_name_that_do_not_agree_are_refused(tmp_path: Path) -> None:
    text = "".join(both(t_s) + both(t_s, says=-18.0) for t_s in range(100))
    with pytest.raises(NavFileError, match="do not agree on the time or the place; log one receiver at a time"):
        opened(tmp_path, text)


def test_the_talkers_of_one_receiver_are_one_epoch(tmp_path: Path) -> None:
    text = "".join(
        rmc(t_s, talker="GP") + gga(t_s) + sentence("GLGSA,A,3,65,66,,,,,,,,,,,1.2,0.8,0.9") for t_s in range(20)
    )
    with opened(tmp_path, text) as nav:
        assert right_at(nav, *range(19))
        assert nav.warnings() == ()


@pytest.mark.parametrize("talker", ["GP", "GL", "GA", "GB", "BD", "GQ", "GI", "IN"])
def test_unusual_talkers(tmp_path: Path, talker: str) -> None:
    with opened(tmp_path, "".join(both(t_s, talker=talker) for t_s in range(20))) as nav:
        assert right_at(nav, *range(19))
        assert nav.utc_at(S) == NOON + timedelta(seconds=1)


def test_an_rmc_at_the_end_of_its_second(tmp_path: Path) -> None:
    text = "".join(gga(step / 10) + (rmc(step // 10) if step % 10 == 9 else "") for step in range(600))
    with opened(tmp_path, text) as nav:
        assert right_at(nav, *(t_s / 4 for t_s in range(239)))
        assert nav.utc_at(30 * S) == NOON + timedelta(seconds=30)
        assert nav.warnings() == ()


@pytest.mark.parametrize("hours", [1, 11, 14, 23, 24, 40, 24 * 9])
def test_the_time_between_two_sessions_is_flown_time(tmp_path: Path, hours: int) -> None:
    later = NOON + timedelta(hours=hours)
    second = [gga(t_s, start=later) + rmc(t_s, start=later) for t_s in range(60)]  # the date comes after the time
    with opened(tmp_path, "".join([both(t_s) for t_s in range(60)] + second)) as nav:
        assert right_at(nav, *range(59))
        assert nav.at(90 * S).fix is None
        fix = nav.at((hours * 3600 + 30) * S).fix
        assert fix is not None
        assert fix.lat_deg == pytest.approx(51.0 + 150 * METRE_DEG, abs=NEAR_DEG)


def test_sessions_in_the_wrong_order(tmp_path: Path) -> None:
    later = NOON + timedelta(hours=14)
    text = "".join([both(t_s, start=later) for t_s in range(60)] + [both(t_s) for t_s in range(60)])
    with opened(tmp_path, text) as nav:
        assert right_at(nav, *range(59))
        assert nav.utc_at(0) == NOON


def test_sessions_without_dates_end_where_the_time_goes_back(tmp_path: Path) -> None:
    later = NOON - timedelta(hours=3)
    text = "".join([gga(t_s) for t_s in range(60)] + [gga(t_s, start=later) for t_s in range(60)])
    with opened(tmp_path, text) as nav:
        assert right_at(nav, *range(59))
        assert nav.at(75 * S).fix is None
        assert "no date (RMC, ZDA) tells how much later that is: 60 moments are left out" in nav.warnings()[0]


@pytest.mark.parametrize(
    "midnight",
    [datetime(2026, 5, 29), datetime(2027, 1, 1), datetime(2028, 2, 29), datetime(2028, 3, 1), datetime(2026, 3, 1)],
)
@pytest.mark.parametrize("dated", [True, False])
def test_over_any_midnight(tmp_path: Path, midnight: datetime, dated: bool) -> None:
    start = midnight.replace(tzinfo=timezone.utc) - timedelta(seconds=20)
    text = "".join((both if dated else gga)(t_s, start=start) for t_s in range(60))
    with opened(tmp_path, text) as nav:
        assert right_at(nav, *range(59))
        assert nav.utc_at(30 * S) == (start + timedelta(seconds=30) if dated else None)


def test_a_leap_second_is_a_second(tmp_path: Path) -> None:
    start = datetime(2016, 12, 31, 23, 59, 50, tzinfo=timezone.utc)
    text = "".join(both(t_s, start=start) for t_s in range(10))
    for body in (
        f"GNRMC,235960.00,A,{place(10)},9.7,0,311216,,,A,V",
        f"GNGGA,235960.00,{place(10)},1,12,0.8,20,M,45,M,,",
    ):
        text += sentence(body)
    text += "".join(both(t_s, start=start, says=-1.0) for t_s in range(11, 40))
    with opened(tmp_path, text) as nav:
        assert right_at(nav, *(t_s / 2 for t_s in range(76)))
        assert nav.warnings() == ()


@pytest.mark.parametrize("ahead_s", [18.0, 2.0, 16.0])
def test_a_receiver_that_learns_of_leap_seconds_in_flight(tmp_path: Path, ahead_s: float) -> None:
    text = "".join(both(t_s, says=ahead_s if t_s < 40 else 0.0) for t_s in range(100))
    with opened(tmp_path, text) as nav:
        assert right_at(nav, *range(39), *range(41, 99))
        assert f"the receiver set its clock by {1 - ahead_s:+.1f} s at 39.0 s" in nav.warnings()[0]


def test_a_log_put_together_with_an_overlap(tmp_path: Path) -> None:
    moments = [*range(60), *range(50, 100)]
    with opened(tmp_path, "".join(both(t_s) for t_s in moments)) as nav:
        assert right_at(nav, *range(99))


@pytest.mark.parametrize("weeks", [-1024, -2048, 1024])
def test_a_receiver_that_lost_count_of_the_weeks_gives_no_satellite_time(tmp_path: Path, weeks: int) -> None:
    start = NOON + timedelta(weeks=weeks)
    with opened(tmp_path, "".join(both(t_s, start=start) for t_s in range(60))) as nav:
        assert right_at(nav, *range(59))
        assert nav.utc_at(10 * S) is None
        assert f"its dates ({start:%Y-%m-%d})" in nav.warnings()[0]


@pytest.mark.parametrize("weeks", [-1024, 1024])
def test_weeks_that_are_lost_in_flight_are_no_gap(tmp_path: Path, weeks: int) -> None:
    wrong = NOON + timedelta(weeks=weeks)
    text = "".join(both(t_s, start=NOON if t_s < 30 else wrong) for t_s in range(60))
    with opened(tmp_path, text) as nav:
        assert right_at(nav, *range(59))
        assert nav.utc_at(10 * S) == NOON + timedelta(seconds=10)
        assert "in flight; that change is ignored" in " ".join(nav.warnings())


def test_positions_of_gll_alone(tmp_path: Path) -> None:
    text = "".join(
        sentence(f"GNGLL,{place(t_s)},{clock(NOON + timedelta(seconds=t_s))},A,A")
        + sentence("GNVTG,0,T,,M,9.7,N,18,K,A")
        for t_s in range(60)
    )
    with opened(tmp_path, text) as nav:
        assert right_at(nav, *range(59))
        fix = nav.at(S).fix
        assert fix is not None
        assert fix.alt_amsl_m is None
    with opened(tmp_path, sentence(f"GNGLL,{place(0)},120000.00,V,N")) as nav:
        assert nav.at(0).fix is None


@pytest.mark.parametrize(
    ("modes", "kind"), [("AN", "FIX_3D"), ("RF", "RTK_FIXED"), ("ND", "DGPS"), ("NN", None), ("AE", None)]
)
def test_positions_of_gns(tmp_path: Path, modes: str, kind: str | None) -> None:
    with opened(tmp_path, sentence(f"GNGNS,120000.00,{place(0)},{modes},12,0.8,20.0,45.0,,")) as nav:
        fix = nav.at(0).fix
    assert (None if fix is None else (fix.kind.name, fix.alt_amsl_m, fix.alt_ellipsoid_m)) == (
        None if kind is None else (kind, 20.0, 65.0)
    )


def test_the_date_of_zda(tmp_path: Path) -> None:
    text = "".join(
        gga(t_s) + sentence(f"GNZDA,{clock(NOON + timedelta(seconds=t_s))},28,05,2026,00,00") for t_s in range(9)
    )
    with opened(tmp_path, text) as nav:
        assert nav.utc_at(3 * S) == NOON + timedelta(seconds=3)


def test_a_log_that_begins_with_minutes_of_other_sentences(tmp_path: Path) -> None:
    filler = sentence("GPGSV,4,1,16,01,40,083,46,02,17,308,41,03,07,344,39,04,22,228,45") * 1200
    with opened(tmp_path, filler + "".join(both(t_s) for t_s in range(20))) as nav:
        assert right_at(nav, *range(19))


def test_a_log_without_positions_is_nmea_all_the_same(tmp_path: Path) -> None:
    with pytest.raises(NavFileError, match="none of its NMEA sentences holds a position; log GGA and RMC"):
        opened(tmp_path, sentence("GNVTG,0,T,,M,9.7,N,18,K,A") * 20)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["GN", "GP", "GL"]), st.integers(0, 86_460), st.booleans(), st.integers(0, 3)),
        min_size=1,
        max_size=60,
    )
)
def test_any_times_in_any_order_are_survived(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[str, int, bool, int]]
) -> None:
    """Refused by name, or read: nothing else."""
    text = ""
    for talker, seconds, dated, day in told:
        whole = min(seconds, 86_399)
        at = f"{whole // 3600:02d}{whole // 60 % 60:02d}{whole % 60 + (seconds > 86_399):02d}.00"
        text += sentence(f"{talker}GGA,{at},{place(0)},1,12,0.8,20.0,M,45.0,M,,")
        if dated:
            text += sentence(f"{talker}RMC,{at},A,{place(0)},9.7,0.0,{28 + day % 3:02d}0526,,,A,V")
    with contextlib.suppress(NavFileError), opened(tmp_path_factory.getbasetemp(), text) as nav:
        fix = nav.at(0).fix
        assert fix is None or fix.lat_deg == 51.0
        assert nav.utc_at(-(10**15)) is None


@pytest.mark.parametrize("late_s", [-2, 3])
def test_a_date_that_changes_beside_midnight_is_no_other_day(tmp_path: Path, late_s: int) -> None:
    start = datetime(2026, 5, 28, 23, 59, 48, tzinfo=timezone.utc)

    def lines(t_s: float) -> str:
        at, dated = start + timedelta(seconds=t_s), start + timedelta(seconds=t_s - late_s)
        body = f"GNRMC,{clock(at)},A,{place(t_s)},9.7,0.0,{dated:%d%m%y},,,A,V"
        return gga(t_s, start=start) + sentence(body)

    with opened(tmp_path, "".join(lines(n / 5) for n in range(160))) as nav:
        assert right_at(nav, 0.0, 11.0, 13.0, 20.0, 30.0)
        assert nav.utc_at(20 * S) == start + timedelta(seconds=20)
