"""The pictures of a report: which photo shows which finding, copied as it is."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from edge.ground.report.findings import Finding
from edge.ground.report.flight import Flight

AT_ONCE = min(4, os.cpu_count() or 1)
"""Photos at a time: more than four cost memory (a photo of 12 megapixels takes 36 MB) and wait for the disk."""
_PLAIN = re.compile(r"[\w.()-]{1,120}")


def locate(findings: Sequence[Finding], flight: Flight) -> dict[Path, str]:
    """Name each finding's photo in ``finding.photo``; returns the originals with their names in the report."""
    photos, kept = flight.photos, flight.kept
    named: dict[Path, str] = {}
    taken: set[str] = set()
    with ThreadPoolExecutor(AT_ONCE) as pool:  # hashing lets go of the interpreter
        hashes = dict(zip(kept, pool.map(sha256_of, kept), strict=True))
    by_sha = {sha256: path for path, sha256 in hashes.items() if sha256 is not None}
    for finding in findings:
        path, finding.photo_is_view = _of(finding, photos, by_sha)
        if path is None:
            if finding.view is not None and finding.view.file is not None:
                finding.photo_doubt = f"its photo {finding.view.file} is not in {flight.looked_in}"
            continue
        if path not in hashes:
            hashes[path] = sha256_of(path)
        sha256 = hashes[path]
        if sha256 is None:
            finding.photo_doubt = f"its photo {path.name} cannot be read"
            continue
        finding.photo_sha256 = sha256
        wanted = None if finding.view is None else finding.view.sha256
        # The source of a replay, found by its frame's name, is another file than the evidence made of it.
        recorded = finding.view is not None and path.name == finding.view.file
        if finding.photo_is_view and recorded and wanted is not None and sha256 != wanted:
            finding.photo_doubt = f"its photo {path.name} is not the one that the flight recorded: it was changed"
        if path not in named:
            named[path] = _free(_as_flown(path, finding, sha256), taken)
        finding.photo = named[path]
    return named


def copy(originals: Mapping[Path, str], folder: Path) -> None:
    """Copy the originals, byte for byte, so that their hashes still hold. Raises OSError."""
    if not originals:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda item: _copy(item[0], folder / item[1]), originals.items()))


def _copy(path: Path, to: Path) -> None:
    """Whole or not at all, by the kernel where it can (shutil.copyfile)."""
    part = to.with_name(f".{to.name}.part")
    try:
        shutil.copyfile(path, part)
        os.replace(part, to)
    finally:
        part.unlink(missing_ok=True)


def _of(finding: Finding, photos: Mapping[str, Path], by_sha: Mapping[str, Path]) -> tuple[Path | None, bool]:
    """The photo of a finding, and whether it is that of its view: first the view's own, on which it can be drawn."""
    view, best = finding.view, finding.best
    whole = by_sha.get(str(best.get("evidence_sha256")))
    if view is not None:
        if whole is not None and view.frame_seq == best.get("frame_seq"):
            return whole, True
        names = [photos[name] for name in (view.file, view.frame_name) if name is not None and name in photos]
        own = by_sha.get(str(view.sha256)) or next(iter(names), None)
        if own is not None:
            return own, True
    name = best.get("frame_name")
    return whole or (photos.get(name) if isinstance(name, str) else None), False


def sha256_of(path: Path) -> str | None:
    """Of a file's bytes, in hexadecimal; None where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file)
    except OSError:
        return None


def _digest(file: Any) -> str:
    found = hashlib.sha256()  # Python 3.10 has no file_digest
    while block := file.read(1 << 20):
        found.update(block)
    return found.hexdigest()


def _as_flown(path: Path, finding: Finding, sha256: str) -> Path:
    """The name that the flight gave to a picture which lies here under its SHA-256; else the file's own."""
    view = finding.view
    if path.stem != sha256 or not finding.photo_is_view or view is None or view.file is None or view.sha256 != sha256:
        return path
    flown = Path(Path(view.file).name)  # the words of a drone
    return flown if flown.suffix.lower() in (".jpg", ".jpeg") and not flown.name.startswith(".") else path


def _free(path: Path, taken: set[str]) -> str:
    """A name that no other photo of the report has and that every program takes; geo.txt has no way to write blanks."""
    plain = path.name.replace(" ", "_")
    plain = plain if _PLAIN.fullmatch(plain) else f"photo{path.suffix.lower()}"
    name, number = plain, 1
    while name.lower() in taken:
        number += 1
        name = f"{Path(plain).stem}-{number}{Path(plain).suffix}"
    taken.add(name.lower())
    return name
