"""Ten thousand cracks on one chart that stays open: what their lines take of memory, what a frame costs beside them.

python benchmarks/mapping_many.py [--cracks N]
"""

from __future__ import annotations

import argparse
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edge.cracks import Crack
from edge.surface.identity import CrackMap
from edge.surface.registration import Registered

SHAPE = (720, 1280)
PER_FRAME = 4
"""So many cracks of 500 px stand in each place."""


def frame(place: int) -> Registered:
    """A view of one place of a wall, which has no other beside it."""
    row, column = divmod(place, 50)
    to_chart = np.array([[1.0, 0, 1400.0 * column], [0, 1.0, 800.0 * row], [0, 0, 1.0]])
    return Registered(1, to_chart, "px", 1.0, 0.3, "measured", None, 1.0)


def cracks(place: int) -> list[Crack]:
    """Wandering lines one below the other."""
    rng = np.random.default_rng(place)
    found = []
    for i in range(PER_FRAME):
        y = 100.0 + 150 * i + np.cumsum(rng.normal(0, 1.0, 168))
        path = np.column_stack([100 + 3.0 * np.arange(168), y]).astype(np.float32)
        length = float(np.hypot(*np.diff(path, axis=0).T).sum())
        found.append(Crack(path, length, np.full(168, 3.0, np.float32), 0.2, "profile", 0.95, i))
    return found


def main() -> int:
    """Fill the chart, twice over, and print what it takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cracks", type=int, default=10_000)
    places = parser.parse_args().cracks // PER_FRAME
    flight = CrackMap()
    tracemalloc.start()
    for place in range(places):
        flight.add(cracks(place), frame(place), SHAPE)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    cost = []
    for place in np.random.default_rng(0).permutation(places)[:100].tolist():
        seen, view = cracks(place), frame(place)
        begun = time.thread_time_ns()
        named = flight.add(seen, view, SHAPE).numbers
        cost.append((time.thread_time_ns() - begun) / 1e6)
        assert named == tuple(PER_FRAME * place + i + 1 for i in range(PER_FRAME)), "each is found again by its name"
    begun = time.thread_time_ns()
    joined = flight.finish()
    end_s = (time.thread_time_ns() - begun) / 1e9
    print(f"{len(flight.lines)} lines of 500 px: {held / 1e6:.0f} MB, {held / len(flight.lines) / 1e3:.1f} kB each")
    print(f"naming {PER_FRAME} cracks a frame: median {np.median(cost):.2f} ms, p90 {np.percentile(cost, 90):.2f} ms")
    print(f"the end of the flight: {end_s:.1f} s, {len(joined)} joined")
    return 0


if __name__ == "__main__":
    sys.exit(main())
