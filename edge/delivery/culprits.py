"""Which letter does the broker close the connection at, and is it for its size?

A broker announces its ``message_size_limit`` to nobody: it closes the connection at a letter above it. When connections
end soon and nothing is acknowledged, letters go out one by one until the culprit is known (``Stumbling``). Where it was
the largest so far, letters of its size are parked without another try, for a while (``Sizes``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

STRIKES = 5
"""So often the broker must close the connection at a letter sent alone before the letter is parked."""
STRIKES_KNOWN = 2
"""So often where this broker is known to close it at large letters, and none as large as this one has arrived."""
# A broker that closes the connection does so at once; a network that fell silent takes longer to be noticed.
_SOON_NS = 5_000_000_000
_BARREN_CONNECTIONS = 2
_SIZE_LEARNT_NS = 600_000_000_000


class Sizes:
    """The size from which a broker closes the connection, learnt from one letter for all that are as large."""

    def __init__(self) -> None:
        self._largest_taken = 0
        self._refused_from: int | None = None
        self._learnt_ns = 0

    def took(self, sizes: Iterable[int]) -> None:
        """These were acknowledged."""
        self._largest_taken = max((self._largest_taken, *sizes))
        if self._refused_from is not None and self._largest_taken >= self._refused_from:
            self.forget()  # it was not the size

    def closed_at(self, size: int, now_ns: int) -> None:
        """A letter of this size, sent alone, ended the connection each time."""
        if size > self._largest_taken:
            self._refused_from, self._learnt_ns = min(size, self._refused_from or size), now_ns

    def unfit(self, size: int, now_ns: int) -> str | None:
        """Why a letter of this size need not be tried; None when it should be. After ten minutes, one is."""
        if self._refused_from is None or size < self._refused_from:
            return None
        if now_ns - self._learnt_ns > _SIZE_LEARNT_NS:
            self.forget()
            return None
        return (
            f"{size} bytes, and the broker closed the connection at a letter of {self._refused_from}: "
            "raise its message_size_limit"
        )

    def doubts(self, size: int | None) -> bool:
        """Whether a size was learnt, and this one lies above all that have arrived: it may be what is refused, too."""
        return size is not None and self._refused_from is not None and size > self._largest_taken

    def forget(self) -> None:
        """Start afresh: the broker may have been set up anew."""
        self._refused_from = None


class Stumbling:
    """Distinguishes a letter at which the broker closes the connection from a connection that is merely bad."""

    def __init__(self, window: int) -> None:
        self._full_window = window
        self._acknowledged = False
        self._barren = 0
        self._one_by_one = 0
        self._strikes: dict[str, int] = {}

    @property
    def window(self) -> int:
        """How many letters may be on their way: all, or one while the culprit is sought."""
        return 1 if self._one_by_one else self._full_window

    def settled(self, ids: list[str]) -> None:
        """The broker answered for these: they are innocent."""
        if not ids:
            return
        self._acknowledged = True
        self._barren = 0
        self._one_by_one = max(0, self._one_by_one - len(ids))
        for id in ids:
            self._strikes.pop(id, None)

    def lost(self, sent_ns: Mapping[str, int], now_ns: int, strikes: int) -> str | None:
        """A connection ended with these on their way; returns the letter that is to blame once that is clear.

        ``strikes``: so often a letter that was alone must have been there.
        """
        acknowledged, self._acknowledged = self._acknowledged, False
        if not sent_ns or now_ns - max(sent_ns.values()) > _SOON_NS:
            return None
        if len(sent_ns) == 1:
            return self._strike(next(iter(sent_ns)), strikes)
        self._barren = 0 if acknowledged else self._barren + 1
        if self._barren >= _BARREN_CONNECTIONS:
            self._one_by_one = 2 * self._full_window
        return None

    def _strike(self, id: str, strikes: int) -> str | None:
        self._strikes[id] = self._strikes.get(id, 0) + 1
        if self._strikes[id] < strikes:
            self._one_by_one = 2 * self._full_window
            return None
        self._strikes.clear()
        self._one_by_one = self._barren = 0
        return id
