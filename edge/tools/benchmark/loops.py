"""The whole loop of a frame: segmented, traced, located, encoded and written down, as a flight does it."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime, timezone
from functools import lru_cache
from types import TracebackType

import cv2
import numpy as np

from edge.frames import RGB, Frame, synthetic
from edge.masks import Segmenter
from edge.measurers import Measures
from edge.outcome import Flight, Outcome
from edge.pipeline import Pipeline
from edge.support import backends
from edge.support.clock import ManualClock
from edge.tools.benchmark import Loop, Timing

# Seconds into the rendered flight at which one crack of some 840 pixels crosses a 1280 x 720 frame.
_ONE_CRACK = 3


@lru_cache(maxsize=1)
def rendered(height_px: int, width_px: int) -> RGB:
    """A frame of the rendered bridge with one long crack across it, uint8 (H, W, 3), read-only."""
    options = synthetic.Options(width_px=width_px, height_px=height_px, fps=1.0, seconds=20.0, live=False)
    with synthetic.open_camera(options, _clock()) as camera:
        return camera.render(_ONE_CRACK).rgb


def clean(height_px: int, width_px: int) -> RGB:
    """Even concrete with sensor noise and no crack, uint8 (H, W, 3)."""
    grey = np.random.default_rng(1).normal(150, 4, (height_px, width_px, 1))
    return np.ascontiguousarray(grey.clip(0, 255).astype(np.uint8).repeat(3, axis=2))


def cut(rgb: RGB, height_px: int, width_px: int) -> RGB:
    """The middle of a picture at another size; mirrored at the border where that is larger."""
    down, right = max(0, height_px - rgb.shape[0]), max(0, width_px - rgb.shape[1])
    full = cv2.copyMakeBorder(rgb, 0, down, 0, right, cv2.BORDER_REFLECT_101) if down or right else rgb
    top, left = (full.shape[0] - height_px) // 2, (full.shape[1] - width_px) // 2
    return np.ascontiguousarray(full[top : top + height_px, left : left + width_px])


class FrameLoop:
    """One frame through the pipeline again and again; the segmenter is the caller's."""

    def __init__(self, segmenter: Segmenter, rgb: RGB) -> None:
        self._segmenter = segmenter
        self._rgb = rgb
        self._seq = 0
        self._stages: dict[str, list[float]] = {}
        self._last: Outcome | None = None

    def __enter__(self) -> FrameLoop:
        clock = _clock()
        with ExitStack() as stack:
            navigator, outbox = (
                stack.enter_context(backends.open_backend(room, opener, {}, clock, where=room, default=default))
                for room, opener, default in (
                    ("edge.navigation", "open_navigator", "fixed"),
                    ("edge.outbox", "open_outbox", "memory"),
                )
            )
            flight = Flight.of("benchmark", "benchmark")
            measures = Measures()
            self._outbox = outbox
            self._pipeline = Pipeline(self._segmenter, navigator, outbox, flight, measures, clock)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def step(self) -> None:
        """Process one frame; what it detects is in the outbox on return."""
        self._seq += 1
        # A new frame each time, as a camera gives; its pixels are the same, so that times can be compared.
        outcome = self._pipeline.process(Frame(self._seq, self._seq, None, self._rgb))
        for stage, took_ms in outcome.stage_ms.items():
            self._stages.setdefault(stage, []).append(took_ms)
        self._last = outcome

    @property
    def detections(self) -> int:
        """In the newest frame; 0 before the first."""
        return 0 if self._last is None else len(self._last.features)

    def payloads(self) -> list[bytes]:
        """What is in the outbox."""
        return [stored.letter.payload for stored in self._outbox.list(1000)]

    @property
    def size_px(self) -> tuple[int, int]:
        """Height and width of the frame."""
        height, width = self._rgb.shape[:2]
        return int(height), int(width)

    def empty(self) -> None:
        """Take the letters out again, so that memory does not grow with the number of runs."""
        self._outbox.purge(everything=True)

    def result(self, timing: Timing, tiles: int, bare_cpu_min_ms: float) -> Loop:
        """What ``timing`` of ``step`` was about; ``bare_cpu_min_ms``: of the bare network on one tile."""
        height, width = self.size_px
        stages = {stage: round(float(np.median(took)), 3) for stage, took in self._stages.items()}
        return Loop(width, height, tiles, round(tiles * bare_cpu_min_ms, 3), self.detections, timing, stages)


def _clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 1, tzinfo=timezone.utc))
