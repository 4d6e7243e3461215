"""``spanhawk ground``: the ground station, and what reads a landed flight's folder into its store."""

from __future__ import annotations

import argparse
import sys
from getpass import getpass
from pathlib import Path

from edge.commands.common import Commands
from edge.support.commandline import Parser
from edge.support.errors import EXIT_DONE, UsageError


def add(commands: Commands) -> None:
    """The parser of ``ground`` among those of the other commands."""
    # The options of two parsers are the same ones, so that a second value is noticed wherever it stands. SUPPRESS: what
    # stands before the action is not undone by the action's own defaults.
    where = Parser(add_help=False, argument_default=argparse.SUPPRESS)
    where.add_argument(
        "--store", metavar="FILE|URL", help="an SQLite file (ground.db), or postgresql://user@host/database"
    )
    where.add_argument("--config", type=Path, metavar="FILE", help="tables [ground], [pictures] and [mqtt]")
    verb = commands.add_parser(
        "ground",
        parents=[where],
        help="the ground station: keeps what the drones find, and gives them receipts for it",
        description="Listen at a broker, write down what arrives, and confirm to each drone what is safely stored.",
        examples=[
            "spanhawk ground --broker mqtt://localhost:1883 --store ground.db --http 127.0.0.1:8080",
            "spanhawk ground --config ground.toml",
            "spanhawk ground import FLIGHT --store ground.db",
        ],
    )
    verb.add_argument("--broker", metavar="URL", help="as mqtt://localhost:1883, the default")
    verb.add_argument("--http", metavar="HOST:PORT", help="the live page and its services, as 127.0.0.1:8080")
    verb.set_defaults(verb=serve)
    actions = verb.add_subparsers(metavar="ACTION")
    bring = actions.add_parser(
        "import",
        parents=[where],
        help="read the folder of a landed flight into the store",
        examples=["spanhawk ground import FLIGHT --store ground.db"],
    )
    bring.add_argument("flight", type=Path, metavar="FLIGHT", help="as the daemon, a replay or the demo writes it")
    bring.set_defaults(verb=bring_in)
    keep = actions.add_parser(
        "password",
        help="the line that [ground] http_token_file holds in place of a password",
        description="Ask for a password (without a terminal: read a line), and print a hash of it that is slow to try.",
        examples=["(umask 077; spanhawk ground password > ground.token)"],
    )
    keep.set_defaults(verb=password)


def serve(arguments: argparse.Namespace) -> int:
    """Collect until told to stop; returns the exit code."""
    from edge.ground.serve import serve

    config, store = getattr(arguments, "config", None), getattr(arguments, "store", None)
    return serve(config, broker=arguments.broker, store=store, http=arguments.http)


def password(arguments: argparse.Namespace) -> int:
    """Print the hash of a password; returns the exit code."""
    from edge.support.password import line_of

    _refuse(arguments, "password", "store", "config", "broker", "http")
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

    _refuse(arguments, "import", "broker", "http")
    settings = read(getattr(arguments, "config", None), store=getattr(arguments, "store", None), serves=False)
    print(bring_in(arguments.flight, settings.ground.store, settings.ground.picture_folder), file=sys.stderr)
    return EXIT_DONE


def _refuse(arguments: argparse.Namespace, action: str, *names: str) -> None:
    """Options of the station that stand before an action and mean nothing to it. Raises UsageError."""
    for name in names:
        if getattr(arguments, name, None) is not None:
            raise UsageError(f"--{name}: spanhawk ground {action} has no such option; leave it out")
