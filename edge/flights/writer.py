"""Writes a flight folder as the flight goes: what is lost to a power cut is the last seconds, and it is said so."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from edge.detections.cracks import collection
from edge.detections.wire import rfc3339
from edge.evidence import Evidence
from edge.flights import CRACKS, DETECTIONS, MADE_LATER, MANIFEST, PHOTOS, REPORT, REVIEW, SETTINGS, SIGNATURE, SUMMARY
from edge.flights.manifest import SCHEMA, Manifest, append
from edge.support.clock import Clock
from edge.support.disk import make_folder, sync_file, write_whole
from edge.support.errors import UsageError
from edge.support.minisig import Signer

log = logging.getLogger(__name__)

# So much of a flight may be missing from the chain after a power cut.
_NOTE_EVERY_NS = 10_000_000_000
_NOTE_EVERY_BYTES = 4_000_000
# Writing every crack of a long flight takes tenths of a second.
_CRACKS_EVERY_NS = 30_000_000_000

DERIVED = frozenset({MANIFEST, SIGNATURE, REVIEW, *MADE_LATER})
"""Names at the top of a flight folder that the manifest does not cover: itself, and what people make of the flight
later. So are names that begin with a dot, databases of other programs (QGIS alters a GeoPackage by opening it) and the
outbox of a replay with --mqtt."""
_DERIVED_KINDS = (
    ".gpkg", ".gpkg-wal", ".gpkg-shm", ".gpkg-journal", ".db", ".db-wal", ".db-shm", ".db-journal", ".lock", ".ballast",
)  # fmt: skip


@dataclass(slots=True)
class _Growing:
    file: BinaryIO
    noted: int = 0
    """Bytes that the manifest covers."""
    size: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    """Of the bytes that it does not cover yet."""


class FlightWriter:
    """The writing side; used by one thread. Every method raises OSError when the disk refuses."""

    def __init__(self, folder: Path, clock: Clock, flight_id: str, signer: Signer | None = None) -> None:
        """Begin the folder of a flight; ``folder`` holds no manifest yet."""
        make_folder(folder)
        self.folder = folder
        self._clock = clock
        self._signer = signer
        self._growing: dict[str, _Growing] = {}
        self._whole: dict[str, str] = {}
        self._never: set[str] = set()  # noted, and never in place: the disk refused their first writing
        self._manifest = Manifest(folder / MANIFEST)
        self._noted_ns = self._cracks_ns = clock.monotonic_ns()
        self._cracks_changed = False
        key = None if signer is None else signer.number
        begin = {"kind": "begin", "schema": SCHEMA, "flight_id": flight_id, "at": rfc3339(clock.utc()), "key": key}
        self._manifest.note(begin)
        self._manifest.sync()

    def frame(
        self, payloads: Sequence[bytes], picture: Evidence | None, frame_seq: int, seen_at: datetime, *, changed: bool
    ) -> None:
        """Record one frame: its detections, its picture where one was kept, and whether it changed a crack."""
        self.append(DETECTIONS, b"".join(payload + b"\n" for payload in payloads))
        if picture is not None:
            name = f"{PHOTOS}/{picture.file}"
            size = (self.folder / name).stat().st_size
            seen = {"frame_seq": frame_seq, "seen_at": rfc3339(seen_at)}
            self._note_file(name, size, picture.sha256, seen)
        self._cracks_changed |= changed
        waiting = sum(one.size - one.noted for one in self._growing.values())
        if waiting > _NOTE_EVERY_BYTES or self._clock.monotonic_ns() - self._noted_ns > _NOTE_EVERY_NS:
            self.note()

    def append(self, name: str, data: bytes) -> None:
        """Add whole lines to a file that only grows, as frames.jsonl: all of ``data`` or nothing."""
        growing = self._growing.get(name)
        if growing is None:
            growing = self._growing[name] = _Growing((self.folder / name).open("wb", buffering=0))
        append(growing.file, data)
        growing.digest.update(data)
        growing.size += len(data)

    def replace(self, name: str, data: bytes) -> None:
        """Write a whole file in one step; the manifest has its hash before it is in place."""
        path, before, was_there = self.folder / name, self._whole.get(name), name not in self._never
        digest = hashlib.sha256(data).hexdigest()
        self._note_file(name, len(data), digest)
        try:
            self._manifest.sync()
            write_whole(path, data)
        except OSError:
            # What lies there decides: the disk may also fail after the new file is in place.
            if not os.path.lexists(path):
                self._never.add(name)
                with contextlib.suppress(OSError):  # the seal says it too, where the flight gets so far
                    self._note_file(name, len(data), digest, {"never_in_place": True})
            elif before is not None and was_there and digest_of(path)[1] == before != digest:
                self._note_file(name, path.stat().st_size, before)
            else:
                self._never.discard(name)
            raise
        self._never.discard(name)

    def document(self, name: str, document: Mapping[str, Any]) -> None:
        """Write a JSON document in one step."""
        self.replace(name, (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())

    def summary(self, document: Mapping[str, Any]) -> None:
        """Write summary.json; ``schema`` and all other keys are the caller's."""
        self.document(SUMMARY, document)

    def settings(self, document: Mapping[str, Any]) -> None:
        """Write settings.json: the configuration as flown, without secrets."""
        self.document(SETTINGS, document)

    @property
    def cracks_due(self) -> bool:
        """True when cracks.geojson should be written again: something changed, and some time has passed."""
        return self._cracks_changed and self._clock.monotonic_ns() - self._cracks_ns > _CRACKS_EVERY_NS

    def cracks(self, features: Sequence[Mapping[str, Any]]) -> None:
        """Write cracks.geojson in one step: every crack of the flight once."""
        self.replace(CRACKS, (json.dumps(collection(features), ensure_ascii=False, allow_nan=False) + "\n").encode())
        self._cracks_changed, self._cracks_ns = False, self._clock.monotonic_ns()

    def note(self) -> None:
        """Bring the manifest up to now, on the disk."""
        for name, one in self._growing.items():
            if one.size == one.noted and one.size:
                continue
            sync_file(self.folder / name, one.file.fileno())
            self._manifest.note(_segment(name, one.noted, one.size, one.digest.hexdigest()))
            one.noted, one.digest = one.size, hashlib.sha256()
        self._manifest.sync()
        self._noted_ns = self._clock.monotonic_ns()

    def seal(self, *, interrupted: bool = False) -> None:
        """End the flight: note all that lies in the folder, seal, sign. ``interrupted``: it ended before its time."""
        self.note()
        for one in self._growing.values():
            one.file.close()
        if interrupted:
            self._manifest.note({"kind": "interrupted", "at": rfc3339(self._clock.utc()), "cut_bytes": 0})
        for name, path in plain_others(self.folder, {*self._growing, *self._whole}):
            size, sha256 = digest_of(path)
            self._note_file(name, size, sha256)
        more = {"never_in_place": sorted(self._never)} if self._never else {}
        finish(self.folder, self._manifest, self._clock, self._signer, more)

    def close(self) -> None:
        """Give up without a seal, as a power cut does; the next start seals."""
        for one in self._growing.values():
            one.file.close()
        self._manifest.close()

    def _note_file(self, name: str, size: int, sha256: str, more: Mapping[str, Any] | None = None) -> None:
        self._manifest.note({"kind": "file", "file": name, "bytes": size, "sha256": sha256, **(more or {})})
        self._whole[name] = sha256


