"""Numbers on command lines, read within their bounds, and what is said where the system refuses a file."""

from __future__ import annotations

import argparse
import errno
import math
import sys
from collections.abc import Callable, Mapping

from edge.support.errors import EXIT_TRY_AGAIN, EXIT_USAGE
from models import DataError

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


def refuse_seen(name: str, held: Mapping[str, object]) -> None:
    """Refuse to score the whole of a set of which a training learned from a part, by what its record holds out.

    Raises DataError.
    """
    if name not in held and f"{name}/held" in held:
        raise DataError(f"{name} was learned from in part: write {name}/held to score what the training held out.")


def refused(error: OSError, then: str = "") -> int:
    """Say on stderr, in one sentence, what the system refused, and `then`; returns the exit code."""
    print(f"error: {error.filename or 'the system'}: {error.strerror or error}{then}", file=sys.stderr)
    return EXIT_TRY_AGAIN if error.errno in (errno.ENOSPC, errno.EDQUOT) else EXIT_USAGE


THRESHOLD = number(0, 1, above=True)
"""Reads a score threshold as a card takes it."""
