"""How true widths and places are, against scenes whose truth is computed apart from the package: one command.

python benchmarks/mapping.py            everything
python benchmarks/mapping.py --width    widths alone
python benchmarks/mapping.py --place    places alone
python benchmarks/mapping.py --identity names alone: one crack, one name
python benchmarks/mapping.py --coverage the narrowest visible crack alone
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import mapping_coverage, mapping_flown, mapping_identity, mapping_place, mapping_width

FAST_UNET = Path(__file__).resolve().parents[1] / "models/bundles/fast-unet"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", action="store_true", help="widths over the grid of cameras and cracks")
    parser.add_argument("--place", action="store_true", help="places, timing, scale and what they cost")
    parser.add_argument("--identity", action="store_true", help="one crack, one name: on rendered flights")
    parser.add_argument("--cache", type=Path, help="folder in which rendered flights are kept between runs")
    parser.add_argument("--coverage", action="store_true", help="the narrowest crack that is said to be visible")
    parser.add_argument("--seeds", type=int, default=6, help="rounds of the grid of widths (%(default)s)")
    parser.add_argument(
        "--bundle",
        type=Path,
        default=FAST_UNET,
        help="whose network's masks are measured too (%(default)s)",
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="of telemetry over UDP (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as JSON")
    arguments = parser.parse_args()
    everything = not (arguments.width or arguments.place or arguments.identity or arguments.coverage)
    rows = []
    if everything or arguments.width:
        widths = mapping_width.rows(mapping_width.measure(arguments.seeds, arguments.bundle))
        widths += mapping_flown.rows(mapping_flown.measure(arguments.bundle))
        print(mapping_width.table(widths))
        rows += [row.__dict__ for row in widths]
    if everything or arguments.place:
        places = mapping_place.measure(arguments.seconds)
        print(mapping_place.table(places))
        rows += [row.__dict__ for row in places]
    if everything or arguments.identity:
        names = mapping_identity.measure(mapping_identity.SCORED_ON, arguments.cache)
        print(mapping_identity.table(names))
        rows += [dataclasses.asdict(row) for row in names]
    if everything or arguments.coverage:
        coverage = mapping_coverage.measure(arguments.bundle)
        print(mapping_coverage.table(coverage))
        rows += [row.__dict__ for row in coverage]
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0 if all(row["met"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
