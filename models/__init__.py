"""Workstation room: network definitions, data sets, training and evaluation. Never imported by what flies.

`Example` is one picture with or without a mask; everything else in the room makes, augments, learns or scores them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.errors import UsageError


class DataError(UsageError):
    """Training or evaluation data is not usable; the message is one sentence that names the file and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One picture on disk."""

    image: Path
    mask: Path | None
    """Mask of the same size; None means known to be crack-free."""
    group: str
    """Photograph or scene the picture was cut from: examples of one group never stand on both sides of a split."""
