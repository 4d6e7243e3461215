"""Which letters go first: half from the oldest end, half from the newest.

From the newest end, so that an hour of backlog does not hold up what was found a second ago;
from the oldest, so that no stream of new letters holds up the backlog.
"""

from __future__ import annotations


class BothEnds:
    """Shares the places of one ``take`` between both ends; an odd place goes to them in turn, the oldest first."""

    def __init__(self) -> None:
        self._newest_gets_odd = False

    def share(self, count: int) -> tuple[int, int]:
        """How many of ``count`` places go to the oldest and to the newest end; every other odd call differs."""
        newest = (count + self._newest_gets_odd) // 2
        if count % 2:
            self._newest_gets_odd = not self._newest_gets_odd
        return count - newest, newest
