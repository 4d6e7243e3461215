"""Pictures in no order and without a pose: how many are laid on a place that they share nothing with.

Every so many pictures of a rendered flight are registered one after the other; a picture of a flight shares little or
nothing with the one before it then, and most of them belong on charts of their own. The same with pictures of several
bridges in turns. The truth is the renderer's: of the earlier pictures that a new one is laid over, some show a part of
what it shows, or none does.

    python benchmarks/mapping_order.py --cache FOLDER --seeds 1 2 3 4
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.identity_flights import Points, Shot, flown
from edge.surface.homography import overlap
from edge.surface.registration import Registered, Registrar

LEAST_SHARED = 0.02
"""Two pictures have something in common where they share at least this part of their area."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of a row of pictures."""

    pictures: int
    charts: int
    right: int
    """Laid on a chart, over a picture that shows a part of the same wall."""
    wrong: int
    """Laid on a chart, over pictures of which none has anything in common with it."""

    def __str__(self) -> str:
        return f"{self.pictures} pictures: {self.charts} charts, {self.right} laid rightly, {self.wrong} wrongly"


def count(row: Sequence[tuple[int, Shot]]) -> Counts:
    """Register pictures, each with the bridge it is of, in the order that they have."""
    registrar = Registrar()
    before: list[tuple[int, Shot, Registered]] = []
    right = wrong = 0
    for bridge, shot in row:
        coded = cv2.imdecode(np.frombuffer(shot.rgb_jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert coded is not None, "it was encoded here"
        rgb = np.ascontiguousarray(np.asarray(coded, np.uint8)[..., ::-1])
        placed = registrar.register(rgb)
        under = [
            earlier == bridge and overlap(_from(other.to_frame, shot.to_frame), rgb.shape) >= LEAST_SHARED
            for earlier, other, at in before
            if at.chart == placed.chart
            and overlap(np.linalg.inv(at.to_chart) @ placed.to_chart, rgb.shape) >= LEAST_SHARED
        ]
        right += any(under)
        wrong += bool(under) and not any(under)
        before.append((bridge, shot, placed))
    return Counts(len(row), len({at.chart for _, _, at in before}), right, wrong)


def _from(there: Points, here: Points) -> Points:
    """From pixels of one frame to pixels of another one; each (3, 3) leads from the wall to its frame."""
    return np.asarray(there @ np.linalg.inv(here), np.float64)


def main() -> int:
    """Print a line a flight, and one for all bridges in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--step", type=int, default=9, help="take every so many pictures of a flight")
    parser.add_argument("--turns", type=int, default=6, help="the same where bridges take turns")
    arguments = parser.parse_args()
    flights = [(seed, flown(seed, arguments.cache).shots) for seed in arguments.seeds]
    for seed, shots in flights:
        print(f"flight {seed}: {count([(seed, shot) for shot in shots[:: arguments.step]])}", flush=True)
    rows = [[(seed, shot) for shot in shots[:: arguments.turns]] for seed, shots in flights]
    print(f"in turns: {count(list(chain.from_iterable(zip(*rows, strict=False))))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
