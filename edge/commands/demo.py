"""``spanhawk demo``: a rendered bridge, flown."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.commands.common import Commands
from edge.support.errors import EXIT_DONE


def add(commands: Commands) -> None:
    """The parser of ``demo`` among those of the other commands."""
    verb = commands.add_parser(
        "demo",
        help="fly a rendered bridge through the real pipeline; no hardware, no network",
        description="Fly a rendered bridge through the real pipeline, and print what was found beside what is there.",
        examples=["spanhawk demo", "spanhawk demo --seconds 10 --out short"],
    )
    verb.add_argument("--out", type=Path, default=Path("spanhawk-demo"), metavar="DIR", help="default: %(default)s")
    verb.add_argument("--seconds", type=float, default=30.0, metavar="S", help="length of the flight (%(default)s)")
    verb.set_defaults(verb=_demo)


def _demo(arguments: argparse.Namespace) -> int:
    from edge.tools import demo

    print(demo.run(arguments.out, arguments.seconds))
    return EXIT_DONE
