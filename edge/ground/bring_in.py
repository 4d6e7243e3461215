"""``spanhawk ground import``: the folder of a landed flight into the store, as if it had come over the air.

What the air has brought already is recognised; what is missing in the folder (it was made before, or cut off by a power
cut) is named. A torn last line of ``detections.jsonl`` is refused like any other line that cannot be read, and counted.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edge.detections.wire import to_bytes
from edge.flights import REVIEW, SUMMARY
from edge.flights.reader import FlightFolder
from edge.ground import Batch, ReviewRow, Store
from edge.ground.incoming import MAX_FILE_BYTES, MAX_PAYLOAD_BYTES, conflict, read_own
from edge.ground.pictures import MAX_BYTES as MAX_PICTURE_BYTES
from edge.ground.pictures import Pictures
from edge.ground.report import review
from edge.ground.report.words import count
from edge.ground.stores import open_store, shown
from edge.support.clock import Clock, SystemClock
from edge.support.errors import UsageError

log = logging.getLogger(__name__)

_AT_ONCE = 1000
_MAX_COLLECTION_BYTES = 256 << 20


def bring_in(flight: Path, store: str, pictures: Path | None) -> str:
    """Read ``flight`` into the store at this address, and its cracks' pictures into the folder ``pictures``.

    Returns one sentence. Raises UsageError, TryAgainError.
    """
    clock = SystemClock()
    check(flight)  # a name that is mistyped makes no store
    with open_store(store, clock) as opened:
        told = Import(opened, None if pictures is None else Pictures(pictures), clock).read(flight)
        return f"{flight}: {told}; the store is {shown(store)}"


def check(folder: Path) -> list[str]:
    """The names of the files that a flight's folder should have and this one has not.

    Raises UsageError where there is no flight, or a newer version wrote it.
    """
    names = ("detections.jsonl", "cracks.geojson", "coverage.geojson")
    absent = [name for name in names if not (folder / name).is_file()]
    if len(absent) == len(names):
        raise UsageError(f"{folder}: no flight is here (neither {', '.join(names)})")
    if (folder / SUMMARY).is_file():
        FlightFolder(folder)  # refuses what a newer version wrote
    return absent


class Import:
    """Reads folders into one store."""

    def __init__(self, store: Store, pictures: Pictures | None, clock: Clock) -> None:
        self._store = store
        self._pictures = pictures
        self._clock = clock
        self._new = self._repeats = self._conflicts = self._refused = 0
        self._named: set[str] = set()
        self._damaged: UsageError | None = None

    def read(self, folder: Path) -> str:
        """All of one folder; returns what came of it.

        Raises UsageError where there is no flight or a newer version wrote it, and after all else was read where
        cracks.geojson is damaged.
        """
        absent = check(folder)
        batch = Batch()
        reasons: dict[tuple[str, str], list[str]] = {}
        for kind, where, payload in self._letters(folder):
            most_bytes = MAX_FILE_BYTES if kind == "coverage" else MAX_PAYLOAD_BYTES
            refused = read_own(kind, payload, self._clock.utc(), batch, most_bytes=most_bytes)
            if refused is not None:
                self._refused += 1
                reasons.setdefault((kind, refused.reason), []).append(where)
            if len(batch) >= _AT_ONCE:
                self._write(batch)
                batch = Batch()
        self._write(batch)
        for (_, reason), places in reasons.items():
            more = f" (and {len(places) - 1} more)" if len(places) > 1 else ""
            log.warning("%s: refused %s%s: %s", folder, places[0], more, reason)
        told = f"{self._new} new, {self._repeats} already there, {self._refused} refused"
        told += f", {self._conflicts} with another content than the one stored" if self._conflicts else ""
        told += self._bring_reviews(folder)
        told += self._bring_pictures(folder / "photos")
        told += f"; it has no {' and no '.join(absent)}" if absent else ""
        if self._damaged is not None:
            raise UsageError(f"{self._damaged}; all else was read: {told}")
        return told

    def _bring_reviews(self, folder: Path) -> str:
        """What people said of the flight's findings (review.json); returns words about it."""
        if not (folder / REVIEW).is_file():
            return ""
        flight = FlightFolder(folder)
        vehicle, flight_id = flight.vehicle, flight.flight_id
        entries = flight.reviews().values()
        # A word without a moment is as old as its file.
        written = datetime.fromtimestamp((folder / REVIEW).stat().st_mtime, timezone.utc)
        rows = []
        for one in map(review.one_of, entries):
            if one is not None and vehicle is not None and flight_id is not None:
                at = review.moment(one.at) or written
                rows.append(ReviewRow(vehicle, flight_id, one.crack_id, one.verdict, one.grade, one.remark, one.by, at))
        if lost := len(entries) - len(rows):
            log.warning(
                "%s: %s left out: no verdict, or nothing says of which flight", folder / REVIEW, count(lost, "review")
            )
        for problem in flight.problems:
            if problem.file == REVIEW:
                log.warning("%s: %s", folder, problem)
        self._store.add(Batch(reviews=rows))
        return f", {count(len(rows), 'review')}"

    def _bring_pictures(self, photos: Path) -> str:
        """The pictures that the cracks name, known by their bytes; returns words about them."""
        if self._pictures is None:
            return "; its pictures were left out: name a folder for them ([ground] pictures)" if self._named else ""
        lacking = {sha256 for sha256 in self._named if self._pictures.find(sha256) is None}
        new = 0
        for path in sorted(photos.glob("*.jp*g")) if lacking else ():
            try:
                data = path.read_bytes() if path.stat().st_size <= MAX_PICTURE_BYTES else b""
            except OSError as error:
                log.warning("%s: cannot be read (%s)", path, error.strerror)
                continue
            sha256 = hashlib.sha256(data).hexdigest()
            if sha256 in lacking and self._pictures.put(sha256, data):
                lacking.discard(sha256)
                new += 1
        told = f", {count(new, 'new picture')}" if new else ""
        return told + (f", missing: {count(len(lacking), 'picture')} that its cracks name" if lacking else "")

    def _write(self, batch: Batch) -> None:
        self._named |= {row.best_sha256 for row in batch.cracks if row.best_sha256 is not None}
        added = self._store.add(batch)
        self._new += added.new
        self._repeats += added.repeats
        self._conflicts += len(added.conflicts)
        self._refused += len(added.unfit)
        if added.conflicts:
            self._store.add(Batch(refused=[conflict(row, self._clock.utc()) for row in added.conflicts]))

    def _letters(self, folder: Path) -> Iterator[tuple[str, str, bytes]]:
        """Kind, place in words and payload of everything in the folder, as it would have come over the air."""
        lines = folder / "detections.jsonl"
        if lines.is_file():
            with lines.open("rb") as file:
                number, begins = 0, True
                while line := file.readline(MAX_PAYLOAD_BYTES + 2):
                    number, begins = number + begins, line.endswith(b"\n")
                    if line.strip():
                        yield "detections", f"line {number} of {lines.name}", line.rstrip(b"\r\n")
        try:
            cracks = _features(folder / "cracks.geojson")
        except UsageError as error:
            cracks, self._damaged = [], error
        for number, feature in enumerate(cracks, 1):
            try:
                payload = to_bytes(feature)
            except ValueError:  # NaN, or half a character: it is refused as it would be from the air
                payload = json.dumps(feature).encode()
            yield "cracks", f"feature {number} of cracks.geojson", payload
        coverage = folder / "coverage.geojson"
        if coverage.is_file() and coverage.stat().st_size > MAX_FILE_BYTES:
            self._refused += 1
            log.warning("%s: refused coverage.geojson: larger than %d bytes", folder, MAX_FILE_BYTES)
        elif coverage.is_file():
            yield "coverage", coverage.name, coverage.read_bytes().strip()


def _features(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    if path.stat().st_size > _MAX_COLLECTION_BYTES:
        raise UsageError(f"{path}: larger than {_MAX_COLLECTION_BYTES} bytes; no flight has so many cracks")
    try:
        features = json.loads(path.read_bytes())["features"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: no FeatureCollection can be read from it ({str(error)[:80]})") from error
    if not isinstance(features, list) or not all(isinstance(one, dict) for one in features):
        raise UsageError(f"{path}: its features are no list of objects")
    return features
