"""Commands that are malformed, hostile or replayed: each is answered or dropped, none carried out."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta

from edge.daemon.control import Control
from edge.mqtt import Request
from edge.mqtt import memory as mqtt_memory
from edge.support.clock import UTC, ManualClock
from tests.faults.row import Measured, Row, Scale, resident_mb

_NOW = datetime(2026, 6, 1, tzinfo=UTC)
_WORDS = (
    b"__proto__",
    b"$(reboot)",
    b"'; DROP TABLE letter;--",
    b"../../etc/passwd",
    b"\x00",
    b"\xff\xfe",
    b"1e999",
    b"NaN",
)


def run(scale: Scale) -> Measured:
    """Through the daemon's own Control; the seed is told, so that a failure can be repeated."""
    count, seed = scale.times(100_000, 3_000), random.randrange(1 << 32)
    chance, clock, carried_out = random.Random(seed), ManualClock(_NOW, 1), []
    publisher = mqtt_memory.open_publisher(mqtt_memory.Options(), clock, vehicle="drone", last_will=b"")
    names = ("start", "stop", "snapshot", "ping", "flush", "resend")
    actions = {name: lambda name=name: carried_out.append(name) or {} for name in names}
    control, answered, accepted, began_mb = Control(_Ears(publisher), "replies", actions, clock), 0, 0, 0.0
    ears = control._publisher
    for number in range(count):
        ears.waiting = [Request(hostile(chance), None, None)]
        control.step()
        answered += len(ears.answers)
        accepted += sum(json.loads(answer)["ok"] for answer in ears.answers)
        ears.answers.clear()
        if number == count // 10:
            began_mb = resident_mb()
    grown_mb = resident_mb() - began_mb
    figures = (
        f"{count} commands (seed {seed}): {answered} answered with a refusal, {accepted} accepted, "
        f"{len(carried_out)} carried out; memory +{max(0.0, grown_mb):.1f} MB"
    )
    return Measured(figures, answered == count and not accepted and not carried_out and grown_mb < 4)


class _Ears:
    """A publisher of which only commands and their answers matter."""

    def __init__(self, publisher: object) -> None:
        self._publisher = publisher
        self.waiting: list[Request] = []
        self.answers: list[bytes] = []

    def requests(self) -> list[Request]:
        waiting, self.waiting = self.waiting, []
        return waiting

    def reply(self, request: Request, default_topic: str, payload: bytes) -> None:
        self.answers.append(payload)


def hostile(chance: random.Random) -> bytes:
    """Nothing that may be carried out: noise, damaged commands, strange types, what has expired (a replay)."""
    kind = chance.randrange(7)
    good = b'{"command": "stop", "id": "7", "expires_at": "2026-06-01T00:01:00Z"}'
    if kind == 0:
        return chance.randbytes(chance.randrange(300))
    if kind == 1:
        return good[: chance.randrange(len(good))]
    if kind == 2:  # recorded earlier and sent again: over
        then = _NOW - timedelta(seconds=chance.randrange(10**6))
        return json.dumps({"command": "stop", "expires_at": then.isoformat()}).encode()
    if kind == 3:
        return b"[" * chance.randrange(1, 5_000) + b"]" * chance.randrange(3)
    if kind == 4:
        return b'{"command": ' + chance.choice((b"[]", b"1", b"null", b"true", b"{}", b'"STOP"', b'"stop "')) + b"}"
    if kind == 5:
        return b'{"command": "stop", "' + chance.choice(_WORDS) + b'": "' + chance.choice(_WORDS) + b'"}'
    return b'{"command": "stop", "command": "stop", "id": "' + b"a" * chance.randrange(5_000) + b'"}'


ROW = Row(
    "commands", "100,000 malformed, hostile and replayed commands", "none carried out, each answered, no growth", run
)
