"""The command ``snapshot``: the newest processed frame as JPEG."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge import evidence
from edge.detections.wire import rfc3339
from edge.frames.newest import NewestFrame
from edge.outcome import Outcome
from edge.settings import FlightOptions
from edge.support.clock import Clock
from edge.support.errors import DeviceError


def take_snapshot(
    newest: Outcome | None, camera: NewestFrame, options: FlightOptions, flight_id: str, clock: Clock
) -> Mapping[str, Any]:
    """Keep the ``newest`` processed frame, and say how old it is: after ``stop`` it gets no newer.

    Raises DeviceError before the first (None), OSError on a disk that is full or has less room than detections need.
    """
    if newest is None:
        why = camera.health() or "send start and try again"
        raise DeviceError(f"no frame has been processed yet, so there is nothing to keep ({why})")
    folder, age_ns = options.snapshot_dir, clock.monotonic_ns() - newest.frame.exposed_ns
    evidence.check_room(folder, options.min_free_mb * 1_000_000)
    name = f"{flight_id}-{newest.frame.seq:08d}-snapshot.jpg"
    picture = evidence.save(newest.frame, newest.nav, newest.moment, folder, name)
    return {
        "file": str(folder / picture.file),
        "sha256": picture.sha256,
        "seen_at": rfc3339(newest.moment.at),
        "age_s": round(age_ns / 1e9, 1),
    }
