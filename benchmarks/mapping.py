"""How true widths and places are, against scenes whose truth is computed apart from the package: one command.

python benchmarks/mapping.py            both
python benchmarks/mapping.py --width    widths alone
python benchmarks/mapping.py --place    places, timing, scale at a tilt, and what they cost
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

FAST_UNET = Path(__file__).parents[1] / "models/bundles/fast-unet"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", action="store_true", help="widths over the grid of cameras and cracks")
    parser.add_argument("--place", action="store_true", help="places, timing, scale and what they cost")
    parser.add_argument("--seeds", type=int, default=6, help="rounds of the grid of widths (%(default)s)")
    parser.add_argument("--bundle", type=Path, default=FAST_UNET, help="whose network's masks are measured too")
    parser.add_argument("--seconds", type=float, default=30.0, help="of telemetry over UDP (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as JSON")
    arguments = parser.parse_args()
    both = arguments.width == arguments.place
    rows = []
    if both or arguments.width:
        import mapping_width

        rows += mapping_width.rows(mapping_width.measure(arguments.seeds, arguments.bundle))
        print(mapping_width.table(rows), flush=True)
    if both or arguments.place:
        import mapping_place

        placed = mapping_place.measure(arguments.seconds)
        rows += placed
        print(mapping_place.table(placed))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([row.__dict__ for row in rows], indent=1) + "\n", encoding="utf-8")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
