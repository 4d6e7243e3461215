"""The score as a short table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from edge.tools.demo.score import CrackScore, Score

_COLUMNS: tuple[str, ...] = ("crack", "seen m", "found", "true mm", "stated mm", "detections")


def table(score: Score, suppressed: Mapping[str, int]) -> str:
    """A short text table: each crack that some frame showed, widest first, and lines that sum up.

    ``suppressed``: traced cracks that were not reported, by reason.
    """
    rows = [_COLUMNS, *map(_row, sorted(score.seen, key=lambda crack: -crack.true_width_mm))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([*lines, "", *_sums(score, suppressed)])


def said(crack: CrackScore) -> str:
    """The width as the drone stated it, millimetres: a mean, ``< bound`` where too narrow to measure, ``-`` without."""
    if crack.stated_mm is not None:
        return f"{crack.stated_mm[0]:.2f}"
    return "-" if crack.at_most_mm is None else f"< {crack.at_most_mm:.1f}"


def _row(crack: CrackScore) -> tuple[str, ...]:
    name = str(crack.truth.id) if crack.truth.parent is None else f"{crack.truth.parent}>{crack.truth.id}"
    share = f"{100 * crack.found_share:.0f} %"
    seen, true = f"{crack.seen_mm / 1000:.2f}", f"{crack.true_width_mm:.2f}"
    return name, seen, share, true, said(crack), str(crack.detections)


def _sums(score: Score, suppressed: Mapping[str, int]) -> list[str]:
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
