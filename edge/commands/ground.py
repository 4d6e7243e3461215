"""``spanhawk ground``: the ground station, and what reads a landed flight's folder into its store."""

from __future__ import annotations

import argparse
import sys
from getpass import getpass
from pathlib import Path

from edge.commands.common import Commands
from edge.support.errors import EXIT_DONE, UsageError


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
    keep = actions.add_parser(
        "password",
        help="the line that [ground] http_token_file holds in place of a password",
        description="Ask for a password (without a terminal: read a line), and print a hash of it that is slow to try.",
        epilog="example: (umask 077; spanhawk ground password > ground.token)",
    )
    keep.set_defaults(verb=password)


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


def password(arguments: argparse.Namespace) -> int:
    """Print the hash of a password; returns the exit code."""
    from edge.support.password import line_of

    if sys.stdin.isatty():
        given = getpass("password: ")
        if getpass("the same again: ") != given:
            raise UsageError("the two passwords differ; nothing was made")
    else:
        given = sys.stdin.readline().rstrip("\r\n")
    print(line_of(given))
    return EXIT_DONE


def bring_in(arguments: argparse.Namespace) -> int:
    """Read one folder; returns the exit code."""
    from edge.ground.bring_in import bring_in
    from edge.ground.settings import read

    settings = read(getattr(arguments, "config", None), store=getattr(arguments, "store", None))
    print(bring_in(arguments.flight, settings.ground.store, settings.ground.picture_folder), file=sys.stderr)
    return EXIT_DONE
