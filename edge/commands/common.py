"""What the parsers of several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeAlias

from edge.support.commandline import Parser

DEFAULT_CONFIG = Path("/etc/spanhawk/spanhawk.toml")

Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
"""Where a command adds its parser; it calls ``set_defaults(verb=...)`` with what takes the arguments and returns the
exit code."""


def config_option(command: argparse.ArgumentParser) -> None:
    """``--config FILE``; None in the arguments means ``DEFAULT_CONFIG``."""
    command.add_argument("--config", type=Path, metavar="FILE", help=f"configuration ({DEFAULT_CONFIG})")
