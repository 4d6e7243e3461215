"""Command lines of every program here: a mistyped option is told with the nearest one, one given twice is refused."""

from __future__ import annotations

import argparse
import difflib
import itertools
import sys
import textwrap
from collections.abc import Sequence
from typing import Any


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


class _Help(argparse.HelpFormatter):
    """Fills paragraphs; lines that begin with a blank, as examples do, stay as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        whole: list[str] = []
        for is_prose, group in itertools.groupby(text.splitlines(), lambda line: line[:1] not in ("", " ")):
            lines = list(group)
            whole += textwrap.wrap(" ".join(lines), width) if is_prose else lines
        return "\n".join(whole)


class Parser(argparse.ArgumentParser):
    """Of every command; parses once. Options that may be repeated are added with ``action="append"``."""

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **options: Any) -> None:
        """``examples``: whole commands, which ``--help`` shows below the options and above the ``epilog``."""
        super().__init__(*arguments, **{"formatter_class": _Help, **options})
        if examples:
            shown = "\n".join(["example:" if len(examples) == 1 else "examples:", *(f"  {one}" for one in examples)])
            self.epilog = shown if self.epilog is None else f"{shown}\n\n{self.epilog}"
        for name in (None, "store"):
            self.register("action", name, _Once)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As argparse does, but what is not known ends here, where the command and its options are known."""
        self._refuse_stray_options(sys.argv[1:] if args is None else args)
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(self._not_known(unknown[0].partition("=")[0]))
        return known, unknown

    def _refuse_stray_options(self, words: Sequence[str]) -> None:
        """Before actions are looked for: argparse takes a mistyped option's value for the name of one."""
        below = [action for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        for word in itertools.takewhile(lambda word: not any(word in one.choices for one in below), words):
            name = word.partition("=")[0]
            if below and name.startswith("--") and not any(one.startswith(name) for one in self._option_string_actions):
                self.error(self._not_known(name))

    def _not_known(self, word: str) -> str:
        if not word.startswith("-"):
            return f"{word!r} is one name too many; a name with blanks in it is written in quotes"
        close = difflib.get_close_matches(word, self._option_string_actions, n=1)
        return f"there is no option {word}" + (f"; did you mean {close[0]}?" if close else "")
