"""Wall and CPU time of things done over and over, taken in turns so that a change of the machine's mood meets all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from edge.support.clock import cpu_ns, stopwatch_ns
from edge.tools.benchmark import Timing


@dataclass(slots=True)
class Samples:
    """Times of one thing, milliseconds, in the order they were taken."""

    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def take(self, work: Callable[[], object], times: int = 1) -> None:
        """Do ``work`` that many times in a row and note the mean of them."""
        cpu, wall = cpu_ns(), stopwatch_ns()
        for _ in range(times):
            work()
        self.wall_ms.append((stopwatch_ns() - wall) / 1e6 / times)
        self.cpu_ms.append((cpu_ns() - cpu) / 1e6 / times)

    def timing(self, first_ms: float) -> Timing:
        """The summary; ``first_ms`` is the very first run, which is no part of it."""
        p50, p90, p99 = (round(float(value), 3) for value in np.percentile(self.wall_ms, (50, 90, 99)))
        return Timing(len(self.wall_ms), round(first_ms, 3), p50, p90, p99, round(min(self.cpu_ms), 3))


def interleaved(
    works: Mapping[str, Callable[[], object]],
    runs: int,
    warm_up: int,
    after_round: Callable[[], object] = lambda: None,
) -> dict[str, Timing]:
    """Each of ``works`` once per round, ``runs`` rounds after ``warm_up`` that do not count."""
    first: dict[str, float] = {}
    samples = {name: Samples() for name in works}
    for turn in range(-max(1, warm_up), runs):
        for name, work in works.items():
            if turn >= 0:
                samples[name].take(work)
                continue
            one = Samples()
            one.take(work)
            first.setdefault(name, one.wall_ms[0])
        after_round()
    return {name: taken.timing(first[name]) for name, taken in samples.items()}
