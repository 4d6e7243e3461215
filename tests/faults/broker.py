"""A broker that freezes, ends and begins anew, or has no room on its own disk; detections in the meantime wait."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from edge.delivery import Delivery
from edge.mqtt.paho import Options, open_publisher
from edge.outbox import Letter, LetterState, Outbox, sqlite
from edge.support.clock import SystemClock
from tests.faults.disks import mounted
from tests.faults.row import Measured, Row, Scale, need, need_root
from tests.faults.world import until
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


def drain(outbox: Outbox, ear: Ear, total: int) -> float:
    """Wait until the ground has all; seconds. What was acknowledged and lost is sent again once."""

    def confirmed() -> bool:
        return outbox.counts()[LetterState.CONFIRMED] == total

    took_s = until(confirmed, f"all {total} to be acknowledged")
    try:
        until(lambda: len(set(ear.payloads(TOPIC))) == total, "", 3.0)
    except Exception:  # noqa: BLE001 - the broker lost what it had acknowledged: that is counted by the caller
        outbox.retry(confirmed=True)
        until(confirmed, "all to be acknowledged again")
        until(lambda: len(set(ear.payloads(TOPIC))) == total, "all to arrive")
    return took_s


def measured(ear: Ear, total: int, took_s: float, waited: int, what: str) -> Measured:
    """What the ground has, in words."""
    heard = ear.payloads(TOPIC)
    lost, rate = total - len(set(heard)), waited / max(took_s, 1e-3)
    figures = (
        f"{what}: {total} put, {lost} lost, {len(heard) - len(set(heard))} repeats told by id, {rate:.0f} per second"
    )
    return Measured(figures, lost == 0 and rate >= 500)


def run(hurt: Callable[[Broker], None], heal: Callable[[Broker], None], what: str) -> Callable[[Scale], Measured]:
    """Rounds of ``hurt``, letters, ``heal``; the last backlog is timed."""

    def row(scale: Scale) -> Measured:
        need("mosquitto")
        rounds, each, total, took_s = scale.times(5, 1), 500 if scale.quick else 5_000, 0, 0.0
        with mosquitto(scale.folder) as broker, Ear(broker, TOPIC, keep_session=True) as ear:
            with delivering(scale.folder, broker.url) as outbox:
                for _ in range(rounds):
                    subscribed = ear.subscribed
                    hurt(broker)
                    put(outbox, total, each)
                    total += each
                    heal(broker)
                    if what != _FROZEN:
                        until(lambda subscribed=subscribed: ear.subscribed > subscribed, "the ground to be back")
                    took_s = drain(outbox, ear, total)
                return measured(ear, total, took_s, each, f"{rounds} times")

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
        return measured(ear, total, drain(outbox, ear, total), total, "persistence on a full tmpfs")


_FROZEN = "frozen"
_ASKED = "0 lost, drained at 500 per second or more"
ROWS = (
    Row("broker-frozen", "broker frozen (SIGSTOP) and thawed", _ASKED, run(Broker.freeze, Broker.thaw, _FROZEN)),
    Row("broker-restarted", "broker killed and restarted, no persistence", _ASKED, run(Broker.kill, Broker.start, "")),
    Row("broker-disk", "the broker's disk full", _ASKED, run_full),
)
