"""Letters that must not be lost, and the boxes that keep them. Knows only bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Letter:
    """One message on its way to the ground."""

    id: str
    """Unique; putting the same id twice keeps the first."""
    topic: str
    payload: bytes
    put_ns: int | None
    """When it was written down, monotonic ns; None when an earlier run wrote it (its clock means nothing now).

    The outbox stamps it with its own clock; what it holds when it is put does not matter.
    """


class LetterState(str, Enum):
    """Where a letter stands; it is deleted only by ``purge`` or when room is needed."""

    PENDING = "pending"
    """Written down, not yet handed to the broker."""
    SENT = "sent"
    """Handed over, not acknowledged; goes back to pending when the connection is lost."""
    CONFIRMED = "confirmed"
    """Acknowledged by whom the configuration trusts (``outbox.confirm``: the broker or the ground)."""
    PARKED = "parked"
    """Refused for a reason that a retry does not remove; kept with the reason."""


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """A letter and its standing, for ``spanhawk outbox list``."""

    letter: Letter
    state: LetterState
    attempts: int
    """How often it was handed to the broker."""
    reason: str | None
    """Why it is parked; None otherwise."""


class Outbox(Protocol):
    """Keeps letters until they are confirmed; safe to use from several threads; closed by leaving ``with``.

    While a ``put`` waits for its disk all others answer within seconds, or raise TryAgainError: the thread that calls
    them is the one that holds the watchdog off.
    """

    def put(self, letters: Sequence[Letter]) -> None:
        """Write all of ``letters`` in one transaction, durable on return.

        Raises TryAgainError when the disk is full or failing: then none of them is written, and
        everything put before is still there.

        Writes go inside ``edge.support.waits.waiting``: the watchdog excuses a slow disk only for what waits there.
        """

    def take(self, count: int) -> list[Letter]:
        """Pending letters, at most ``count``, in the order they were put, each becoming SENT.

        Half of them come from the oldest end and half from the newest (one place goes to them in turn), so that
        a backlog never starves what was just put, nor the other way round.
        """

    def done(self, ids: Sequence[str], *, handed_over: bool = False) -> int:
        """Confirm, in whatever state; unknown ids and confirmed ones are ignored; returns how many it was news of.

        With ``handed_over``, letters that were never taken are left alone too: nobody can have them.
        """

    def park(self, id: str, reason: str) -> None:
        """Set a letter aside with the reason; it is not retried until ``retry``."""

    def release(self) -> int:
        """Make every SENT letter PENDING again (the connection was lost); returns how many."""

    def again(self, ids: Sequence[str]) -> int:
        """Make those of ``ids`` that are kept PENDING, in whatever state; returns how many there were."""

    def retry(self, *, confirmed: bool = False) -> int:
        """Make every PARKED letter PENDING again, with ``confirmed`` every CONFIRMED one too; returns how many."""

    def counts(self) -> Mapping[LetterState, int]:
        """How many letters stand in each state (every state is a key)."""

    def list(self, limit: int) -> list[StoredLetter]:
        """The oldest ``limit`` letters in any state, in the order they were put."""

    def purge(self, *, everything: bool = False) -> int:
        """Delete confirmed letters (or, with ``everything``, all); returns how many."""

    def health(self) -> str | None:
        """One sentence on what is wrong with the storage; None when it is well."""

    def __enter__(self) -> Outbox: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class BothEnds:
    """Which letters go first: shares the places of one ``take`` between the oldest and the newest that wait.

    From the newest end, so that an hour of backlog does not hold up what was found a second ago; from the oldest, so
    that no stream of new letters holds up the backlog. An odd place goes to them in turn, the oldest first.
    """

    def __init__(self) -> None:
        self._newest_gets_odd = False

    def share(self, count: int) -> tuple[int, int]:
        """How many of ``count`` places go to the oldest and to the newest end; every other odd call differs."""
        newest = (count + self._newest_gets_odd) // 2
        if count % 2:
            self._newest_gets_odd = not self._newest_gets_odd
        return count - newest, newest
