"""Minutes of work without a pause: what is left when the board is hot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge.support.clock import Clock
from edge.tools.benchmark.board import State
from edge.tools.benchmark.timing import Samples

_MINUTE_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute of it."""

    frames: int
    p50_ms: float
    p90_ms: float
    cpu_min_ms: float
    state: State
    """At its end."""


@dataclass(frozen=True, slots=True)
class Sustained:
    """A long run, minute by minute."""

    minutes: tuple[Minute, ...]

    @property
    def slower(self) -> float:
        """Median of the last minute over that of the first; 1 where heat changed nothing."""
        return self.minutes[-1].p50_ms / self.minutes[0].p50_ms


def sustain(
    step: Callable[[], object],
    minutes: int,
    clock: Clock,
    state: Callable[[], State],
    after_step: Callable[[float], object] = lambda elapsed_s: None,
) -> Sustained:
    """Do ``step`` over and over for ``minutes`` whole minutes; ``after_step`` gets the seconds since the start."""
    begun_ns = clock.monotonic_ns()
    found: list[Minute] = []
    samples = Samples()
    while len(found) < minutes:
        samples.take(step)
        elapsed_ns = clock.monotonic_ns() - begun_ns
        after_step(elapsed_ns / 1e9)
        if elapsed_ns >= (len(found) + 1) * _MINUTE_NS:
            found.append(_minute(samples, state()))
            samples = Samples()
    return Sustained(tuple(found))


def _minute(samples: Samples, state: State) -> Minute:
    p50, p90 = (round(float(value), 3) for value in np.percentile(samples.wall_ms, (50, 90)))
    return Minute(len(samples.wall_ms), p50, p90, round(min(samples.cpu_ms), 3), state)
