"""What the last seconds measured, and the frame in hand: the inference thread writes, the ground thread reads."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from edge.frames import RGB
from edge.masks import Mask
from edge.support.clock import Clock
from edge.support.timings import columns, percentiles

# A rate is news for this long: a camera that died shows none.
FRESH_NS = 10_000_000_000

# A frame that takes so long, and three times as long as any before it, is stuck; the first one warms everything up.
STUCK_NS, FIRST_FRAME_NS = 1_500_000_000, 10_000_000_000

# Cracks are lines: a wall crazed all over stays below a tenth. Neighbouring pixels of 1,449 photographs of concrete,
# masonry and pavement correlate with 0.30 at least, those of noise with 0.00, after JPEG with 0.09; demosaiced: 0.4.
MARKED_SHARE, UNLIKE, NOISE_FRAMES = 0.3, 0.15, 10

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
    second_looks: int
    """Runs of the network that looked at a part of a frame again, since the start."""


class InHand:
    """The frame that is being worked on: whether it takes longer than frames do, as with an accelerator that hangs.

    Written by the inference thread, read by the ground thread, which goes on when the other is held up.
    """

    def __init__(self, clock: Clock, waited_ns: Callable[[], int] = lambda: 0) -> None:
        """``waited_ns``: what this thread has spent on waiting for disks so far, which says nothing of the frame."""
        self._clock = clock
        self._waited_ns = waited_ns
        self._since_ns: int | None = None
        self._longest_ns: int | None = None

    def __enter__(self) -> InHand:
        self._since_ns = self._now_ns()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._since_ns is not None:
            self._longest_ns = max(self._longest_ns or 0, self._now_ns() - self._since_ns)
        self._since_ns = None

    def _now_ns(self) -> int:
        """On a clock that stands still while a disk is waited for."""
        return self._clock.monotonic_ns() - self._waited_ns()

    def trouble(self) -> str | None:
        """That a frame takes far longer than any before it (the first: than ten seconds); None while none does."""
        since_ns, longest_ns = self._since_ns, self._longest_ns
        if since_ns is None:
            return None
        limit_ns = FIRST_FRAME_NS if longest_ns is None else max(STUCK_NS, 3 * longest_ns)
        took_ns = self._now_ns() - since_ns
        if took_ns < limit_ns:
            return None
        before = "" if longest_ns is None else f", the longest before it {longest_ns / 1e9:.1f} s"
        return (
            f"one frame has been in work for {took_ns / 1e9:.0f} s{before}: the accelerator hangs, or the board has "
            "no time for it; the watchdog ends the daemon if this goes on, and it starts anew"
        )


class Noise:
    """Whether an accelerator or a camera returns noise, frame after frame.

    Written by the inference thread, read by the ground thread.
    """

    def __init__(self) -> None:
        self._marked, self._alike = 0.0, 1.0
        self._marked_frames = self._unlike_frames = 0

    def see(self, mask: Mask) -> None:
        """Look at one frame and its answer."""
        lines = (float(one.damage.mean()) for one in mask.classes if one.kind.measure == "line")
        self._marked, self._alike = max(lines, default=0.0), likeness(mask.frame.rgb)
        self._marked_frames = self._marked_frames + 1 if self._marked > MARKED_SHARE else 0
        self._unlike_frames = self._unlike_frames + 1 if self._alike < UNLIKE else 0

    def trouble(self) -> str | None:
        """What is wrong since ten frames; None where nothing is."""
        if self._unlike_frames >= NOISE_FRAMES:
            return (
                f"the camera delivers noise, {self._unlike_frames} frames in a row: neighbouring pixels have nothing "
                "in common; it is covered, in the dark, or its cable is bad, and nothing was seen meanwhile"
            )
        if self._marked_frames >= NOISE_FRAMES:
            return (
                f"the network marks {self._marked:.0%} of the picture as cracks, {self._marked_frames} frames in a "
                "row: the accelerator returns noise, and what is found now does not count; land, then spanhawk doctor"
            )
        return None


def likeness(rgb: RGB) -> float:
    """Correlation of green in neighbouring pixels of some thirty rows: 1 for an even picture, about 0 for noise."""
    rows = rgb[:: max(1, rgb.shape[0] // 32), :, 1].astype(np.float64)
    left, right = rows[:, :-1] - rows[:, :-1].mean(), rows[:, 1:] - rows[:, 1:].mean()
    scale = float(np.sqrt((left * left).sum() * (right * right).sum()))
    return float((left * right).sum()) / scale if scale > 0 else 1.0


class Meter:
    """Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames = self._detections = self._left_out = self._second_looks = 0
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
        second_looks: int = 0,
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
            self._second_looks += second_looks

    def read(self, now_ns: int) -> Reading:
        """The state at ``now_ns``, monotonic."""
        with self._lock:
            finished, stages, looked = list(self._finished_ns), list(self._stages), list(self._looked)
            counts, suppressed = (self._frames, self._detections, self._left_out), dict(self._suppressed)
            again = self._second_looks
        last = finished[-1] if finished else None
        fresh: Sequence[int] = [at_ns for at_ns in finished if now_ns - at_ns <= FRESH_NS]
        fresh = fresh if len(fresh) > 1 else _slow(finished, now_ns)
        share = sum(looked) / len(looked) if looked else None
        return Reading(*counts, _rate(fresh), percentiles(columns(stages)), last, share, suppressed, again)


def _slow(finished_ns: Sequence[int], now_ns: int) -> Sequence[int]:
    """The last two frames of a camera that takes longer than FRESH_NS for each, while the next one is not overdue."""
    last = finished_ns[-2:]
    return last if len(last) == 2 and now_ns - last[1] <= 2 * (last[1] - last[0]) else []


def _rate(finished_ns: Sequence[int]) -> float | None:
    if len(finished_ns) < 2 or finished_ns[-1] == finished_ns[0]:
        return None
    return (len(finished_ns) - 1) / ((finished_ns[-1] - finished_ns[0]) / 1e9)
