"""How true the mean widths of confirmed cracks are: rendered flights, each crack against the truth along its own line.

The flights are those of benchmarks/identity_flights.py, out along the girder with a pose. A confirmed crack's line is
laid on the wall through the true homographies of the frames; the truth is the mean width of the rendered cracks at the
points of the line, so it is a mean over the crack's length, not over its views.

python benchmarks/mapping_crack_width.py --cache FOLDER --seeds 11 12 13 14 15 16
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.identity_flights import Flight, Flown, flown, inventoried, through
from benchmarks.mapping_identity import NEAR_MM, ON_CRACK, dense, nearest_of, seen

SCORED_ON = (11, 12, 13, 14, 15, 16)


@dataclass(frozen=True, slots=True)
class Width:
    """One confirmed crack's mean width beside the true one, millimetres."""

    seed: int
    number: int
    true_mm: float
    stated_mm: float | None
    """None: only a bound is known."""
    sigma_mm: float | None
    at_most_mm: float | None


def widths(flight: Flown, result: Flight) -> list[Width]:
    """The confirmed cracks that lie on true ones, for more than ON_CRACK of their length."""
    shown = [seen(crack, result.seen_by) for crack in flight.truth]
    points = np.concatenate([crack.path_mm[at] for crack, at in zip(flight.truth, shown, strict=True)])
    true = np.concatenate([crack.width_mm[at] for crack, at in zip(flight.truth, shown, strict=True)])
    found = []
    for state in result.cracks:
        if state.state != "confirmed" or not len(state.path_chart):
            continue
        line = dense(through(result.to_wall[state.chart], state.path_chart), 2.0)
        apart, which = nearest_of(line, points)
        on = apart <= NEAR_MM
        if on.mean() <= ON_CRACK:
            continue
        value, sigma = state.width_mm or (None, None)
        mean = float(true[which[on]].mean())
        found.append(Width(flight.seed, state.number, mean, value, sigma, state.width_at_most_mm))
    return found


def table(found: Sequence[Width]) -> str:
    """What holds, as Markdown: stated widths, and bounds."""
    stated = [
        (one.stated_mm - one.true_mm, one.sigma_mm) for one in found if one.stated_mm is not None and one.sigma_mm
    ]
    bounds = [(one.at_most_mm, one.true_mm) for one in found if one.stated_mm is None and one.at_most_mm is not None]
    lines = ["| confirmed cracks | measured | goal |", "|---|---|---|"]
    if stated:
        error, sigma = np.array(stated).T
        lines += [
            f"| 95 % intervals of the mean width that hold | {np.mean(np.abs(error) <= 1.96 * sigma):.0%} of "
            f"{len(error)} | 95 % |",
            f"| within one standard uncertainty | {np.mean(np.abs(error) <= sigma):.0%} | 68 % |",
            f"| error, mm: median size, mean; median standard uncertainty | {np.median(np.abs(error)):.3f}, "
            f"{error.mean():+.3f}; {np.median(sigma):.3f} | |",
        ]
    if bounds:
        least, true = np.array(bounds).T
        lines += [
            f"| bounds below the truth | {np.mean(least < true):.1%} of {len(true)} | at most 5 % |",
            f"| bound over truth, median | {np.median(least / true):.2f} | |",
        ]
    return "\n".join(lines)


def measure(seeds: Sequence[int], cache: Path | None) -> list[Width]:
    """Fly, or take from ``cache``, the flights of ``seeds``."""
    found = []
    for seed in seeds:
        flight = flown(seed, cache)
        with tempfile.TemporaryDirectory() as folder:
            found += widths(flight, inventoried(flight, "flypast", Path(folder)))
    return found


def _deviation(one: Width) -> float:
    """Error in standard uncertainties; 0 where only a bound is known."""
    return 0.0 if one.stated_mm is None else abs(one.stated_mm - one.true_mm) / (one.sigma_mm or 1.0)


def main() -> int:
    """Print the table; with --verbose each crack before it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, help="folder in which rendered flights are kept between runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SCORED_ON))
    parser.add_argument("--verbose", action="store_true", help="each crack, the worst first")
    arguments = parser.parse_args()
    found = measure(arguments.seeds, arguments.cache)
    if arguments.verbose:
        for one in sorted(found, key=_deviation, reverse=True):
            print(one)
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
