"""Eight hours at full rate, on a clock that is set: memory and handles must not grow with time."""

from __future__ import annotations

from datetime import datetime

from edge.frames import Frame
from edge.masks import dark
from edge.measurers import Measures
from edge.navigation import fixed
from edge.outbox import LetterState
from edge.outbox.sqlite import Options, open_outbox
from edge.outcome import Flight
from edge.pipeline import Pipeline
from edge.support.clock import UTC, ManualClock
from tests.faults.row import Measured, Row, Scale, handles, resident_mb
from tests.pictures import concrete

_FPS = 5
_HOURS = 8


def run(scale: Scale) -> Measured:
    """Every frame holds a crack; what is put is confirmed at once. ``--rounds``: that many frames."""
    count = scale.times(_HOURS * 3600 * _FPS, 120)
    clock = ManualClock(datetime(2026, 6, 1, tzinfo=UTC), 1)
    pictures = [concrete(120, 160, seed=seed) for seed in range(8)]
    box = Options(path=scale.folder / "outbox.db", max_bytes=8 << 20, ballast_bytes=0, min_free_bytes=0)
    with (
        open_outbox(box, clock) as outbox,
        dark.open_segmenter(dark.Options(), clock) as segmenter,
        fixed.open_navigator(fixed.Options(lat_deg=51.0, lon_deg=3.7), clock) as navigator,
    ):
        pipeline = Pipeline(segmenter, navigator, outbox, Flight.of("drone", "long"), Measures(), clock)
        began_mb, began_handles = 0.0, 0
        for number in range(count):
            if number == count // 4:
                began_mb, began_handles = resident_mb(), handles()
            clock.advance(10**9 // _FPS)
            pipeline.process(Frame(number, clock.monotonic_ns(), 500, pictures[number % len(pictures)]))
            outbox.done([letter.id for letter in outbox.take(50)])
        grown_mb, opened = resident_mb() - began_mb, handles() - began_handles
        unconfirmed = outbox.counts()[LetterState.PENDING]
    hours = 0.75 * count / _FPS / 3600
    share = 100 * max(0.0, grown_mb) / began_mb / hours
    figures = (
        f"{count} frames ({count / _FPS / 3600:.2f} h), {pipeline.detections} detections, {unconfirmed} undelivered; "
        f"memory {began_mb:.0f} MB, {grown_mb:+.1f} MB in the last {hours:.2f} h ({share:.2f} % an hour); "
        f"{opened:+d} handles"
    )
    # A few minutes tell nothing of a percentage of an hour: a small round looks for a leak in each frame only.
    flat = grown_mb < 10 if hours < 1 else share < 1.0
    return Measured(figures, flat and opened == 0 and pipeline.storage_trouble is None)


ROW = Row("hours", "eight hours at full rate, time simulated", "memory below 1 % an hour, handles flat", run)
