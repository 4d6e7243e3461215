"""Tells flown time from a logging clock that was set, by the time that the autopilot itself counts.

A log's time stamps are the logging computer's, and that clock may be set in flight (NTP, a hand, a board without a
battery). ``time_boot_ms`` goes on evenly; so where a stamp and the boot time step by different amounts for good, the
clock was set, by the difference. A link that stalls looks alike at first, but what it held up arrives late and
the difference returns to what it was.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

_TOLERANCE_US = 200_000
_WINDOW_US = 60_000_000
_BACK_US = 2_000_000
_LOOK_US = 5_000_000
_LONGEST_STALL_US = 120_000_000
_AGREEING = 3
_EVEN_US = 100_000
_SECOND_US = 1_000_000
_SAME_PACE = 2.0

Row = tuple[int, int, int]
"""Number of its record in the log, time stamp and boot time, both in microseconds."""


@dataclass(frozen=True, slots=True)
class Step:
    """The logging clock was set."""

    record: int
    """The first record after it."""
    by_us: int
    """How much later it reads from there on; below 0: earlier."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a comparison of the two clocks shows."""

    steps: tuple[Step, ...]
    restarts: tuple[int, ...]
    """Records at which the autopilot's own count began anew."""
    lost: int | None
    """The record at which both began anew, so that nobody can tell how much later it was; None: there is none."""


def pace(rows: Sequence[Row]) -> float | None:
    """How fast the boot time of ``rows`` runs against their stamps: 1 where both count alike, 0 where it stands.

    The median over a second of the stamps each; None for rows of one moment.
    """
    found: list[float] = []
    ahead = 0
    for place, (_, stamp_us, boot_us) in enumerate(rows):
        ahead = max(ahead, place)
        while ahead < len(rows) and rows[ahead][1] - stamp_us < _SECOND_US:
            ahead += 1
        if ahead == len(rows):
            break
        found.append((rows[ahead][2] - boot_us) / (rows[ahead][1] - stamp_us))
    if not found and rows and rows[-1][1] > rows[0][1]:
        found = [(rows[-1][2] - rows[0][2]) / (rows[-1][1] - rows[0][1])]
    return sorted(found)[len(found) // 2] if found else None


def counts_otherwise(rows: Sequence[Row]) -> bool:
    """True when the boot time of ``rows`` is in another unit than the stamps, or stands still."""
    found = pace(rows)
    return found is not None and not 1 / _SAME_PACE <= found <= _SAME_PACE


def is_even(rows: Sequence[Row]) -> bool:
    """True when the boot time of ``rows`` mostly advances as the stamps do, so that it can be a reference."""
    if len(rows) < 2 or counts_otherwise(rows):
        return False
    changes = sorted(abs(_late(b) - _late(a)) for a, b in pairwise(rows))
    return changes[len(changes) // 2] <= _EVEN_US and rows[-1][2] != rows[0][2]


def compare(rows: Sequence[Row]) -> Found:
    """Find every setting of the logging clock and every restart in ``rows``, which are in the order of the log."""
    steps: list[Step] = []
    restarts: list[int] = []
    shift_us, previous = 0, None
    base: deque[tuple[int, int]] = deque()  # (corrected stamp, difference), differences rising
    for place, row in enumerate(rows):
        late_us = _late(row) - shift_us
        if previous is not None and row[2] < previous[2] - _BACK_US and abs(late_us - base[0][1]) > _TOLERANCE_US:
            if row[1] < previous[1] and not _came_first(rows, place):
                return Found(tuple(steps), tuple(restarts), row[0])
            restarts.append(row[0])
            base.clear()
        elif previous is not None:
            by_us = _step(rows, place, base[0][1] + shift_us, _late(previous))
            if by_us is None:
                continue  # one row that fits nothing: a damaged stamp
            if by_us:
                steps.append(Step(row[0], by_us))
                shift_us += by_us
                late_us -= by_us
        _remember(base, row[1] - shift_us, late_us)
        previous = row
    return Found(tuple(steps), tuple(restarts), None)


def corrected(stamps_us: Sequence[int], found: Found, rows: Sequence[Row]) -> list[int]:
    """``stamps_us`` of all records as a clock that was never set would have written them."""
    numbers = [row[0] for row in rows]
    result: list[int] = []
    shift_us, begin = 0, 0
    for step in found.steps:
        place = bisect_left(numbers, step.record)
        before_us, after_us = rows[place - 1][1], rows[place][1]
        first = numbers[place - 1] + 1
        # Between the two rows that show it, each record belongs to the side that its own stamp is nearer to.
        change = next(
            (n for n in range(first, step.record) if abs(stamps_us[n] - after_us) < abs(stamps_us[n] - before_us)),
            step.record,
        )
        result += [stamp_us - shift_us for stamp_us in stamps_us[begin:change]]
        shift_us, begin = shift_us + step.by_us, change
    return result + [stamp_us - shift_us for stamp_us in stamps_us[begin:]]


def _late(row: Row) -> int:
    return row[1] - row[2]


def _came_first(rows: Sequence[Row], place: int) -> bool:
    """Logs put together in the wrong order: all that follows is older than all that went before."""
    return max(row[1] for row in islice(rows, place, None)) < min(row[1] for row in islice(rows, place))


def _step(rows: Sequence[Row], place: int, base_us: int, previous_us: int) -> int | None:
    """By how much the logging clock was set just before ``rows[place]``; 0: not at all; None: the row fits nothing."""
    late_us = _late(rows[place])
    if late_us < base_us - _TOLERANCE_US:
        ahead = _ahead(rows, place, _LOOK_US)
        if sum(late < base_us - _TOLERANCE_US for late in ahead[:_AGREEING]) < min(_AGREEING, len(ahead)):
            return None
        return min(ahead) - base_us
    if late_us > base_us + _TOLERANCE_US and late_us - previous_us > _TOLERANCE_US:
        least_us = min(_ahead(rows, place, min(late_us - base_us, _LONGEST_STALL_US) + _LOOK_US))
        return least_us - base_us if least_us > base_us + _TOLERANCE_US else 0
    return 0


def _ahead(rows: Sequence[Row], place: int, us: int) -> list[int]:
    """Differences of the rows from ``place`` on, for ``us`` microseconds of the autopilot's time.

    Up to a restart, or to a stamp that goes back, which no link can do.
    """
    _, stamp_us, first_us = rows[place]
    result: list[int] = []
    for row in islice(rows, place, None):
        if row[2] > first_us + us or row[2] < first_us - _BACK_US or row[1] < stamp_us - _TOLERANCE_US:
            break
        stamp_us = row[1]
        result.append(_late(row))
    return result


def _remember(base: deque[tuple[int, int]], stamp_us: int, late_us: int) -> None:
    """Keep the least difference of the last minute in front."""
    while base and base[-1][1] >= late_us:
        base.pop()
    base.append((stamp_us, late_us))
    while base[0][0] < stamp_us - _WINDOW_US:
        base.popleft()
