"""An outbox that forgets with its process, for replays without a broker and for tests; it can be full like a disk."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from edge.outbox import BothEnds, Letter, LetterState, Outbox, StoredLetter
from edge.support.clock import Clock
from edge.support.errors import TryAgainError


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The ``[outbox]`` table for ``backend = "memory"``."""

    capacity: int | None = None
    """Letters held at most, confirmed ones making room for new ones; None: as many as memory takes."""
    full_after: int | None = None
    """The disk fills up when so many letters have been put in all; None: it never does."""
    confirm: Literal["broker", "ground"] = "broker"
    """Whose word ends a letter: the broker's PUBACK or the receipt of a ``spanhawk ground``."""


def open_outbox(options: Options, clock: Clock) -> Outbox:
    """An empty outbox in memory."""
    return MemoryOutbox(options, clock)


@dataclass(slots=True)
class _Row:
    letter: Letter
    state: LetterState = LetterState.PENDING
    attempts: int = 0
    reason: str | None = None


class MemoryOutbox:
    """Keeps the contract of ``Outbox`` except that nothing outlives the process."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._mutex = threading.Lock()
        self._ends = BothEnds()
        self._rows: dict[str, _Row] = {}
        self._put_count = 0
        self._refused: str | None = None

    def put(self, letters: Sequence[Letter]) -> None:
        """All of ``letters`` or none; raises TryAgainError when there is no room."""
        with self._mutex:
            new = list({letter.id: letter for letter in reversed(letters) if letter.id not in self._rows}.values())
            self._refused = self._make_room(len(new))
            if self._refused is not None:
                raise TryAgainError(self._refused)
            now_ns = self._clock.monotonic_ns()
            for letter in reversed(new):
                self._rows[letter.id] = _Row(Letter(letter.id, letter.topic, letter.payload, now_ns))
            self._put_count += len(new)

    def take(self, count: int) -> list[Letter]:
        """Pending letters, at most ``count``, in the order they were put: half from each end of what waits."""
        if count <= 0:
            return []
        with self._mutex:
            pending = [row for row in self._rows.values() if row.state is LetterState.PENDING]
            oldest, newest = self._ends.share(count)
            taken = pending if len(pending) <= count else pending[:oldest] + pending[len(pending) - newest :]
            for row in taken:
                row.state = LetterState.SENT
                row.attempts += 1
            return [row.letter for row in taken]

    def done(self, ids: Sequence[str], *, handed_over: bool = False) -> int:
        """Confirm, whatever the state was."""
        news = 0
        with self._mutex:
            for row in (self._rows[id] for id in ids if id in self._rows):
                if row.state is not LetterState.CONFIRMED and row.attempts >= handed_over:
                    row.state, row.reason = LetterState.CONFIRMED, None
                    news += 1
        return news

    def again(self, ids: Sequence[str]) -> int:
        """Make those of ``ids`` that are kept PENDING, whatever the state was."""
        with self._mutex:
            rows = [self._rows[id] for id in ids if id in self._rows]
            for row in rows:
                row.state, row.reason = LetterState.PENDING, None
        return len(rows)

    def park(self, id: str, reason: str) -> None:
        """Set aside with the reason; a confirmed letter stays confirmed."""
        with self._mutex:
            row = self._rows.get(id)
            if row is not None and row.state is not LetterState.CONFIRMED:
                row.state, row.reason = LetterState.PARKED, reason

    def release(self) -> int:
        """Make every SENT letter PENDING again."""
        return self._revive(LetterState.SENT)

    def retry(self, *, confirmed: bool = False) -> int:
        """Make every PARKED letter, and with ``confirmed`` every CONFIRMED one, PENDING again."""
        return self._revive(LetterState.PARKED, *([LetterState.CONFIRMED] if confirmed else []))

    def counts(self) -> Mapping[LetterState, int]:
        """How many letters stand in each state."""
        with self._mutex:
            states = [row.state for row in self._rows.values()]
        return {state: states.count(state) for state in LetterState}

    def list(self, limit: int) -> list[StoredLetter]:
        """The oldest ``limit`` letters in any state, in the order they were put."""
        with self._mutex:
            rows = list(self._rows.values())[:limit]
        return [StoredLetter(row.letter, row.state, row.attempts, row.reason) for row in rows]

    def purge(self, *, everything: bool = False) -> int:
        """Delete confirmed letters (or all); returns how many."""
        with self._mutex:
            gone = [id for id, row in self._rows.items() if everything or row.state is LetterState.CONFIRMED]
            for id in gone:
                del self._rows[id]
            self._refused = None
        return len(gone)

    def health(self) -> str | None:
        """That there is no room, if the last ``put`` found none; None otherwise."""
        return self._refused

    def __enter__(self) -> MemoryOutbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def _make_room(self, count: int) -> str | None:
        """Let the oldest confirmed letters go until ``count`` more fit; the sentence when they cannot."""
        options = self._options
        if options.full_after is not None and self._put_count + count > options.full_after:
            return f"storage is full: this outbox takes {options.full_after} letters in all (outbox.full_after)"
        excess = 0 if options.capacity is None else len(self._rows) + count - options.capacity
        confirmed = [id for id, row in self._rows.items() if row.state is LetterState.CONFIRMED]
        if excess > len(confirmed):
            return f"storage is full: {options.capacity} letters (outbox.capacity) are not confirmed"
        for id in confirmed[: max(0, excess)]:
            del self._rows[id]
        return None

    def _revive(self, *states: LetterState) -> int:
        with self._mutex:
            rows = [row for row in self._rows.values() if row.state in states]
            for row in rows:
                row.state, row.reason = LetterState.PENDING, None
        return len(rows)
