"""What a request asks for, read strictly: OGC API Features, Part 1 (17-069r4), sections 7.15.2 to 7.15.5.

A parameter that is not known, stands twice or cannot be read is refused with one sentence, never left aside: an answer
to another question than the one that was asked would look like a bridge without cracks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timezone

from edge.ground import Box, Query
from edge.support.errors import SpanhawkError

LIMIT, MOST = 100, 10_000
"""Features in one answer: where nothing is said, and at most; more is answered with the most."""
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(\d{1,9}))?(?:Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(r"\d{1,18}", re.ASCII)
_MOST_TEXT = 200


class AskedWronglyError(SpanhawkError):
    """A request that cannot be answered as it stands (400), and why."""


class NotHereError(SpanhawkError):
    """What is asked for is not there (404)."""


Pairs = Sequence[tuple[str, str]]
"""Names and values of a request's parameters, decoded."""


_KNOWN = ("bbox", "bbox-crs", "datetime", "limit", "after", "vehicle", "flight_id", "f")


def query_of(pairs: Pairs, *, kinds: bool = True) -> Query:
    """The query of a collection's items; ``kinds``: its features have a kind. Raises AskedWronglyError."""
    given = single(pairs, (*_KNOWN, "kind") if kinds else _KNOWN)
    form(given)
    crs = given.get("bbox-crs", CRS84)
    if crs != CRS84:
        raise AskedWronglyError(f"bbox-crs: got {_short(crs)}, this service knows {CRS84} only")
    since, until = _interval(given["datetime"]) if "datetime" in given else (None, None)
    limit = whole(given, "limit", 1)
    return Query(
        vehicle=given.get("vehicle"), flight_id=given.get("flight_id"), kind=given.get("kind"),
        box=_box(given["bbox"]) if "bbox" in given else None,
        since=since, until=until, limit=LIMIT if limit is None else min(limit, MOST), after=whole(given, "after", 0),
    )  # fmt: skip


def single(pairs: Pairs, known: Collection[str]) -> dict[str, str]:
    """The parameters by name. Raises AskedWronglyError for one that is not known or stands twice."""
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise AskedWronglyError(f"unknown parameter {_short(name)}; known here: {', '.join(sorted(known))}")
        if name in given:
            raise AskedWronglyError(f"{name} stands twice; give it once")
        if "\0" in value or not _is_text(value):
            raise AskedWronglyError(f"{name}: holds a character that no name has")
        given[name] = value
    return given


def form(given: dict[str, str], known: Iterable[str] = ("json",)) -> None:
    """Refuse an ``f`` that is none of ``known``. Raises AskedWronglyError."""
    if given.get("f", "json") not in known:
        raise AskedWronglyError(f"f: got {_short(given['f'])}, this is served as {' or '.join(known)}")


def whole(given: dict[str, str], name: str, least: int) -> int | None:
    """A whole number from ``least``; None where it is not given. Raises AskedWronglyError."""
    text = given.get(name)
    if text is None:
        return None
    if _WHOLE.fullmatch(text) is None or int(text) < least:
        raise AskedWronglyError(f"{name}: got {_short(text)}, needs a whole number from {least}")
    return int(text)


def _box(text: str) -> Box:
    parts = text.split(",")
    wanted = f"bbox: got {_short(text)}, needs west,south,east,north in degrees (or six numbers, with heights)"
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        raise AskedWronglyError(wanted) from None
    if len(numbers) not in (4, 6) or not all(map(math.isfinite, numbers)):
        raise AskedWronglyError(wanted)
    west, south, *_ = numbers
    east, north = numbers[-2:] if len(numbers) == 4 else numbers[3:5]
    if not -90 <= south <= north <= 90:
        raise AskedWronglyError(
            f"bbox: got {_short(text)}, but south must not lie north of north, nor either beyond 90"
        )
    # Programs that show more than the world once send longitudes beyond 180.
    if not (-720 <= west <= 720 and -720 <= east <= 720):
        raise AskedWronglyError(f"bbox: got {_short(text)}, but a longitude lies between -180 and 180")
    if east - west >= 360:
        return -180.0, south, 180.0, north
    return _turned(west), south, _turned(east), north


def _turned(longitude: float) -> float:
    return longitude if -180 <= longitude <= 180 else (longitude + 180) % 360 - 180


def _interval(text: str) -> tuple[datetime | None, datetime | None]:
    """One moment, or two with a slash between them; ``..`` or nothing is open."""
    parts = text.split("/")
    if len(parts) == 1 and text:
        moment = _moment(text, text)
        return moment, moment
    open_ends = [part in ("", "..") for part in parts]
    if len(parts) != 2 or all(open_ends):
        raise AskedWronglyError(_no_time(text))
    since, until = (None if free else _moment(part, text) for part, free in zip(parts, open_ends, strict=True))
    if since is not None and until is not None and since > until:
        raise AskedWronglyError(f"datetime: got {_short(text)}, which ends before it begins")
    return since, until


def _moment(part: str, text: str) -> datetime:
    found = _TIME.fullmatch(part)
    if found is not None:
        plain = part.upper().replace("Z", "+00:00")
        if found[1] is not None:  # Python 3.10 reads three or six digits
            plain = plain.replace(f".{found[1]}", f".{found[1]:0<6.6}")
        try:
            return datetime.fromisoformat(plain).astimezone(timezone.utc)
        except (ValueError, OverflowError):
            pass
    raise AskedWronglyError(_no_time(text))


def _no_time(text: str) -> str:
    return (
        f"datetime: got {_short(text)}, needs a time as 2026-05-01T12:00:00Z, or two with a slash between them, where "
        ".. is an open end"
    )


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return len(value) <= _MOST_TEXT


def _short(text: str) -> str:
    return repr(text[:60])
