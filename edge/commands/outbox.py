"""``spanhawk outbox``: what waits for the ground."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands.common import DEFAULT_CONFIG, Commands, config_option
from edge.support.errors import EXIT_DONE

if TYPE_CHECKING:
    from edge.tools.letters import Box


def add(commands: Commands) -> None:
    """The parser of ``outbox`` among those of the other commands."""
    verb = commands.add_parser(
        "outbox",
        help="what waits for the ground: list it, send it, delete what has arrived",
        examples=["sudo spanhawk outbox list --limit 5", "sudo spanhawk outbox flush", "sudo spanhawk outbox purge"],
    )
    actions = verb.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser(
        "list",
        help="one JSON object per letter, oldest first",
        examples=["sudo spanhawk outbox list --limit 5", "spanhawk outbox list --outbox spanhawk-replay/outbox.db"],
    )
    _box_options(listing)
    listing.add_argument("--limit", type=int, default=1000, metavar="N", help="at most N letters (%(default)s)")
    listing.set_defaults(verb=_outbox_list)
    flush = actions.add_parser(
        "flush",
        help="send everything that waits or was refused, now",
        examples=["spanhawk outbox flush --outbox spanhawk-replay/outbox.db --mqtt mqtt://localhost:1883"],
    )
    _box_options(flush)
    flush.add_argument("--mqtt", metavar="URL", help="to this broker rather than the configured one")
    flush.add_argument("--again", action="store_true", help="also what was acknowledged before and is still kept")
    flush.set_defaults(verb=_outbox_flush)
    purge = actions.add_parser(
        "purge",
        help="delete the letters that the ground has acknowledged",
        examples=["sudo spanhawk outbox purge"],
    )
    _box_options(purge)
    purge.add_argument("--all", action="store_true", help="delete every letter, also those that have not arrived")
    purge.set_defaults(verb=_outbox_purge)
    recover = actions.add_parser(
        "recover",
        help="take out of a damaged outbox what can still be read of it",
        examples=["sudo spanhawk outbox recover /var/lib/spanhawk/outbox.db.corrupt-1 --out rescued.db"],
    )
    recover.add_argument("damaged", type=Path, metavar="FILE", help="NAME.corrupt-N, beside the outbox; stays as it is")
    recover.add_argument("--out", type=Path, metavar="NEW", required=True, help="a new outbox for its letters")
    recover.set_defaults(verb=_outbox_recover)
    prune = actions.add_parser(
        "prune",
        help="on a disk that fills up, delete the oldest pictures of detections that the ground has, and where "
        "keep_newest_flights allows it the oldest flights",
        examples=["sudo spanhawk outbox prune"],
    )
    _box_options(prune)
    prune.set_defaults(verb=_outbox_prune)


def _box_options(action: argparse.ArgumentParser) -> None:
    config_option(action)
    action.add_argument("--outbox", type=Path, metavar="FILE", help="this outbox file rather than the configured one")


def _box(arguments: argparse.Namespace, mqtt_url: str | None = None) -> Box:
    from edge.tools.letters import Box

    return Box(arguments.config or DEFAULT_CONFIG, arguments.outbox, mqtt_url)


def _outbox_list(arguments: argparse.Namespace) -> int:
    from edge.tools import letters

    for line in letters.listing(_box(arguments), arguments.limit):
        print(line)
    return EXIT_DONE


def _outbox_flush(arguments: argparse.Namespace) -> int:
    from edge.tools import letters

    print(letters.flush(_box(arguments, arguments.mqtt), again=arguments.again), file=sys.stderr)
    return EXIT_DONE


def _outbox_purge(arguments: argparse.Namespace) -> int:
    from edge.tools import letters

    print(letters.purge(_box(arguments), everything=arguments.all), file=sys.stderr)
    return EXIT_DONE


def _outbox_recover(arguments: argparse.Namespace) -> int:
    from edge.tools import letters

    print(letters.recover(arguments.damaged, arguments.out), file=sys.stderr)
    return EXIT_DONE


def _outbox_prune(arguments: argparse.Namespace) -> int:
    from edge.tools import prune

    settings = _box(arguments).settings()
    print(prune.pictures(settings), file=sys.stderr)
    print(prune.flights(settings), file=sys.stderr)
    return EXIT_DONE
