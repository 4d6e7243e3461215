"""From the outbox to the broker: at least once, in bounded steps, whatever the connection does.

* A letter leaves SENT only by somebody's word. Refused by the broker, it is parked with the reason. Acknowledged by the
  broker, it is confirmed; or, where the ground confirms, it waits for the ground's receipt and is sent again when none
  comes (``owed``).
* When a connection is lost, everything handed over is pending again and goes out again under the same id.
* A letter handed over late (from an earlier run, or old) is marked so.
* A letter at which the broker closes the connection each time would block all others: it is found and parked
  (``culprits``).
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence

from edge.delivery.culprits import STRIKES, STRIKES_KNOWN, Sizes, Stumbling
from edge.delivery.owed import Owed
from edge.mqtt import Publisher, Receipt
from edge.outbox import Letter, LetterState, Outbox
from edge.support.clock import Clock
from edge.support.complaints import Complaints
from edge.support.errors import TryAgainError

log = logging.getLogger(__name__)

PATIENCE_S = 15.0
"""Whoever waits for a broker calls it absent after this long without an answer, seconds: longer than one dial takes."""
LATE_NS = 10_000_000_000
"""A letter older than this when it is handed over is late."""
# Without news, look for new letters this often.
_IDLE_S = 0.5
# A disk that failed is tried again after this long.
_DISK_PAUSE_S = 1.0


class Delivery:
    """Used by one thread; the counters may be read from others."""

    def __init__(
        self,
        outbox: Outbox,
        publisher: Publisher,
        clock: Clock,
        *,
        late: Callable[[bytes], bytes],
        receipts: Callable[[bytes], Sequence[str]] | None = None,
    ) -> None:
        """``late`` marks a payload as delivered late; it raises ValueError for one it cannot read, which is parked.

        With ``receipts`` the ground confirms: it gives the ids of the letters that a message of the ground names, and
        raises ValueError for one that is no receipt. None: the broker confirms.
        """
        self._outbox = outbox
        self._publisher = publisher
        self._clock = clock
        self._late = late
        self._complaints = Complaints(log, clock)
        self._session = 0
        self._hand: deque[Letter] = deque()
        self._sent_ns: dict[str, int] = {}
        self._sent_bytes: dict[str, int] = {}
        self._receipts: list[Receipt] = []
        self._read_receipt = receipts
        self._owed = Owed(clock)
        self._early: set[str] = set()  # receipts that were quicker than the broker's own word
        self._stumbling = Stumbling(publisher.window)
        self._sizes = Sizes()
        self._delivered = 0
        self._refused = 0
        self._refusal: str | None = None

    @property
    def delivered(self) -> int:
        """Acknowledgements of this run by whom the configuration trusts; where that is the broker, a letter sent twice
        counts twice."""
        return self._delivered

    @property
    def refused(self) -> int:
        """Letters parked in this run."""
        return self._refused

    @property
    def waiting(self) -> int:
        """Letters neither confirmed nor parked; only those on their way while the outbox cannot be read."""
        try:
            counts = self._outbox.counts()
        except TryAgainError:
            return len(self._hand) + len(self._sent_ns)
        return counts[LetterState.PENDING] + counts[LetterState.SENT]

    @property
    def owed(self) -> int:
        """Letters that the broker has taken and the ground has not confirmed; 0 where the broker confirms."""
        return self._owed.count

    def health(self) -> str | None:
        """That letters were refused in this run, and why the last one was; None when none was."""
        if self._refusal is None:
            return None
        return (
            f"{self._refused} letters were refused and are parked (the last one: {self._refusal}); "
            "correct that, then give the command flush (or spanhawk outbox flush, when the daemon is stopped)"
        )

    def silence(self) -> str | None:
        """That the ground confirms nothing of what the broker has taken; None while it does, or is not to."""
        return self._owed.trouble() if self._publisher.connected else None

    def retry(self, *, confirmed: bool = False) -> int:
        """Take up every letter that was set aside, whatever was learnt of it; returns how many.

        ``confirmed``: also those that the broker acknowledged and that are still kept, for a ground that lost them.
        """
        self._sizes.forget()
        return self._outbox.retry(confirmed=confirmed)

    def run(self, stop: threading.Event) -> None:
        """Step until ``stop`` is set; set ``publisher.wake`` too, to end at once."""
        while not stop.is_set():
            self._publisher.wake.clear()
            self._clock.wait(self._publisher.wake, self.step())

    def step(self) -> float:
        """Do what can be done now without waiting; returns the seconds until the next step is due without news."""
        try:
            self._settle()
            if self._read_receipt is not None:
                self._read_receipts(self._read_receipt)
            self._follow_session()
            if self._publisher.connected:
                self._fill()
        except TryAgainError as error:
            self._complaints.warn("disk", f"delivery pauses: {error}")
            return _DISK_PAUSE_S
        return _IDLE_S

    def _settle(self) -> None:
        """Write down what the broker said; kept here until the outbox has taken it."""
        self._receipts += self._publisher.receipts()
        if not self._receipts:
            return
        arrived = [receipt.id for receipt in self._receipts if receipt.refused is None]
        self._sizes.took(self._sent_bytes[id] for id in arrived if id in self._sent_bytes)
        if self._read_receipt is None:
            self._outbox.done(arrived)
            self._delivered += len(arrived)
        else:
            self._owed.add(id for id in arrived if id not in self._early)
            self._early.difference_update(arrived)
        self._answered(arrived)
        self._receipts = [receipt for receipt in self._receipts if receipt.refused is not None]
        while self._receipts:
            refusal = self._receipts[0]
            self._park(refusal.id, str(refusal.refused))
            self._answered([refusal.id])
            self._receipts.pop(0)

    def _read_receipts(self, read: Callable[[bytes], Sequence[str]]) -> None:
        """Confirm what the ground has; what it has not confirmed for long is pending again."""
        for notice in self._publisher.notices():
            try:
                ids = read(notice)
            except ValueError as error:
                self._complaints.warn("receipt", f"a message of the ground is no receipt: {error}; it is ignored")
                continue
            news = self._outbox.done(ids, handed_over=True)
            self._delivered += news
            self._early.update(id for id in ids if id in self._sent_ns)
            if not self._owed.settled(ids) and not news:
                self._complaints.warn(
                    "strange receipt",
                    f"a receipt names {len(ids)} letters and none that waits for one here: it came twice, or it is "
                    "meant for another vehicle of this name; it is ignored",
                )
        overdue = self._owed.overdue()
        if overdue:
            self._outbox.again(overdue)
            self._owed.give_up(overdue)

    def _answered(self, ids: list[str]) -> None:
        for id in ids:
            self._sent_ns.pop(id, None)
            self._sent_bytes.pop(id, None)
        self._stumbling.settled(ids)

    def _follow_session(self) -> None:
        """When the connection was lost, everything handed over goes back."""
        session = self._publisher.sessions
        lost = not self._publisher.connected and bool(self._hand or self._sent_ns or self._owed.count)
        if session == self._session and not lost:
            return
        self._outbox.release()
        self._owed.forget()
        self._early.clear()
        alone = next(iter(self._sent_ns), None) if len(self._sent_ns) == 1 else None
        strikes = STRIKES_KNOWN if alone is not None and self._sizes.doubts(self._sent_bytes.get(alone)) else STRIKES
        culprit = self._stumbling.lost(self._sent_ns, self._clock.monotonic_ns(), strikes)
        self._hand.clear()
        culprit_bytes = None if culprit is None else self._sent_bytes.get(culprit)
        self._sent_ns.clear()
        self._sent_bytes.clear()
        self._session = session
        if culprit is not None:
            if culprit_bytes is not None:
                self._sizes.closed_at(culprit_bytes, self._clock.monotonic_ns())
            self._park(
                culprit, f"the broker closed the connection each of the {strikes} times this letter was sent alone"
            )

    def _fill(self) -> None:
        under_way = len(self._sent_ns) + len(self._hand)
        room = self._stumbling.window - under_way
        if self._read_receipt is not None:
            room = min(room, self._owed.most - self._owed.count - under_way)
        if room > 0:
            self._hand.extend(self._outbox.take(room))
        while self._hand:
            letter = self._hand[0]
            payload = self._payload(letter)
            if payload is not None and (unfit := self._sizes.unfit(len(payload), self._clock.monotonic_ns())):
                self._park(letter.id, unfit)
                payload = None
            if payload is not None and not self._publisher.send(letter.id, letter.topic, payload):
                return
            self._hand.popleft()
            if payload is not None:
                self._sent_ns[letter.id] = self._clock.monotonic_ns()
                self._sent_bytes[letter.id] = len(payload)

    def _payload(self, letter: Letter) -> bytes | None:
        """What goes out; None when the letter cannot be marked as late and was parked."""
        now_ns = self._clock.monotonic_ns()
        if letter.put_ns is not None and now_ns - letter.put_ns <= LATE_NS:
            return letter.payload
        try:
            return self._late(letter.payload)
        except ValueError as error:
            self._park(letter.id, f"it is late and cannot be marked so: {error}")
            return None

    def _park(self, id: str, reason: str) -> None:
        self._outbox.park(id, reason)
        self._refused += 1
        self._refusal = reason
        self._complaints.warn("parked", f"letter {id} is parked: {reason}")
