"""Other clocks seen from ours: jitter, restarts, steps and lies."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.navigation.timebase import BootClock, UtcTrack

S = 1_000_000_000
MS = 1_000_000
NOON = datetime(2026, 5, 4, 12, tzinfo=timezone.utc)


def test_jitter_of_the_link_does_not_move_the_time_of_measurement() -> None:
    """20 Hz for a minute; arrivals late by 5 ms plus up to 200 ms: the error stays at the shortest delay."""
    dice, clock, errors = random.Random(7), BootClock(), []
    for step in range(1200):
        true_ns = 1000 * S + step * 50 * MS
        arrival = true_ns + 5 * MS + round(dice.expovariate(1 / 0.03) * S) % (200 * MS)
        local = clock.local_ns(30_000 + step * 50, arrival)
        assert local <= arrival
        errors.append(local - true_ns)
    assert max(errors[100:]) < 6 * MS
    assert min(errors) >= 5 * MS


def test_a_stalled_link_that_flushes_does_not_pull_the_time_along() -> None:
    clock = BootClock()
    for step in range(20):
        clock.local_ns(step * 100, 50 * S + step * 100 * MS)
    flushed = 50 * S + 20 * S
    assert [clock.local_ns(ms, flushed) for ms in (2000, 5000, 9000)] == [52 * S, 55 * S, 59 * S]


def test_a_timesync_answer_takes_the_delay_out() -> None:
    clock = BootClock()
    assert clock.local_ns(1000, 11 * S + 40 * MS) == 11 * S + 40 * MS  # 40 ms late, and nothing says so
    clock.hear_sync(12 * S, 2 * S + 40 * MS, 12 * S + 80 * MS)
    assert clock.local_ns(3000, 13 * S + 40 * MS) == 13 * S


def test_a_timesync_answer_from_another_clock_is_not_believed() -> None:
    clock = BootClock()
    clock.local_ns(1000, 11 * S)
    clock.hear_sync(12 * S, 777 * S, 12 * S + MS)
    clock.hear_sync(12 * S, 2 * S, 11 * S)  # an answer before the question
    assert clock.local_ns(3000, 13 * S) == 13 * S


def test_the_quickest_way_there_and_the_quickest_way_back_may_be_of_two_exchanges() -> None:
    """Truth: their clock began at 10 s of ours; a way takes 10 ms at least, and often much longer."""
    clock = BootClock()
    clock.hear_sync(12 * S, 2 * S + 90 * MS, 12 * S + 150 * MS)  # 90 ms there
    clock.hear_sync(13 * S, 3 * S + 10 * MS, 13 * S + 400 * MS)  # 10 ms there, 390 back
    for boot_ms, late_ms in ((3500, 70), (3600, 10), (3700, 40)):
        clock.local_ns(boot_ms, 10 * S + (boot_ms + late_ms) * MS)
    assert clock.local_ns(4000, 14 * S + 60 * MS) == 14 * S


def test_bounds_are_forgotten_after_a_minute_because_clocks_drift() -> None:
    clock = BootClock()
    clock.local_ns(1000, 11 * S + 10 * MS)
    clock.hear_sync(11 * S, S + 10 * MS, 11 * S + 20 * MS)
    drifted_ns = 20 * MS  # their clock lost as much within two minutes
    clock.hear_sync(131 * S + drifted_ns, 121 * S + 10 * MS, 131 * S + drifted_ns + 20 * MS)
    assert clock.local_ns(121_000, 131 * S + drifted_ns + 10 * MS) == 131 * S + drifted_ns


def test_a_restart_is_noticed_and_late_messages_are_not_restarts() -> None:
    clock = BootClock()
    assert not clock.restarted(0, 0)
    for ms in (100_000, 100_100, 99_000):
        assert not clock.restarted(ms, ms * MS + 7 * S)
        clock.local_ns(ms, ms * MS + 7 * S)
    assert clock.restarted(1_200, 120 * S)
    assert clock.local_ns(1_200, 120 * S) == 120 * S
    assert not clock.restarted(1_300, 120 * S + 100 * MS)


def test_a_clock_that_leaps_ahead_is_a_restart_too() -> None:
    clock = BootClock()
    clock.local_ns(1000, 10 * S)
    assert clock.restarted(500_000, 11 * S)


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(-(10**12), 10**15)), max_size=30))
def test_nothing_is_ever_measured_after_it_arrived(messages: list[tuple[int, int]]) -> None:
    clock = BootClock()
    for boot_ms, now_ns in messages:
        clock.restarted(boot_ms, now_ns)
        assert clock.local_ns(boot_ms, now_ns) <= now_ns


def test_utc_by_the_nearest_time_heard() -> None:
    utc = UtcTrack()
    assert utc.at(0) is None
    utc.hear(10 * S, NOON)
    utc.hear(20 * S, NOON + timedelta(seconds=10.2))
    assert utc.at(12 * S) == NOON + timedelta(seconds=2)
    assert utc.at(19 * S) == NOON + timedelta(seconds=9.2)
    assert utc.at(80 * S) == NOON + timedelta(seconds=70.2)
    assert utc.at(81 * S) is None
    assert utc.at(-51 * S) is None
    assert utc.at(10**30) is None


def test_a_date_before_satellites_is_refused() -> None:
    utc = UtcTrack(earliest=datetime(2025, 1, 1, tzinfo=timezone.utc))
    utc.hear(0, datetime(2007, 3, 4, tzinfo=timezone.utc))
    utc.hear(S, datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc))
    assert utc.at(0) is None


def test_a_time_that_steps_must_repeat_itself_to_be_believed() -> None:
    utc = UtcTrack()
    utc.hear(0, NOON)
    wrong = NOON - timedelta(days=1024)
    for second in range(1, 6):
        utc.hear(second * S, wrong + timedelta(seconds=second))
    assert utc.at(1 * S) == NOON + timedelta(seconds=1)
    assert utc.at(5 * S) == wrong + timedelta(seconds=5)


@pytest.mark.parametrize("per_s", [1, 10])
def test_a_time_that_stands_still_is_not_believed(per_s: int) -> None:
    """A receiver that hangs repeats its last time: from then on nothing is known beyond a minute of it."""
    utc = UtcTrack(keep_s=None)
    for n in range(200 * per_s):
        utc.hear(n * S // per_s, NOON)
    assert utc.at(150 * S) is None
    assert utc.at(0) == NOON
