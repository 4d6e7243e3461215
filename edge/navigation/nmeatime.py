"""When the epochs of an NMEA log were, and whose they are.

NMEA gives a time of day; a date only in RMC and ZDA. Sentences come late (a receiver that prints the RMC of a second
at its end), logs hold several sessions, receivers set their clocks, and two receivers may share one log. So every run
of sentences gets a place on one axis of time, and runs of the same moment are one epoch whatever their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from pathlib import Path
from statistics import median

from edge.navigation import Fix
from edge.navigation.nmea import POSITIONS, Epoch
from edge.navigation.track import distance_m
from edge.support.errors import NavFileError

_DAY_S = 86_400.0
_CLOCK_SET_S = 600.0
_GLITCH_S = 300 * _DAY_S
_SMALL_BACK_S = 30.0
_SAME_PLACE_M = 10.0
_SAME_SPOT_M = 0.5
_NEAR_RUNS = 1200  # 30 s of two sentences at 20 Hz
_INTERLEAVED_SHARE = 0.1
_DATE_LAG_S = 60.0


@dataclass(frozen=True, slots=True)
class Timeline:
    """A log in order of time."""

    epochs: list[tuple[float, Epoch]]
    """Seconds since the first run of the log, and what was said of that moment."""
    warnings: list[str]


def timeline(runs: Sequence[Epoch], path: Path) -> Timeline:
    """Put ``runs`` (in the order of the log) in order of time. Raises NavFileError where they cannot be told apart."""
    warnings: list[str] = []
    runs = _one_receiver(runs, warnings)
    times = _with_leap_seconds(runs, _absolute(runs, warnings))
    times = _mended(runs, times, warnings)
    if _interleaved(runs, times):
        _check_twins(runs, times, path, warnings)
    epochs: dict[int, Epoch] = {}
    for at_s, run in zip(times, runs, strict=False):  # fewer times than runs: what follows cannot be placed
        same = epochs.setdefault(round(at_s * 1000), run)
        if same is not run:
            same.absorb(run)
    first_ms = min(epochs, default=0)
    return Timeline([((at_ms - first_ms) / 1000, epochs[at_ms]) for at_ms in sorted(epochs)], warnings)


def _one_receiver(runs: Sequence[Epoch], warnings: list[str]) -> Sequence[Epoch]:
    """Leave out talkers that never speak of the same moment at the same time as the others: another receiver's.

    One receiver's talkers (GP, GL and GN of one solution) stand side by side in its epochs.
    """
    count = Counter(talker for run in runs for talker in run.talkers)
    together = Counter(pair for run in runs for pair in permutations(sorted(run.talkers), 2))
    groups: list[set[str]] = []
    for talker in sorted(count):
        partners = {b for (a, b), n in together.items() if a == talker and 2 * n >= min(count[a], count[b])}
        joined = [group for group in groups if group & partners]
        groups = [group for group in groups if not group & partners] + [set().union({talker}, *joined)]
    if len(groups) < 2:
        return runs
    best = max(groups, key=lambda group: _worth(runs, group))
    others = sorted(set(count) - best)
    warnings.append(
        f"two receivers are in one log: positions are those of {', '.join(sorted(best))}, and {', '.join(others)} "
        "stands at another moment in the log and is left out; log one receiver at a time"
    )
    return [run for run in runs if run.talkers <= best]


def _worth(runs: Sequence[Epoch], group: set[str]) -> tuple[int, bool, int]:
    """The best fix first, then a combined solution before one constellation's, then how many there are."""
    own = [fix for run in runs if run.talkers & group and (fix := run.fix()) is not None]
    return max((int(fix.kind) for fix in own), default=0), "GN" in group, len(own)


def _absolute(runs: Sequence[Epoch], warnings: list[str]) -> list[float]:
    """Seconds of each run on an axis of days: by its own date, else by the neighbour whose time of day is nearer."""
    midnights = [run.midnight() for run in runs]
    base = next((midnight for midnight in midnights if midnight is not None), None)
    dated: list[float | None] = [
        None if midnight is None or base is None else (midnight - base).total_seconds() + run.time_of_day_s
        for midnight, run in zip(midnights, runs, strict=True)
    ]
    following: list[int | None] = [None] * len(runs)  # the next run with a date
    for number in range(len(runs) - 2, -1, -1):
        following[number] = number + 1 if dated[number + 1] is not None else following[number + 1]
    times: list[float] = []
    glitch_s = 0.0  # how far wrong a receiver's date is that changed by years within one flight
    for number, run in enumerate(runs):
        own, after = dated[number], following[number]
        step_s = _ring(run.time_of_day_s - runs[number - 1].time_of_day_s) if number else 0.0
        if own is not None:
            if times:
                own += _late_date_s(run, own - glitch_s - times[-1] - step_s)
            if times and abs(own - glitch_s - times[-1]) > _GLITCH_S:
                glitch_s = own - times[-1] - step_s
                warnings.append(f"its date changes to {midnights[number]:%Y-%m-%d} in flight; that change is ignored")
            times.append(own - glitch_s)
            continue
        back_s = None if after is None else _ring(run.time_of_day_s - runs[after].time_of_day_s)
        if back_s is not None and after is not None and (not times or abs(back_s) < abs(step_s)):
            times.append((dated[after] or 0.0) - glitch_s + back_s)
        else:
            times.append(times[-1] + step_s if times else run.time_of_day_s)
    return times


