"""What a folder holds: the pictures that are played, in order, and what is there besides and is not read."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.frames import readable
from edge.frames.decode import known_kind
from edge.frames.stills import SUFFIXES
from edge.support.errors import UsageError

_OTHER_PICTURES = frozenset((
    ".gif", ".jp2", ".j2k", ".jxl", ".avif", ".pgm", ".ppm", ".pbm", ".svg", ".psd", ".exr", ".hdr", ".pdf",
    ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".raw", ".rjpeg", ".seq", ".insp",
    ".mp4", ".mov", ".mkv", ".avi", ".m4v", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".h264", ".h265", ".hevc",
    ".mjpeg", ".insv", ".lrv",
))  # fmt: skip
"""Endings of pictures and videos that a folder's replay does not read. Other files, a log or a note, are none."""
_OUTPUT_OF_A_REPLAY = "detections.jsonl"
_SHOWN = 3
_MOST_LOOKED_AT = 10_000


@dataclass(frozen=True, slots=True)
class Listing:
    """A folder, or one image."""

    pictures: tuple[Path, ...]
    """What is played, in natural order of name."""
    other_kinds: tuple[tuple[str, int], ...] = ()
    """Pictures and videos that are not read: file name ending in lower case (empty without one) and how many."""
    folders: tuple[str, ...] = ()
    """Folders below that hold pictures, which are not read either."""

    def left_out(self) -> str | None:
        """One sentence on what is not read; None where there is nothing."""
        parts = [f"{count} {ending or 'without an ending'}" for ending, count in self.other_kinds]
        if self.folders:
            more = f" and {len(self.folders) - _SHOWN} more" if len(self.folders) > _SHOWN else ""
            parts.append(f"the pictures in {', '.join(name + '/' for name in self.folders[:_SHOWN])}{more}")
        if not parts:
            return None
        return f"not read: {', '.join(parts)}; export other kinds as JPEG, and give each folder by itself"


def list_pictures(path: Path) -> Listing:
    """List a folder, or take one image. Raises UsageError where there is nothing to read."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            if path.suffix.lower() not in SUFFIXES:
                raise UsageError(f"{path}: not an image by its name; images end in {' '.join(SUFFIXES)}")
            return Listing((path,))
        if not stat.S_ISDIR(mode):
            raise UsageError(f"{path}: neither a folder nor a file; give a folder of images or one image")
        entries = list(path.iterdir())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); give a folder of images or one image") from error
    seen = sorted(
        (entry for entry in entries if not entry.name.startswith(".")), key=lambda file: (natural(file.name), file.name)
    )
    # A folder called x.jpg is listed as a picture, and then skipped for its reason.
    pictures = tuple(entry for entry in seen if entry.suffix.lower() in SUFFIXES)
    rest = [entry for entry in seen if entry.suffix.lower() not in SUFFIXES]
    if not pictures:
        raise UsageError(f"{path}: no image in this folder ({_contents(entries)}); images end in {' '.join(SUFFIXES)}")
    kinds = Counter(readable(entry.suffix.lower()) for entry in rest if _is_other_picture(entry))
    folders = tuple(readable(entry.name) for entry in rest if entry.is_dir() and _holds_pictures(entry))
    return Listing(pictures, tuple(sorted(kinds.items())), folders)


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key in which digits count as numbers: img2 before img10."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [(int(part), "") if index % 2 else (0, part) for index, part in enumerate(parts)]


def _is_other_picture(entry: Path) -> bool:
    """By its ending, or by its first bytes: a JPEG without an ending is one that was meant to be read."""
    try:
        if not stat.S_ISREG(entry.stat().st_mode):
            return False
        if entry.suffix.lower() in _OTHER_PICTURES:
            return True
        with entry.open("rb") as file:
            head = file.read(12)
        return known_kind(head) and not head.startswith(b"BM")  # two letters alone also begin a text
    except OSError:
        return False


def _holds_pictures(folder: Path) -> bool:
    """Whether pictures lie in ``folder`` or below; what a replay wrote there does not count."""
    for looked_at, name in enumerate(_files_below(folder)):
        if Path(name).suffix.lower() in {*SUFFIXES, *_OTHER_PICTURES}:
            return True
        if looked_at >= _MOST_LOOKED_AT:
            break
    return False


def _files_below(folder: Path) -> Iterator[str]:
    for _, folders, files in os.walk(folder):  # passes over what cannot be listed
        if _OUTPUT_OF_A_REPLAY in files:
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (name for name in files if not name.startswith("."))


def _contents(entries: list[Path]) -> str:
    """What is there instead of images, briefly."""
    if not entries:
        return "it is empty"
    names = sorted(entry.name + "/" * entry.is_dir() for entry in entries)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"it holds {', '.join(names[:_SHOWN])}{more}"
