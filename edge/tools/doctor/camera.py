"""The camera is there and delivers pictures worth looking at."""

from __future__ import annotations

import numpy as np

from edge.frames import Camera, Frame
from edge.frames.newest import NewestFrame, opening_s
from edge.support.errors import ConfigError, UsageError
from edge.tools.doctor import Bench, Result, fail, ok, troubled, warn

_FRAMES = 12  # more than the repeats at which the feed calls a camera frozen
_LOOK_S = 5.0
_TURN_S = 0.1
_DARK = 4.0  # mean grey level of a capped lens: sensor noise and little else
_BRIGHT = 251.0


def camera(bench: Bench) -> Result:
    """Open it once, take a dozen frames, look at rate, brightness and whether anything changes."""
    backend, clock = bench.settings.camera, bench.clock

    def open_once() -> Camera:
        try:
            opened: Camera = backend.module.open_camera(backend.options, clock)
        except UsageError as error:  # what is usage on a command line is configuration here
            raise ConfigError(f"camera: {error}") from error
        return opened

    frames: list[Frame] = []
    open_s = opening_s(backend.options)
    with NewestFrame(open_once, clock, open_s=open_s) as feed:
        until_ns = clock.monotonic_ns() + round(open_s * 1e9)
        while len(frames) < _FRAMES and not feed.ended and clock.monotonic_ns() < until_ns:
            frame = feed.take(_TURN_S)
            if frame is not None:
                until_ns = until_ns if frames else clock.monotonic_ns() + round((_LOOK_S + feed.timeout_s) * 1e9)
                frames.append(frame)
            elif feed.failures:  # once is enough to know; the daemon would go on trying
                break
        trouble = feed.health()
    if not frames:
        return troubled(trouble or f"no frame within {open_s:.0f} s", "check cable, power and [camera]")
    return _judged(bench, frames, trouble)


def _judged(bench: Bench, frames: list[Frame], trouble: str | None) -> Result:
    bench.frame = last = frames[-1]
    span_ns = last.exposed_ns - frames[0].exposed_ns
    bench.fps = (last.seq - frames[0].seq) / (span_ns / 1e9) if span_ns > 0 else None
    rate = "rate unknown" if bench.fps is None else f"{bench.fps:.1f} frames per second"
    brightness = float(np.mean(last.rgb))
    told = f"{bench.settings.camera.name}: {last.width_px}x{last.height_px}, {rate}, mean grey level {brightness:.0f}"
    if trouble is not None:
        return fail(f"{told}; {trouble}", "check cable, power and what else uses the camera")
    if brightness < _DARK:
        return fail(f"{told}: black", "take the lens cap off; if it is off, leave exposure_us and gain out of [camera]")
    if brightness > _BRIGHT:
        return warn(f"{told}: overexposed", "shorten camera.exposure_us, or leave it out for automatic exposure")
    return ok(told)
