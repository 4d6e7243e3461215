"""Masks and the segmenters that make them; each backend module of this room is one way to run the network."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edge.frames import Frame


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of a frame, pixels; right and bottom are one past the last."""

    left_px: int
    right_px: int
    top_px: int
    bottom_px: int


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """Where the network sees crack in one frame; its arrays are read-only."""

    frame: Frame
    score: npt.NDArray[np.uint8]
    """uint8 (H, W) of the frame: 0 to 255 for a score of 0 to 1."""
    crack: npt.NDArray[np.bool_]
    """bool (H, W): score at or above the card's threshold."""
    model: str
    """Card name and the first 8 digits of model.tflite's SHA-256, as ``fast-unet-1a2b3c4d``."""
    looked: tuple[Area, ...] | None = None
    """What the network looked at, disjoint; elsewhere score is 0 and crack False, and nothing is known. None: all."""

    def __post_init__(self) -> None:
        size = self.frame.rgb.shape[:2]
        if self.score.shape != size or self.crack.shape != size:
            raise ValueError(f"a mask has its frame's size {size}, got {self.score.shape} and {self.crack.shape}")
        self.score.setflags(write=False)
        self.crack.setflags(write=False)

    @property
    def looked_share(self) -> float:
        """The part of the frame that was looked at, 0 to 1."""
        if self.looked is None:
            return 1.0
        pixels = sum((area.right_px - area.left_px) * (area.bottom_px - area.top_px) for area in self.looked)
        return pixels / self.score.size


@dataclass(frozen=True, slots=True)
class Runtime:
    """What really runs the network, for summary, telemetry and benchmarks."""

    backend: str
    """As configured: the module's name in this room (``litert``), or the dotted one of somebody else's."""
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
    def threshold(self) -> float:
        """The card's score threshold, 0 to 1."""

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
