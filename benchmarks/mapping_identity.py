"""One crack, one name: rendered flights with known cracks through the inventory, told against the truth.

A flight goes along a girder in lanes and back over the same lanes. Its pictures go through the network and the tracer
once (kept in ``--cache``); the inventory then sees them three ways: out with a good pose (``flypast``), out and back
with a pose that drifts on the way back (``drift``), out and back without any pose (``blind``). The truth is the
renderer's: true homographies and true centrelines; how lines and truth are compared is written here and shares nothing
with the package's matching.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.identity_flights import DRIFT, VARIANTS, Flight, Flown, Points, Shot, flown, inventoried, through
from edge.cracks import Crack
from edge.rendered.cracks import SurfaceCrack

CHOSEN_ON = (1, 2, 3)
"""Flights on which the limits were chosen; others are scored."""
SCORED_ON = (11, 12, 13)
BUFFER_MM = 10.0
NEAR_MM = 8.0
"""A line lies on a true crack where it is no farther from it."""
ON_CRACK = 0.5
"""A line that lies on true cracks with less than this share of its length is a false one."""
TWICE = 0.25
"""A second line that holds more than this share of a crack says that the crack is counted twice."""
MERGED_MM = 100.0
"""A line that holds this much of each of two cracks has merged them."""
HAIRLINE_MM = 0.6


@dataclass(frozen=True, slots=True)
class Verdict:
    """One flight against its truth."""

    true: int
    """Cracks and branches of which some frame showed 60 mm and more."""
    confirmed: int
    once: int
    twice: int
    missed: int
    merged: int
    """Confirmed lines that hold MERGED_MM of two cracks, neither a branch of the other."""
    merged_branches: int
    """The same of a crack and its branch."""
    false: int
    iou: float
    """True length that a line follows within BUFFER_MM over that, what is missed and what is false."""
    hairline_share: float
    """Share of the length of cracks narrower than HAIRLINE_MM that confirmed lines cover."""
    lines: tuple[str, ...]


def judge(flight: Flown, result: Flight, states: Sequence[str] = ("confirmed",)) -> Verdict:
    """Compare lines and truth, both resampled to a point every 2 mm of the wall."""
    truth = [crack for crack in flight.truth if seen(crack, result.seen_by).sum() * 2 >= 60]
    points = np.concatenate([crack.path_mm[seen(crack, result.seen_by)] for crack in truth])
    owner = np.concatenate([np.full(int(seen(crack, result.seen_by).sum()), i) for i, crack in enumerate(truth)])
    width = np.concatenate([crack.width_mm[seen(crack, result.seen_by)] for crack in truth])
    family = [crack.parent or crack.id for crack in truth]
    holds: list[Counter[int]] = [Counter() for _ in truth]
    followed = np.zeros(len(points), np.bool_)
    said, confirmed, false, merged, merged_branches = [], 0, 0, 0, 0
    on_mm = off_mm = 0.0
    for state in result.cracks:
        if state.state not in states or not len(state.path_chart):
            continue
        confirmed += 1
        line = dense(through(result.to_wall[state.chart], state.path_chart), 2.0)
        apart, nearest = nearest_of(line, points)
        back, at_line = nearest_of(points, line)
        # Beside a fork a trunk's line lies near the branch too: it holds of a crack what is nearest to that crack.
        holder = owner[nearest][at_line]
        followed |= back <= BUFFER_MM
        on_mm, off_mm = on_mm + 2 * float((apart <= BUFFER_MM).sum()), off_mm + 2 * float((apart > BUFFER_MM).sum())
        on = apart <= 3 * NEAR_MM
        own = Counter(owner[nearest[on]].tolist())
        said.append(
            f"{state.number}: {2 * len(line)} mm, views {state.views}/{state.missed}, "
            + ", ".join(f"{2 * count} mm of {truth[i].id}" for i, count in own.most_common(3))
            + f" at {np.round(line[0])}-{np.round(line[-1])}"
        )
        if on.mean() < ON_CRACK:
            false += 1
            said[-1] += " FALSE"
            continue
        held = [i for i, count in own.items() if 2 * count >= MERGED_MM]
        if len({family[i] for i in held}) > 1:
            merged += 1
            said[-1] += " MERGED"
        elif len(held) > 1:
            merged_branches += 1
            said[-1] += " BRANCH"
        for i in own:
            holds[i][state.number] = int(((back <= 3 * NEAR_MM) & (owner == i) & (holder == i)).sum())
    lengths = [int((owner == i).sum()) for i in range(len(truth))]
    shares = [[count / lengths[i] for _, count in holds[i].most_common(2)] + [0.0, 0.0] for i in range(len(truth))]
    once = sum(a >= 0.5 and b <= TWICE for a, b, *_ in shares)
    twice = sum(b > TWICE for _, b, *_ in shares)
    missed = sum(a < 0.5 for a, *_ in shares)
    for i, (a, b, *_) in enumerate(shares):
        if a < 0.5 or b > TWICE:
            said.append(f"  truth {truth[i].id} of {truth[i].parent}: {2 * lengths[i]} mm seen, held {a:.2f} {b:.2f}")
    thin = width < HAIRLINE_MM
    return Verdict(
        len(truth), confirmed, once, twice, missed, merged, merged_branches, false,
        2 * float(followed.sum()) / (2 * len(points) + off_mm), float(followed[thin].mean()), tuple(said),
    )  # fmt: skip


def seen(crack: SurfaceCrack, shots: Sequence[Shot]) -> npt.NDArray[np.bool_]:
    seen = np.zeros(len(crack.path_mm), np.bool_)
    for shot in shots:
        at = through(shot.to_frame, crack.path_mm)
        seen |= ((at >= 12) & (at < np.array([1268, 708]))).all(axis=1)
    return seen


def nearest_of(points: Points, others: Points) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Distance from each point to the nearest of the others, and which one that is."""
    apart = np.empty(len(points))
    which = np.empty(len(points), np.intp)
    for first in range(0, len(points), 512):
        part = points[first : first + 512].astype(np.float32)
        gap = np.hypot(part[:, None, 0] - others[None, :, 0], part[:, None, 1] - others[None, :, 1])
        which[first : first + 512] = gap.argmin(axis=1)
        apart[first : first + 512] = gap.min(axis=1)
    return apart, which


