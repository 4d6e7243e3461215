"""When each image of a folder was taken, as far as it says so itself.

Places are looked up by these times, so none is made up where it matters: an image without a time of its own, among
others that have one, is marked as such and gets no place; and where the first one's time is unknown, none has one, or
the times contradict the order, a caller who needs true times is refused with what to do about it. A stated rate wins.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from edge.frames.stills import Still
from edge.support.errors import UsageError

log = logging.getLogger(__name__)

_DEFAULT_FPS = 1.0


@dataclass(frozen=True, slots=True)
class Moment:
    """Where an image stands in time."""

    offset_ns: int
    """From the first image, ns; of an image whose time is not known, that of the one before."""
    known: bool = True
    """False: nobody said when it was taken."""


def moments(stills: Sequence[Still], folder: Path, fps: float | None, *, timed: bool) -> list[Moment]:
    """One for each of ``stills``: by ``fps`` where it is given, else by EXIF, else one image a second.

    ``timed``: places will be looked up by them. Raises UsageError where they would have to be made up then.
    """
    exif = _by_exif(stills, timed=timed) if fps is None else None
    if timed and fps is None and exif is None and len(stills) > 1:  # one alone stands at the log's beginning
        raise UsageError(
            f"{folder}: none of {len(stills)} images says when it was taken, so their places cannot be looked up in a "
            "log; say how many a second with --fps, or replay without --nav"
        )
    how = f"{fps or _DEFAULT_FPS:g} per second" if exif is None else "spaced by their EXIF times"
    log.info("%s: %d images, %s", folder, len(stills), how)
    if timed and exif is not None and len(stills) > 1:
        _say_how_sure(stills, folder, exif)
    return exif or [Moment(round(index * 1e9 / (fps or _DEFAULT_FPS))) for index in range(len(stills))]


def _by_exif(stills: Sequence[Still], *, timed: bool) -> list[Moment] | None:
    """None where EXIF does not space these images."""
    times = _times(stills)
    known = [(still, time) for still, time in zip(stills, times, strict=True) if time is not None]
    if not known or (len(stills) > 1 and len(known) < 2 and not timed):
        return None
    backwards = next(((a[0], b[0]) for a, b in pairwise(known) if b[1] < a[1]), None)
    first = stills[0].path
    if backwards is not None:
        why = f"{backwards[1].path} is older than {backwards[0].path.name} by EXIF"
    elif len(known) > 1 and known[0][1] == known[-1][1]:
        why = f"{first}: all images carry one EXIF time, as a program writes that saves them anew"
    elif times[0] is None and stills[0].bad is not None:
        why = f"{first} is the first image and unreadable ({stills[0].bad})"
    elif times[0] is None:
        why = f"{first} is the first image and has no EXIF time"
    else:
        return _laid_out(times, known[0][1])
    if timed:
        raise UsageError(f"{why}: when each was taken is not known; say --fps, or take that image out")
    log.warning("%s: EXIF does not space these images", why)
    return None


def _times(stills: Sequence[Still]) -> list[datetime | None]:
    """The time by the camera's own clock or, where more of them have it, UTC: maybe a receiver's whole seconds."""
    by_utc = [None if still.bad is not None else still.exif.taken_at for still in stills]
    by_camera = [None if still.bad is not None else still.exif.taken_local for still in stills]
    return max(by_camera, by_utc, key=lambda times: sum(time is not None for time in times))


def _laid_out(times: Sequence[datetime | None], first: datetime) -> list[Moment]:
    laid_out: list[Moment] = []
    for time in times:
        if time is None:
            laid_out.append(Moment(laid_out[-1].offset_ns, known=False))
        else:
            laid_out.append(Moment(round((time - first).total_seconds() * 1e9)))
    return laid_out


def _say_how_sure(stills: Sequence[Still], folder: Path, exif: Sequence[Moment]) -> None:
    silent = [still for still, at in zip(stills, exif, strict=True) if not at.known and still.bad is None]
    if silent:
        more = f" and {len(silent) - 1} more have" if len(silent) > 1 else " has"
        log.warning("%s%s no EXIF time among others that have one, so no place either", silent[0].path, more)
    if not any(time.microsecond for time in _times(stills) if time is not None):
        log.warning(
            "%s: EXIF times are whole seconds here, so each place may be off by what is flown in one second", folder
        )
