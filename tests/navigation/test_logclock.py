"""A logging computer's clock that is set in flight, told apart from a link that is lost or stalls."""

from __future__ import annotations

import random
from datetime import datetime, timezone
from itertools import accumulate
from pathlib import Path

import pytest

from edge.navigation import Navigator
from edge.navigation.recorded import Options, open_navigator
from edge.support.clock import ManualClock
from tests.navigation.material import START_US, Autopilot, tlog

S = 1_000_000_000
SPEED_DEG_S = 5 / 111_195  # 5 m/s due north
NEAR_DEG = 0.3 / 111_195

Flight = list[tuple[float, float, bytes]]
"""Seconds of the flight, seconds by the logging clock, frame."""


def flown(seconds: float = 60.0, *, late_s: float = 0.0) -> Flight:
    pilot, records = Autopilot(), []
    for step in range(round(seconds * 10)):
        t_s, boot_ms = step / 10, 5_000 + step * 100
        lat_deg = 48.0 + t_s * SPEED_DEG_S
        frames = [pilot.gps(lat_deg=lat_deg), pilot.place(boot_ms, lat_deg), pilot.attitude(boot_ms)]
        records += [(t_s, t_s + late_s, frame) for frame in ([pilot.heartbeat()] if step % 10 == 0 else []) + frames]
    return records


def opened(folder: Path, records: Flight) -> Navigator:
    path = folder / "flight.tlog"
    path.write_bytes(tlog([(logged_s, frame) for _, logged_s, frame in records], START_US))
    return open_navigator(Options(path=path), ManualClock(datetime(2026, 5, 4, tzinfo=timezone.utc)))


def stepped(records: Flight, at_s: float, by_s: float) -> Flight:
    """The clock is set ``by_s`` ahead at ``at_s`` of the flight."""
    return [(t_s, logged_s + (by_s if t_s >= at_s else 0.0), frame) for t_s, logged_s, frame in records]


def right_everywhere(nav: Navigator, *, but: tuple[float, float] = (0.0, -1.0), until_s: float = 59.0) -> bool:
    """Positions are those flown, and unknown nowhere but within the seconds ``but``."""
    for step in range(round(until_s * 4)):
        t_s = step / 4
        fix = nav.at(round(t_s * S)).fix
        if but[0] <= t_s <= but[1]:
            continue
        if fix is None or abs(fix.lat_deg - 48.0 - t_s * SPEED_DEG_S) > NEAR_DEG:
            return False
    return True


@pytest.mark.parametrize("by_s", [0.4, 1.5, 3.0, 20.0, 10_800.0, 3e7, -0.4, -1.5, -5.0, -20.0, -3600.0, -1e9])
@pytest.mark.parametrize("at_s", [1.0, 30.0, 59.3])
def test_a_clock_that_is_set_moves_no_position(tmp_path: Path, by_s: float, at_s: float) -> None:
    with opened(tmp_path, stepped(flown(), at_s, by_s)) as nav:
        assert right_everywhere(nav)
        said = [sentence for sentence in nav.warnings() if "logging clock" in sentence]
    if abs(by_s) < 0.5:
        assert said == []
    else:
        words = (
            f"the logging clock was set by {by_s:+.1f} s at {at_s:.1f} s; the time that the autopilot counts is used"
        )
        assert said == [words]


def test_a_clock_that_is_set_many_times(tmp_path: Path) -> None:
    records = flown()
    for at_s, by_s in ((5.0, 3.0), (10.0, -8.0), (20.0, 100.0), (30.0, -95.5), (40.0, 1.0)):
        records = stepped(records, at_s, by_s)
    with opened(tmp_path, records) as nav:
        assert right_everywhere(nav)
        assert [word in " ".join(nav.warnings()) for word in ("+3.0 s at 5.0 s", "-8.0 s", "5 times in all")] == [
            True
        ] * 3


def test_a_lost_link_is_flown_time(tmp_path: Path) -> None:
    records = [record for record in flown() if not 20 <= record[0] < 40]
    with opened(tmp_path, records) as nav:
        assert right_everywhere(nav, but=(19.8, 40.2))
        assert nav.at(30 * S).fix is None
        assert not [sentence for sentence in nav.warnings() if "clock" in sentence]


@pytest.mark.parametrize("by_s", [25.0, -15.0])
def test_a_clock_that_is_set_while_the_link_is_lost(tmp_path: Path, by_s: float) -> None:
    records = [record for record in flown() if not 20 <= record[0] < 40]
    with opened(tmp_path, stepped(records, 30.0, by_s)) as nav:
        assert right_everywhere(nav, but=(19.8, 40.2))
        assert f"set by {by_s:+.1f} s" in " ".join(nav.warnings())


