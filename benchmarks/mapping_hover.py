"""A hover of ten minutes before one crack: how many names it gets, and whether memory stays flat.

The camera of a rendered flight stands still before crack 9 of the girder of seed 1, which is alone in the picture, and
sways as it does in flight. Its pictures go through the shipped network and the tracer; time is simulated. Two
inventories see them: one with a good pose, one without any.

python benchmarks/mapping_hover.py [--seconds S] [--fps F]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edge.cracks import Crack
from edge.frames import synthetic
from edge.measurers import MEASURERS, Measures
from edge.navigation import nowhere
from edge.rendered.nav import nav_rows, write_nav_csv
from edge.support import backends
from edge.support.clock import ManualClock, SystemClock
from edge.surface.inventory import Inventory, Look
from edge.surface.place import Surveyor
from edge.surface.record import CrackState
from edge.surface.scale import size_of
from edge.tools.demo.flight import SCALE, SITE
from edge.tools.replay.run import open_navigator

SEED = 1
PLACE_MM = (3900.0, 1800.0)
"""Middle of the hover on the girder: crack 9 runs through the picture from top to bottom, and no other does."""
SETTLED = 0.2
"""Memory is compared from this share of the hover on: keyframes, pictures and libraries have their room by then."""
FLAT_MIB = 5.0
"""So much more at the end is what the allocator does, not a leak."""
START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def resident_mib() -> float:
    """Memory of this process that is in use now, MiB (Linux)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


class Hover:
    """One inventory, and what it told."""

    def __init__(self) -> None:
        self.inventory = Inventory()
        self.told: list[CrackState] = []

    def add(self, look: Look) -> None:
        """Take in one frame."""
        self.told += self.inventory.add(look).revisions

    def said(self) -> tuple[str, bool]:
        """The end of the hover in a line, and whether it is one crack."""
        self.told += self.inventory.finish()
        last = {state.number: state for state in self.told}
        confirmed = [state for state in last.values() if state.state == "confirmed"]
        points = sum(len(line.xy) for line in self.inventory.map.lines.values())
        return (
            f"{len(confirmed)} confirmed, {len(last)} names told in {len(self.told)} messages, "
            f"{self.inventory.map.next_number - 1} marks in all, {len(self.inventory.map.lines)} lines of {points} "
            f"points kept, {self.inventory.registrar.keyframes} keyframes"
        ), len(confirmed) == 1


def main() -> int:
    """Hover, and print what came of it; 1 where it is not one crack or memory grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--fps", type=float, default=1.0)
    arguments = parser.parse_args()
    clock = ManualClock(START, synced=True)
    options = synthetic.Options(seed=SEED, fps=arguments.fps, seconds=arguments.seconds, live=False)
    camera = synthetic.open_camera(options, clock)
    camera.track.waypoints_mm[:] = PLACE_MM
    segmenter = backends.open_backend(
        "edge.masks", "open_segmenter", {}, SystemClock(), where="masks", default="litert"
    )
    hovers = {"with a pose": Hover(), "no pose": Hover()}
    used: list[float] = []
    surveyor, measurer = Surveyor(SCALE), MEASURERS["line"](Measures())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "nav.csv"
        write_nav_csv(path, iter(nav_rows(camera.track, arguments.seconds, seed=SEED, site=SITE)))
        with segmenter, camera, open_navigator(path, 0.0, clock) as navigator:
            for frame in camera.frames():
                (mask,) = [one for one in segmenter.segment(frame).classes if one.kind.measure == "line"][:1]
                found = measurer.measure(mask)
                cracks = tuple(one for one in (*found.damage, *found.held_back) if isinstance(one, Crack))
                clock.advance_to(frame.exposed_ns)
                at = START + timedelta(seconds=(frame.exposed_ns - camera.track.start_ns) / 1e9)
                for name, hover in hovers.items():
                    nav = navigator.at(frame.exposed_ns) if name == "with a pose" else nowhere(frame.exposed_ns)
                    view = surveyor.look(nav, camera.lens.width_px, camera.lens.height_px)
                    sizes = [size_of(crack, view.plane, SCALE) for crack in cracks]
                    hover.add(Look(frame.seq, frame.name, at, frame.rgb, cracks, sizes, view))
                used.append(resident_mib())
    memory = []
    for share in (SETTLED, 0.5, 1.0):
        count = max(1, round(share * len(used)))
        memory.append(used[count - 1])
        print(f"after {count / arguments.fps:.0f} s, {count} frames: {memory[-1]:.0f} MiB in all")
    flat = memory[-1] - memory[0] <= FLAT_MIB
    good = [flat]
    for name, hover in hovers.items():
        text, one = hover.said()
        good.append(one)
        print(f"{name}: {text}")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
