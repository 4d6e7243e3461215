"""The ``spanhawk`` command: lists the commands, parses, and turns errors into exit codes."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from edge import __version__
from edge.commands import (
    benchmark,
    calibrate,
    config,
    demo,
    doctor,
    export,
    ground,
    outbox,
    replay,
    report,
    run,
    verify,
)
from edge.support.commandline import Parser
from edge.support.errors import EXIT_DONE, EXIT_USAGE, SpanhawkError

_EPILOG = """\
exit codes: 0 done, 1 not as it should be (verify, benchmark --check), 2 usage, 69 device unavailable,
75 try again, 78 configuration, 130 interrupted

examples:
  spanhawk demo                                     fly a rendered bridge; no hardware, no network
  spanhawk replay photos/ --nav track.csv --masks   find the cracks in a folder of photos
  spanhawk replay flight.mp4 --mqtt mqtt://localhost
  spanhawk report FLIGHT --out report/              what was found and what was not seen, after the landing
  spanhawk run --config /etc/spanhawk/spanhawk.toml
  spanhawk verify FLIGHT                            was anything changed, added or lost?
  spanhawk export FLIGHT --coco --out labels/       for those who correct labels
  spanhawk ground --broker mqtt://localhost         keep what the drones find; gives them receipts
  spanhawk doctor                                   is this drone fit to fly?
  spanhawk outbox list
  spanhawk calibrate --board 9x6 --square-mm 25 board-photos/
  spanhawk benchmark --json board.json              how fast it is on this board
"""

_MAY_NOT = (
    "this user may not look or write there; run this as a member of the group that owns it (spanhawk on a drone), or "
    "with sudo"
)

# In the order in which --help shows them.
_COMMANDS = (demo, run, replay, report, verify, export, ground, doctor, outbox, config, calibrate, benchmark)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    level = logging.DEBUG if arguments.verbose else logging.INFO
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    try:
        return int(arguments.verb(arguments))
    except SpanhawkError as error:
        print(f"spanhawk: {error}", file=sys.stderr)
        return error.exit_code
    except PermissionError as error:
        if arguments.verb is run.run or error.filename is None:
            raise
        print(f"spanhawk: {error.filename}: {_MAY_NOT}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("spanhawk: interrupted; what was written so far is intact", file=sys.stderr)
        return 130
    except BrokenPipeError:
        if arguments.verb is run.run:
            raise
        # The reader of our output (head, less) has seen enough; nothing is to be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="spanhawk",
        description="Onboard crack inspection for drones.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"spanhawk {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="log more")
    verbs = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add(verbs)
    return parser
