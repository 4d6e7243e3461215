from __future__ import annotations

import random
import threading
from datetime import datetime

import pytest

from edge.support.clock import UTC, ManualClock, SystemClock
from edge.support.retry import Backoff, Worker

PATIENCE_S = 60.0  # for events that are certain to come; never waited out


def test_pauses_are_uniform_under_a_ceiling_that_doubles_to_its_cap() -> None:
    """The law as published ("full jitter"): pause = uniform(0, min(cap, first * 2^failures))."""
    chance = random.Random(7)
    runs = []
    for _ in range(2000):
        backoff = Backoff(0.5, 30.0, chance=chance)
        runs.append([backoff.pause_s() for _ in range(12)])
    for failures, ceiling_s in ((0, 0.5), (3, 4.0), (6, 30.0), (11, 30.0)):
        pauses = sorted(run[failures] for run in runs)
        assert pauses[-1] <= ceiling_s
        # Quartiles of a uniform distribution, four standard errors of a quantile (0.04) to each side.
        for share in (0.25, 0.5, 0.75):
            assert pauses[round(share * len(pauses))] == pytest.approx(share * ceiling_s, abs=0.04 * ceiling_s)


def test_success_begins_anew_and_no_pause_is_shorter_than_the_least() -> None:
    backoff = Backoff(0.5, 30.0, least_s=0.05, chance=random.Random(1))
    pauses = [backoff.pause_s() for _ in range(500)]
    assert backoff.failures == 500
    assert min(pauses) >= 0.05
    backoff.reset()
    assert backoff.failures == 0
    assert backoff.pause_s() <= 0.5


def test_a_million_failures_do_not_overflow() -> None:
    backoff = Backoff(0.5, 30.0)
    backoff._failures = 10**6
    assert 0 <= backoff.pause_s() <= 30.0


@pytest.mark.parametrize("error", [ValueError("half a message"), SystemExit(3), MemoryError()])
def test_work_that_failed_begins_again_and_is_reported(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    clock, stop, turns, done = ManualClock(datetime(2026, 5, 1, tzinfo=UTC)), threading.Event(), [], threading.Event()

    def work() -> None:
        turns.append(len(turns))
        if len(turns) < 4:
            raise error
        done.set()
        stop.wait(PATIENCE_S)

    worker = Worker("gpsd", work, stop, clock)
    assert done.wait(PATIENCE_S)
    trouble = worker.trouble
    assert trouble is not None
    assert trouble.startswith(f"the thread gpsd failed ({type(error).__name__}: ")
    clock.advance(61 * 10**9)
    assert worker.trouble is None, "well for a minute"
    assert worker.alive
    stop.set()
    assert worker.join(PATIENCE_S)
    logged = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(logged) == 1, "three failures in a minute are one line"
    assert logged[0].exc_info, "with the traceback that finds the cause"


def test_a_worker_ends_when_it_is_told_to_also_between_two_attempts() -> None:
    stop = threading.Event()
    failed = threading.Event()

    def work() -> None:
        failed.set()
        raise ValueError("always")

    worker = Worker("mavlink", work, stop, SystemClock())
    assert failed.wait(PATIENCE_S)
    stop.set()
    assert worker.join(PATIENCE_S)
