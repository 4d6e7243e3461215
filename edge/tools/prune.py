"""Room on a card that fills up: pictures go, the oldest first, but only those whose detections have arrived.

Reads the outbox beside the running daemon and takes no lock. Whether there is room is asked of the disk, never of the
clock: a board without a battery-backed clock jumps by years when the satellites set it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from edge.outbox.reader import open_reader
from edge.settings import Settings
from edge.support import disk

# The daemon writes a picture just before the letter that names it.
_NEWEST_KEPT = 50
# Prune at twice the room at which the daemon stops keeping pictures, so that it need not.
_ROOM_FACTOR = 2


def pictures(settings: Settings) -> str:
    """Delete pictures until there is room again; returns one sentence.

    Raises TryAgainError when the outbox cannot be read: then nothing is deleted.
    """
    flight = settings.flight
    wanted = _ROOM_FACTOR * flight.min_free_mb * 1_000_000
    if flight.evidence_dir is None or not flight.evidence_dir.is_dir():
        return "no pictures are kept"
    if _free(flight.evidence_dir) >= wanted:
        return "there is room, nothing to prune"
    oldest_first = _by_age(flight.evidence_dir)[:-_NEWEST_KEPT]  # listed before the letters are
    needed = set(_named_by_letters(settings))
    gone = kept = 0
    for path in oldest_first:
        if _free(flight.evidence_dir) >= wanted:
            break
        if path.name in needed:
            kept += 1
            continue
        path.unlink(missing_ok=True)
        gone += 1
    left = _free(flight.evidence_dir)
    short = (
        "" if left >= wanted else f"; still below {wanted // 1_000_000} MB: free disk space, or put in a larger card"
    )
    return f"{gone} pictures deleted, {kept} kept for detections on their way, {left // 1_000_000} MB free{short}"


def _by_age(folder: Path) -> list[Path]:
    found = [(entry.stat().st_mtime_ns, entry.name) for entry in os.scandir(folder) if entry.name.endswith(".jpg")]
    return [folder / name for _, name in sorted(found)]


def _named_by_letters(settings: Settings) -> Iterator[str]:
    """File names in letters that have not arrived."""
    path: Path | None = getattr(settings.outbox.options, "path", None)
    if path is None or not path.exists():
        return
    with open_reader(path) as reader:
        for payload in reader.undelivered():
            evidence = json.loads(payload).get("properties", {}).get("evidence")
            if evidence:
                yield evidence["file"]


def _free(folder: Path) -> int:
    return disk.free_bytes_for(folder) or 0
