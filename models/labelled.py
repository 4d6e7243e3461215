"""What label files say of one picture, whatever their format, and what could not be used of them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Drawn:
    """One shape of one label file, in pixels; 0, 0 is the centre of the top-left pixel."""

    kind: str
    points_px: npt.NDArray[np.float64]
    closed: bool
    width_px: float | None
    """None: the file does not say how wide a line is."""


@dataclass(frozen=True, slots=True)
class Brushed:
    """One shape of one label file that was painted pixel by pixel."""

    kind: str
    left_px: int
    top_px: int
    """Where the rectangle of `mask` lies in the picture."""
    mask: npt.NDArray[np.bool_]
    """(height, width)."""
    whole: bool = False
    """The mask is of the whole picture: one of another size was made on another picture."""


@dataclass(frozen=True, slots=True)
class Unread:
    """One shape of one label file that cannot be drawn: without it the picture would teach that nothing is there."""

    kind: str | None
    """None: nobody knows of which class it is."""
    why: str
    """What it is, to go on with "; the picture is left out"."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One picture with its shapes."""

    image: Path
    said_px: tuple[int, int] | None
    """Width and height as the label file says; None where it does not."""
    shapes: tuple[Drawn | Brushed | Unread, ...]
    painted: Mapping[str, npt.NDArray[np.uint8]] = field(default_factory=dict)
    """By class, masks of the picture's size: uint8 (H, W), 0 or 255."""


@dataclass(frozen=True, slots=True)
class LabelSet:
    """All pictures of one source of labels."""

    named: frozenset[str]
    """Classes that it names, whether a shape is of them or not."""
    pictures: Iterator[Labelled]
    """One at a time; each can be taken once."""


class Complaints:
    """One sentence for each thing that could not be used, the same one once."""

    def __init__(self) -> None:
        self.passed_over: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        """Pictures, by the reason."""

    def say(self, sentence: str) -> None:
        """Tell what is passed over, when it is new."""
        if not self.passed_over[sentence]:
            log.warning("%s", sentence)
        self.passed_over[sentence] += 1

    def leave_out(self, name: str, reason: str, detail: str = "") -> None:
        """Tell of a picture, or of the labels of one, that is left out as a whole; `detail` only of this one."""
        log.warning("%s: %s%s; the picture is left out.", name, reason, detail)
        self.left_out[reason] += 1

    def summary(self) -> str:
        """What was not used, to go on a sentence with; empty where all was."""
        told = ""
        if self.left_out:
            reasons = (f"{reason} ({count})" for reason, count in self.left_out.most_common())
            told = f", {self.left_out.total()} left out: {', '.join(reasons)}"
        return told + (f"; {self.passed_over.total()} things passed over, see above" if self.passed_over else "")
