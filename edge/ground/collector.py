"""From the broker to the store: written down first, then confirmed to the drone, then acknowledged to the broker.

One thread: hear a batch, write it in one transaction, publish a receipt for each flight in it, PUBACK it. While the
store cannot be written the batch is kept, nothing more is read, nothing is acknowledged and no receipt goes out; the
broker keeps what waits, and the drones keep everything.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.detections.receipts import MOST_LETTERS, receipt
from edge.detections.wire import to_bytes
from edge.ground import Added, Batch, CrackRow, DetectionRow, Ranges, Store, as_ranges, missing
from edge.ground.incoming import KINDS, RETAINED_KINDS, conflict, read
from edge.mqtt.commands import MOST_RANGES, MOST_SEQS
from edge.mqtt.connection import Disconnected
from edge.mqtt.listener import Heard, Line
from edge.mqtt.topics import commands_topic, receipts_topic
from edge.support.clock import Clock
from edge.support.complaints import Complaints
from edge.support.errors import TryAgainError
from edge.support.retry import Backoff

log = logging.getLogger(__name__)

TOPICS = tuple(f"spanhawk/+/{kind}" for kind in KINDS if kind not in RETAINED_KINDS)
RETAINED_TOPICS = tuple(f"spanhawk/+/{kind}" for kind in RETAINED_KINDS)
_TURN_S = 0.2
_STORE_PAUSE_S = (0.5, 10.0)
_BROKER_PAUSE_S = (0.5, 30.0)
# A connection that lived so long was a good one: the next failure is the first of its kind.
_HELD_NS = 10_000_000_000
# Another client under our name takes the connection back each time: leave it to it for a while.
_TAKEN_OVER_S = 20.0
_GAPS_EVERY_NS = 2_000_000_000
_RANGES_IN_RECEIPT = 500
# Flights whose numbers are kept in memory to notice gaps.
_MOST_FLIGHTS = 1000


@dataclass(slots=True)
class Counts:
    """What the collector has done in this run; read by any thread."""

    messages: int = 0
    stored: int = 0
    """Detections and cracks that were new."""
    repeats: int = 0
    conflicts: int = 0
    refused: int = 0
    receipts: int = 0
    asked_again: int = 0
    """Commands sent to drones for numbers that are missing."""


class Collector:
    """``run`` works until it is stopped; the rest may be asked from other threads."""

    def __init__(
        self,
        store: Store,
        connect: Callable[[], Line],
        clock: Clock,
        *,
        batch: int = 1000,
        resend_after_s: float = 10.0,
    ) -> None:
        self._store = store
        self._connect = connect
        self._clock = clock
        self._most = batch
        self._gaps = Gaps(store, clock, resend_after_s)
        self._complaints = Complaints(log, clock)
        self._store_trouble: str | None = None
        self._broker_trouble: str | None = "the broker has not been called yet"
        self._refusals: dict[str, str] = {}
        self.counts = Counts()

    def health(self) -> list[str]:
        """What is wrong now, one sentence each; empty when all is well."""
        troubles = [self._store_trouble, self._broker_trouble, *self._refusals.values()]
        return [trouble for trouble in troubles if trouble is not None]

    @property
    def connected(self) -> bool:
        """True while the broker is there."""
        return self._broker_trouble is None

    def run(self, stop: threading.Event) -> None:
        """Collect until ``stop`` is set."""
        backoff = Backoff(*_BROKER_PAUSE_S, least_s=0.05)
        while not stop.is_set():
            pause_s = self._one_connection(stop, backoff)
            if not stop.is_set():
                self._clock.wait(stop, pause_s)

    def _one_connection(self, stop: threading.Event, backoff: Backoff) -> float:
        line, up_ns = self._connect(), None
        try:
            line.dial()
            while not stop.is_set():
                heard = line.hear(self._most, _TURN_S)
                if line.subscribed and self._broker_trouble is not None:
                    log.info("connected; listening")
                    self._broker_trouble, up_ns = None, self._clock.monotonic_ns()
                if up_ns is not None and self._clock.monotonic_ns() - up_ns > _HELD_NS:
                    backoff.reset()
                    up_ns = None
                complaints = line.complaints()
                for kind in complaints.keys() - self._refusals.keys():  # told once while it lasts
                    self._complaints.warn(kind, complaints[kind])
                self._refusals = complaints
                if heard:
                    self._take(line, heard, stop)
                self._ask_again(line)
            line.close(goodbye=True)
            return 0.0
        except Disconnected as ended:
            self._broker_trouble, self._refusals = str(ended), {}
            self._complaints.warn("broker", str(ended))
            taken_over = line.taken_over
            line.close(goodbye=False)
            return _TAKEN_OVER_S if taken_over else backoff.pause_s()

    def _take(self, line: Line, heard: Sequence[Heard], stop: threading.Event) -> None:
        batch, now = Batch(), self._clock.utc()
        for one in heard:
            refused = read(one.topic, one.payload, now, batch)
            if refused is not None:
                self.counts.refused += 1
                self._complaints.warn("refused", f"refused what came on {refused.topic!r}: {refused.reason}")
        self.counts.messages += len(heard)
        added = self._write(batch, stop)
        if added is None:
            return
        self._count(added)
        if added.conflicts:
            self._write(Batch(refused=[conflict(row, now) for row in added.conflicts]), stop)
        for topic, payload in receipts_for(batch, (*added.conflicts, *(one.row for one in added.unfit))):
            line.publish(topic, payload)
            self.counts.receipts += 1
        # Only now: a connection that ends before this has the broker send the letters again, and then a receipt goes
        # with them. The other way round, a letter that is acknowledged could be left without a receipt.
        line.acknowledge(heard)
        self._gaps.see(batch)

    def _write(self, batch: Batch, stop: threading.Event) -> Added | None:
        """Until it is written; None when ``stop`` came before that."""
        backoff = Backoff(*_STORE_PAUSE_S, least_s=0.1)
        while not stop.is_set():
            try:
                added = self._store.add(batch)
            except TryAgainError as error:
                self._store_trouble = f"{error}; nothing is confirmed to the drones until it can be used again"
                self._complaints.warn("store", self._store_trouble)
                self._clock.wait(stop, backoff.pause_s())
                continue
            if self._store_trouble is not None:
                log.info("the store can be used again")
                self._store_trouble = None
            return added
        return None

    def _count(self, added: Added) -> None:
        self.counts.stored += added.new
        self.counts.repeats += added.repeats
        self.counts.conflicts += len(added.conflicts)
        for row in added.conflicts:
            name = f"detection {row.seq}" if isinstance(row, DetectionRow) else f"crack {row.number}"
            self._complaints.warn(
                "conflict",
                f"{name} of {row.vehicle}'s flight {row.flight_id} came with another content than the one stored: the "
                "first is kept, the other is not confirmed; do two vehicles bear one name?",
            )
        self.counts.refused += len(added.unfit)
        for one in added.unfit:
            number = {DetectionRow: "seq", CrackRow: "number"}.get(type(one.row))
            name = one.what if number is None else f"{one.what} {getattr(one.row, number)}"
            self._complaints.warn(
                "unfit",
                f"{name} of {one.row.vehicle}'s flight {one.row.flight_id}: {one.reason}; kept among the refused, and "
                "not confirmed",
            )

    def _ask_again(self, line: Line) -> None:
        try:
            for topic, payload in self._gaps.due():
                line.publish(topic, payload)
                self.counts.asked_again += 1
        except TryAgainError as error:
            self._complaints.warn("gaps", str(error))


def receipts_for(batch: Batch, left_out: Sequence[object]) -> list[tuple[str, bytes]]:
    """Topics and payloads of the receipts for a batch that was written, one or more for each flight in it.

    ``left_out`` of it were not stored.
    """
    # By identity: of two with one name, the first was stored and the other was not, and its letter has the same id.
    unstored = {id(row) for row in left_out}
    numbers: dict[tuple[str, str], list[int]] = {}
    revisions: dict[tuple[str, str], dict[str, list[int]]] = {}
    for row in batch.detections:
        if id(row) not in unstored:
            numbers.setdefault((row.vehicle, row.flight_id), []).append(row.seq)
    for crack in batch.cracks:
        if id(crack) not in unstored:
            flight = revisions.setdefault((crack.vehicle, crack.flight_id), {})
            flight.setdefault(crack.crack_id, []).append(crack.revision)
    receipts = []
    for vehicle, flight_id in dict.fromkeys([*numbers, *revisions]):
        ranges = as_ranges(numbers.get((vehicle, flight_id), []))
        cracks = {name: as_ranges(found) for name, found in revisions.get((vehicle, flight_id), {}).items()}
        topic = receipts_topic(vehicle)
        receipts += [
            (topic, receipt(flight_id, ranges[begin : begin + _RANGES_IN_RECEIPT], {}))
            for begin in range(0, len(ranges), _RANGES_IN_RECEIPT)
        ]
        names = list(cracks)
        for begin in range(0, len(names), _RANGES_IN_RECEIPT):
            some = {name: cracks[name] for name in names[begin : begin + _RANGES_IN_RECEIPT]}
            receipts.append((topic, receipt(flight_id, (), some)))
    return receipts


class Gaps:
    """Numbers that a flight has passed over; asked for by ``resend`` when they have been missing for a while.

    A drone with a backlog sends its oldest and its newest by turns, so a gap that is closing is nothing to ask for.
    """

    def __init__(self, store: Store, clock: Clock, after_s: float) -> None:
        self._store = store
        self._clock = clock
        self._after_ns = round(after_s * 1e9)
        self._looked_ns = clock.monotonic_ns()
        # Flights that were heard of since their numbers were last compared, and when that may be done.
        self._due_ns: dict[tuple[str, str], int] = {}
        self._asked: dict[tuple[str, str], tuple[Ranges, int]] = {}

    def see(self, batch: Batch) -> None:
        """These were stored."""
        due_ns = self._clock.monotonic_ns() + self._after_ns
        for row in batch.detections:
            self._due_ns.setdefault((row.vehicle, row.flight_id), due_ns)

    def due(self) -> list[tuple[str, bytes]]:
        """The commands to be published now. Raises TryAgainError while the store cannot be read."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._looked_ns < _GAPS_EVERY_NS:
            return []
        self._looked_ns = now_ns
        commands = []
        for flight, due_ns in list(self._due_ns.items()):
            if due_ns <= now_ns:
                command = self._compare(*flight, now_ns)
                if command is not None:
                    commands.append(command)
        return commands

    def _compare(self, vehicle: str, flight_id: str, now_ns: int) -> tuple[str, bytes] | None:
        """Ask when exactly that was missing the last time too."""
        gaps = missing(self._store.ranges(vehicle, flight_id))
        before, asked = self._asked.get((vehicle, flight_id), ((), 0))
        del self._due_ns[vehicle, flight_id]
        if not gaps:
            self._asked.pop((vehicle, flight_id), None)
            return None
        # Each time nothing has come of it, ask half as often: the drone may be gone, or may not have them any more.
        moving, asked = gaps != before, asked + 1 if gaps == before else 0
        self._asked[vehicle, flight_id] = (gaps, asked)
        if len(self._asked) > _MOST_FLIGHTS:
            self._asked.pop(next(iter(self._asked)))
        self._due_ns[vehicle, flight_id] = now_ns + self._after_ns * 2 ** min(asked, 8)
        if moving:
            return None
        wanted, left = [], MOST_SEQS
        for first, last in gaps[:MOST_RANGES]:
            if left > 0:
                wanted.append([first, min(last, first + left - 1)])
                left -= last - first + 1
        command = {"command": "resend", "flight_id": flight_id, "ranges": wanted}
        return commands_topic(vehicle), to_bytes(command)


assert MOST_SEQS <= MOST_LETTERS, "what is asked for must fit into the receipts that follow"
