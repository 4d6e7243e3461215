"""Reads a flight track from the subtitles that DJI drones write beside a video (.SRT): one cue per frame or second.

A cue's time is the video's own, so the log fits its video without an offset. Known are the forms with named values in
brackets (``[latitude: 51.05] [longitude: 3.72] [rel_alt: 12.0 abs_alt: 57.0]``, gimbal angles as ``gb_yaw: ...``
where the drone writes them) and the older ``GPS(LONGITUDE,LATITUDE,...)``. The wall time in it is local, of
no zone: not used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from edge.navigation import Fix, FixKind
from edge.navigation.csvlog import Loaded, Span
from edge.navigation.history import History
from edge.navigation.logged import LoggedAngles
from edge.support.errors import NavFileError

_CUE = re.compile(r"(\d+):(\d\d):(\d\d)[,.](\d{1,3})\s*-->")
_VALUE = r"\s*[:=]?\s*([^\s\])]*)"
# More commas than these would be decimal ones.
_OLD = re.compile(r"\bGPS\s*\(\s*([^,()]+),\s*([^,()]+)(?:,[^,()]*)?\)")
_BOUNDS = {"lat": (-90.0, 90.0), "lon": (-180.0, 180.0), "alt": (-1000.0, 20000.0), "angle": (-360.0, 360.0)}


def looks_like_srt(text: str) -> bool:
    """True when a cue's time stands near the beginning."""
    return _CUE.search(text, 0, 2048) is not None


def load(text: str, path: Path, history: History, at_ns: Callable[[float], int]) -> Loaded:
    """Feed ``history`` with every cue; ``at_ns`` maps seconds of the video to monotonic time.

    Raises NavFileError naming ``path`` and the cue when a number is none, time runs backwards, or no cue has a place.
    """
    first: float | None = None
    last: float | None = None
    placed = False
    angles = LoggedAngles()
    for line, t_s, words in _cues(text):
        where = f"{path}, line {line}"
        if last is not None and t_s <= last:
            raise NavFileError(f"{where}: this cue begins at {t_s:g} s, not after the one before it at {last:g} s")
        first, last = t_s if first is None else first, t_s
        fix = _fix(words, where)
        placed = placed or fix is not None
        history.hear_fix(at_ns(t_s), fix)
        history.hear_attitude(at_ns(t_s), angles.attitude(*_angles(words, where)))
    if first is None or last is None or not placed:
        raise NavFileError(
            f"{path}: these subtitles hold no position; switch the drone's video captions on, and record outdoors"
        )
    return Loaded(Span(first, last), angles.warnings())


def _cues(text: str) -> Iterator[tuple[int, float, str]]:
    """(line of the file, seconds, what follows up to the next cue) of each cue."""
    found = list(_CUE.finditer(text))
    for cue, following in zip(found, [*found[1:], None], strict=True):
        hours, minutes, seconds, fraction = cue.groups()
        t_s = int(hours) * 3600 + int(minutes) * 60 + int(seconds) + int(f"{fraction:0<3}") / 1000
        yield text.count("\n", 0, cue.start()) + 1, t_s, text[cue.end() : following.start() if following else len(text)]


def _fix(words: str, where: str) -> Fix | None:
    old = _OLD.search(words)
    if old is not None:
        lon_deg, lat_deg = _number(old[1], "lon", where), _number(old[2], "lat", where)
    else:
        lat_deg = _named(words, r"latitude", "lat", where)
        lon_deg = _named(words, r"long(?:t)?itude", "lon", where)  # some firmware misspells it
    if lat_deg is None or lon_deg is None:
        return None
    alt_m = _named(words, r"abs_alt|(?<!_)altitude", "alt", where)
    return Fix(FixKind.FIX_2D if alt_m is None else FixKind.FIX_3D, lat_deg, lon_deg, alt_m, None, None, 0)


def _angles(words: str, where: str) -> list[float | None]:
    return [_named(words, rf"gb_{name}", "angle", where) for name in ("roll", "pitch", "yaw")]


def _named(words: str, name: str, kind: str, where: str) -> float | None:
    found = re.search(rf"\b(?:{name})\b{_VALUE}", words)
    return None if found is None or not found[1] else _number(found[1].rstrip(","), kind, where)


def _number(word: str, kind: str, where: str) -> float | None:
    low, high = _BOUNDS[kind]
    word = word.strip()
    if word.lower() in ("n/a", "nan", "null", "-"):
        return None
    try:
        value = float(word) if word.isascii() and "_" not in word else math.nan
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise NavFileError(f"{where}: {word[:24]!r} is no number from {low:g} to {high:g}; the file is damaged")
    return value
