"""Workstation room: network definitions, data sets, training and evaluation. Never imported by what flies.

`Example` is one picture with or without a mask; everything else in the room makes, augments, learns or scores them.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from edge.support.errors import UsageError


class DataError(UsageError):
    """Training or evaluation data is not usable; the message is one sentence that names the file and what to do."""


def quiet_tensorflow() -> None:
    """Hold back what TensorFlow tells of GPUs it has not found, line after line; call it before it is imported."""
    logging.getLogger("absl").setLevel(logging.WARNING)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


class DamagedError(DataError):
    """One picture or mask cannot be read; a set is used without it, by name and counted (`data.read_examples`)."""


UNKNOWN = 0x80
"""Bit of a mask that is set where nobody knows what is there: such pixels are neither learned from nor scored."""
MAX_CLASSES = 7
"""A mask keeps one bit per class below `UNKNOWN`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """Where one class of one picture is drawn."""

    index: int
    """Class: position in the configuration's `classes`."""
    path: Path
    value: int | None = None
    """Grey value of the class in a label map; None: the file holds this class alone, 0 and 255."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One picture on disk."""

    image: Path
    mask: Path | None
    """Mask of class 0 of the same size; None (and no `labels`) means known to be free of damage."""
    group: str
    """Photograph or scene the picture was cut from: examples of one group never stand on both sides of a split."""
    listed: bool = False
    """`group` was read from index.csv: it means the same photograph in other folders too."""
    labels: tuple[Label, ...] = ()
    """Where several classes are drawn; `mask` is None then."""

    @property
    def clean(self) -> bool:
        """Known to be free of damage."""
        return self.mask is None and not self.labels

    @property
    def files(self) -> tuple[Path, ...]:
        """The picture, then the files its labels are in, each once."""
        drawn = [self.mask] if self.mask is not None else [label.path for label in self.labels]
        return tuple(dict.fromkeys([self.image, *drawn]))
