from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone

import pytest

from edge.support.clock import ManualClock, SystemClock, stopwatch_ns

NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)


def test_manual_clock_moves_both_clocks_together() -> None:
    clock = ManualClock(NOON, 5)
    clock.advance(1_500_000_000)
    assert clock.monotonic_ns() == 1_500_000_005
    assert clock.utc() == NOON + timedelta(seconds=1.5)
    clock.advance_to(7)
    assert clock.monotonic_ns() == 1_500_000_005
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-1)


def test_manual_wait_takes_no_time_and_ends_early_when_set() -> None:
    clock, event = ManualClock(NOON), threading.Event()
    assert clock.wait(event, 3600) is False
    assert clock.monotonic_ns() == 3600 * 10**9
    event.set()
    assert clock.wait(event, 3600) is True
    assert clock.monotonic_ns() == 3600 * 10**9


def test_manual_clock_wants_a_zone() -> None:
    with pytest.raises(ValueError, match="timezone-aware"):
        ManualClock(datetime(2026, 6, 1))


def test_system_clock_is_monotonic_and_utc() -> None:
    clock = SystemClock()
    first = clock.monotonic_ns()
    assert clock.monotonic_ns() >= first
    assert clock.utc().utcoffset() == timedelta(0)
    assert clock.synced() in (True, False)
    event = threading.Event()
    event.set()
    assert clock.wait(event, 0.0)
    assert stopwatch_ns() <= stopwatch_ns()
