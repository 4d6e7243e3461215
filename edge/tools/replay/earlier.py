"""What stands in the folder that a replay is to write: an earlier replay goes, everything else stays and is refused.

A flight of a drone, photographs that are to be replayed, and files that no replay wrote are never touched.
"""

from __future__ import annotations

from pathlib import Path

from edge.flights import COVERAGE, CRACKS, DETECTIONS, FRAMES, MANIFEST, PHOTOS, SETTINGS, SIGNATURE, SUMMARY
from edge.flights.manifest import read_entries
from edge.flights.writer import digest_of, keep_out
from edge.support.errors import UsageError

PREFIX = "replay-"
"""Flight ids of replays and demos begin so; those of drones begin with the time."""
MOSAIC = "mosaic.png"

_WRITTEN = (DETECTIONS, SUMMARY, CRACKS, COVERAGE, FRAMES, SETTINGS, SIGNATURE, MOSAIC, MANIFEST)
"""The manifest last: what says whose folder it is goes when nothing else is left."""
_DRAWN = (("masks", "*.png"), ("overlays", "*.jpg"))


def check(out: Path, source: Path | None, wanted: tuple[str, ...]) -> list[str]:
    """Refuse a folder ``out`` that holds what no replay wrote, or what is to be replayed, or that lies in a flight.

    ``source``: what will be replayed, None: nothing on disk; ``wanted``: which of masks and overlays will be drawn. It
    returns the pictures of an earlier replay, by their names in ``out``. Raises UsageError, and touches nothing.
    """
    for parent in out.resolve().parents:
        if (parent / MANIFEST).is_file():
            keep_out(parent, out)
    earlier = _earlier(out)
    if earlier is None:
        _refuse_others(out, wanted)
        return []
    named, sealed = earlier
    if source is not None and out.resolve() in (source.resolve(), *source.resolve().parents):
        raise UsageError(
            f"--out {out}: what is to be replayed, {source}, lies in it and would be removed; name another folder"
        )
    for picture in (out / PHOTOS).glob("*"):
        if f"{PHOTOS}/{picture.name}" not in named:
            raise UsageError(f"--out {out}: {PHOTOS}/ there holds files that no replay wrote; name another folder")
    found = [name for name in named if (out / name).is_file()]
    for folder, kind in _DRAWN:
        for picture in (out / folder).glob("*" if sealed else kind):
            name = f"{folder}/{picture.name}"
            if sealed and named.get(name) != digest_of(picture)[1]:
                raise UsageError(
                    f"--out {out}: {name} there was drawn or changed by no replay, as a mask that is corrected by hand "
                    "is; name another folder"
                )
            found.append(name)
    return found


def clear(out: Path, source: Path | None, wanted: tuple[str, ...]) -> None:
    """Remove what an earlier replay left in ``out``, after ``check``. Raises UsageError, and OSError of the disk."""
    named = check(out, source, wanted)
    if not (out / MANIFEST).is_file():
        return
    for name in (*named, *_WRITTEN):
        (out / name).unlink(missing_ok=True)


def _earlier(out: Path) -> tuple[dict[str, str], bool] | None:
    """The pictures that the manifest of an earlier replay names, with their SHA-256, and whether it came to its end.

    None where ``out`` holds no flight. Raises UsageError for a flight that is none of a replay.
    """
    path = out / MANIFEST
    if not path.is_file():
        return None
    flight, named, sealed = None, {}, False
    for entry in read_entries(path):
        body = entry.body or {}
        flight = flight or (str(body.get("flight_id")) if body.get("kind") == "begin" else None)
        folder, _, name = str(body.get("file")).rpartition("/")
        if folder in (PHOTOS, *(drawn for drawn, _ in _DRAWN)) and name not in ("", ".", ".."):
            named[f"{folder}/{name}"] = str(body.get("sha256"))
        sealed = sealed or body.get("kind") == "seal"
    if flight is None or not flight.startswith(PREFIX):
        what = "a flight that cannot be read" if flight is None else f"the flight {flight}"
        raise UsageError(f"--out {out}: holds {what}, which no replay wrote; name another folder")
    return named, sealed


def _refuse_others(out: Path, wanted: tuple[str, ...]) -> None:
    for name in _WRITTEN:
        if (out / name).exists():
            raise UsageError(f"--out {out}: {name} there was written by no replay; name another folder")
    for name in (PHOTOS, *wanted):
        if any((out / name).glob("*")):
            raise UsageError(f"--out {out}: {name}/ there holds files that no replay wrote; name another folder")
