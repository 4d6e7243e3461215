"""What a person says of the findings: ``review.json``, written by the report's own page and read back here.

::

    {"schema": "spanhawk/review/1", "flight_id": "…", "reviews": [
      {"crack_id": "…", "verdict": "confirmed" | "rejected" | "unreviewed", "grade": null, "remark": null,
       "by": "…", "at": "2026-06-01T12:00:00Z"}]}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edge.flights import REVIEW_SCHEMA
from edge.ground.report.words import clean
from edge.support.errors import UsageError

VERDICTS = ("confirmed", "rejected", "unreviewed")
_MOST_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class Review:
    """One person's word on one finding."""

    crack_id: str
    verdict: str
    """One of VERDICTS."""
    grade: str | None
    """Of the person's own scheme; None: not graded."""
    remark: str | None
    by: str | None
    at: str | None
    """RFC 3339."""


def read(path: Path, flight_id: str | None) -> dict[str, Review]:
    """Reviews by crack_id; the last word counts. Raises UsageError for a file that is no review of that flight."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"--review {path}: larger than {_MOST_BYTES // 1_000_000} MB, so no review.json")
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"--review {path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--review {path}: not whole JSON ({error}); download it from the report again") from error
    if not isinstance(document, dict) or document.get("schema") != REVIEW_SCHEMA:
        got = document.get("schema") if isinstance(document, dict) else type(document).__name__
        raise UsageError(
            f"--review {path}: schema is {got!r}, not {REVIEW_SCHEMA!r}; give the file that the report downloads"
        )
    if document.get("flight_id") != flight_id:
        raise UsageError(
            f"--review {path}: it reviews flight {document.get('flight_id')!r}, this is {flight_id!r}; "
            "give the review of this flight"
        )
    entries = document.get("reviews")
    if not isinstance(entries, list):
        raise UsageError(f"--review {path}: reviews is no list; download it from the report again")
    reviews = [_review(entry, number, path) for number, entry in enumerate(entries, 1)]
    return {one.crack_id: one for one in reviews}


def one_of(entry: Any) -> Review | None:
    """One entry of ``reviews``; None where it names no crack or no known verdict."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("crack_id"), str):
        return None
    if entry.get("verdict") not in VERDICTS:
        return None
    words = {key: _words(entry.get(key)) for key in ("grade", "remark", "by", "at")}
    return Review(entry["crack_id"], entry["verdict"], **words)


def moment(at: str | None) -> datetime | None:
    """An RFC 3339 time in UTC; None for what is none, or lies before 1970."""
    try:
        found = datetime.fromisoformat((at or "").replace("Z", "+00:00"))
    except ValueError:
        return None
    if found.tzinfo is None or found.year < 1970:
        return None
    return found.astimezone(timezone.utc)


def _review(entry: Any, number: int, path: Path) -> Review:
    found = one_of(entry)
    if found is None:
        raise UsageError(
            f"--review {path}: entry {number} needs a crack_id and a verdict of {', '.join(VERDICTS)}, got "
            f"{str(entry)[:200]}"
        )
    return found


def _words(value: Any) -> str | None:
    return clean(str(value)).strip() or None if value is not None else None
