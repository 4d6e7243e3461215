"""Timing, long runs and references: the arithmetic of a benchmark."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from edge.support.clock import ManualClock
from edge.support.errors import ConfigError
from edge.tools.benchmark import Delegation, Loop, Measured, Timing, reference, timing
from edge.tools.benchmark.board import State
from edge.tools.benchmark.sustain import sustain
from edge.tools.benchmark.timing import Samples, interleaved

UNKNOWN = State(None, None, None, None, None, None, 0.0)


def test_works_take_turns_and_warm_up_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is what the works say it is: the n-th call of ``a`` takes n ms, of ``b`` always 7."""
    now = {"wall": 0, "cpu": 0}
    monkeypatch.setattr(timing, "stopwatch_ns", lambda: now["wall"])
    monkeypatch.setattr(timing, "cpu_ns", lambda: now["cpu"])
    calls: list[str] = []

    def work(name: str, ms: float) -> None:
        calls.append(name)
        now["wall"] += round(ms * 1e6)
        now["cpu"] += round(ms * 5e5)

    counts = iter(range(1, 1000))
    rounds: list[int] = []
    found = interleaved(
        {"a": lambda: work("a", next(counts)), "b": lambda: work("b", 7)}, 100, 3, lambda: rounds.append(1)
    )
    assert calls == ["a", "b"] * 103
    assert len(rounds) == 103
    counted = np.arange(4, 104)
    assert (found["a"].first_ms, found["a"].runs, found["a"].cpu_min_ms) == (1.0, 100, 2.0)
    assert found["a"].p90_ms == pytest.approx(np.percentile(counted, 90))
    assert found["a"].p99_ms == pytest.approx(np.percentile(counted, 99))
    assert (found["b"].p50_ms, found["b"].cpu_min_ms) == (7.0, 3.5)


def test_a_batch_is_noted_as_the_mean_of_one() -> None:
    samples = Samples()
    done: list[int] = []
    samples.take(lambda: done.append(1), times=4)
    assert (len(done), len(samples.wall_ms)) == (4, 1)


def test_a_long_run_compares_its_last_minute_with_its_first() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=timezone.utc))
    states: list[int] = []

    def step() -> None:
        clock.advance(500_000_000)

    def state() -> State:
        states.append(1)
        return UNKNOWN

    elapsed: list[float] = []
    run = sustain(step, 3, clock, state, elapsed.append)
    assert [minute.frames for minute in run.minutes] == [120, 120, 120]
    assert len(states) == 3
    assert elapsed[-1] == 180.0
    first, last = (dataclasses.replace(run.minutes[i], p50_ms=p50) for i, p50 in ((0, 10.0), (2, 13.0)))
    assert dataclasses.replace(run, minutes=(first, run.minutes[1], last)).slower == pytest.approx(1.3)


def measured(threads: int | None = 1, accelerator: str = "cpu", cpu_min_ms: float = 8.0) -> Measured:
    one = Timing(200, 20.0, 9.0, 10.0, 12.0, cpu_min_ms)
    return Measured(
        "fast-unet-0123abcd", "litert", None, threads, "lib 1", accelerator, 1, {"walls": 0.9}, Delegation(3, 3, 1),
        50.0, one, {"frame": Loop(1280, 720, 6, 48.0, 2, dataclasses.replace(one, cpu_min_ms=6 * cpu_min_ms))},
        None, None,
    )  # fmt: skip


def test_a_reference_accepts_what_it_was_made_of_and_survives_the_file(tmp_path: Path) -> None:
    rows = reference.rows([measured()])
    path = tmp_path / "new" / "board.csv"
    reference.write(path, rows)
    assert reference.read(path) == rows
    verdicts = reference.check([measured()], rows)
    assert len(verdicts) == 2
    assert all(verdict.passed for verdict in verdicts)


def test_newer_weights_of_the_same_network_meet_the_same_reference() -> None:
    newer = dataclasses.replace(measured(), bundle="fast-unet-99999999")
    assert all(verdict.passed for verdict in reference.check([newer], reference.rows([measured()])))


@pytest.mark.parametrize(("factor", "words"), [(1.3, "slower than"), (0.7, "faster than is believable")])
def test_too_slow_and_too_fast_are_both_said(factor: float, words: str) -> None:
    verdicts = reference.check([measured(cpu_min_ms=8 * factor)], reference.rows([measured()]))
    assert not any(verdict.passed for verdict in verdicts)
    assert all(words in verdict.sentence() for verdict in verdicts)


def test_a_row_that_was_not_measured_does_not_pass() -> None:
    rows = reference.rows([measured()])
    verdicts = reference.check([dataclasses.replace(measured(), loops={})], rows)
    missing = [verdict for verdict in verdicts if not verdict.passed]
    assert [verdict.row.what for verdict in missing] == ["frame"]
    assert "not measured" in missing[0].sentence()


def test_cpu_time_of_several_threads_is_no_reference() -> None:
    assert reference.rows([measured(threads=2)]) == []


def test_an_accelerator_is_held_to_wall_time() -> None:
    rows = reference.rows([measured(threads=None, accelerator="edgetpu")])
    assert {(row.metric, row.threads) for row in rows} == {("p50", "")}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "its first line is"),
        ("bundle,backend\n", "its first line is"),
        (",".join(reference.COLUMNS) + "\na,b,1,invoke,cpu_min,8.0,six,10\n", "line 2: could not convert"),
        (",".join(reference.COLUMNS) + "\na,b,1\n", "line 2"),
    ],
)
def test_a_broken_reference_is_refused_by_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "board.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        reference.read(path)


def test_no_reference_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no reference for this board.*--write-reference"):
        reference.read(tmp_path / "board.csv")


def test_every_reference_in_the_repository_can_be_read() -> None:
    folder = reference.folder()
    assert folder is not None
    files = sorted(folder.glob("*.csv"))
    assert files, "at least the machine the numbers in README come from"
    for path in files:
        rows = reference.read(path)
        assert rows
        assert all(0 < row.low_ms < row.value_ms < row.high_ms for row in rows)