@pytest.mark.parametrize("seconds", [0.8, 4.0, 20.0])
def test_a_link_that_stalls_and_then_delivers_everything_is_no_step(tmp_path: Path, seconds: float) -> None:
    over_s = 20.0 + seconds
    arrivals = [over_s + (t_s - 20.0) / 100 if 20.0 <= t_s < over_s else t_s for t_s, _, _ in flown()]
    in_line = accumulate(arrivals, max)  # what is sent after the stall waits behind what was held up
    records = [(t_s, logged_s, frame) for (t_s, _, frame), logged_s in zip(flown(), in_line, strict=True)]
    with opened(tmp_path, records) as nav:
        assert right_everywhere(nav)
        assert not [sentence for sentence in nav.warnings() if "clock" in sentence]


def test_jitter_is_no_step(tmp_path: Path) -> None:
    dice = random.Random(4)
    records = [(t_s, t_s + dice.random() ** 4 * 0.6, frame) for t_s, _, frame in flown()]
    records.sort(key=lambda record: record[1])
    with opened(tmp_path, records) as nav:
        assert not [sentence for sentence in nav.warnings() if "clock" in sentence]


def test_records_out_of_order_are_put_in_order(tmp_path: Path) -> None:
    """Two recorders' halves of one flight, put together the wrong way round."""
    records = flown()
    with opened(tmp_path, records[len(records) // 2 :] + records[: len(records) // 2]) as nav:
        assert right_everywhere(nav)


def test_two_flights_in_the_wrong_order(tmp_path: Path) -> None:
    second = [(t_s, logged_s + 100.0, frame) for t_s, logged_s, frame in flown(30.0)]
    with opened(tmp_path, second + flown(30.0)) as nav:
        assert right_everywhere(nav, until_s=29.0)
        fix = nav.at(110 * S).fix
        assert fix is not None
        assert fix.lat_deg == pytest.approx(48.0 + 10 * SPEED_DEG_S, abs=NEAR_DEG)


def test_a_restart_while_the_clock_is_set_back_ends_what_is_known(tmp_path: Path) -> None:
    again = [(t_s, logged_s + 20.0, frame) for t_s, logged_s, frame in flown(30.0)]  # 10 s before the first one's end
    with opened(tmp_path, flown(30.0) + again) as nav:
        assert right_everywhere(nav, until_s=29.0)
        assert nav.at(33 * S).fix is None
        assert "left out" in " ".join(nav.warnings())


def test_a_board_without_a_battery_begins_in_1970(tmp_path: Path) -> None:
    """The clock is set between the first heartbeats and the first position."""
    early = [(0.0, -1.7e9, Autopilot().heartbeat())]
    with opened(tmp_path, early + flown()) as nav:
        assert right_everywhere(nav)
        assert "set before the autopilot stated its own time" in " ".join(nav.warnings())


def test_a_log_without_the_autopilots_own_time_ends_where_its_clock_goes_back(tmp_path: Path) -> None:
    pilot = Autopilot()
    records = [
        (n / 5, n / 5 - (7.0 if n > 100 else 0.0), pilot.gps(lat_deg=48.0 + n / 5 * SPEED_DEG_S)) for n in range(200)
    ]
    records.insert(0, (0.0, 0.0, pilot.heartbeat()))
    with opened(tmp_path, records) as nav:
        assert right_everywhere(nav, until_s=19.0)
        assert nav.at(25 * S).fix is None
        assert "nothing in the log tells by how much" in " ".join(nav.warnings())


def test_boot_times_that_count_microseconds_are_no_reference(tmp_path: Path) -> None:
    pilot, records = Autopilot(), []
    for step in range(600):
        t_s, ms = step / 10, 5_000 + step * 100
        logged_s = t_s + (20.0 if t_s >= 30 else 0.0)
        lat_deg = 48.0 + t_s * SPEED_DEG_S
        frames = [pilot.heartbeat(), pilot.gps(lat_deg=lat_deg), pilot.attitude(ms), pilot.place(ms * 1000, lat_deg)]
        records += [(t_s, logged_s, frame) for frame in frames]
    with opened(tmp_path, records) as nav:
        assert right_everywhere(nav, but=(0.0, 0.2))
        assert "+20.0 s at 30.0 s" in " ".join(nav.warnings())
