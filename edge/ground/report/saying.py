"""Numbers as the page says them: what is unknown is said to be so, and an interval stands behind its value."""

from __future__ import annotations

import math
from typing import Any

from edge.ground.report.findings import Finding
from edge.ground.report.flight import Json, value


def mm(length: float | None, digits: int = 2) -> str:
    """Millimetres."""
    return "unknown" if length is None else f"{length:.{digits}f} mm"


def interval(found: Json | None, digits: int = 2, unit: str = "mm") -> str:
    """A value with the ends of its 95 % interval."""
    if found is None or found.get("value") is None:
        return "unknown"
    low, high = found.get("low"), found.get("high")
    if low is None or high is None:
        return f"{found['value']:.{digits}f} {unit}, uncertainty unknown"
    # Blanks that do not break, so that a narrow column breaks before the interval.
    return f"{found['value']:.{digits}f}\u00a0{unit} ({low:.{digits}f}\u00a0to\u00a0{high:.{digits}f})"


def size(one: Finding) -> str:
    """What a finding is called by: a crack's mean width, a damaged area's area."""
    if one.is_area:
        if one.area_cm2 is None:
            return "area not known"
        return ("at least " if one.cut_by_frame else "") + interval(one.area_cm2, 0, "cm²")
    if one.width is not None:
        return interval(one.width)
    if one.at_most_mm is not None:
        return f"at most {mm(one.at_most_mm)}"
    if (px := value(one.width_px)) is not None:
        return f"{px:.1f} px, mm not known"
    if one.view is not None and one.view.at_most_px is not None:
        return f"at most {one.view.at_most_px:.2f} px, mm not known"
    return "not known"


def length(one: Finding) -> str:
    """How long a crack is, as far as it was seen."""
    if one.length is None and one.length_px is not None:
        return f"{one.length_px:.0f} px, mm not known"
    return interval(one.length, 0)


def change(before: Json, now: Json) -> str:
    """Whether a crack is wider than it was, as far as both measurements can tell (95 %)."""
    sigmas = [float(sigma) for one in (before, now) if (sigma := one.get("sigma")) is not None]
    if len(sigmas) < 2:
        return "whether it grew cannot be told: the uncertainty is unknown"
    grown_mm = float(now["value"]) - float(before["value"])
    sure_mm = 1.96 * math.hypot(*sigmas)
    if abs(grown_mm) <= sure_mm:
        return f"no change that can be measured (less than {sure_mm:.2f} mm)"
    return f"{abs(grown_mm):.2f} mm {'wider' if grown_mm > 0 else 'narrower'} now (± {sure_mm:.2f} mm)"


def day(moment: Any) -> str:
    """The day of an RFC 3339 time."""
    return str(moment)[:10] if moment else "date unknown"


def period(first: Any, last: Any) -> str:
    """From one RFC 3339 time to another, the day once where it is the same."""
    begin, end = moment(first), moment(last)
    if last is None or begin == end:
        return begin
    if begin[:10] == end[:10] and begin[19:] == end[19:]:
        return f"{begin[:19]} to {end[11:]}"
    return f"{begin} to {end}"


def moment(at: Any) -> str:
    """An RFC 3339 time to the second."""
    return str(at).replace("T", " ")[:19] + (" UTC" if str(at).endswith("Z") else "") if at else "unknown"
