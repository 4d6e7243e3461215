"""``spanhawk outbox``: look into the box of a daemon, send what waits, clear what arrived."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from edge.delivery import PATIENCE_S, Delivery
from edge.detections import receipts
from edge.detections.wire import mark_historical
from edge.mqtt.status import status_payload
from edge.outbox import LetterState, Outbox, sqlite
from edge.outbox.reader import open_reader
from edge.outbox.salvage import Salvage, undelivered
from edge.settings import Settings, from_table
from edge.support import config
from edge.support.clock import SystemClock
from edge.support.errors import TryAgainError, UsageError

_AT_ONCE = 200
# A file of the earlier form with its index, beside its own size.
_ROOM = 4
_NO_RECEIPT = "the broker has taken them, and no receipt of the ground names them; start spanhawk ground there"


@dataclass(frozen=True, slots=True)
class Box:
    """Which outbox, and which broker."""

    config: Path
    outbox: Path | None
    """A file rather than the configured one."""
    mqtt_url: str | None
    """A broker rather than the configured one."""

    def settings(self) -> Settings:
        """The configuration, with the command line's words over it. Raises ConfigError."""
        alone = self.outbox is not None and not self.config.exists()
        table = {} if alone else dict(config.load(self.config))
        if self.outbox is not None:
            table["outbox"] = {**self._configured(table, "outbox", "sqlite"), "path": str(self.outbox)}
        if self.mqtt_url is not None:
            table["mqtt"] = {**self._configured(table, "mqtt", "paho"), "url": self.mqtt_url}
        return from_table(table, "the command line" if alone else str(self.config))

    def _configured(self, table: Mapping[str, Any], name: str, backend: str) -> Mapping[str, Any]:
        """What the configuration says of ``backend``; nothing where it names another one."""
        configured = table.get(name, {})
        if not isinstance(configured, Mapping):
            from_table(table, str(self.config))  # refuses it, by name
        return configured if configured.get("backend", backend) == backend else {}


def listing(box: Box, limit: int) -> Iterator[str]:
    """One JSON object per letter, oldest first; readable while the daemon runs."""
    with open_reader(_path(box.settings())) as outbox:
        for stored in outbox.list(limit):
            yield json.dumps(
                {
                    "id": stored.letter.id,
                    "topic": stored.letter.topic,
                    "state": stored.state.value,
                    "attempts": stored.attempts,
                    "reason": stored.reason,
                    "bytes": len(stored.letter.payload),
                }
            )


def purge(box: Box, *, everything: bool) -> str:
    """Delete what the ground has (or everything); returns one sentence."""
    with _open(box.settings()) as outbox:
        gone, counts = outbox.purge(everything=everything), outbox.counts()
    return f"{gone} letters deleted, {sum(counts.values())} kept"


def recover(damaged: Path, out: Path) -> str:
    """Put what can be read of the outbox ``damaged`` and was not confirmed into a new outbox ``out``; says how much.

    Raises UsageError where ``damaged`` is not there or ``out`` is, TryAgainError where nothing can be read or written.
    Whatever ends it, ``out`` is not there then, and ``damaged`` is as it was.
    """
    if not damaged.is_file():
        raise UsageError(
            f"{damaged}: there is no such file; a damaged outbox lies beside the new one as NAME.corrupt-N"
        )
    if out.exists():
        raise UsageError(f"--out {out}: it is there already; name a new file")
    whole = False
    with Salvage(damaged) as salvage:
        try:
            count = _moved(salvage, out, _ROOM * damaged.stat().st_size + (16 << 20))
            whole = True
        except TryAgainError as error:
            raise TryAgainError(
                f"{error}; {damaged} is as it was: free some room, or name an --out elsewhere"
            ) from error
        finally:  # a half that is interrupted looks like all that could be read
            for end in () if whole else ("", "-wal", "-shm", ".lock"):
                out.with_name(out.name + end).unlink(missing_ok=True)
        lost = salvage.lost
    missing = f", {lost} could not be read" if lost else ""
    return (
        f"{count} letters that nobody has confirmed are in {out}{missing}; "
        f"spanhawk outbox flush --outbox {out} sends them"
    )


def _moved(salvage: Salvage, out: Path, max_bytes: int) -> int:
    """Put every letter that nobody has confirmed into a new outbox; how many. Raises TryAgainError."""
    count = 0
    with sqlite.open_outbox(sqlite.Options(path=out, max_bytes=max_bytes, ballast_bytes=0), SystemClock()) as outbox:
        letters = undelivered(salvage)
        while some := list(itertools.islice(letters, _AT_ONCE)):
            outbox.put(some)
            count += len(some)
    return count


def flush(box: Box, *, again: bool = False) -> str:
    """Send everything that waits or was refused; returns one sentence. Raises TryAgainError when some are left.

    A letter is delivered by the word of whom ``[outbox] confirm`` trusts: the broker, or a ground station.
    ``again``: also what was acknowledged and is still kept, for a ground that lost it.
    """
    settings, clock, stop = box.settings(), SystemClock(), threading.Event()
    with _open(settings) as outbox:
        outbox.retry(confirmed=again)
        before = _waiting(outbox)
        if not before:
            return "no letter is waiting"
        # Under a name of its own: the daemon may be connected to the same broker, and keeps its place and its status.
        name, options = f"{settings.vehicle[:40]}-flush", settings.mqtt.options
        if getattr(options, "client_id", None) is not None:
            options = replace(options, client_id=None)
        will = status_payload(name, "", "offline", [], flying=False)
        opener = settings.mqtt.module.open_publisher
        # Receipts come for the vehicle, whatever name this connection has.
        by_ground = settings.confirm == "ground"
        listen = {"receipts": settings.vehicle} if by_ground else {}
        read_receipt = partial(receipts.letter_ids, settings.vehicle) if by_ground else None
        with opener(options, clock, vehicle=name, last_will=will, **listen) as publisher:
            delivery = Delivery(outbox, publisher, clock, late=mark_historical, receipts=read_receipt)
            silent_s, left, taken = 0.0, before, False
            while left and silent_s < PATIENCE_S:
                pause_s = min(0.05, delivery.step())
                taken = taken or delivery.owed > 0
                clock.wait(stop, pause_s)
                now = _waiting(outbox)
                silent_s = 0.0 if now < left else silent_s + pause_s
                left = now
            why = publisher.health() or (_NO_RECEIPT if taken else "the broker does not acknowledge")
        parked = outbox.counts()[LetterState.PARKED]
    if left or parked:
        raise TryAgainError(
            f"{before - left - parked} of {before} letters delivered, {left} wait, {parked} refused ({why})"
        )
    return f"{before} letters delivered"


def _waiting(outbox: Outbox) -> int:
    counts = outbox.counts()
    return counts[LetterState.PENDING] + counts[LetterState.SENT]


def _open(settings: Settings) -> Outbox:
    _path(settings)
    opened: Outbox = settings.outbox.module.open_outbox(settings.outbox.options, SystemClock())
    return opened


def _path(settings: Settings) -> Path:
    """The outbox's file, which must be there. Raises UsageError."""
    path: Path | None = getattr(settings.outbox.options, "path", None)
    if path is None:
        raise UsageError(f"[outbox] backend = {settings.outbox.name!r} keeps no file; name one with --outbox FILE")
    if not path.exists():
        raise UsageError(f"{path}: there is no outbox; name one with --outbox FILE or --config FILE")
    return path
