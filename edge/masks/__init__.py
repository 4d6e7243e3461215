"""Masks and the segmenters that make them; each backend module of this room is one way to run the network."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from edge.frames import Frame

Measure = Literal["line", "area"]
"""How damage of one class is measured: as lines with a width (cracks), or as areas with an outline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """What one sign of a traced piece adds to the evidence that it is a crack."""

    weight: float
    """Natural logarithm of odds for each unit of the sign, 0 or more: a sign only ever speaks for a crack."""
    typical: float
    """The sign of a usual crack, where it adds nothing."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight >= 0 and math.isfinite(self.typical)):
            raise ValueError(f"a term has a finite weight of 0 or more and a finite typical value, got {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRule:
    """Which traced pieces are reported, as fitted to the weights of a bundle: ``constant`` and all terms add up to 0 or
    more. edge/cracks/plausible.py says how each sign is read."""

    version: Literal[1]
    """Of the signs: what they are and how they are read."""
    constant: float
    length: Term
    sureness: Term
    bend: Term
    reach: Term
    company: Term

    def __post_init__(self) -> None:
        if not math.isfinite(self.constant):
            raise ValueError(f"constant is finite, got {self.constant}")

    @classmethod
    def signs(cls) -> tuple[str, ...]:
        """Names of the terms, in order."""
        return tuple(one.name for one in fields(cls) if one.name not in ("version", "constant"))


@dataclass(frozen=True, slots=True)
class DamageClass:
    """One kind of damage that a network knows, as the card says it."""

    name: str
    """As published: ``crack``, ``spalling``."""
    threshold: float
    """A score at or above this is damage, above 0 to 1."""
    measure: Measure
    rule: ReportRule | None = None
    """Which of its traced pieces are reported; None where the card does not say."""


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of a frame, pixels; right and bottom are one past the last."""

    left_px: int
    right_px: int
    top_px: int
    bottom_px: int


@dataclass(frozen=True, slots=True, eq=False)
class ClassMask:
    """Where the network sees damage of one class in one frame; its arrays are read-only."""

    frame: Frame
    kind: DamageClass
    score: npt.NDArray[np.uint8]
    """uint8 (H, W) of the frame: 0 to 255 for a score of 0 to 1."""
    damage: npt.NDArray[np.bool_]
    """bool (H, W): score at or above the threshold of ``kind``."""

    def __post_init__(self) -> None:
        size = self.frame.rgb.shape[:2]
        if self.score.shape != size or self.damage.shape != size:
            raise ValueError(f"a mask has its frame's size {size}, got {self.score.shape} and {self.damage.shape}")
        self.score.setflags(write=False)
        self.damage.setflags(write=False)


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """Where the network sees damage in one frame, class by class."""

    frame: Frame
    classes: tuple[ClassMask, ...]
    """One or more, in the card's order."""
    model: str
    """Card name and the first 8 digits of model.tflite's SHA-256, as ``fast-unet-1a2b3c4d``."""
    looked: tuple[Area, ...] | None = None
    """What the network looked at, disjoint; elsewhere scores are 0, nothing is damage, and nothing is known. None:
    all."""
    second_looks: int = 0
    """Runs of the network that looked at the frame, or at a part of it, again."""

    def __post_init__(self) -> None:
        if not self.classes:
            raise ValueError("a mask has one class or more, got none")

    @property
    def looked_share(self) -> float:
        """The part of the frame that was looked at, 0 to 1."""
        if self.looked is None:
            return 1.0
        pixels = sum((area.right_px - area.left_px) * (area.bottom_px - area.top_px) for area in self.looked)
        return pixels / (self.frame.height_px * self.frame.width_px)


@dataclass(frozen=True, slots=True)
class Runtime:
    """What really runs the network, for summary, telemetry and benchmarks."""

    backend: str
    """As configured: the module's name in this room (``litert``), or the dotted one of a module from elsewhere."""
    library: str
    """Interpreter and its version, as ``ai-edge-litert 2.3.0``."""
    accelerator: str
    """What owns the operators, in one lower-case word: ``cpu``, ``edgetpu``, ``cuda``, ``tensorrt``."""
    threads: int | None
    """CPU threads; None where the accelerator decides."""


class Segmenter(Protocol):
    """Turns frames into masks of the same size; used by one thread; closed by leaving the ``with`` block."""

    @property
    def model(self) -> str:
        """As in ``Mask.model``."""

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the model file, hex; None for a fake that has no file."""

    @property
    def classes(self) -> tuple[DamageClass, ...]:
        """The kinds of damage that every mask has, in this order."""

    @property
    def runtime(self) -> Runtime:
        """What really runs."""

    @property
    def degraded(self) -> str | None:
        """One sentence when this is not what the operator asked for; None when it is."""

    def segment(self, frame: Frame) -> Mask:
        """Score every pixel of ``frame``. Raises DeviceError when the accelerator is gone."""

    def __enter__(self) -> Segmenter: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
