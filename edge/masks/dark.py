"""A segmenter without a model: what is darker than its surroundings is crack.

It lets the whole pipeline run where there is no bundle, and it can misbehave as hardware does. It is no
crack detector: joints, shadows and stains are dark too.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from types import TracebackType

import cv2
import numpy as np

from edge.frames import Frame
from edge.masks import ClassMask, DamageClass, Mask, Runtime, Segmenter
from edge.masks.preprocess import threshold_code
from edge.masks.traits import Traits
from edge.support.clock import Clock
from edge.support.errors import DeviceError

TRAITS = Traits(artifact=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What counts as dark, and how the fake misbehaves."""

    surround_px: int = 31
    """Side of the square whose mean brightness a pixel is compared with, pixels; odd, a few crack widths."""
    full_contrast: int = 60
    """Grey levels below the surroundings at which the score reaches 1."""
    threshold: float = 0.5
    """Score from which a pixel is crack, 0 to 1."""
    fail_after: int | None = None
    """Frames after which the accelerator is gone: every later one raises DeviceError; None = never."""
    hang_after: int | None = None
    """Frames after which the accelerator does not answer any more: the call never returns; None = never."""
    noise_after: int | None = None
    """Frames after which the accelerator answers with noise instead of scores; None = never."""
    slow_ms: float = 0.0
    """Extra time each frame takes, milliseconds."""

    def __post_init__(self) -> None:
        if self.surround_px < 3 or self.surround_px % 2 == 0:
            raise ValueError(f"surround_px is odd and at least 3, got {self.surround_px}")
        if not 1 <= self.full_contrast <= 255:
            raise ValueError(f"full_contrast is 1 to 255, got {self.full_contrast}")
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold is above 0 and at most 1, got {self.threshold}")
        if min(self.fail_after or 0, self.hang_after or 0, self.noise_after or 0, self.slow_ms) < 0:
            raise ValueError("fail_after, hang_after, noise_after and slow_ms are at least 0")


def open_segmenter(options: Options, clock: Clock) -> Segmenter:
    """Open the fake; needs nothing and cannot fail."""
    return DarkSegmenter(options, clock)


class DarkSegmenter:
    """Scores (surroundings - grey) / full_contrast, cut to 0..1."""

    model = "dark"
    sha256 = None
    degraded = None

    def __init__(self, options: Options, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._never = threading.Event()
        self._noise = np.random.default_rng(0)
        self._frames = 0
        self._closed = False
        self.classes = (DamageClass("crack", options.threshold, "line"),)

    @property
    def runtime(self) -> Runtime:
        """Plain OpenCV on the CPU."""
        return Runtime(backend="dark", library=f"opencv {cv2.__version__}", accelerator="cpu", threads=None)

    def segment(self, frame: Frame) -> Mask:
        """Score every pixel by its darkness. Raises DeviceError from frame ``fail_after`` on."""
        noisy = self._behave()
        side = self._options.surround_px
        grey = cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY)
        deficit = cv2.subtract(cv2.blur(grey, (side, side)), grey)
        score = cv2.convertScaleAbs(deficit, alpha=255 / self._options.full_contrast).reshape(grey.shape)
        if noisy:
            score = self._noise.integers(0, 256, grey.shape, np.uint8)
        damage = np.asarray(score) >= threshold_code(self._options.threshold)
        found = ClassMask(frame, self.classes[0], np.asarray(score, np.uint8), damage)
        return Mask(frame=frame, classes=(found,), model=self.model)

    def __enter__(self) -> DarkSegmenter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True

    def _past(self, count: int | None) -> bool:
        return count is not None and self._frames >= count

    def _behave(self) -> bool:
        """Fail, hang or take time as configured; returns whether this frame's answer is noise."""
        if self._closed:
            raise DeviceError("the segmenter is closed; open it again")
        if self._past(self._options.hang_after):
            while not self._closed:
                self._clock.wait(self._never, 1.0)
        if self._past(self._options.fail_after):
            raise DeviceError(f"the dark segmenter failed after {self._options.fail_after} frames, as configured")
        noisy = self._past(self._options.noise_after)
        self._frames += 1
        if self._options.slow_ms:
            self._clock.wait(self._never, self._options.slow_ms / 1000)
        return noisy
