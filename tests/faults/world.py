"""The real daemon, a real mosquitto that keeps its messages on disk, and a ground that counts what arrives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.detections.cracks import revision_id
from edge.outbox.reader import open_reader
from edge.support.clock import SystemClock
from edge.support.errors import SpanhawkError
from tests.daemon.world import written
from tests.faults.row import need
from tests.mqtt.broker import Broker, Ear, mosquitto

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
_NEVER, _CLOCK = threading.Event(), SystemClock()
_TOPICS = ("spanhawk/drone1/detections", "spanhawk/drone1/cracks")


class TooLateError(Exception):
    """What had to happen did not."""


def until(condition: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> float:
    """Look until ``condition()``; returns the seconds it took. Raises TooLateError."""
    began_ns = _CLOCK.monotonic_ns()
    while not condition():
        if _CLOCK.monotonic_ns() - began_ns > patience_s * 1e9:
            raise TooLateError(f"{what}: not within {patience_s:.0f} s")
        _CLOCK.wait(_NEVER, 0.02)
    return (_CLOCK.monotonic_ns() - began_ns) / 1e9


def pause(seconds: float) -> None:
    """Let the others work; how long is part of the fault, not of what is asked."""
    _CLOCK.wait(_NEVER, seconds)


@dataclass(frozen=True, slots=True)
class Account:
    """What the outbox holds against what the ground has."""

    put: int
    gaps: int
    """Sequence numbers of detections that are missing within a flight, in the outbox and on the ground."""
    missing: int
    """Letters put that the ground does not have."""
    unknown: int
    """Letters that the ground has and the outbox has not: confirmed ones, where it needed their room."""
    repeats: int
    """Arrivals of a letter that had arrived: told by its id."""
    parked: int


class World:
    """One daemon and its broker; ends with ``world``."""

    def __init__(self, folder: Path, broker: Broker, ear: Ear, outbox: Path) -> None:
        self.folder, self.broker, self.ear, self.outbox = folder, broker, ear, outbox
        self.config = written(folder, broker.url)
        self.daemon: subprocess.Popen[bytes] | None = None

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start the daemon."""
        with (self.folder / "daemon.log").open("ab") as log:
            self.daemon = subprocess.Popen(
                [sys.executable, "-m", "edge", "run", "--config", str(self.config)],
                stderr=log, cwd=ROOT, env={**os.environ, **(environment or {})},
            )  # fmt: skip

    @property
    def alive(self) -> bool:
        """The daemon runs."""
        return self.daemon is not None and self.daemon.poll() is None

    def end(self, number: int = signal.SIGKILL) -> int:
        """End the daemon; returns its exit status."""
        assert self.daemon is not None
        self.daemon.send_signal(number)
        return self.daemon.wait(PATIENCE_S)

    def status(self) -> dict[str, Any]:
        """The last status that the ground heard; empty where it heard none."""
        said = self.ear.payloads("spanhawk/drone1/status")
        return json.loads(said[-1]) if said else {}

    def reasons(self) -> str:
        """What the last status says is wrong."""
        return "; ".join(self.status().get("reasons", ()))

    def kept(self) -> int:
        """Letters in the outbox, in any state; 0 while there is none."""
        try:
            with open_reader(self.outbox) as reader:
                return sum(reader.counts().values())
        except SpanhawkError:
            return 0

    def undelivered(self) -> int:
        """Letters neither confirmed nor parked."""
        with open_reader(self.outbox) as reader:
            return sum(count for state, count in reader.counts().items() if state.value in ("pending", "sent"))

    def arrived(self) -> list[str]:
        """Ids of the letters that the ground has, each time they came."""
        return [_letter_id(json.loads(said)) for topic in _TOPICS for said in self.ear.payloads(topic)]

    def account(self) -> Account:
        """Hold the outbox against the ground's ears."""
        with open_reader(self.outbox) as reader:
            stored = reader.list(10**7)
        numbers: dict[str, set[int]] = defaultdict(set)
        heard = (said for topic in _TOPICS for said in self.ear.payloads(topic))
        for payload in (
            *(one.letter.payload for one in stored),
            *heard,
        ):  # a full disk takes the room of confirmed ones
            document = json.loads(payload)["properties"]
            if "seq" in document:
                numbers[document["flight_id"]].add(document["seq"])
        put, arrived = {one.letter.id for one in stored}, self.arrived()
        return Account(
            len(put),
            sum(max(seqs) - len(seqs) for seqs in numbers.values()),
            len(put - set(arrived)),
            len(set(arrived) - put),
            len(arrived) - len(set(arrived)),
            sum(one.state.value == "parked" for one in stored),
        )

    def settle(self) -> tuple[int, Account]:
        """Let everything arrive; first what the broker acknowledged and lost is counted, then it is sent again."""
        assert self.daemon is not None
        self.ear.say("spanhawk/drone1/commands", b'{"command": "stop"}')
        until(lambda: self.undelivered() == 0, "the outbox to be delivered")
        pause(1.0)
        before = self.account().missing
        if before:
            self.ear.say("spanhawk/drone1/commands", b'{"command": "resend"}')
            pause(1.0)
            until(lambda: self.undelivered() == 0 and not self.account().missing, "what was sent again to arrive")
        self.end(signal.SIGTERM)
        return before, self.account()


def _letter_id(document: dict[str, Any]) -> str:
    revision = document["properties"].get("revision")
    return document["id"] if revision is None else revision_id(document["id"], revision)


@contextmanager
def world(folder: Path, outbox: Path | None = None) -> Iterator[World]:
    """A broker that keeps what it has on disk, and a ground whose session outlives it. The daemon is not started."""
    need("mosquitto")
    lines = ("persistence true", f"persistence_location {folder}/", "autosave_interval 1", "max_queued_messages 0")
    with ExitStack() as stack:
        broker = stack.enter_context(mosquitto(folder, config_lines=lines))
        ear = stack.enter_context(Ear(broker, "spanhawk/#", keep_session=True))
        made = World(folder, broker, ear, outbox or folder / "outbox.db")
        if outbox is not None:
            text = made.config.read_text(encoding="utf-8")
            made.config.write_text(text.replace(f"{folder}/outbox.db", str(outbox)), encoding="utf-8")
        try:
            yield made
        finally:
            if made.alive:
                made.end()
