"""Counts and latencies of the last seconds, written by the inference thread and read by the ground thread."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge.support.timings import columns, percentiles

# A rate is news for this long: a camera that died shows none.
FRESH_NS = 10_000_000_000

# At 30 frames a second this looks back ten seconds: long enough for a 90th percentile, short enough to be news.
WINDOW = 300


@dataclass(frozen=True, slots=True)
class Reading:
    """What the meter shows at one moment."""

    frames: int
    detections: int
    left_out: int
    """Pieces of mask that were too many to trace."""
    fps: float | None
    """Frames processed per second over the last seconds; None with fewer than two."""
    stage_ms: Mapping[str, Mapping[str, float]]
    """Stage -> p50, p90, p99, max in milliseconds."""
    last_frame_ns: int | None
    """When the newest frame was finished, monotonic; None before the first."""
    looked_share: float | None
    """The part of the frames the network looked at, mean of the last seconds, 0 to 1; None before the first."""
    suppressed: Mapping[str, int]
    """Traced cracks that were not reported, by reason; empty before the first frame."""


class Meter:
    """Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames = self._detections = self._left_out = 0
        self._finished_ns: deque[int] = deque(maxlen=WINDOW)
        self._stages: deque[Mapping[str, float]] = deque(maxlen=WINDOW)
        self._looked: deque[float] = deque(maxlen=WINDOW)
        self._suppressed: Counter[str] = Counter()

    def add(
        self,
        finished_ns: int,
        stage_ms: Mapping[str, float],
        detections: int,
        left_out: int = 0,
        looked_share: float = 1.0,
        suppressed: Mapping[str, int] | None = None,
    ) -> None:
        """Count one processed frame."""
        with self._lock:
            self._frames += 1
            self._detections += detections
            self._left_out += left_out
            self._finished_ns.append(finished_ns)
            self._stages.append(stage_ms)
            self._looked.append(looked_share)
            self._suppressed.update(suppressed or {})  # keeps the reasons that count 0

    def read(self, now_ns: int) -> Reading:
        """The state at ``now_ns``, monotonic."""
        with self._lock:
            finished, stages, looked = list(self._finished_ns), list(self._stages), list(self._looked)
            counts, suppressed = (self._frames, self._detections, self._left_out), dict(self._suppressed)
        last = finished[-1] if finished else None
        fresh: Sequence[int] = [at_ns for at_ns in finished if now_ns - at_ns <= FRESH_NS]
        fresh = fresh if len(fresh) > 1 else _slow(finished, now_ns)
        share = sum(looked) / len(looked) if looked else None
        return Reading(*counts, _rate(fresh), percentiles(columns(stages)), last, share, suppressed)


def _slow(finished_ns: Sequence[int], now_ns: int) -> Sequence[int]:
    """The last two frames of a camera that takes longer than FRESH_NS for each, while the next one is not overdue."""
    last = finished_ns[-2:]
    return last if len(last) == 2 and now_ns - last[1] <= 2 * (last[1] - last[0]) else []


def _rate(finished_ns: Sequence[int]) -> float | None:
    if len(finished_ns) < 2 or finished_ns[-1] == finished_ns[0]:
        return None
    return (len(finished_ns) - 1) / ((finished_ns[-1] - finished_ns[0]) / 1e9)
