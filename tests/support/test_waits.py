"""How long a thread waits for its disks, and that the right thing is said of it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from edge.support import waits
from edge.support.waits import Waits, waiting, watch

PHOTOS, FLIGHT, OUTBOX = Path("/card/photos"), Path("/card/flight"), Path("/card/outbox.db")
S = 10**9


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Nanoseconds, as the only number of a list."""
    now = [0]
    monkeypatch.setattr(waits, "stopwatch_ns", lambda: now[0])
    return now


def test_each_step_of_a_write_has_its_own_time_and_all_are_counted(now: list[int]) -> None:
    """Three fsyncs of 50 s are a slow card; one that takes 150 s is a dead one."""
    mine = Waits()
    watch(mine)
    with waiting(PHOTOS):
        for step in range(3):
            with waiting(PHOTOS):
                now[0] += 50 * S
                assert (mine.now_s, mine.total_ns) == (50.0, (step + 1) * 50 * S)
        assert mine.now_s == 0.0, "the write goes on: its next step has not waited yet"
        now[0] += 7 * S
        assert mine.now_s == 7.0
    now[0] += 1000 * S
    assert (mine.now_s, mine.total_ns) == (0.0, 157 * S)


def test_a_slow_write_is_told_while_it_lasts_and_for_a_minute(now: list[int]) -> None:
    mine = Waits(untold=OUTBOX)
    watch(mine)
    with waiting(FLIGHT):
        now[0] += S
        assert mine.trouble() is None
        now[0] += 5 * S
        assert str(mine.trouble()).startswith("the disk of /card/flight takes 6 s for a write")
    with waiting(PHOTOS):  # at once
        assert "/card/flight takes 6 s" in str(mine.trouble()), "status must not change with every write"
    now[0] += 59 * S
    assert "/card/flight takes 6 s" in str(mine.trouble())
    now[0] += 2 * S
    assert mine.trouble() is None
    with waiting(OUTBOX):
        now[0] += 30 * S
        assert mine.trouble() is None, "the outbox says it itself"
    assert mine.trouble() is None


def test_another_thread_waits_for_itself(now: list[int]) -> None:
    """What the ground thread or the one of the crack names waits for says nothing of the inference thread."""
    mine, seen = Waits(), []
    watch(mine)

    def elsewhere() -> None:
        with waiting(PHOTOS):
            now[0] += 30 * S
            seen.append(mine.now_s)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert (seen, mine.total_ns) == ([0.0], 0)
