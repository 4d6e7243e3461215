"""What SOURCE names: a folder of images, one image, or a video; and when it was taken."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edge.frames import Camera, readable
from edge.support import backends
from edge.support.clock import Clock

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".avi", ".m4v", ".webm", ".mpg", ".mpeg", ".ts", ".h264", ".mjpeg"})


def open_source(path: Path, fps: float, clock: Clock) -> Camera:
    """The camera that plays ``path`` back. Raises UsageError when it is nothing we can read."""
    video = path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES
    table: dict[str, Any] = {"backend": "video", "source": str(path)} if video else {"path": str(path), "fps": fps}
    camera: Camera = backends.open_backend("edge.frames", "open_camera", table, clock, where="camera", default="folder")
    return camera


def content_of(path: Path) -> list[tuple[str, int]]:
    """Names and sizes of what is played: another picture under the same path must not get the same ids."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [(readable(file.name), file.stat().st_size) for file in files if file.is_file()]


def recorded_at(path: Path) -> datetime:
    """When the source was last written, UTC: the label of last resort for pictures without a time of their own."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    times = [file.stat().st_mtime for file in files if file.is_file()]
    return datetime.fromtimestamp(min(times, default=0.0), timezone.utc)
