"""A USB or other Video4Linux camera through OpenCV's V4L2 backend.

The driver stamps each buffer on the monotonic clock when its first data arrives (uvcvideo), which OpenCV hands on as
CAP_PROP_POS_MSEC. A stamp that cannot be of the last second is not believed; then the time of reading stands in.
"""

from __future__ import annotations

import logging
import math
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, get_args

import cv2
import numpy as np
import numpy.typing as npt

from edge.frames import RGB, Frame, SkippedFrame, Tone, longest_wait_s
from edge.frames.decode import UnreadableImageError, decode, quiet_opencv, rgb_from_bgr
from edge.frames.kernel_time import on_monotonic, suspended_ns
from edge.support.clock import Clock
from edge.support.errors import DeviceError, UsageError

log = logging.getLogger(__name__)

_Fourcc = Literal["MJPG", "YUYV"]
_BUFFERS = 2  # the fewest with which the driver still fills one while the other is read
_MANUAL_EXPOSURE = 1  # V4L2_EXPOSURE_MANUAL
_EXPOSURE_STEP_US = 100  # unit of V4L2_CID_EXPOSURE_ABSOLUTE
_MAX_BAD_FRAMES = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Which camera, and what it is asked for."""

    device: str | int = "/dev/video0"
    """Device file (a stable one is /dev/v4l/by-id/…) or the number behind /dev/video."""
    width_px: int = 1280
    """Columns asked for."""
    height_px: int = 720
    """Lines asked for."""
    any_size: bool = False
    """Accept another size than asked for. False: refuse, because millimetres are computed from the size."""
    fps: float | None = None
    """Frames per second asked for; None: the camera's default."""
    fourcc: _Fourcc = "MJPG"
    """Pixel format on the bus: MJPG fits large frames through USB 2, YUYV is uncompressed."""
    exposure_us: int | None = None
    """Fixed exposure, microseconds, in steps of 100; None: automatic."""
    gain: int | None = None
    """Fixed gain in the camera's own units (v4l2-ctl --list-ctrls); None: as the camera has it."""
    focus: int | None = None
    """Fixed focus in the camera's own units; None: as the camera has it."""
    tone: Tone = "srgb"
    """What the codes stand for: ``linear`` for a camera whose gamma is 1, as industrial ones often are."""
    timeout_s: float = 2.0
    """Longest wait for a frame, seconds (three frame periods where that is longer); then the camera counts as gone."""

    def __post_init__(self) -> None:
        if self.width_px <= 0 or self.height_px <= 0:
            raise UsageError(f"camera size is {self.width_px}x{self.height_px}; needs whole numbers above 0")
        if self.fps is not None and not 0 < self.fps < float("inf"):
            raise UsageError(f"fps is {self.fps}; needs a number of frames per second above 0")
        if not 0 < self.timeout_s < float("inf"):
            raise UsageError(f"timeout_s is {self.timeout_s}; needs a number of seconds above 0")
        if self.exposure_us is not None and self.exposure_us < _EXPOSURE_STEP_US:
            raise UsageError(f"exposure_us is {self.exposure_us}; needs at least {_EXPOSURE_STEP_US}")


class Capture(Protocol):
    """What is used of ``cv2.VideoCapture``."""

    def get(self, propId: int, /) -> float:  # noqa: N803
        """A property; 0 or -1 when not supported."""

    def set(self, propId: int, value: float, /) -> bool:  # noqa: N803
        """Ask for a property; False when refused."""

    def grab(self) -> bool:
        """Take the next buffer; False when none comes."""

    def retrieve(self) -> tuple[bool, npt.NDArray[Any]]:
        """The grabbed buffer: BGR (H, W, 3), or the bytes of a JPEG where conversion is off."""

    def release(self) -> None:
        """Close the device."""


def open_camera(options: Options, clock: Clock) -> V4l2Camera:
    """Open the device; raises DeviceError saying what is wrong with it and what to do."""
    path = device_path(options.device)
    _check_device(path)
    quiet_opencv()
    # OpenCV waits 10 s for a silent camera unless set otherwise; it knows whole seconds, and reads this once.
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(math.ceil(_wait_s(options))))
    capture = cv2.VideoCapture(str(path), cv2.CAP_V4L2)
    if not capture.isOpened():
        raise DeviceError(f"{path} does not open as a camera; stop what else uses it, or choose another: {_others()}")
    try:
        configure(capture, path, options)
    except DeviceError:
        capture.release()
        raise
    return V4l2Camera(capture, path, options, clock)


def _wait_s(options: Options) -> float:
    return longest_wait_s(options.timeout_s, options.fps, options.exposure_us)


def device_path(device: str | int) -> Path:
    """``device`` as a path: 2 and "2" are /dev/video2."""
    return Path(f"/dev/video{device}" if str(device).isdigit() else str(device)).expanduser()


