"""The link itself, in a network namespace: cut, half open, slow. Loss is in ``lossy``."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.faults.broker import TOPIC, Drained, confirmed_in, delivering, drain, measured, put
from tests.faults.row import Measured, NotRunError, Row, Scale, need_root
from tests.faults.world import pause, until
from tests.mqtt.broker import Broker, Ear, free_port

_HERE, _THERE = "10.213.77.1", "10.213.77.2"


def ip(*words: str) -> None:
    """Run ip. Raises NotRunError where it refuses."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        raise NotRunError(f"ip {' '.join(words)}: {done.stderr.strip()}")


@contextmanager
def linked() -> Iterator[tuple[str, str]]:
    """A namespace at the end of a cable; its name, and the name of our end."""
    space, ours, theirs = f"spanhawk{os.getpid()}", f"sh{os.getpid()}a", f"sh{os.getpid()}b"
    ip("netns", "add", space)
    try:
        ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", space)
        ip("addr", "add", f"{_HERE}/30", "dev", ours)
        ip("link", "set", ours, "up")
        ip("-n", space, "addr", "add", f"{_THERE}/30", "dev", theirs)
        ip("-n", space, "link", "set", theirs, "up")
        ip("-n", space, "link", "set", "lo", "up")
        yield space, ours
    finally:
        # The kernel takes a namespace apart later; deleting our end removes the cable and its addresses at once.
        subprocess.run(["ip", "link", "del", ours], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", space], check=True)


def run(
    hurt: Callable[[str, str], None], heal: Callable[[str, str], None], per_second: float
) -> Callable[[Scale], Measured]:
    """Letters before, during and after; the ground listens beside the broker, so that only our link is hurt."""

    def row(scale: Scale) -> Measured:
        need_root("ip", "tc", "mosquitto")
        rounds, each, total, drained = scale.times(3, 1), 400 if scale.quick else 4_000, 0, Drained(0, 0, 0)
        with linked() as (space, ours):
            port, config = free_port(), scale.folder / "mosquitto.conf"
            config.write_text(
                f"listener {port}\nallow_anonymous true\nuser root\nmax_queued_messages 0\n", encoding="utf-8"
            )
            broker = Broker(config, port, "mqtt")
            broker._command = ["ip", "netns", "exec", space, *broker._command]
            broker.start()
            try:
                with _ear(broker) as ear, delivering(scale.folder, f"mqtt://{_THERE}:{port}") as outbox:
                    for _ in range(rounds):
                        put(outbox, total, each)
                        total += each
                        until(lambda: ear.payloads(TOPIC), "something to arrive")
                        hurt(space, ours)
                        put(outbox, total, each)
                        total += each
                        pause(1.0 if scale.quick else 8.0)
                        before = confirmed_in(outbox)
                        heal(space, ours)
                        drained = drain(outbox, ear, total, before)
                    goal = 0.0 if scale.quick else per_second
                    return measured(ear, total, drained, goal, f"{rounds} times")
            finally:
                broker.kill()

    return row


@contextmanager
def _ear(broker: Broker) -> Iterator[Ear]:
    """The ground, over the same cable but before the faults begin; its session outlives them."""
    import paho.mqtt.client as paho

    connect = paho.Client.connect

    def there(client: paho.Client, host: str, *more: object, **named: object) -> object:
        return connect(client, _THERE if host == "127.0.0.1" else host, *more, **named)  # type: ignore[arg-type]

    paho.Client.connect = there  # type: ignore[method-assign,assignment]
    try:
        ear = Ear(broker, TOPIC, keep_session=True)
    finally:
        paho.Client.connect = connect  # type: ignore[method-assign]
    with ear:
        yield ear


def _tc(verb: str, *how: str) -> Callable[[str, str], None]:
    def act(space: str, ours: str) -> None:
        subprocess.run(["tc", "qdisc", verb, "dev", ours, "root", *how], check=True)

    return act


def _cut(space: str, ours: str) -> None:
    ip("link", "set", ours, "down")


def _mend(space: str, ours: str) -> None:
    ip("link", "set", ours, "up")


def _half(space: str, ours: str) -> None:
    """What they send no longer comes back: packets leave, nobody answers, no connection ends."""
    ip("-n", space, "route", "add", "blackhole", f"{_HERE}/32")


def _whole(space: str, ours: str) -> None:
    ip("-n", space, "route", "del", "blackhole", f"{_HERE}/32")


_ASKED, _DRAINED = "0 lost", "0 lost, drained at 500 per second or more"
_SLOW = _tc("add", "tbf", "rate", "256kbit", "burst", "4kb", "latency", "2s")
ROWS = (
    Row("link-cut", "link cut", _DRAINED, run(_cut, _mend, 500.0)),
    Row("link-half-open", "link half open: packets leave, none comes back", _DRAINED, run(_half, _whole, 500.0)),
    Row("link-slow", "link slow (256 kbit/s)", _ASKED, run(_SLOW, _tc("del"), 0.0)),
)
