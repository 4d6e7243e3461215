"""A camera that shows one picture at an exact beat and writes down when: the daemon's exposure-to-ground benchmark.

Configuration ``[camera] backend = "edge.tools.benchmark.metronome"``; a slow reader misses frames, as with a sensor.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from edge.frames import Camera, Frame, SkippedFrame, longest_wait_s
from edge.support.clock import Clock
from edge.support.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What it shows, and how fast."""

    picture: Path
    """A .npy file, uint8 (H, W, 3), red first."""
    log: Path
    """Where the beats are written when it is closed, JSON; there, but empty, from the first beat on."""
    fps: float

    def __post_init__(self) -> None:
        if not 0.01 <= self.fps <= 1000:
            raise ConfigError(f"camera.fps: got {self.fps}, needs 0.01 to 1000")


def open_camera(options: Options, clock: Clock) -> Camera:
    """Read the picture; the beat starts with ``frames``. Raises OSError, ValueError for a bad file."""
    return Metronome(options, clock)


class Metronome:
    """One frame per beat."""

    live = True
    frame_count = None
    skipped: tuple[SkippedFrame, ...] = ()

    def __init__(self, options: Options, clock: Clock) -> None:
        self._options = options
        self.timeout_s: float | None = longest_wait_s(2.0, options.fps)
        self._clock = clock
        self._rgb = np.load(options.picture, allow_pickle=False)
        self._closed = threading.Event()
        self._exposed_ns: dict[int, int] = {}

    def frames(self) -> Iterator[Frame]:
        """Wait for each beat; beats that passed while the reader was busy are left out, with their numbers."""
        self._options.log.touch()
        period_ns, begun_ns = 1e9 / self._options.fps, self._clock.monotonic_ns()
        seq = 0
        while True:
            now_ns = self._clock.monotonic_ns()
            seq = max(seq + 1, int((now_ns - begun_ns) / period_ns))
            due_ns = begun_ns + round(seq * period_ns)
            if self._clock.wait(self._closed, max(0, due_ns - now_ns) / 1e9):
                return
            self._exposed_ns[seq] = due_ns
            yield Frame(seq, due_ns, None, self._rgb)

    def __enter__(self) -> Metronome:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._options.log.write_text(json.dumps(self._exposed_ns), encoding="utf-8")
