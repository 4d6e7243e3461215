"""A long time without a broker: the outbox fills, and must not become slower or larger in memory.

A put cannot be quicker than its disk: beside every twentieth, the same bytes are written to a plain file and synced, on
the same disk at the same moment, so that the figure tells the outbox from what else the disk has to do.
"""

from __future__ import annotations

import os
from array import array
from pathlib import Path

from edge.outbox import Letter, LetterState
from edge.outbox.sqlite import Options, open_outbox
from edge.support.clock import SystemClock, stopwatch_ns
from tests.faults.row import Measured, Row, Scale, percentile, resident_mb

# Real ones: what lies on the disk is packed, and made-up bytes would pack better or worse.
_DETECTIONS = Path(__file__).parents[1] / "golden/detections.jsonl"


def run(scale: Scale) -> Measured:
    """One letter a put, durable each; memory is read after the first tenth and at the end."""
    # Numbers in an array: a list of them would be a good part of the memory that is measured.
    count, took_ms, disk_ms, began_mb = scale.times(100_000, 1_000), array("d"), array("d"), 0.0
    payloads = _DETECTIONS.read_bytes().splitlines()
    options = Options(path=scale.folder / "outbox.db", ballast_bytes=0, min_free_bytes=0)
    with open_outbox(options, SystemClock()) as outbox, (scale.folder / "plain").open("wb", buffering=0) as plain:
        for number in range(count):
            payload = payloads[number % len(payloads)]
            began_ns = stopwatch_ns()
            outbox.put([Letter(f"{number}", "t", payload, None)])
            took_ms.append((stopwatch_ns() - began_ns) / 1e6)
            if number % 20 == 0:
                began_ns = stopwatch_ns()
                plain.write(payload)
                os.fdatasync(plain.fileno())
                disk_ms.append((stopwatch_ns() - began_ns) / 1e6)
            if number == count // 10:
                began_mb = resident_mb()
        grown_mb = resident_mb() - began_mb
        pending = outbox.counts()[LetterState.PENDING]
    last_ms, plain_ms = percentile(took_ms[-count // 10 :], 0.99), percentile(disk_ms, 0.99)
    figures = (
        f"{pending} of {count} pending; put p50 {percentile(took_ms, 0.5):.2f} ms, p99 {percentile(took_ms, 0.99):.2f} "
        f"ms, p99 of the last tenth {last_ms:.2f} ms; a plain write and fdatasync beside it p50 "
        f"{percentile(disk_ms, 0.5):.2f} ms, p99 {plain_ms:.2f} ms: {percentile(took_ms, 0.99) / plain_ms:.2f} times "
        f"the disk's own; memory +{max(0.0, grown_mb):.1f} MB"
    )
    # A small round shares its disk with everything else that runs: only what is asked of the full one is timed.
    quick_enough = scale.quick or percentile(took_ms, 0.99) < 10
    return Measured(figures, pending == count and grown_mb < 8 and quick_enough)


ROW = Row(
    "backlog",
    "100,000 detections queued",
    "put p99 below 10 ms, memory flat (below 8 MB)",
    run,
)