def _late_date_s(run: Epoch, beyond_s: float) -> float:
    """What a date that changes a little before or after midnight is wrong by, seconds; 0 where it is right.

    ``beyond_s``: by how much the date steps more than the time of day does.
    """
    from_midnight_s = min(run.time_of_day_s, abs(_DAY_S - run.time_of_day_s))
    is_day = abs(abs(beyond_s) - _DAY_S) < 1e-3
    return -beyond_s if is_day and from_midnight_s <= _DATE_LAG_S else 0.0


def _with_leap_seconds(runs: Sequence[Epoch], times: Sequence[float]) -> list[float]:
    """A leap second (23:59:60) takes a second of its own: all that is later is a second later still."""
    leaps = sorted({at_s - run.time_of_day_s + _DAY_S for at_s, run in zip(times, runs, strict=True) if _is_leap(run)})
    return [
        at_s + sum(at_s >= leap_s and not (_is_leap(run) and at_s - leap_s < 1.0) for leap_s in leaps)
        for at_s, run in zip(times, runs, strict=True)
    ]


def _is_leap(run: Epoch) -> bool:
    return run.time_of_day_s >= _DAY_S


def _mended(runs: Sequence[Epoch], times: Sequence[float], warnings: list[str]) -> list[float]:
    """``times`` with every moment at which the receiver set its own clock taken out.

    Ends before the first run that cannot be placed: where the time of day goes back and no date says by how much.
    """
    kind = _primary(runs)
    interval_s = _interval_s(runs, times, kind)
    dated = any(run.midnight() is not None for run in runs)
    interleaved = _interleaved(runs, times)
    mended: list[float] = []
    shift_s, last = 0.0, None
    for number, (at_s, run) in enumerate(zip(times, runs, strict=True)):
        if kind in run.positions and not interleaved:
            if last is not None:
                step_s = at_s - times[last]
                without_fix = runs[last].fix() is None
                set_before_fix = without_fix and (step_s > _CLOCK_SET_S or step_s < 0)
                if set_before_fix or (-_SMALL_BACK_S <= step_s < 0 and not _same_places(runs, times, number)):
                    shift_s += step_s - interval_s
                    warnings.append(
                        f"the receiver set its clock by {step_s:+.1f} s at {mended[last] - mended[0]:.1f} s; "
                        "time continues from there"
                    )
                elif step_s < 0 and not dated:
                    warnings.append(
                        f"its time of day goes back by {-step_s:.0f} s at {mended[last] - mended[0]:.0f} s, and no "
                        f"date (RMC, ZDA) tells how much later that is: {len(runs) - number} moments are left out"
                    )
                    return mended
            last = number
        mended.append(at_s - shift_s)
    return mended


def _primary(runs: Sequence[Epoch]) -> str:
    """The kind of sentence that beats time in this log."""
    return max(POSITIONS, key=lambda kind: sum(kind in run.positions for run in runs))


def _beats(runs: Sequence[Epoch], times: Sequence[float]) -> list[tuple[float, Epoch]]:
    kind = _primary(runs)
    return [(at_s, run) for at_s, run in zip(times, runs, strict=False) if kind in run.positions]


def _interval_s(runs: Sequence[Epoch], times: Sequence[float], kind: str) -> float:
    beats = [at_s for at_s, run in zip(times, runs, strict=True) if kind in run.positions]
    return median([b - a for a, b in pairwise(beats) if 0 < b - a < _CLOCK_SET_S] or [1.0])


def _interleaved(runs: Sequence[Epoch], times: Sequence[float]) -> bool:
    """True where time keeps going to and fro: two receivers that speak under one name, or a log written twice."""
    beats = _beats(runs, times)
    back = sum(b[0] < a[0] for a, b in pairwise(beats))
    return back >= max(3, _INTERLEAVED_SHARE * len(beats))


def _same_places(runs: Sequence[Epoch], times: Sequence[float], number: int) -> bool:
    """Whether what follows ``number`` says the same of its moments as what went before: a log put together twice."""
    here, near = slice(number, number + _NEAR_RUNS), slice(max(0, number - _NEAR_RUNS), number)
    before = {round(at_s * 1000): run.fix() for at_s, run in zip(times[near], runs[near], strict=True)}
    after = zip(times[here], runs[here], strict=True)
    pairs = [(before.get(round(at_s * 1000)), run.fix()) for at_s, run in after]
    metres = [distance_m(a, b) for a, b in pairs if a is not None and b is not None]
    return bool(metres) and max(metres) <= _SAME_SPOT_M


def _check_twins(runs: Sequence[Epoch], times: Sequence[float], path: Path, warnings: list[str]) -> None:
    """Two under one name: usable where they agree. Raises NavFileError where they do not."""
    first: dict[int, Fix] = {}
    metres: list[float] = []
    for at_s, run in _beats(runs, times):
        fix = run.fix()
        if fix is not None and (other := first.setdefault(round(at_s * 1000), fix)) is not fix:
            metres.append(distance_m(other, fix))
    if not metres or max(metres) > _SAME_PLACE_M:
        raise NavFileError(
            f"{path}: two receivers speak in it under one name and do not agree on the time or the place; "
            "log one receiver at a time"
        )
    warnings.append("every moment is in it twice, as of two receivers under one name; the first one's values are used")


def _ring(seconds: float) -> float:
    """A difference of times of day as the shorter way round midnight, from -12 h to 12 h."""
    return (seconds + _DAY_S / 2) % _DAY_S - _DAY_S / 2
