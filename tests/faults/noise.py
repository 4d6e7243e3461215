"""A camera that delivers noise for a while, as one whose cable came loose, and then pictures again."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from tests.faults.row import Measured, Row, Scale
from tests.faults.world import until, world

_FPS = 10


def run(scale: Scale) -> Measured:
    """The real daemon, whose pictures are noise from the third second on: for ten seconds, or thirty in full."""
    bad = scale.times(30, 10) * _FPS
    with world(scale.folder) as made:
        _spoil(scale.folder / "frames", 3 * _FPS, bad)
        made.start()
        until(lambda: made.kept() > 0, "the daemon to write something down")
        told_s = until(lambda: "the camera delivers noise" in made.reasons(), "status to say that the camera is bad")
        told = made.reasons()
        until(lambda: "the camera delivers noise" not in made.reasons(), "status to say that it is well again")
        before = made.kept()
        until(lambda: made.kept() > before, "detections to go on")
        alive, telemetry = made.alive, json.loads(made.ear.payloads("spanhawk/drone1/telemetry")[-1])
        _, account = made.settle()
    figures = (
        f"{bad} frames of noise: told {told_s:.1f} s after the first detection (“{told}”), well again afterwards; "
        f"daemon {'alive' if alive else 'ENDED'}, {telemetry['frames']} frames, {account.put} put, "
        f"{account.gaps} gaps, {account.missing} not received"
    )
    return Measured(figures, alive and not (account.gaps or account.missing))


def _spoil(frames: Path, first: int, count: int) -> None:
    """Put noise in the place of these pictures, which are links to one file."""
    noise = np.random.default_rng(1).integers(0, 256, (120, 160, 3)).astype(np.uint8)
    assert cv2.imwrite(str(frames / "noise.tmp.png"), noise)
    (frames / "noise.tmp.png").rename(frames.parent / "noise.png")
    for number in range(first, first + count):
        path = frames / f"{number:05d}.png"
        path.unlink()
        path.hardlink_to(frames.parent / "noise.png")


ROW = Row("camera-noise", "camera delivers noise, then pictures again", "told, taken back, daemon alive, 0 lost", run)
