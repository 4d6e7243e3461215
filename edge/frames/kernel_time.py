"""Kernel time stamps of a sensor, brought onto the monotonic clock.

Drivers stamp with CLOCK_MONOTONIC (V4L2's rule) or, some pipelines, with CLOCK_BOOTTIME, which also counts the time
the machine was suspended; documents and practice differ. So a stamp is believed in whichever clock it lies within
the last second, and in none otherwise.
"""

from __future__ import annotations

import time

PLAUSIBLE_AGE_NS = 1_000_000_000


def suspended_ns() -> int:
    """How long this machine has been suspended since it booted: CLOCK_BOOTTIME less CLOCK_MONOTONIC, ns."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def on_monotonic(stamp_ns: int, now_ns: int, asleep_ns: int) -> int | None:
    """``stamp_ns`` as monotonic ns; None when it is not of the last second in either clock.

    ``now_ns`` is the monotonic time at which the frame was in hand, ``asleep_ns`` is ``suspended_ns()``.
    """
    for candidate_ns in (stamp_ns, stamp_ns - asleep_ns):
        if 0 <= now_ns - candidate_ns <= PLAUSIBLE_AGE_NS:
            return candidate_ns
    return None
