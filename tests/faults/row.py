"""What every row of the table is: one fault, what is asked, and how it is measured."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.support.board import resident_bytes


class NotRunError(Exception):
    """This machine cannot make that fault; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What came out."""

    figures: str
    """With their units."""
    held: bool
    """Whether it is what was asked."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of a fault."""

    folder: Path
    """Empty; the row's own."""
    quick: bool
    """A small round, as CI runs it: seconds."""
    rounds: int | None = None
    """So many instead of the row's own number."""

    def times(self, full: int, quick: int) -> int:
        """How many rounds to do."""
        return self.rounds or (quick if self.quick else full)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    fault: str
    asked: str
    run: Callable[[Scale], Measured]
    """Raises NotRunError where this machine cannot make the fault."""


def need_root(*programs: str) -> None:
    """Raise NotRunError without root or one of these programs."""
    if os.geteuid() != 0:
        raise NotRunError("needs root")
    need(*programs)


def need(*programs: str) -> None:
    """Raise NotRunError without one of these programs."""
    for program in programs:
        if shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
            raise NotRunError(f"needs {program}")


def resident_mb() -> float:
    """Memory of this process after a collection, MB."""
    gc.collect()
    return (resident_bytes() or 0) / 1e6


def handles() -> int:
    """Open files of this process."""
    return len(os.listdir("/proc/self/fd"))


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of ``values`` lie."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
