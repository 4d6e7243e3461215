"""From the outbox to the broker: at least once, in bounded steps, whatever the connection does.

* A letter leaves SENT only by the broker's word: acknowledged is confirmed, refused is parked with the reason.
* When a connection is lost, everything handed over is pending again and goes out again under the same id.
* A letter handed over late (from an earlier run, or old) is marked so.
* A letter at which the broker closes the connection each time would block all others: when connections end soon and
  nothing is acknowledged, letters go out one by one until the culprit is known, and it is parked.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping

from edge.mqtt import Publisher, Receipt
from edge.outbox import Letter, LetterState, Outbox
from edge.support.clock import Clock
from edge.support.complaints import Complaints
from edge.support.errors import TryAgainError

log = logging.getLogger(__name__)

PATIENCE_S = 15.0
"""A broker without an answer for this long is called absent by who waits, seconds: more than connecting takes."""
LATE_NS = 10_000_000_000
"""A letter older than this when it is handed over is late."""
# Without news, look for new letters this often.
_IDLE_S = 0.5
ATTEMPTS_ALONE = 5
"""So often the broker must close the connection at a letter sent alone before that letter is parked."""
# A broker that closes the connection does so at once; a network that fails takes longer to be noticed.
_SOON_NS = 5_000_000_000
_FRUITLESS_CONNECTIONS = 2
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
    ) -> None:
        """``late`` marks a payload as delivered late; it raises ValueError for one it cannot read, which is parked."""
        self._outbox = outbox
        self._publisher = publisher
        self._clock = clock
        self._late = late
        self._complaints = Complaints(log, clock)
        self._session = 0
        self._hand: deque[Letter] = deque()
        self._sent_ns: dict[str, int] = {}
        self._sent_bytes: dict[str, int] = {}
        self._largest_taken_bytes = 0
        self._too_large_bytes: int | None = None
        self._receipts: list[Receipt] = []
        self._suspects = _Suspects(publisher.window)
        self._delivered = 0
        self._refused = 0
        self._refusal: str | None = None

    @property
    def delivered(self) -> int:
        """Acknowledgements of this run; a letter sent twice counts twice."""
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

    def health(self) -> str | None:
        """That letters were refused in this run, and why the last one was; None when none was."""
        if self._refusal is None:
            return None
        return (
            f"{self._refused} letters were refused and are parked (the last one: {self._refusal}); "
            "correct that, then give the command flush (or spanhawk outbox flush, when the daemon is stopped)"
        )

    def retry(self, *, confirmed: bool = False) -> int:
        """As ``Outbox.retry``, for a broker that was put right: what was learnt of its limits is forgotten."""
        self._too_large_bytes = None
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
        self._outbox.done(arrived)
        self._delivered += len(arrived)
        self._largest_taken_bytes = max([self._largest_taken_bytes, *(self._sent_bytes.get(id, 0) for id in arrived)])
        self._answered(arrived)
        self._receipts = [receipt for receipt in self._receipts if receipt.refused is not None]
        while self._receipts:
            refusal = self._receipts[0]
            self._park(refusal.id, str(refusal.refused))
            self._answered([refusal.id])
            self._receipts.pop(0)

    def _answered(self, ids: list[str]) -> None:
        for id in ids:
            self._sent_ns.pop(id, None)
            self._sent_bytes.pop(id, None)
        self._suspects.settled(ids)

    def _follow_session(self) -> None:
        """When the connection was lost, everything handed over goes back."""
        session = self._publisher.sessions
        lost = not self._publisher.connected and bool(self._hand or self._sent_ns)
        if session == self._session and not lost:
            return
        self._outbox.release()
        culprit = self._suspects.lost(self._sent_ns, self._clock.monotonic_ns())
        self._hand.clear()
        sizes, self._sent_bytes = self._sent_bytes, {}
        self._sent_ns.clear()
        self._session = session
        if culprit is not None:
            self._park(
                culprit,
                f"the broker closed the connection each of the {ATTEMPTS_ALONE} times this letter was sent alone",
            )
            self._learn(sizes[culprit])

    def _learn(self, size_bytes: int) -> None:
        """A letter larger than any that was taken ended the connection: others of its size need not each prove it."""
        if size_bytes > self._largest_taken_bytes:
            self._too_large_bytes = size_bytes

    def _fill(self) -> None:
        room = self._suspects.window - len(self._sent_ns) - len(self._hand)
        if room > 0:
            self._hand.extend(self._outbox.take(room))
        while self._hand:
            letter = self._hand[0]
            payload = self._payload(letter)
            if payload is not None and not self._publisher.send(letter.id, letter.topic, payload):
                return
            self._hand.popleft()
            if payload is not None:
                self._sent_ns[letter.id] = self._clock.monotonic_ns()
                self._sent_bytes[letter.id] = len(payload)

    def _payload(self, letter: Letter) -> bytes | None:
        """What goes out; None when the letter was parked: it cannot be marked as late, or is known to be too large."""
        now_ns, payload = self._clock.monotonic_ns(), letter.payload
        if letter.put_ns is None or now_ns - letter.put_ns > LATE_NS:
            try:
                payload = self._late(payload)
            except ValueError as error:
                self._park(letter.id, f"it is late and cannot be marked so: {error}")
                return None
        if self._too_large_bytes is not None and len(payload) >= self._too_large_bytes:
            limit = f"{len(payload)} bytes, and the broker closes the connection at a letter of {self._too_large_bytes}"
            self._park(letter.id, f"{limit}: raise its limit of message size")
            return None
        return payload

    def _park(self, id: str, reason: str) -> None:
        self._outbox.park(id, reason)
        self._refused += 1
        self._refusal = reason
        self._complaints.warn("parked", f"letter {id} is parked: {reason}")


class _Suspects:
    """Distinguishes a letter at which the broker closes the connection from a connection that is merely bad."""

    def __init__(self, window: int) -> None:
        self._full_window = window
        self._acknowledged = False
        self._fruitless = 0
        self._one_by_one = 0
        self._failures_alone: dict[str, int] = {}

    @property
    def window(self) -> int:
        """How many letters may be on their way: all, or one while the culprit is sought."""
        return 1 if self._one_by_one else self._full_window

    def settled(self, ids: list[str]) -> None:
        """The broker answered for these: they are not the cause."""
        if not ids:
            return
        self._acknowledged = True
        self._fruitless = 0
        self._one_by_one = max(0, self._one_by_one - len(ids))
        for id in ids:
            self._failures_alone.pop(id, None)

    def lost(self, sent_ns: Mapping[str, int], now_ns: int) -> str | None:
        """A connection ended with these on their way; returns the letter that is the cause once that is clear."""
        acknowledged, self._acknowledged = self._acknowledged, False
        if not sent_ns or now_ns - max(sent_ns.values()) > _SOON_NS:
            return None
        if len(sent_ns) == 1:
            return self._failed_alone(next(iter(sent_ns)))
        self._fruitless = 0 if acknowledged else self._fruitless + 1
        if self._fruitless >= _FRUITLESS_CONNECTIONS:
            self._one_by_one = 2 * self._full_window
        return None

    def _failed_alone(self, id: str) -> str | None:
        self._failures_alone[id] = self._failures_alone.get(id, 0) + 1
        if self._failures_alone[id] < ATTEMPTS_ALONE:
            self._one_by_one = 2 * self._full_window
            return None
        self._failures_alone.clear()
        self._one_by_one = self._fruitless = 0
        return id
