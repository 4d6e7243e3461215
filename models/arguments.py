"""Numbers on command lines, read within their bounds, and what is said where the system refuses a file."""

from __future__ import annotations

import argparse
import errno
import math
import sys
from collections.abc import Callable, Mapping
from typing import TypeVar

from edge.support.errors import EXIT_TRY_AGAIN, EXIT_USAGE
from models import DataError

Held = TypeVar("Held")
"""What a record holds of one set."""

EXIT_INTERRUPTED = 130
"""As a shell tells a program that Ctrl-C ended; `spanhawk` ends with it too."""


def whole(least: int) -> Callable[[str], int]:
    """Read a whole number of at least `least`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"got {text!r}, needs a whole number of at least {least}")
        return value

    return read


def number(least: float = -math.inf, most: float = math.inf, *, above: bool = False) -> Callable[[str], float]:
    """Read a finite number from `least` to `most`; `above`: `least` itself is too little."""
    bounds = [f"{'above' if above else 'of at least'} {least:g}"] if least > -math.inf else []
    bounds += [f"of at most {most:g}"] if most < math.inf else []
    wanted = " ".join(["a number", " and ".join(bounds)]).strip()

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or not least <= value <= most or (above and value == least):
            raise argparse.ArgumentTypeError(f"got {text!r}, needs {wanted}")
        return value

    return read


def held_out(name: str, held: Mapping[str, Held]) -> Held | None:
    """What a record's `held` says of the set `name`; None where the training knew nothing of it: all of it is scored.

    The part of a source that was held out stands there as NAME/held (`models train`) or as NAME (`gpu-take`);
    NAME/held finds both. Raises DataError where pictures that were learned from would be scored: for the bare NAME of
    a source that was learned from in part, and for a NAME/held of which the record, or its lack, tells nothing.
    """
    stem = name.removesuffix("/held")
    if name in held:
        return held[name]
    if f"{name}/held" in held:
        raise DataError(f"{name} was learned from in part: write {name}/held to score what the training held out.")
    if stem == name:
        return None
    if stem not in held:
        known = f"it names {', '.join(held)}" if held else "there is none, or it names no set"
        raise DataError(
            f"No training record says what was held out of {stem} ({known}): write {stem} if nothing of it was learned "
            "from, or score with the record of the training that held a part of it out."
        )
    return held[stem]


_INSTALL = {
    "torch": "pip install --upgrade pip && pip install --group torch",
    "jax": "pip install -e '.[workstation,jax]'",
    **dict.fromkeys(
        ("keras", "tensorflow", "matplotlib", "PIL", "tf2onnx", "onnx", "onnxruntime"),
        "pip install -e '.[workstation]'",
    ),
}


def not_installed(error: ModuleNotFoundError) -> int:
    """Say on stderr, in one sentence, which library is missing and how it is installed; returns the exit code.

    Raises ``error`` where it is none of a workstation's libraries: then something of ours is wrong.
    """
    name = (error.name or "").partition(".")[0]
    if name not in _INSTALL:
        raise error
    print(f"error: this needs {name}, which is not installed; in the source folder: {_INSTALL[name]}", file=sys.stderr)
    return EXIT_USAGE


def refused(error: OSError, then: str = "") -> int:
    """Say on stderr, in one sentence, what the system refused, and `then`; returns the exit code."""
    print(f"error: {error.filename or 'the system'}: {error.strerror or error}{then}", file=sys.stderr)
    return EXIT_TRY_AGAIN if error.errno in (errno.ENOSPC, errno.EDQUOT) else EXIT_USAGE


THRESHOLD = number(0, 1, above=True)
"""Reads a score threshold as a card takes it."""
