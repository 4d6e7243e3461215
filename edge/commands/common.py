"""What the parsers of several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

DEFAULT_CONFIG = Path("/etc/spanhawk/spanhawk.toml")

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""Where a command adds its parser; it calls ``set_defaults(verb=...)`` with what takes the arguments and returns the
exit code."""


class _Once(argparse.Action):
    """Keeps a value, as argparse does by itself; but that drops the first of two in silence, and this refuses them."""

    _given = False

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        if self._given and option_string is not None:
            raise argparse.ArgumentError(self, "it is given twice, and takes one value")
        self._given = True
        setattr(namespace, self.dest, values)


class Parser(argparse.ArgumentParser):
    """Of every command; parses once. Options that may be repeated are added with ``action="append"``."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for name in (None, "store"):
            self.register("action", name, _Once)


def config_option(command: argparse.ArgumentParser) -> None:
    """``--config FILE``; None in the arguments means ``DEFAULT_CONFIG``."""
    command.add_argument("--config", type=Path, metavar="FILE", help=f"configuration ({DEFAULT_CONFIG})")
