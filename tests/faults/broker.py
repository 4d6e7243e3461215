"""A broker that freezes, ends and begins anew, or has no room on its own disk; detections in the meantime wait."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from edge.delivery import Delivery
from edge.mqtt.paho import Options, open_publisher
from edge.outbox import Letter, LetterState, Outbox, sqlite
from edge.support.clock import SystemClock
from edge.support.errors import TryAgainError
from tests.faults.disks import mounted
from tests.faults.row import Measured, Row, Scale, need, need_root
from tests.faults.world import TooLateError, until
from tests.mqtt.broker import Broker, Ear, mosquitto

TOPIC = "spanhawk/drone/detections"


@contextlib.contextmanager
def delivering(folder: Path, url: str) -> Iterator[Outbox]:
    """An outbox on disk, delivered to ``url`` by a thread."""
    clock, stop = SystemClock(), threading.Event()
    box = sqlite.Options(path=folder / "outbox.db", ballast_bytes=0, min_free_bytes=0)
    with (
        sqlite.open_outbox(box, clock) as outbox,
        open_publisher(Options(url=url, keepalive_s=2), clock, vehicle="drone", last_will=b"") as publisher,
    ):
        delivery = Delivery(outbox, publisher, clock, late=lambda payload: payload)
        thread = threading.Thread(target=delivery.run, args=(stop,))
        thread.start()
        try:
            yield outbox
        finally:
            stop.set()
            publisher.wake.set()
            thread.join()


def put(outbox: Outbox, begin: int, count: int) -> None:
    """Letters whose payloads are their numbers, 40 a frame."""
    for first in range(begin, begin + count, 40):
        numbers = range(first, min(first + 40, begin + count))
        outbox.put([Letter(f"{n}", TOPIC, f"{n}".encode().ljust(1500), None) for n in numbers])


@dataclass(frozen=True, slots=True)
class Drained:
    """How a backlog went out."""

    away_s: float
    """Until the first of it was acknowledged: the connection is made anew, with pauses between tries."""
    letters: int
    """Acknowledged after that."""
    took_s: float

    @property
    def per_second(self) -> float:
        """Letters acknowledged each second."""
        return self.letters / max(self.took_s, 1e-3)


def confirmed_in(outbox: Outbox) -> int:
    """How many letters the broker has acknowledged, as soon as the disk has a moment to say it."""
    counted = 0

    def asked() -> bool:
        nonlocal counted
        try:
            counted = outbox.counts()[LetterState.CONFIRMED]
        except TryAgainError:
            return False
        return True

    until(asked, "the outbox to be readable")
    return counted


def drain(outbox: Outbox, ear: Ear, total: int, before: int) -> Drained:
    """Wait until the ground has all ``total``; ``before`` were acknowledged when the fault ended.

    What was acknowledged and lost is sent again once.
    """

    def confirmed() -> int:
        return confirmed_in(outbox)

    away_s = until(lambda: confirmed() > before or confirmed() == total, "the first of the backlog to be acknowledged")
    begun = confirmed()
    took_s = until(lambda: confirmed() == total, f"all {total} to be acknowledged", 120.0)
    try:
        until(lambda: len(set(ear.payloads(TOPIC))) == total, "all to arrive", 10.0)
    except TooLateError:  # the broker lost what it had acknowledged: the repeats show it
        outbox.retry(confirmed=True)
        until(lambda: confirmed() == total, "all to be acknowledged again")
        until(lambda: len(set(ear.payloads(TOPIC))) == total, "all to arrive after resend")
    return Drained(away_s, total - begun, took_s)


def measured(ear: Ear, total: int, drained: Drained, goal: float, what: str) -> Measured:
    """What the ground has, in words; ``goal``: letters a second."""
    heard = ear.payloads(TOPIC)
    lost = total - len(set(heard))
    figures = (
        f"{what}: {total} put, {lost} lost, {len(heard) - len(set(heard))} repeats told by their id; the last backlog "
        f"began {drained.away_s:.1f} s after the end of the fault and went out at {drained.per_second:.0f} per second"
    )
    return Measured(figures, lost == 0 and drained.per_second >= goal)


def goal(scale: Scale) -> float:
    """Letters a second that a full round asks for; a small one shares the machine with all other tests."""
    return 0.0 if scale.quick else 500.0


def run(hurt: Callable[[Broker], None], heal: Callable[[Broker], None], what: str) -> Callable[[Scale], Measured]:
    """Rounds of ``hurt``, letters, ``heal``; the last backlog is timed."""

    def row(scale: Scale) -> Measured:
        need("mosquitto")
        rounds, each, total, drained = scale.times(5, 1), 500 if scale.quick else 5_000, 0, Drained(0, 0, 0)
        with (
            mosquitto(scale.folder) as broker,
            Ear(broker, TOPIC, keep_session=True) as ear,
            delivering(scale.folder, broker.url) as outbox,
        ):
            for _ in range(rounds):
                subscribed = ear.subscribed
                hurt(broker)
                put(outbox, total, each)
                total += each
                before = confirmed_in(outbox)  # a quick broker has the backlog before the ground is back
                heal(broker)
                if what != _FROZEN:
                    until(lambda subscribed=subscribed: ear.subscribed > subscribed, "the ground to be back")
                drained = drain(outbox, ear, total, before)
            return measured(ear, total, drained, goal(scale), f"{rounds} times")

    return row


def run_full(scale: Scale) -> Measured:
    """The broker's own disk (a tmpfs of 1 MB) is full: what it keeps for an absent ground it cannot write."""
    need_root("mount", "mosquitto")
    disk, total = scale.folder / "disk", 500 if scale.quick else 5_000
    with ExitStack() as stack:
        stack.enter_context(mounted(disk, "-t", "tmpfs", "-o", "size=1m", "tmpfs"))
        lines = ("persistence true", f"persistence_location {disk}/", "autosave_interval 1", "max_queued_messages 0")
        broker = stack.enter_context(mosquitto(scale.folder, config_lines=lines))
        Ear(broker, TOPIC, client_id="absent", keep_session=True).close()  # a ground that is away: kept for it
        (disk / "filler").write_bytes(b"f" * (900 << 10))
        ear = stack.enter_context(Ear(broker, TOPIC, keep_session=True))
        outbox = stack.enter_context(delivering(scale.folder, broker.url))
        put(outbox, 0, total)
        return measured(ear, total, drain(outbox, ear, total, before=0), goal(scale), "persistence on a full tmpfs")


_FROZEN = "frozen"
_ASKED = "0 lost, drained at 500 per second or more"
ROWS = (
    Row("broker-frozen", "broker frozen (SIGSTOP) and thawed", _ASKED, run(Broker.freeze, Broker.thaw, _FROZEN)),
    Row("broker-restarted", "broker killed and restarted, no persistence", _ASKED, run(Broker.kill, Broker.start, "")),
    Row("broker-disk", "the broker's disk full", _ASKED, run_full),
)
