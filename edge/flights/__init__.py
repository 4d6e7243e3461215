"""The folder that a flight leaves on disk: one layout for the daemon, a replay and the demo; see docs/flights.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SCHEMA = "spanhawk/flight/1"
"""``schema`` of summary.json, and with it the version of the whole layout."""
REVIEW_SCHEMA = "spanhawk/review/1"

SUMMARY = "summary.json"
DETECTIONS = "detections.jsonl"
CRACKS = "cracks.geojson"
COVERAGE = "coverage.geojson"
FRAMES = "frames.jsonl"
SETTINGS = "settings.json"
REVIEW = "review.json"
MANIFEST = "manifest.jsonl"
SIGNATURE = "manifest.jsonl.minisig"
REPORT = "report"
EXPORTS = "exports"
MADE_LATER = (REPORT, EXPORTS)
"""Folders in a flight's own for what people make of it; the manifest does not cover them."""
PHOTOS = "photos"
"""Folder of JPEG pictures."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is missing or damaged in a flight folder; everything else was read."""

    file: str
    """Path within the folder, with ``/``."""
    what: str
    """What is wrong, without the file's name."""

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


def in_words(problems: Sequence[Problem]) -> str:
    """Problems as one sentence part, the same one of several files once; empty where there are none."""
    files: dict[str, list[str]] = {}
    for one in problems:
        files.setdefault(one.what, []).append(one.file)
    return "; ".join(
        f"{names[0]}{f' and {len(names) - 1} more' if names[1:] else ''}: {what}" for what, names in files.items()
    )
