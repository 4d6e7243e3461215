"""How true widths are, against scenes whose truth is computed apart from the package: one command.

python benchmarks/mapping.py --width
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import mapping_width

FAST_UNET = Path(__file__).parents[1] / "models/bundles/fast-unet"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", action="store_true", help="widths over the grid of cameras and cracks")
    parser.add_argument("--seeds", type=int, default=6, help="rounds of the grid of widths (%(default)s)")
    parser.add_argument("--bundle", type=Path, default=FAST_UNET, help="whose network's masks are measured too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as JSON")
    arguments = parser.parse_args()
    rows = mapping_width.rows(mapping_width.measure(arguments.seeds, arguments.bundle))
    print(mapping_width.table(rows))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([row.__dict__ for row in rows], indent=1) + "\n", encoding="utf-8")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
