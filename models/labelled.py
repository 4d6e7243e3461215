"""What label files say of one picture, whatever their format, and what could not be used of them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
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
class Labelled:
    """One picture with its shapes."""

    image: Path
    said_px: tuple[int, int] | None
    """Width and height as the label file says; None where it does not."""
    shapes: tuple[Drawn, ...]
    painted: Mapping[str, npt.NDArray[np.uint8]] = field(default_factory=dict)
    """By class, masks of the picture's size: uint8 (H, W), 0 or 255."""


class Complaints:
    """One sentence for each thing that could not be used, the same one once."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()

    def say(self, sentence: str) -> None:
        """Tell it when it is new."""
        if not self.count[sentence]:
            log.warning("%s", sentence)
        self.count[sentence] += 1
