"""What the pilot reads over the autopilot's link while flying: few words, on the screen that is watched anyway.

Only where ``[navigation] transmit = true``. A finding is reported at most every five seconds and not twice in a row;
what would show the narrowest crack asked for (closer, slower, more light), at most every fifteen. Each frame with a
finding is marked on the pilot's map, at most one a second.
"""

from __future__ import annotations

from typing import Any

from edge.navigation import Navigator
from edge.navigation.mavlink import MavlinkNavigator
from edge.outcome import Outcome
from edge.support.clock import Clock

_TELL_NS = 5_000_000_000
_AGAIN_NS = 30_000_000_000
_HINT_NS = 15_000_000_000
_MARK_NS = 1_000_000_000


class Pilot:
    """Used by the thread that processes frames."""

    def __init__(self, navigator: MavlinkNavigator, clock: Clock) -> None:
        self._navigator, self._clock = navigator, clock
        self._last_ns: dict[str, int] = {}
        self._last_words = ""

    def see(self, outcome: Outcome) -> None:
        """Tell and mark what this frame shows, as far as it is time to."""
        words = widest([feature["properties"] for feature in outcome.described])
        if words is not None:
            pause_ns = _AGAIN_NS if words == self._last_words else _TELL_NS
            if self._due("words", pause_ns):
                self._last_words = words
                self._navigator.tell(words)
            if self._due("mark", _MARK_NS):
                self._navigator.mark(outcome.nav)
        finest_mm = self._navigator.finest_mm
        hint = outcome.seen.hint(finest_mm)
        if hint is not None and self._due("hint", _HINT_NS):
            self._navigator.tell(f"{hint} for {finest_mm:g} mm")

    def _due(self, what: str, pause_ns: int) -> bool:
        now_ns = self._clock.monotonic_ns()
        if what in self._last_ns and now_ns - self._last_ns[what] < pause_ns:
            return False
        self._last_ns[what] = now_ns
        return True


def pilot_of(navigator: Navigator, clock: Clock) -> Pilot | None:
    """Whom to tell; None where there is no autopilot, or it is not to be sent anything."""
    if isinstance(navigator, MavlinkNavigator) and navigator.transmits:
        return Pilot(navigator, clock)
    return None


def widest(found: list[dict[str, Any]]) -> str | None:
    """The widest finding in a few words, sized ones before those in pixels; None where nothing was found."""
    told = sorted((_rank(one) for one in found), reverse=True)
    return told[0][2] if told else None


def _rank(properties: dict[str, Any]) -> tuple[int, float, str]:
    kind, size, crack = properties["kind"], properties["size"], properties["crack"]
    if size is not None and size["width_mm"] is not None:
        return 2, size["width_mm"], f"{kind} {size['width_mm']:.1f} mm"
    if size is not None and size["width_at_most_mm"] is not None:
        return 1, size["width_at_most_mm"], f"{kind} below {size['width_at_most_mm']:.1f} mm"
    return 0, 0.0 if crack is None else crack["width_px"]["mean"], f"{kind}, no size"
