"""The board itself: clock, heat, supply, and the disk the detections go to."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edge import evidence
from edge.frames import Moment
from edge.navigation import nowhere
from edge.outbox import LetterState
from edge.outbox.lock import InUseError
from edge.support import board
from edge.support.clock import EARLIEST_PLAUSIBLE_UTC, stopwatch_ns
from edge.support.disk import advice, free_bytes_for
from edge.support.errors import EXIT_CONFIG, EXIT_TRY_AGAIN
from edge.tools.doctor import Bench, Result, fail, failed, not_applicable, ok, troubled, warn
from edge.tools.files import check_folder

_HOT_MARGIN_DEG_C = 10.0
_COMMITS = 20
_COMMIT_BYTES = 16 << 10  # about what one frame with a few detections writes
_SLOW_COMMIT_S = 0.1
_BULK_BYTES = 8 << 20
_LETTER_BYTES = 2500  # a detection as measured, with its row
_LETTERS_PER_FRAME = 3
_USUAL_FPS = 5.0
_SHORT_FLIGHT_MIN = 30.0


def clock(bench: Bench) -> Result:
    """UTC can be believed: certificates and the times of detections rest on it."""
    now = bench.clock.utc()
    told = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now < EARLIEST_PLAUSIBLE_UTC:
        advice = "set it: sudo date -u -s 'YYYY-MM-DD HH:MM:SS', or give the board a network or a battery-backed clock"
        return fail(f"the clock stands at {told}: TLS and times of detections would be wrong", advice, EXIT_TRY_AGAIN)
    if not bench.clock.synced():
        return warn(
            f"{told}, not synchronised", "detections say clock_synced: false until NTP or the satellites set it"
        )
    return ok(f"{told}, synchronised")


def temperature(bench: Bench) -> Result:
    """The processor is well below the temperature at which it slows down."""
    hottest, limit = board.temperature_deg_c(), bench.settings.flight.max_temperature_deg_c
    if hottest is None:
        return not_applicable("this board has no thermal zone")
    told = f"processor at {hottest:.0f} °C, limit {limit:.0f}"
    if hottest > limit:
        return fail(told, "let it cool, then give it a heat sink or a fan", EXIT_TRY_AGAIN)
    if hottest > limit - _HOT_MARGIN_DEG_C:
        return warn(told, "improve its cooling: it will slow down in flight")
    return ok(told)


def supply(bench: Bench) -> Result:
    """The supply voltage holds, now and since the board was switched on."""
    now, before = board.under_voltage(), board.under_voltage_since_boot()
    advice = "use a stronger supply (5 V, 3 A; Raspberry Pi 5: 5 A) or a shorter, thicker cable"
    if now is None and before is None:
        return not_applicable("this board does not measure its supply")
    if now:
        return fail("the supply is below 4.63 V", advice, EXIT_TRY_AGAIN)
    if before:
        return warn("the supply was below 4.63 V since the board was switched on", advice)
    return ok("above 4.63 V since the board was switched on")


def outbox(bench: Bench) -> Result:
    """The box that keeps detections opens, is writable and has room."""
    backend = bench.settings.outbox
    try:
        with _as_owner(_folder(bench)), backend.module.open_outbox(backend.options, bench.clock) as box:
            trouble, counts = box.health(), box.counts()
    except InUseError as error:
        bench.held = True
        return failed(error, "sudo systemctl stop spanhawk")
    waiting = counts[LetterState.PENDING] + counts[LetterState.SENT]
    told = f"{backend.name}: {waiting} letters wait, {counts[LetterState.PARKED]} refused"
    if trouble is not None:
        return troubled(trouble, "land and free disk space", EXIT_TRY_AGAIN)
    if counts[LetterState.PARKED]:
        return warn(told, "see why with spanhawk outbox list, then spanhawk outbox flush")
    return ok(told)


def disk(bench: Bench) -> Result:
    """How fast the disk commits, and for how many minutes of flight it has room."""
    folder, flight = _folder(bench), bench.settings.flight
    free = free_bytes_for(folder)
    if free is None:
        return fail(f"{folder}: the disk does not answer", "mount or replace it", EXIT_TRY_AGAIN)
    minutes = max(0, free - flight.min_free_mb * 1_000_000) / _bytes_per_minute(bench)
    room = f"{free // 1_000_000} MB free, room for {minutes:.0f} minutes of a crack in every frame"
    if minutes == 0:
        advice = "delete files, run spanhawk outbox purge, or put in a larger card"
        return fail(f"{room}: below flight.min_free_mb = {flight.min_free_mb}", advice, EXIT_TRY_AGAIN)
    try:
        with _as_owner(folder):
            commit_s, mb_s = _speed(_existing(folder))
    except OSError as error:
        advice = "give the folder to the user spanhawk runs as, or replace the card (dmesg says more)"
        return fail(f"{folder}: cannot be written ({error.strerror})", advice, EXIT_CONFIG)
    told = f"{room}; a commit takes {commit_s * 1e3:.1f} ms, {mb_s:.0f} MB/s"
    if commit_s > _SLOW_COMMIT_S:
        return warn(told, "use a faster card (A2) or an SSD: each frame with cracks waits for one commit")
    if minutes < _SHORT_FLIGHT_MIN:
        return warn(told, "free disk space: spanhawk outbox purge deletes what has arrived")
    return ok(told)


def flights(bench: Bench) -> Result:
    """A flight leaves a folder: what report, verify, export and the ground's import read."""
    options = bench.settings.flight
    folder = options.folder_dir
    if folder is None:
        lost = "no folder" if options.evidence_dir is not None else "no folder and no pictures"
        return warn(
            f"[flight] folder_dir is not set: a flight leaves {lost}, so that there is nothing to report from",
            'set it: folder_dir = "/var/lib/spanhawk/flights"',
        )
    check_folder("flight.folder_dir", folder)
    place = _existing(folder)
    try:
        with _as_owner(_folder(bench)), tempfile.TemporaryFile(dir=place):
            return ok(f"recorded in {folder}")
    except OSError as error:
        return fail(
            f"{folder}: no flight can be recorded, {place} cannot be written ({error.strerror})",
            "give it to the user spanhawk runs as, or name another folder in [flight] folder_dir"
            if isinstance(error, PermissionError)
            else advice(error),
            EXIT_TRY_AGAIN if error.errno in (errno.ENOSPC, errno.EDQUOT) else EXIT_CONFIG,
        )


