"""What was not seen, in words: the first thing that a report says."""

from __future__ import annotations

from dataclasses import dataclass

from edge.ground.report.drawings import seen_word
from edge.ground.report.source import Flight


@dataclass(frozen=True, slots=True)
class Unseen:
    """The statement that a report begins with."""

    headline: str
    sentences: list[str]
    known: bool
    """False: nothing is known of what was seen."""


def unseen(flight: Flight) -> Unseen:
    """Made of coverage.geojson; without one it says that nothing is known."""
    also = _flown(flight)
    if not flight.coverage:
        return Unseen(
            "Nothing is known of what was seen and what was not",
            [
                "This flight holds no record of its coverage. A place without a finding here may never have been in a "
                "picture, or only in a blurred one: the absence of a finding says nothing.",
                *also,
            ],
            False,
        )
    areas: dict[str, float] = {}
    sized = True
    for one in flight.coverage:
        area_m2 = one["properties"].get("area_m2")
        if isinstance(area_m2, (int, float)):
            areas[seen_word(one)] = areas.get(seen_word(one), 0.0) + area_m2
        else:
            sized = False
    bad = sum(seen_word(one) != "seen" for one in flight.coverage)
    headline = f"{bad} of {len(flight.coverage)} recorded patches were not seen well enough"
    told = [f"{_NAMES[word]}: {area_m2:.1f} m²." for word, area_m2 in sorted(areas.items())] if sized else []
    reasons = {str(why) for one in flight.coverage if (why := one["properties"].get("reason"))}
    told += [f"Why: {', '.join(sorted(reasons))}."] if reasons else []
    return Unseen(headline, [*told, "Whatever lies outside the recorded patches was not seen at all.", *also], True)


_NAMES = {
    "seen": "Seen well enough",
    "poor": "Seen, but not well enough",
    "unseen": "Not seen",
    "unknown": "Of unknown quality",
}


def _flown(flight: Flight) -> list[str]:
    """What the flight itself counted as lost."""
    summary, told = flight.summary, []
    for key, what in (("dropped", "pictures were dropped unseen"), ("skipped", "pictures could not be read")):
        if summary.get(key):
            told.append(f"{summary[key]} {what}.")
    suppressed = summary.get("suppressed")
    if isinstance(suppressed, dict) and suppressed:
        total = sum(value for value in suppressed.values() if isinstance(value, int))
        reasons = ", ".join(str(reason) for reason in suppressed)
        told.append(f"{total} traces were too weak to be reported as findings ({reasons}).")
    return told
