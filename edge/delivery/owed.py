"""Receipts of the ground that are awaited, and for how long."""

from __future__ import annotations

from collections.abc import Iterable

from edge.support.clock import Clock

# Letters whose receipts are awaited: enough for 1,000 a second of a ground that is two seconds away; fewer until it is
# heard, so that a ground that is not there costs little.
_MOST_OWED, _LEAST_OWED = 2000, 50
# A receipt follows within a second; a letter without one is sent again, later each time until one comes.
_OWED_FIRST_S, _OWED_CAP_S = 15.0, 120.0


class Owed:
    """Letters that the broker has taken and the ground has not confirmed; knows when to stop waiting for it.

    An outstanding receipt may be lost, and so may the letter, in a broker that was killed: neither is known, so the
    letter is sent again, and the ground recognises the repeat. While no receipts come, few letters are risked.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_ns: dict[str, int] = {}  # in the order in which they were acknowledged
        self._pause_s = _OWED_FIRST_S
        self._silent_since_ns: int | None = None
        self.most = _LEAST_OWED
        """So many may be owed at one time."""

    @property
    def count(self) -> int:
        """Receipts that are owed."""
        return len(self._since_ns)

    def add(self, ids: Iterable[str]) -> None:
        """The broker has taken these."""
        now_ns = self._clock.monotonic_ns()
        for id in ids:
            self._since_ns[id] = now_ns
            if self._silent_since_ns is None:
                self._silent_since_ns = now_ns

    def settled(self, ids: Iterable[str]) -> int:
        """The ground has these; returns how many of them were owed."""
        settled = sum(self._since_ns.pop(id, None) is not None for id in ids)
        if settled:
            self._pause_s, self.most = _OWED_FIRST_S, min(_MOST_OWED, 2 * self.most)
            self._silent_since_ns = self._clock.monotonic_ns() if self._since_ns else None
        return settled

    def overdue(self) -> list[str]:
        """Those whose receipt has not come in time."""
        oldest_ns = self._clock.monotonic_ns() - round(self._pause_s * 1e9)
        return [id for id, since_ns in self._since_ns.items() if since_ns <= oldest_ns]

    def give_up(self, ids: Iterable[str]) -> None:
        """These will be sent again: wait longer the next time, and risk fewer."""
        for id in ids:
            del self._since_ns[id]
        self._pause_s, self.most = min(_OWED_CAP_S, 2 * self._pause_s), max(_LEAST_OWED, self.most // 8)

    def forget(self) -> None:
        """The connection was lost: all of them are sent again anyway."""
        self._since_ns.clear()

    def trouble(self) -> str | None:
        """That the ground is silent; None while it is not, or while it owes nothing."""
        if self._silent_since_ns is None:
            return None
        silent_s = (self._clock.monotonic_ns() - self._silent_since_ns) / 1e9
        if silent_s < _OWED_FIRST_S:
            return None
        return (
            f"no receipt from the ground for {silent_s:.0f} s: letters reach the broker, and nobody says that they are "
            'stored; start spanhawk ground there, or set outbox.confirm = "broker"'
        )
