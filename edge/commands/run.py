"""``spanhawk run``: the daemon, as systemd starts it."""

from __future__ import annotations

import argparse

from edge.commands.common import DEFAULT_CONFIG, Commands, config_option


def add(commands: Commands) -> None:
    """The parser of ``run`` among those of the other commands."""
    verb = commands.add_parser(
        "run",
        help="the daemon: camera in, detections out (what systemd starts)",
        description="Fly until stopped: camera in, detections out. On a drone systemd starts this.",
        examples=["spanhawk run --config /etc/spanhawk/spanhawk.toml"],
    )
    config_option(verb)
    verb.set_defaults(verb=run)


def run(arguments: argparse.Namespace) -> int:
    """Fly until stopped; returns the exit code."""
    from edge.daemon.service import serve

    return serve(arguments.config or DEFAULT_CONFIG)
