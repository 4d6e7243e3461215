"""How long to wait before dialling again: exponential with a cap and full jitter.

Jitter, so that a fleet whose broker restarts does not knock at one moment
(M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
"""

from __future__ import annotations

import random

FIRST_S = 0.5
CAP_S = 30.0
# A refused password does not mend itself in seconds.
REFUSED_S = (10.0, 60.0)
# Never at once: a broker that accepts and hangs up would otherwise be called in a tight loop.
_LEAST_S = 0.05


class Backoff:
    """Counts failures in a row."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._failures = 0

    def pause_s(self, *, refused: bool) -> float:
        """Seconds to wait after one more failure; ``refused``: the broker answered, and said no."""
        ceiling_s = min(CAP_S, FIRST_S * 2.0 ** min(self._failures, 16))
        self._failures += 1
        if refused:
            return self._chance.uniform(*REFUSED_S)
        return max(_LEAST_S, self._chance.uniform(0.0, ceiling_s))

    def reset(self) -> None:
        """A connection held for a while: the next failure is the first."""
        self._failures = 0
