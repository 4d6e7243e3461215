"""Room on a card that fills up: pictures go, the oldest first, but only those whose detections have arrived; then whole
flights, where the configuration allows it.

Reads the outbox beside the running daemon and takes no lock. Whether there is room is asked of the disk, never of the
clock: a board without a battery-backed clock jumps by years when the satellites set it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from edge.flights import MANIFEST
from edge.flights.verify import verify
from edge.outbox.reader import open_reader
from edge.settings import Settings
from edge.support import disk
from edge.support.errors import UsageError

log = logging.getLogger(__name__)

# The daemon writes a picture just before the letter that names it.
_NEWEST_KEPT = 50
# Prune at twice the room at which the daemon stops keeping pictures, so that it need not.
_ROOM_FACTOR = 2
_GOING = ".going-"
# Whether bytes were altered is asked of the manifest alone: a drone does not keep the public half of its own key.
_NO_KEYS = Path(os.devnull)


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


def flights(settings: Settings) -> str:
    """Delete whole flights until there is room again; returns one sentence, and logs each flight that goes.

    Only sealed flights whose every byte fits their manifest go, the oldest first; ``keep_newest_flights`` newest ones
    stay, and those with letters on their way. Raises TryAgainError or ConfigError when the outbox cannot be
    read: then nothing is deleted.
    """
    root, newest = settings.flight.folder_dir, settings.flight.keep_newest_flights
    if root is None or not root.is_dir():
        return "no flights are kept"
    for half in root.glob(f"{_GOING}*"):  # a power cut came while it was deleted
        shutil.rmtree(half)
    wanted = _ROOM_FACTOR * settings.flight.min_free_mb * 1_000_000
    if _free(root) >= wanted:
        return "there is room, no flight is deleted"
    if newest is None:
        return (
            f"only {_free(root) // 1_000_000} MB free; flights are not deleted by themselves: copy them elsewhere and "
            "delete them, or set [flight] keep_newest_flights"
        )
    manifests = [path for path in root.glob(f"*/{MANIFEST}") if not path.parent.is_symlink()]
    oldest_first = sorted(manifests, key=lambda path: path.stat().st_mtime_ns)[:-newest]
    waiting = Counter(_flights_of_letters(settings))
    gone, kept = 0, []
    for path in oldest_first:
        if _free(root) >= wanted:
            break
        why = _why_kept(path.parent, waiting)
        if why is not None:
            kept.append(f"{path.parent.name} ({why})")
            continue
        _delete(path.parent)
        gone += 1
    left = _free(root)
    told = f"{gone} flights deleted, {left // 1_000_000} MB free"
    told += f"; kept: {', '.join(kept)}" if kept else ""
    return told if left >= wanted else f"{told}; still below {wanted // 1_000_000} MB: copy flights elsewhere"


def _why_kept(folder: Path, waiting: Mapping[str, int]) -> str | None:
    """Why the flight must stay; None where it may go. Reads all of it."""
    if waiting[folder.name]:
        return f"{waiting[folder.name]} letters on their way"
    try:
        verdict = verify(folder, _NO_KEYS)
    except UsageError as error:
        return str(error)
    if verdict.problems:
        return f"it was altered, see spanhawk verify {folder}"
    return None if verdict.state.sealed else "it is not sealed: it still goes on, or was interrupted"


def _delete(folder: Path) -> None:
    sha256 = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    going = folder.with_name(f"{_GOING}{folder.name}")
    folder.rename(going)
    shutil.rmtree(going)
    log.warning("flight %s deleted to make room; the SHA-256 of its manifest was %s", folder.name, sha256)


def _flights_of_letters(settings: Settings) -> Iterator[str]:
    """The flight of each letter that has not arrived."""
    for payload in _undelivered(settings):
        flight_id = json.loads(payload).get("properties", {}).get("flight_id")
        if isinstance(flight_id, str):
            yield flight_id


def _by_age(folder: Path) -> list[Path]:
    found = [(entry.stat().st_mtime_ns, entry.name) for entry in os.scandir(folder) if entry.name.endswith(".jpg")]
    return [folder / name for _, name in sorted(found)]


def _named_by_letters(settings: Settings) -> Iterator[str]:
    """File names in letters that have not arrived."""
    for payload in _undelivered(settings):
        evidence = json.loads(payload).get("properties", {}).get("evidence")
        if evidence:
            yield evidence["file"]


def _undelivered(settings: Settings) -> Iterator[bytes]:
    path: Path | None = getattr(settings.outbox.options, "path", None)
    if path is None or not path.exists():
        return
    with open_reader(path) as reader:
        yield from reader.undelivered()


def _free(folder: Path) -> int:
    return disk.free_bytes_for(folder) or 0