def _check_device(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise DeviceError(
            f"no {path}; plug the camera in, or list cameras with v4l2-ctl --list-devices; found: {_others()}"
        ) from error
    if not stat.S_ISCHR(mode):
        raise DeviceError(f"{path} is not a camera device; found: {_others()}")
    if not os.access(path, os.R_OK | os.W_OK):
        raise DeviceError(f"{path}: permission denied; run: sudo usermod -aG video $USER, then log in again")


def _others() -> str:
    found = sorted(str(path) for path in Path("/dev").glob("video*"))
    return ", ".join(found) or "no /dev/video device at all"


def configure(capture: Capture, path: Path, options: Options) -> None:
    """Ask for everything in ``options``; raises DeviceError when the camera gives another size or lacks a control."""
    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*options.fourcc))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, options.width_px)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, options.height_px)
    if options.fps is not None:
        capture.set(cv2.CAP_PROP_FPS, options.fps)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, _BUFFERS)
    if options.fourcc == "MJPG":  # decoded here, so that a JPEG cut short on the bus is noticed
        capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
    for name, wanted in _controls(options):
        for control, value in wanted:
            if not capture.set(control, value):
                raise DeviceError(f"{path}: the camera does not take {name}; leave it out of the configuration")
    _check_format(capture, path, options)
    given_fps = capture.get(cv2.CAP_PROP_FPS)
    if options.fps is not None and abs(given_fps - options.fps) > 0.5:
        log.warning("%s: asked for %g frames per second, the camera gives %g", path, options.fps, given_fps)


def _controls(options: Options) -> Iterator[tuple[str, Sequence[tuple[int, float]]]]:
    """Option name and the controls that carry it out, in order."""
    if options.exposure_us is not None:
        steps = round(options.exposure_us / _EXPOSURE_STEP_US)
        yield "exposure_us", ((cv2.CAP_PROP_AUTO_EXPOSURE, _MANUAL_EXPOSURE), (cv2.CAP_PROP_EXPOSURE, steps))
    if options.gain is not None:
        yield "gain", ((cv2.CAP_PROP_GAIN, options.gain),)
    if options.focus is not None:
        yield "focus", ((cv2.CAP_PROP_AUTOFOCUS, 0), (cv2.CAP_PROP_FOCUS, options.focus))


def _check_format(capture: Capture, path: Path, options: Options) -> None:
    fourcc = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode("ascii", "replace")
    if fourcc != options.fourcc:
        advice = (
            f'set fourcc = "{fourcc}"'
            if fourcc in get_args(_Fourcc)
            else "MJPG and YUYV are read; set fourcc to the one that v4l2-ctl --list-formats-ext names, or serve the "
            'camera as a stream and read that with backend = "video"'
        )
        raise DeviceError(f"{path}: asked for {options.fourcc}, the camera gives {fourcc}; {advice}")
    given = f"{capture.get(cv2.CAP_PROP_FRAME_WIDTH):.0f}x{capture.get(cv2.CAP_PROP_FRAME_HEIGHT):.0f}"
    if given == f"{options.width_px}x{options.height_px}":
        return
    told = f"{path}: asked for {options.width_px}x{options.height_px} {options.fourcc}, the camera gives {given}"
    if not options.any_size:
        raise DeviceError(f"{told}; choose a size from v4l2-ctl --list-formats-ext, or set any_size = true")
    log.warning("%s", told)


class V4l2Camera:
    """See ``edge.frames.Camera``; made by ``open_camera``."""

    def __init__(self, capture: Capture, path: Path, options: Options, clock: Clock) -> None:
        self._capture = capture
        self._path = path
        self._exposure_us = options.exposure_us
        self._timeout_s = _wait_s(options)
        self._tone = options.tone
        self._clock = clock
        self._stamp_doubted = False

    @property
    def live(self) -> bool:
        """True: the newest frame wins."""
        return True

    @property
    def frame_count(self) -> int | None:
        """None: a sensor has no end."""
        return None

    @property
    def timeout_s(self) -> float | None:
        """As configured; longer for a sensor this slow."""
        return self._timeout_s

    @property
    def skipped(self) -> tuple[SkippedFrame, ...]:
        """Empty: a frame damaged on the bus has no name; it shows as a gap in ``seq``."""
        return ()

    def frames(self) -> Iterator[Frame]:
        """Yield frames as the camera delivers them; raises DeviceError when it stops."""
        seq = bad = 0
        while bad < _MAX_BAD_FRAMES:
            if not self._capture.grab():
                raise DeviceError(f"{self._path} delivers no frames; check its plug, cable and power")
            exposed_ns = self._exposed_ns(self._clock.monotonic_ns())
            rgb = self._rgb()
            if rgb is not None:
                yield Frame(seq=seq, exposed_ns=exposed_ns, exposure_us=self._exposure_us, rgb=rgb, tone=self._tone)
            bad = 0 if rgb is not None else bad + 1
            seq += 1
        raise DeviceError(f"{self._path}: {bad} damaged frames in a row; use a shorter cable or another USB port")

    def _rgb(self) -> RGB | None:
        """The grabbed frame; None when it is damaged."""
        ok, buffer = self._capture.retrieve()
        if not ok:
            return None
        if buffer.ndim == 3 and buffer.shape[2] == 3:
            return rgb_from_bgr(buffer)
        try:
            return decode(np.ravel(buffer).tobytes(), orientation=1)
        except UnreadableImageError:
            return None

    def _exposed_ns(self, read_ns: int) -> int:
        """Middle of the exposure: half of it (where known) before the driver's stamp, or else before the reading."""
        half_ns = (self._exposure_us or 0) * 500
        stamp_ns = round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
        sensor_ns = on_monotonic(stamp_ns, read_ns, suspended_ns())
        if sensor_ns is None and not self._stamp_doubted:
            self._stamp_doubted = True
            log.warning("%s: the driver's time stamps are unusable; frames carry the time of reading", self._path)
        return (read_ns if sensor_ns is None else sensor_ns) - half_ns

    def __enter__(self) -> V4l2Camera:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._capture.release()
