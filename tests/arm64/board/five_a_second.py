"""Run on the board as root, the daemon stopped: 5 detections a second for some time through the daemon's own outbox,
each confirmed at once as by a broker, and what the card took meanwhile. Prints one JSON object.

    five_a_second.py SECONDS

A frame with five would be gentler: here each detection is a transaction of its own, as at 5 frames a second.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from edge.outbox import Letter
from edge.outbox.sqlite import Options, open_outbox
from edge.support.clock import SystemClock

PER_S = 5
SAMPLE = Path("/var/lib/spanhawk/outbox.db")
_SECTOR = 512


def written_mb() -> float:
    """Of the card, all partitions, since the boot (Documentation/ABI/testing/procfs-diskstats, field 10)."""
    return int(Path("/sys/block/vda/stat").read_text().split()[6]) * _SECTOR / 1e6


def a_payload() -> bytes:
    """The largest detection that the daemon recorded on this board."""
    with tempfile.TemporaryDirectory(dir="/run") as folder:  # the daemon's own file stays the daemon's
        for path in SAMPLE.parent.glob("outbox.db*"):
            shutil.copy2(path, folder)
        with open_outbox(Options(path=Path(folder) / SAMPLE.name), SystemClock()) as box:
            return max((one.letter.payload for one in box.list(1000)), key=len)


def main(seconds: int) -> None:
    """Measure."""
    payload = a_payload()
    os.sync()
    time.sleep(10)
    idle_from = written_mb()
    time.sleep(30)
    idle = (written_mb() - idle_from) * 120
    with (
        tempfile.TemporaryDirectory(dir="/var/lib") as folder,
        open_outbox(Options(path=Path(folder) / "outbox.db"), SystemClock()) as box,
    ):
        os.sync()
        begun, before, put = time.monotonic(), written_mb(), 0
        while (now := time.monotonic() - begun) < seconds:
            box.put([Letter(f"2026.{put}", "spanhawk/drone1/detections", payload, None)])
            put += 1
            box.done([letter.id for letter in box.take(8)])
            time.sleep(max(0.0, put / PER_S - (time.monotonic() - begun)))
        os.sync()
        written = written_mb() - before
    print(json.dumps({
        "put": put, "seconds": round(now), "payload_bytes": len(payload), "written_mb": round(written, 2),
        "mb_per_h": round(written / now * 3600, 1), "of_it_when_idle_mb_per_h": round(idle, 1),
    }))  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]))