FRAMES_IN_FULL = 20_000
"""So many frames have a line each in frames.jsonl; of as many again every second one has, and so on."""


def thinning(number: int) -> int:
    """Every how many frames one is written, at frame ``number`` from 0: a flight of any length stays readable."""
    return int(1 << (number // FRAMES_IN_FULL).bit_length())


def finish(
    folder: Path, manifest: Manifest, clock: Clock, signer: Signer | None, more: Mapping[str, Any] | None = None
) -> None:
    """The last line, with what ``more`` adds to it, and its signature. Raises OSError."""
    manifest.note({"kind": "seal", "at": rfc3339(clock.utc()), **(more or {})})
    manifest.sync()
    manifest.close()
    if signer is not None:
        write_whole(folder / SIGNATURE, signer.sign((folder / MANIFEST).read_bytes(), "spanhawk flight"))


def others(folder: Path, known: set[str]) -> Iterator[tuple[str, Path]]:
    """The files of the flight that are not ``known``, by name, in order. Raises OSError.

    Links are among them, also those to folders, and not followed: what they lead to is not the flight's.
    """
    for parent, folders, names in os.walk(folder, onerror=_raise):
        top = Path(parent) == folder
        folders[:] = sorted(one for one in folders if not is_derived(one, top=top))
        for one in sorted((*names, *(one for one in folders if Path(parent, one).is_symlink()))):
            path = Path(parent, one)
            name = path.relative_to(folder).as_posix()
            if name not in known and not is_derived(one, top=top):
                yield name, path


def plain_others(folder: Path, known: set[str]) -> Iterator[tuple[str, Path]]:
    """Those of them that a manifest can note: plain files, no links, pipes or sockets. Raises OSError."""
    return ((name, path) for name, path in others(folder, known) if path.is_file() and not path.is_symlink())


def keep_out(folder: Path, out: Path, rather: str = REPORT) -> None:
    """Refuse to write into a flight: its files are evidence. ``report/`` and ``exports/`` in it are for that, and
    ``rather`` is the one of them that the message names.

    Raises UsageError.
    """
    inside = out.resolve()
    flight = folder.resolve()
    if inside == flight or (flight in inside.parents and inside.relative_to(flight).parts[0] not in MADE_LATER):
        raise UsageError(
            f"--out {out}: lies in the flight itself, whose files stay as they are; name another folder, or "
            f"{folder / rather}"
        )


def is_derived(name: str, *, top: bool) -> bool:
    """True for what the manifest does not cover: made of the flight later, or left half written."""
    return name.startswith(".") or (top and (name in DERIVED or name.endswith(_DERIVED_KINDS)))


def digest_of(path: Path, start: int = 0, end: int | None = None) -> tuple[int, str]:
    """How many bytes there are from ``start`` to ``end`` (None: to its end), and their SHA-256. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        file.seek(start)
        while chunk := file.read(1 << 20 if end is None else min(1 << 20, end - start - size)):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def _segment(name: str, start: int, end: int, sha256: str) -> dict[str, Any]:
    return {"kind": "segment", "file": name, "from": start, "to": end, "sha256": sha256}


def _raise(error: OSError) -> None:
    raise error
