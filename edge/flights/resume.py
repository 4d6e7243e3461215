"""Seals at the next start what a power cut left open."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.detections.wire import rfc3339
from edge.flights import MANIFEST
from edge.flights.manifest import CUT_OFF, ORIGIN, Manifest, State, read_entries
from edge.flights.writer import digest_of, finish, plain_others
from edge.support.clock import Clock
from edge.support.minisig import Signer

log = logging.getLogger(__name__)

_TAIL_BYTES = 4000


def seal_all(folder: Path, clock: Clock, signer: Signer | None) -> list[str]:
    """Seal every flight below ``folder`` that is not sealed; returns a sentence for each that cannot be."""
    troubles = []
    for path in sorted(folder.glob(f"*/{MANIFEST}")):
        try:
            if _is_sealed(path):
                continue
            seal_interrupted(path.parent, clock, signer)
            log.info("%s: sealed after an interruption", path.parent)
        except (OSError, ValueError) as error:
            troubles.append(f"{path.parent}: cannot be sealed ({getattr(error, 'strerror', None) or error})")
    return troubles


def seal_interrupted(folder: Path, clock: Clock, signer: Signer | None) -> None:
    """Note what the manifest does not cover, say that it was interrupted, and seal.

    What it does cover is not noted again, so that whatever was altered meanwhile stays visible. Raises OSError, and
    ValueError where the chain is broken: then nothing is written.
    """
    path = folder / MANIFEST
    state, chain, sound = State(), ORIGIN, 0
    last: Mapping[str, Any] = {}
    for entry in read_entries(path):
        if entry.body is None:
            if entry.trouble == CUT_OFF:
                break
            raise ValueError(f"line {entry.number} of its manifest: {entry.trouble}")
        trouble = state.take(entry.body)
        if trouble is not None:
            raise ValueError(f"line {entry.number} of its manifest {trouble}")
        chain, sound, last = entry.chain, entry.end, entry.body
    if state.schema is None:
        raise ValueError("its manifest is empty")
    cut = path.stat().st_size - sound
    os.truncate(path, sound)
    manifest = Manifest(path, chain)
    never = {"never_in_place": [last["file"]]} if _never_in_place(folder, last, state) else {}
    manifest.note({"kind": "interrupted", "at": rfc3339(clock.utc()), "cut_bytes": cut, **never})
    for name, ranges in state.segments.items():
        end = ranges[-1][1]
        size, sha256 = digest_of(folder / name, end) if (folder / name).is_file() else (0, "")
        if size:
            manifest.note({"kind": "segment", "file": name, "from": end, "to": end + size, "sha256": sha256})
    for name, before in state.earlier.items():
        # Its new hash is noted before it is in place: where the power went between the two, the old one lies there.
        size, sha256 = digest_of(folder / name) if (folder / name).is_file() else (0, "")
        if sha256 == before and sha256 != state.files[name][1]:
            manifest.note({"kind": "file", "file": name, "bytes": size, "sha256": sha256})
    for name, other in plain_others(folder, {*state.segments, *state.files}):
        size, sha256 = digest_of(other)
        manifest.note({"kind": "file", "file": name, "bytes": size, "sha256": sha256})
    signer = signer if state.key is not None else None
    key = None if signer is None else signer.number
    finish(folder, manifest, clock, signer, {} if key == state.key else {"key": key})


def _never_in_place(folder: Path, last: Mapping[str, Any], state: State) -> bool:
    """Whether the power went between the note of a document's first writing and its coming into place.

    Then that note is the last one: the next is written once the document is on the disk. A picture is on the disk
    before it is noted. So whatever else is not there was taken away, and stays visible.
    """
    if last.get("kind") != "file" or "frame_seq" in last or last["file"] in state.earlier:
        return False
    return not os.path.lexists(folder / last["file"])


def _is_sealed(path: Path) -> bool:
    """By its last line alone: a drone may have hundreds of flights."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        return file.read().rpartition(b"\n")[0].rpartition(b"\n")[2].startswith(b'{"kind":"seal"')
