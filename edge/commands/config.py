"""``spanhawk config``: check a configuration, or show the one in force."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge.commands.common import DEFAULT_CONFIG, Commands, config_option
from edge.support.errors import EXIT_DONE


def add(commands: Commands) -> None:
    """The parser of ``config`` among those of the other commands."""
    verb = commands.add_parser(
        "config",
        help="check a configuration, or show the one in force",
        examples=["spanhawk config check spanhawk.toml", "spanhawk config show --config spanhawk.toml"],
    )
    actions = verb.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser(
        "check",
        help="say whether FILE would be accepted",
        examples=["spanhawk config check spanhawk.toml"],
    )
    check.add_argument("file", type=Path, metavar="FILE")
    check.set_defaults(verb=_config_check)
    show = actions.add_parser(
        "show",
        help="print the configuration in force, defaults included",
        examples=["spanhawk config show", "spanhawk config show --config spanhawk.toml"],
    )
    config_option(show)
    show.set_defaults(verb=_config_show)


def _config_check(arguments: argparse.Namespace) -> int:
    from edge import settings
    from edge.tools.files import check_files

    absent = check_files(settings.read(arguments.file, "name the file that is to be checked"))
    print(f"{arguments.file}: good", file=sys.stderr)
    for one in absent:
        print(f"not on this computer: {one}", file=sys.stderr)
    return EXIT_DONE


def _config_show(arguments: argparse.Namespace) -> int:
    from edge import settings

    path = arguments.config
    if path is None and not DEFAULT_CONFIG.exists():
        in_force = settings.from_table({}, f"built-in defaults: there is no {DEFAULT_CONFIG}")
    else:
        in_force = settings.read(path or DEFAULT_CONFIG)
    print(settings.effective(in_force), end="")
    return EXIT_DONE
