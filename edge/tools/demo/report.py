"""What the flight found and saw, and how that stands beside the truth, as short tables for the terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from edge.surface.visibility import CLASSES, WIDTHS_MM
from edge.tools.demo.score import CrackScore, Score

_WIDTHS = CLASSES[: len(WIDTHS_MM)]

_COLUMNS: tuple[str, ...] = ("crack", "length m", "width mm", "95 % interval", "views", "best frame")


def seen_of_wall(coverage: Mapping[str, Any], wall_m2: float) -> str:
    """What was not seen first, then what was, by the narrowest crack that would have been found; shares of the wall."""
    areas: dict[str, float] = defaultdict(float)
    for feature in coverage["features"]:
        areas[feature["properties"]["class"]] += feature["properties"]["area_m2"] or 0.0
    unknown = sum(1 for feature in coverage["features"] if feature["properties"]["area_m2"] is None)
    unseen = max(0.0, 1 - sum(areas.values()) / wall_m2)
    badly = sum(area for kind, area in areas.items() if kind not in _WIDTHS) / wall_m2
    lines = [f"not seen: {100 * unseen:.0f} % of {wall_m2:.1f} m2; seen too badly to say: {100 * badly:.0f} %"]
    good = [f"{100 * areas[kind] / wall_m2:.0f} % from {kind} mm" for kind in _WIDTHS if kind in areas]
    lines.append(f"seen, and cracks found with 90 % probability: {', '.join(good) or 'nothing'}")
    if unknown:
        lines.append(f"{unknown} parts of the coverage have no known size")
    return "\n".join(lines)


def crack_table(cracks: Sequence[Mapping[str, Any]]) -> str:
    """The confirmed cracks of the flight (``spanhawk/crack/1``), widest first."""
    shown = [crack["properties"] for crack in cracks if crack["properties"]["state"] == "confirmed"]
    rows = [_COLUMNS, *map(_row, sorted(shown, key=_width_mm, reverse=True))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _width_mm(crack: Mapping[str, Any]) -> float:
    return float(crack["width_mm"]["value"] if crack["width_mm"] else crack["width_at_most_mm"] or 0.0)


def _row(crack: Mapping[str, Any]) -> tuple[str, ...]:
    width, length = crack["width_mm"], crack["length_mm"]
    value, interval = "-", "-"
    if width is not None:
        value = f"{width['value']:.2f}"
        interval = "-" if width["low"] is None else f"{width['low']:.2f} to {width['high']:.2f}"
    elif crack["width_at_most_mm"] is not None:
        value = f"< {crack['width_at_most_mm']:.1f}"
    metres = "-" if length is None else f"{length['value'] / 1000:.2f}"
    return f"C{crack['number']}", metres, value, interval, str(crack["views"]), str(crack["best"]["frame_seq"])


def said(crack: CrackScore) -> str:
    """The width as the drone stated it, millimetres: a mean, ``< bound`` where too narrow to measure, ``-`` without."""
    if crack.stated_mm is not None:
        return f"{crack.stated_mm[0]:.2f}"
    return "-" if crack.at_most_mm is None else f"< {crack.at_most_mm:.1f}"


def sums(score: Score, suppressed: Mapping[str, int]) -> list[str]:
    """What the single detections come to beside the truth; ``suppressed``: cracks that were held back, by reason."""
    seen = score.seen
    found = [crack for crack in seen if crack.is_found]
    seen_mm, found_mm = sum(crack.seen_mm for crack in seen), sum(crack.found_mm for crack in seen)
    share = f"{100 * found_mm / seen_mm:.0f} % of {seen_mm / 1000:.1f} m" if seen_mm else "nothing was seen"
    lines = [
        f"{len(found)} of {len(seen)} cracks and branches found, {share}",
        f"{len(score.false)} of {score.detections} detections follow no crack",
        _withheld(suppressed),
    ]
    errors = [abs(stated - true) for stated, true in (crack.stated_mm for crack in found if crack.stated_mm)]
    if errors:
        mean_mm = sum(errors) / len(errors)
        lines.append(f"mean widths stated for {len(errors)} of them, off by {mean_mm:.2f} mm on average")
    holds, total = score.bounds_that_hold
    if total:
        lines.append(f"{holds} of {total} widths and bounds hold within two of their own standard uncertainties")
    return lines


def _withheld(suppressed: Mapping[str, int]) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in suppressed.items() if count)
    return f"{sum(suppressed.values())} more traced and not reported" + (f" ({reasons})" if reasons else "")
