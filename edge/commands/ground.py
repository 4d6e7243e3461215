"""``spanhawk ground``: the ground station, and what reads a landed flight's folder into its store."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge.commands.common import Commands
from edge.support.errors import EXIT_DONE


def add(commands: Commands) -> None:
    """The parser of ``ground`` among those of the other commands."""
    verb = commands.add_parser(
        "ground",
        help="the ground station: keeps what the drones find, and gives them receipts for it",
        description="Listen at a broker, write down what arrives, and confirm to each drone what is safely stored.",
    )
    _options(verb)
    verb.add_argument("--broker", metavar="URL", help="as mqtt://localhost:1883, the default")
    verb.add_argument("--http", metavar="HOST:PORT", help="the live page and its services, as 127.0.0.1:8080")
    verb.set_defaults(verb=serve)
    actions = verb.add_subparsers(metavar="ACTION")
    bring = actions.add_parser("import", help="read the folder of a landed flight into the store")
    bring.add_argument("flight", type=Path, metavar="FLIGHT", help="as the daemon, a replay or the demo writes it")
    _options(bring)
    bring.set_defaults(verb=bring_in)


def _options(parser: argparse.ArgumentParser) -> None:
    # SUPPRESS: what stands before the action is not undone by the action's own defaults.
    parser.add_argument(
        "--store",
        metavar="FILE|URL",
        default=argparse.SUPPRESS,
        help="an SQLite file (ground.db), or postgresql://user@host/database",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", default=argparse.SUPPRESS, help="tables [ground] and [mqtt]"
    )


def serve(arguments: argparse.Namespace) -> int:
    """Collect until told to stop; returns the exit code."""
    from edge.ground.serve import serve

    config, store = getattr(arguments, "config", None), getattr(arguments, "store", None)
    return serve(config, broker=arguments.broker, store=store, http=arguments.http)


def bring_in(arguments: argparse.Namespace) -> int:
    """Read one folder; returns the exit code."""
    from edge.ground.bring_in import bring_in
    from edge.ground.settings import read

    settings = read(getattr(arguments, "config", None), store=getattr(arguments, "store", None))
    print(bring_in(arguments.flight, settings.ground.store, settings.ground.picture_folder), file=sys.stderr)
    return EXIT_DONE