def dense(path: Points, step: float) -> Points:
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    where = np.linspace(0, along[-1], max(2, round(along[-1] / step) + 1))
    return np.stack([np.interp(where, along, path[:, i]) for i in (0, 1)], axis=1)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    measure: str
    measured: str
    goal: str
    met: bool | None


NAMES = {
    "flypast": "fly-past with a pose",
    "drift": f"second pass, pose drifts {DRIFT:.0%} of a frame's width",
    "blind": "out and back, no pose",
}


def single_frames(flight: Flown, sure_length_px: float | None = None) -> tuple[int, float]:
    """What frames report by themselves over the first pass: false cracks, and the share of hairlines' length found.

    ``sure_length_px`` None: as the flight was kept. A false crack is a place of the wall at which any frame reports
    something that is none; a hairline's length counts once for each frame that shows it.
    """
    points = np.concatenate([crack.path_mm for crack in flight.truth])
    width = np.concatenate([crack.width_mm for crack in flight.truth])
    thin = points[width < HAIRLINE_MM]
    false: list[Points] = []
    shown = found = 0
    for shot in flight.shots:
        if shot.t_s > flight.lap_s:
            break
        to_wall = np.linalg.inv(shot.to_frame)
        at = through(shot.to_frame, thin)
        inside = thin[((at >= 12) & (at < np.array([1268, 708]))).all(axis=1)]
        shown += len(inside)
        told = shot.cracks[: shot.reported] if sure_length_px is None else _reported(shot, sure_length_px)
        lines = [dense(through(to_wall, crack.path_px.astype(np.float64)), 2.0) for crack in told]
        if lines and len(inside):
            found += int((nearest_of(inside, np.concatenate(lines))[0] <= NEAR_MM).sum())
        for line in lines:
            if (nearest_of(line, points)[0] <= NEAR_MM).mean() < ON_CRACK:
                middle = line[len(line) // 2]
                if not any(float(np.hypot(*(other - middle).T).min()) < 3 * NEAR_MM for other in false):
                    false.append(line)
    return len(false), found / max(1, shown)


def _reported(shot: Shot, sure_length_px: float) -> list[Crack]:
    """What a frame reports by the rule of length; pieces that were held back count their numbers apart."""
    pieces: dict[tuple[bool, int], list[Crack]] = {}
    for place, crack in enumerate(shot.cracks):
        pieces.setdefault((place < shot.reported, crack.component), []).append(crack)
    told: list[Crack] = []
    for piece in pieces.values():
        length = sum(crack.length_px for crack in piece)
        score = sum(crack.length_px * crack.score for crack in piece) / length
        told += piece if length >= sure_length_px * (1 - score) else []
    return told


def report_lengths(seeds: Sequence[int], cache: Path | None, lengths_px: Sequence[float]) -> str:
    """What each ``[report] sure_length_px`` costs and gains: single frames alone, and many looks, as Markdown.

    Many looks judge all that was traced: their rows do not depend on the length.
    """
    lines = ["| sure_length_px | false cracks a flight | hairlines' length found |", "|---|---|---|"]
    flights = [flown(seed, cache) for seed in seeds]
    for length_px in lengths_px:
        found = np.array([single_frames(flight, length_px) for flight in flights])
        lines.append(f"| {length_px:g}, a frame | {found[:, 0].mean():.1f} | {found[:, 1].mean():.0%} |")
    verdicts = []
    for flight in flights:
        with tempfile.TemporaryDirectory() as folder:
            verdicts.append(judge(flight, inventoried(flight, "flypast", Path(folder))))
    false, hair = (float(np.mean([getattr(one, name) for one in verdicts])) for name in ("false", "hairline_share"))
    return "\n".join([*lines, f"| any, many looks | {false:.1f} | {hair:.0%} |"])


def measure(seeds: Sequence[int], cache: Path | None, variants: Sequence[str] = VARIANTS) -> list[Row]:
    """The rows of the table over the flights of ``seeds``, added up."""
    flights = {seed: flown(seed, cache) for seed in seeds}
    rows: list[Row] = []
    for variant in variants:
        verdicts, costs = [], []
        for seed, flight in flights.items():
            with tempfile.TemporaryDirectory() as folder:
                result = inventoried(flight, variant, Path(folder))
            verdict = judge(flight, result)
            print(f"seed {seed} {variant}: {said(verdict, result)}", file=sys.stderr, flush=True)
            verdicts.append(verdict)
            costs.append(result.cost_ms)
        true = sum(one.true for one in verdicts)
        once = sum(one.once for one in verdicts) / true
        ratio = sum(one.confirmed for one in verdicts) / true
        merged, forks = sum(one.merged for one in verdicts), sum(one.merged_branches for one in verdicts)
        iou = float(np.mean([one.iou for one in verdicts]))
        name = NAMES[variant]
        rows += [
            Row(f"{name}: cracks exactly once", f"{once:.0%} of {true}", "95 %", once >= 0.95),
            Row(f"{name}: two cracks in one", f"{merged}, and {forks} of a crack and its branch", "0", merged == 0),
            Row(f"{name}: confirmed : true", f"{ratio:.2f}", "0.95 to 1.05", 0.95 <= ratio <= 1.05),
            Row(f"{name}: centreline IoU at 10 mm", f"{iou:.2f}", "above 0.85", iou > 0.85),
        ]
        if variant == "flypast":
            single = [single_frames(flight) for flight in flights.values()]
            false, hair = (float(np.mean([one[i] for one in single])) for i in (0, 1))
            many = float(np.mean([one.false for one in verdicts]))
            many_hair = float(np.mean([one.hairline_share for one in verdicts]))
            rows += [
                Row("false cracks per flight: single frames / many looks", f"{false:.1f} / {many:.1f}", "half",
                    many <= false / 2),
                Row(f"hairlines under {HAIRLINE_MM} mm, length found: a frame / many looks",
                    f"{hair:.0%} / {many_hair:.0%}", "+10 points", many_hair >= hair + 0.1),
            ]  # fmt: skip
        if variant == VARIANTS[-1]:
            cost = np.concatenate(costs)
            rows.append(
                Row("cost a frame of 1280x720, CPU time of one thread",
                    f"mean {cost.mean():.1f} ms, p90 {np.percentile(cost, 90):.1f} ms", "4 ms", cost.mean() <= 4)
            )  # fmt: skip
    return rows


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    lines = ["| measure | measured | goal | met |", "|---|---|---|---|"]
    words = {True: "yes", False: "**no**", None: "-"}
    return "\n".join([*lines, *(f"| {r.measure} | {r.measured} | {r.goal} | {words[r.met]} |" for r in rows)])


def said(verdict: Verdict, result: Flight) -> str:
    """One flight in a line."""
    return (
        f"{verdict.confirmed}/{verdict.true} once {verdict.once} twice {verdict.twice} missed {verdict.missed} "
        f"merged {verdict.merged}+{verdict.merged_branches} false {verdict.false} iou {verdict.iou:.3f} "
        f"hair {verdict.hairline_share:.2f} charts {result.charts} cost {result.cost_ms.mean():.1f} ms"
    )


def main() -> int:
    """Fly, and print what each seed and variant comes to, line by line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SCORED_ON))
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS))
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument(
        "--report", type=float, nargs="+", metavar="PX", help="compare these [report] sure_length_px, on --seeds"
    )
    arguments = parser.parse_args()
    if arguments.report:
        print(report_lengths(arguments.seeds, arguments.cache, arguments.report))
        return 0
    if not arguments.verbose:
        print(table(measure(arguments.seeds, arguments.cache, arguments.variants)))
        return 0
    for seed in arguments.seeds:
        flight = flown(seed, arguments.cache)
        for variant in arguments.variants:
            with tempfile.TemporaryDirectory() as folder:
                result = inventoried(flight, variant, Path(folder))
            verdict = judge(flight, result)
            print("\n".join(verdict.lines))
            print(f"seed {seed} {variant}: {said(verdict, result)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
