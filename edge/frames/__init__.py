"""Frames and the cameras they come from; each other module of this room is one way to get them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

RGB = npt.NDArray[np.uint8]

Tone = Literal["srgb", "linear"]
"""What the codes of a picture stand for: ``srgb``: light through the curve of IEC 61966-2-1, as nearly every camera and
photo has it; ``linear``: light itself. edge/frames/tone.py holds the curve."""


@dataclass(frozen=True, slots=True)
class PicturePose:
    """Where a photograph itself says that it was taken; None is what it does not say."""

    lat_deg: float | None
    """WGS 84, together with ``lon_deg`` or not at all."""
    lon_deg: float | None
    alt_amsl_m: float | None
    """Above mean sea level, as makers claim: without RTK it is often tens of metres off."""
    alt_ellipsoid_m: float | None
    """Above the WGS 84 ellipsoid."""
    rtk: str | None
    """``fixed``, ``float`` or ``single``; None: the receiver is of another kind."""
    h_accuracy_m: float | None
    """1-sigma."""
    v_accuracy_m: float | None
    """1-sigma."""
    angles_deg: tuple[float, float, float] | None
    """Roll, pitch and yaw of the camera, as it holds the picture that is stored."""
    turned_deg: int
    """By how much the decoded picture is turned against the stored one: roll of its camera in the other's axes."""
    range_m: float | None
    """Lens to surface by a laser."""
    focal_px: float | None
    """Focal length in pixels of this picture."""
    camera: str
    """Maker, model and focal length: which camera took it. Empty when it does not say."""
    taken_local: datetime | None = None
    """By the camera's own clock, without a zone: good for the time between two pictures of one camera."""
    doubts: tuple[str, ...] = ()
    """What it says and what cannot be, one sentence each."""
    focal_uncertainty: float | None = None
    """Relative standard uncertainty of ``focal_px`` where the shape of its sensor had to be guessed; None: as usual."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One exposure of the sensor; its arrays are read-only."""

    seq: int
    """Rises by one per frame the source delivered; a gap is a dropped (or unreadable) frame."""
    exposed_ns: int
    """Middle of the exposure on the clock's monotonic time, ns."""
    exposure_us: int | None
    """Length of the exposure, microseconds; None when the source does not say."""
    rgb: RGB
    """uint8 (H, W, 3), C-contiguous, red first: the full-resolution picture that cracks are measured on."""
    lores: RGB | None = None
    """uint8 (h, w, 3): the same exposure and field of view at lower resolution; None without a second stream."""
    name: str | None = None
    """File stem (or ``STEM_000123`` for a video frame); None for a live sensor."""
    taken_at: datetime | None = None
    """UTC the source itself gives for the exposure (EXIF); None when it does not say."""
    tone: Tone = "srgb"
    """What the codes of ``rgb`` and ``lores`` stand for."""
    time_known: bool = True
    """False: ``exposed_ns`` only keeps the order, so no place may be looked up by it."""
    pose: PicturePose | None = None
    """What the picture itself says of the camera's pose and lens (EXIF, XMP); None when it says nothing."""

    def __post_init__(self) -> None:
        for name in ("rgb", "lores"):
            array: RGB | None = getattr(self, name)
            if array is not None:
                _check(array)
                view = array.view()  # read-only for who gets the frame; the array itself stays its maker's
                view.flags.writeable = False
                object.__setattr__(self, name, view)

    @property
    def height_px(self) -> int:
        """Lines of ``rgb``."""
        return int(self.rgb.shape[0])

    @property
    def width_px(self) -> int:
        """Columns of ``rgb``."""
        return int(self.rgb.shape[1])


def _check(array: RGB) -> None:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise ValueError(f"a frame is uint8 (H, W, 3), got {array.dtype} {array.shape}")
    if not array.flags.c_contiguous:
        raise ValueError("a frame must be C-contiguous; copy it with numpy.ascontiguousarray")


@dataclass(frozen=True, slots=True)
class Moment:
    """UTC of an exposure, and how it is known."""

    at: datetime
    """UTC at the middle of the exposure."""
    synced: bool
    """False: from a clock that nothing disciplines."""
    by_satellites: bool = False
    """True: the satellites' own time, as EXIF's GPS time claims to be."""


def readable(name: str) -> str:
    """``name`` as text that can be written anywhere: bytes of a file name that are not UTF-8 become U+FFFD."""
    return os.fsencode(name).decode("utf-8", "replace")


def longest_wait_s(timeout_s: float, fps: float | None, exposure_us: float | None = None) -> float:
    """``timeout_s``, or three periods of a sensor so slow (by ``fps`` or by its exposure) that this is longer."""
    period_s = max(0.0 if fps is None else 1 / fps, (exposure_us or 0) / 1e6)
    return max(timeout_s, 3 * period_s)


@dataclass(frozen=True, slots=True)
class SkippedFrame:
    """A frame the source could not deliver: one bad file in a folder of a thousand is counted, not fatal."""

    name: str
    reason: str


class Camera(Protocol):
    """A source of frames, opened by its module's ``open_camera`` and closed by leaving the ``with`` block."""

    @property
    def live(self) -> bool:
        """True for a sensor (the newest frame wins, older ones drop); False for a recording (every frame counts)."""

    @property
    def frame_count(self) -> int | None:
        """How many frames a recording holds, as far as it says; None when unknown or live."""

    @property
    def timeout_s(self) -> float | None:
        """How long the next frame may take before something is wrong, seconds; None for a recording: it takes its time.

        A slow sensor says so here: whoever waits for its frames asks it and has no limit of its own.
        """

    @property
    def skipped(self) -> tuple[SkippedFrame, ...]:
        """What could not be read so far, oldest first."""

    def frames(self) -> Iterator[Frame]:
        """Yield frames in order; never queues. Ends with a recording; raises DeviceError when a sensor is gone."""

    def __enter__(self) -> Camera: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