def _bytes_per_minute(bench: Bench) -> float:
    """What a flight with cracks in every frame writes."""
    picture = 0
    if bench.settings.flight.evidence_dir is not None and bench.frame is not None:
        moment = Moment(bench.clock.utc(), bench.clock.synced())
        picture = len(evidence.encode(bench.frame, nowhere(bench.frame.exposed_ns), moment))
    return 60 * (bench.fps or _USUAL_FPS) * (picture + _LETTERS_PER_FRAME * _LETTER_BYTES)


def _folder(bench: Bench) -> Path:
    """Where detections are kept; for an outbox in memory, where snapshots are."""
    path: Path | None = getattr(bench.settings.outbox.options, "path", None)
    return bench.settings.flight.snapshot_dir if path is None else path.parent


def _existing(folder: Path) -> Path:
    return next((place for place in (folder, *folder.parents) if place.is_dir()), folder)


def _speed(folder: Path) -> tuple[float, float]:
    """Median seconds of a small synced write, and MB/s of a large one. Raises OSError."""
    path = folder / f".spanhawk-doctor-{secrets.token_hex(4)}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        path.unlink()  # gone whatever happens
        commits = sorted(_synced_write_s(descriptor, _COMMIT_BYTES) for _ in range(_COMMITS))
        return commits[_COMMITS // 2], _BULK_BYTES / 1e6 / _synced_write_s(descriptor, _BULK_BYTES)
    finally:
        os.close(descriptor)


def _synced_write_s(descriptor: int, size: int) -> float:
    data = os.urandom(size)
    begun_ns = stopwatch_ns()
    while data:
        data = data[os.write(descriptor, data) :]
    os.fdatasync(descriptor)
    return (stopwatch_ns() - begun_ns) / 1e9


@contextlib.contextmanager
def _as_owner(folder: Path) -> Iterator[None]:
    """As the user who owns ``folder`` while root looks: files made there must be the daemon's, not root's."""
    owner = _existing(folder).stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
