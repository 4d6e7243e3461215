"""``make faults``: provoke every fault, print what was asked, what was measured, and whether it held.

Ends with 1 where one did not hold. What this machine cannot provoke is named NOT RUN and fails nothing.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from tests.faults.row import Measured, NotRunError, Row, Scale
from tests.faults.rows import ROWS


def main() -> int:
    """Print one table in Markdown, line by line as the rows end."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small round of each, about a minute in all")
    parser.add_argument("--rounds", type=int, metavar="N", help="so many rounds of each row instead of its own number")
    parser.add_argument("--only", action="append", metavar="NAME", help=f"of {', '.join(row.name for row in ROWS)}")
    asked = parser.parse_args()
    if asked.rounds is not None and asked.rounds < 1:
        parser.error(f"--rounds: got {asked.rounds}, needs at least 1")
    unknown = sorted(set(asked.only or ()) - {row.name for row in ROWS})
    if unknown:
        parser.error(f"--only {unknown[0]}: no such row; there are {', '.join(row.name for row in ROWS)}")
    logging.disable(logging.CRITICAL)  # faults are what this is about
    print("| fault | asked | measured | held? |\n|---|---|---|---|", flush=True)
    broken = 0
    for row in ROWS:
        if asked.only is None or row.name in asked.only:
            line, held = told(row, quick=asked.quick, rounds=asked.rounds)
            broken += not held
            print(line, flush=True)
    return 1 if broken else 0


def told(row: Row, *, quick: bool, rounds: int | None) -> tuple[str, bool]:
    """The row's line, and False where it did not hold."""
    with tempfile.TemporaryDirectory(prefix="spanhawk-faults-") as folder:
        try:
            measured = row.run(Scale(Path(folder), quick, rounds))
        except NotRunError as error:
            return f"| {row.fault} | {row.asked} | NOT RUN: {error} | – |", True
        except Exception as error:  # noqa: BLE001 - one row that fails must not hide the others; the table says it
            measured = Measured(f"ended with {type(error).__name__}: {' '.join(str(error).split())[:300]}", held=False)
    return f"| {row.fault} | {row.asked} | {measured.figures} | {'yes' if measured.held else '**no**'} |", measured.held


if __name__ == "__main__":
    sys.exit(main())
