"""All that can happen to broker and link, one after the other, while an hour's detections are put.

The hour is compressed: its detections (six a second) are put as fast as the disk takes them, and each fault lasts
seconds where it would last minutes. What waits meanwhile is half of all.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.faults.broker import TOPIC, confirmed_in, delivering, drain, goal, measured, put
from tests.faults.lossy import LossyLink, lossy
from tests.faults.row import Measured, Row, Scale, need
from tests.faults.world import pause
from tests.mqtt.broker import Broker, Ear, mosquitto

_LETTERS = 6 * 3600
_LASTS_S = 3.0

Act = Callable[[Broker, LossyLink], None]


def _whole(broker: Broker, link: LossyLink) -> None:
    link.hurt.clear()


def _hurt(broker: Broker, link: LossyLink) -> None:
    link.hurt.set()


def _killed_and_lossy(broker: Broker, link: LossyLink) -> None:
    link.hurt.set()
    broker.kill()


def _back(broker: Broker, link: LossyLink) -> None:
    broker.start()
    link.hurt.clear()


_TURNS: tuple[tuple[Act, Act], ...] = (
    (lambda broker, link: broker.freeze(), lambda broker, link: broker.thaw()),
    (_hurt, _whole),
    (lambda broker, link: broker.kill(), lambda broker, link: broker.start()),
    (_killed_and_lossy, _back),
    (lambda broker, link: broker.stop(), lambda broker, link: broker.start()),
)
"""Frozen; lossy, with cuts and dead connections; killed; killed while the link is lossy; restarted in order."""


def run(scale: Scale) -> Measured:
    """Twelve turns, five minutes of flight each; a small round has five of a few letters."""
    need("mosquitto")
    turns = scale.times(12, 5)
    each, total, before = 40 if scale.quick else _LETTERS // turns, 0, 0
    seed = random.randrange(1 << 32)
    lines = (
        "persistence true",
        f"persistence_location {scale.folder}/",
        "autosave_interval 1",
        "max_queued_messages 0",
    )
    with (
        mosquitto(scale.folder, config_lines=lines) as broker,
        lossy(broker.port, seed) as link,
        Ear(broker, TOPIC, keep_session=True) as ear,
        delivering(scale.folder, f"mqtt://127.0.0.1:{link.port}") as outbox,
    ):
        for number in range(turns):
            hurt, heal = _TURNS[number % len(_TURNS)]
            put(outbox, total, each // 2)
            hurt(broker, link)
            put(outbox, total + each // 2, each - each // 2)
            total += each
            pause(0.3 if scale.quick else _LASTS_S)
            before = confirmed_in(outbox)
            heal(broker, link)
        drained = drain(outbox, ear, total, before)
        what = f"{turns} turns (seed {seed}: {link.cuts} cuts, {link.dead} dead connections)"
        return measured(ear, total, drained, goal(scale), what)


ROW = Row(
    "turns",
    "broker frozen, killed, restarted, link lossy, in turn; an hour's 21,600 detections, time compressed",
    "0 lost, drained at 500 per second or more",
    run,
)
