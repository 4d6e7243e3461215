"""What many looks say together: is this line a crack? A log-likelihood ratio over views that should have shown it.

A view that finds the line again adds log(p / q), one that misses it adds log((1 - p) / (1 - q)), where p is how often a
true crack is found in a view that shows it and q how often a false mark is found again. A false mark that is a thing on
the wall (a joint, a stain) is found again often, so q is far from 0 and no number of looks makes up for a network that
is wrong; looks do sort out what light, noise and angle made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

State = Literal["tentative", "confirmed", "withdrawn"]

FOUND_IF_TRUE = 0.85
FOUND_IF_FALSE = (0.8, 0.35)
"""Of the shortest marks, and of those as long as ``sure_length_px``: rims of tie holes and chips are short and stay."""

CONFIRMED = 1.2
WITHDRAWN = -2.0
LIMIT = 6.0
"""Evidence is capped here, so that a crack that is repaired between two passes can still be withdrawn: where all views
together speak against it too, without that cap. One that 40 views found and 8 in a row missed stays a crack."""
FIRST_GAIN = 4.0
FIRST_LIMITS = (-2.5, 2.0)


@dataclass(slots=True)
class Judgement:
    """The evidence for one line."""

    ratio: float
    """Natural logarithm of how much likelier what was seen is of a crack than of a false mark."""
    views: int = 1
    """Views that showed it and found it."""
    missed: int = 0
    """Views that should have shown it and did not."""
    was_confirmed: bool = False
    """What ``state`` said last."""
    beyond: float = 0.0
    """What the cap took away: ``ratio + beyond`` is the evidence of all views together."""
    rim: bool = False
    """Its line runs around a circle: no number of views makes it a crack while it does."""

    @property
    def state(self) -> State:
        """Between two limits a line keeps the state that it had: a state that flickers is of no use to anybody."""
        if self.ratio <= WITHDRAWN and self.ratio + self.beyond <= 0:
            self.was_confirmed = False
            return "withdrawn"
        if self.rim:
            return "withdrawn" if self.was_confirmed else "tentative"
        if self.ratio >= CONFIRMED:
            self.was_confirmed = True
        return "confirmed" if self.was_confirmed else "tentative"

    def look(self, *, found: bool, length_px: float, sure_length_px: float) -> None:
        """Count one more view that shows ``length_px`` of the line."""
        self.views += found
        self.missed += not found
        again = found_again_if_false(length_px, sure_length_px)
        gain = math.log(FOUND_IF_TRUE / again) if found else math.log((1 - FOUND_IF_TRUE) / (1 - again))
        whole = self.ratio + self.beyond + gain
        self.ratio = max(-LIMIT, min(LIMIT, self.ratio + gain))
        self.beyond = whole - self.ratio

    def take(self, other: Judgement, *, apart: bool) -> None:
        """Take in what is known of another line that proved to be a part of this one.

        Views are those of the crack as a whole. ``apart``: no frame found both, so that all of them count; else one
        that found both must not count twice, and what is known for sure is the larger number. A frame that found one
        part and missed the other found the crack: what was missed is never added up.
        """
        confirmed = [one.state == "confirmed" or one.was_confirmed for one in (self, other)]
        self.was_confirmed = any(confirmed)
        self.ratio, self.beyond = max(self.ratio, other.ratio), max(self.beyond, other.beyond)
        self.views = self.views + other.views if apart else max(self.views, other.views)
        self.missed = max(self.missed, other.missed)


def found_again_if_false(length_px: float, sure_length_px: float) -> float:
    """How often a false mark of that length is found again in a view that shows it, 0 to 1."""
    share = min(1.0, length_px / sure_length_px) if sure_length_px > 0 else 1.0
    short, long = FOUND_IF_FALSE
    return short + (long - short) * share


def first(length_px: float, score: float, sure_length_px: float) -> Judgement:
    """The evidence of a line's first view: the longer and the surer, the more it says by itself.

    ``length_px`` of the line in the frame, ``score`` the network's mean along it, 0 to 1. Where
    length / sure_length_px = 1 - score it is 0: as likely a crack as not.
    """
    margin = (length_px / sure_length_px if sure_length_px > 0 else 1.0) - (1 - score)
    return Judgement(max(FIRST_LIMITS[0], min(FIRST_LIMITS[1], FIRST_GAIN * margin)))
