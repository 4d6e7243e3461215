"""What a history is made of: samples in order of time, and the check that a position could have been flown."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

from edge.navigation import Fix, rotation

T = TypeVar("T")
Sample = tuple[int, T]
"""Monotonic nanoseconds of the measurement, and the value."""

EARTH_RADIUS_M = 6_371_008.8
# 11 m around (0, 0): a receiver without a position reports it, and nothing to inspect stands there.
NULL_ISLAND_DEG = 1e-4
# Fixes scatter: a step this small is never a jump, however short the time (RTK fixing, a new satellite).
SCATTER_M = 10.0
_MAX_LIVE_SAMPLES = 50_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What may still be said about a moment; checked at construction (ValueError)."""

    stale_s: float = 2.0
    """Seconds after which the newest fix is no longer given out."""
    gap_s: float = 2.5
    """Longest distance in seconds between two neighbours that are interpolated; a longer one is a gap."""
    hold_s: float = 0.5
    """Seconds for which the newest attitude and range are still given out."""
    max_speed_m_s: float = 60.0
    """Metres per second between consecutive fixes above which the track is in doubt."""
    settle_fixes: int = 3
    """Consecutive fixes that must agree with the one before each until a doubted track is trusted again."""

    def __post_init__(self) -> None:
        for name in ("stale_s", "gap_s", "hold_s", "max_speed_m_s", "settle_fixes"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be above 0, got {value}")


class Samples(Generic[T]):
    """Samples in order of time, None where the value was lost; not thread-safe by itself."""

    def __init__(self, keep_ns: int | None) -> None:
        self._times: list[int] = []
        self._values: list[T | None] = []
        self._keep_ns = keep_ns

    def __len__(self) -> int:
        return len(self._times)

    def add(self, at_ns: int, value: T | None) -> None:
        """Put a sample in its place; one of the same time is replaced."""
        if not self._times or at_ns > self._times[-1]:
            self._times.append(at_ns)
            self._values.append(value)
        else:
            self._insert(at_ns, value)
        if self._keep_ns is not None:
            self._forget(self._keep_ns)

    def _insert(self, at_ns: int, value: T | None) -> None:
        place = bisect_left(self._times, at_ns)
        if self._times[place] == at_ns:
            self._values[place] = value
        else:
            self._times.insert(place, at_ns)
            self._values.insert(place, value)

    def _forget(self, keep_ns: int) -> None:
        """Drop the oldest in blocks, so that adding stays cheap."""
        newest = self._times[-1]
        if newest - self._times[0] > 2 * keep_ns:
            cut = bisect_left(self._times, newest - keep_ns)
        elif len(self._times) > _MAX_LIVE_SAMPLES:
            cut = _MAX_LIVE_SAMPLES // 2
        else:
            return
        del self._times[:cut], self._values[:cut]

    def around(self, at_ns: int) -> tuple[Sample[T | None] | None, Sample[T | None] | None]:
        """The last sample at or before ``at_ns`` and the first one after it."""
        place = bisect_right(self._times, at_ns)
        before = (self._times[place - 1], self._values[place - 1]) if place else None
        after = (self._times[place], self._values[place]) if place < len(self._times) else None
        return before, after

    def gaps(self, longer_ns: int) -> int:
        """How many pairs of neighbouring values stand farther apart than ``longer_ns``."""
        known = [t for t, value in zip(self._times, self._values, strict=True) if value is not None]
        return sum(b - a > longer_ns for a, b in pairwise(known))


class Plausibility:
    """Watches a track of fixes for jumps no drone can fly."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._last: Sample[Fix] | None = None
        self._wanted = 0
        self.doubt: str | None = None
        self.withheld = 0

    def accepts(self, at_ns: int, fix: Fix) -> bool:
        """True when ``fix`` belongs to a trusted track."""
        last, self._last = self._last, (at_ns, fix)
        jump = None if last is None else self._jump(last, (at_ns, fix))
        if jump is not None:
            self.doubt, self._wanted = jump, self._limits.settle_fixes
        elif self._wanted and last is not None and at_ns != last[0]:  # a repeat agrees with itself
            self._wanted -= 1
        if self._wanted:
            self.withheld += 1
            return False
        self.doubt = None
        return True

    def lost(self) -> None:
        """The source lost its fix: the agreement in a row starts again."""
        if self._wanted:
            self._wanted = self._limits.settle_fixes

    def _jump(self, last: Sample[Fix], now: Sample[Fix]) -> str | None:
        seconds = abs(now[0] - last[0]) / 1e9
        metres = distance_m(last[1], now[1])
        if metres <= self._limits.max_speed_m_s * seconds + SCATTER_M:
            return None
        return (
            f"the position jumped {metres:.0f} m in {seconds:.2f} s, so fixes are withheld until "
            f"{self._limits.settle_fixes} in a row agree; check the antenna, interference or a second sender"
        )


def on_null_island(lat_deg: float, lon_deg: float) -> bool:
    """True within 11 m of (0, 0), where receivers without a position claim to be."""
    return abs(lat_deg) < NULL_ISLAND_DEG and abs(lon_deg) < NULL_ISLAND_DEG


def distance_m(a: Fix, b: Fix) -> float:
    """Great-circle distance on a sphere, metres (haversine)."""
    lat_a, lat_b = math.radians(a.lat_deg), math.radians(b.lat_deg)
    half_lat = (lat_b - lat_a) / 2
    half_lon = math.radians(rotation.wrap_deg(b.lon_deg - a.lon_deg)) / 2
    chord = math.sin(half_lat) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin(half_lon) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(chord)))
