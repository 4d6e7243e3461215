"""A video file, or a network stream (RTSP, HTTP), through OpenCV's FFmpeg.

A file is a recording: every frame counts, its time is the container's. A stream is live: its frames carry the time of
their arrival, because RTSP says nothing of the exposure; they are later than the truth by the stream's own delay.
"""

from __future__ import annotations

import logging
import math
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy.typing as npt

from edge.frames import Camera, Frame, SkippedFrame, Tone, readable
from edge.frames.container import Length, read_length
from edge.frames.decode import quiet_opencv, rgb_from_bgr
from edge.support.address import masked
from edge.support.clock import Clock
from edge.support.errors import DeviceError, UsageError

log = logging.getLogger(__name__)

_SCHEMES = ("rtsp://", "rtsps://", "http://", "https://")
_TOLERATED_FRAMES = 1  # the last one may be stored and not shown
_TOLERATED_S = 1.0  # sound may continue after the last frame
_UNKNOWN = Length()
_MAX_BAD_FRAMES = 30  # of a stream, in a row
_BARE_STREAMS = frozenset({".h264", ".264", ".h265", ".265", ".hevc", ".mjpeg"})


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Options:
    """Which video, and how its frames lie in time."""

    source: str
    """Path of a video file, or a URL: rtsp://, rtsps://, http:// or https://."""
    fps: float | None = None
    """Frames per second of a file, in place of its own timestamps; None: as the container says."""
    start_ns: int = 0
    """``exposed_ns`` of a file's first frame."""
    timed: bool = False
    """Refuse a file without timestamps, as a bare H.264 stream is, unless ``fps`` gives them."""
    tone: Tone = "srgb"
    """What the codes stand for: ``linear`` for a camera whose gamma is 1, as industrial ones often are."""
    timeout_s: float = 5.0
    """How long a stream may take to open, or to deliver its next frame, seconds."""

    def __post_init__(self) -> None:
        if self.fps is not None and not 0 < self.fps < float("inf"):
            raise UsageError(f"fps is {self.fps}; needs a number of frames per second above 0")
        if not 0 < self.timeout_s < float("inf"):
            raise UsageError(f"timeout_s is {self.timeout_s}; needs a number of seconds above 0")

    def __repr__(self) -> str:
        return f"Options(source={masked(self.source)!r}, fps={self.fps}, timeout_s={self.timeout_s})"


def is_url(source: str) -> bool:
    """Whether ``source`` names a stream rather than a file."""
    return source.lower().startswith(_SCHEMES)


def open_camera(options: Options, clock: Clock) -> Camera:
    """Open a file (UsageError when it is no readable video) or a stream (DeviceError when it does not answer)."""
    quiet_opencv()
    return _open_stream(options, clock) if is_url(options.source) else _open_file(options)


def _open_stream(options: Options, clock: Clock) -> StreamCamera:
    timeout_ms = round(options.timeout_s * 1000)
    settings = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
    capture = cv2.VideoCapture(options.source, cv2.CAP_FFMPEG, settings)
    name = masked(options.source)
    if not capture.isOpened():
        raise DeviceError(f"{name}: no video within {options.timeout_s:g} s; check address, password and link")
    return StreamCamera(capture, name, clock, options.timeout_s, options.tone)


def _open_file(options: Options) -> FileCamera:
    if "://" in options.source:
        raise UsageError(
            f"{masked(options.source)}: an address of a kind that is not read; give a video file, or a stream at "
            "rtsp://, rtsps://, http:// or https://"
        )
    path = Path(options.source).expanduser()
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); give a video file or an rtsp:// URL") from error
    if not stat.S_ISREG(mode):  # FFmpeg would wait on a pipe without end
        raise UsageError(f"{path}: not a file; give a video file (a /dev/video device is read by the camera v4l2)")
    if options.fps is None and _is_bare(path):
        if options.timed:
            raise _untimed(path)
        log.warning("%s: its frames carry no times, so how many there are a second is guessed; say --fps", path)
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # phones film sideways and say so in the container
    ok, first = capture.read()
    if not ok:
        capture.release()
        raise UsageError(
            f"{path}: no video can be read from it; it is damaged, of an unknown kind, or was cut off before its "
            "index was written (mp4 and mov have it at the end)"
        )
    try:
        length = read_length(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); give a video file or an rtsp:// URL") from error
    return FileCamera(capture, first, path, options, length)


def _is_bare(path: Path) -> bool:
    """Coded pictures one after the other without a container, and so without times, whatever the file is called.

    H.264 and H.265 begin with a start code (Annex B of either), MPEG program streams with one that says so.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError:  # the decoder will meet it too, and say so
        return False
    coded = head[:3] == b"\0\0\1" or head == b"\0\0\0\1"
    return head[:3] == b"\xff\xd8\xff" or (coded and head != b"\0\0\1\xba") or path.suffix.lower() in _BARE_STREAMS


def _untimed(path: Path) -> UsageError:
    return UsageError(f"{path}: its frames carry no times; say how many there are a second with --fps")


class FileCamera:
    """A recorded video; see ``edge.frames.Camera``. Made by ``open_camera``."""

    def __init__(
        self,
        capture: cv2.VideoCapture,
        first_bgr: npt.NDArray[Any] | cv2.Mat,
        path: Path,
        options: Options,
        length: Length = _UNKNOWN,
    ) -> None:
        self._capture = capture
        self._first_bgr: npt.NDArray[Any] | cv2.Mat | None = (
            first_bgr  # read ahead to know that there is a video at all
        )
        self._length = length
        self._index = 0
        self._last_s = 0.0
        self._path = path
        self._options = options
        self._fps = options.fps or capture.get(cv2.CAP_PROP_FPS) or 30.0
        self._count = int(max(0, capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self._skipped: tuple[SkippedFrame, ...] = ()
        self._open = True

    @property
    def live(self) -> bool:
        """False: every frame counts."""
        return False

    @property
    def frame_count(self) -> int | None:
        """As the container says; None when it does not."""
        length = self._length
        if length.duration_s is not None:
            return round(length.duration_s * self._fps)
        return math.floor(self._count * (length.shown or 1.0)) or None

    @property
    def timeout_s(self) -> float | None:
        """None: a recording takes its time."""
        return None

    @property
    def skipped(self) -> tuple[SkippedFrame, ...]:
        """The frame at which a damaged file ended, once it did."""
        return self._skipped

    def frames(self) -> Iterator[Frame]:
        """Yield the frames once; ``seq`` is the frame's index, ``name`` is STEM_000123."""
        exposed_ns = self._options.start_ns
        while (bgr := self._read()) is not None:
            index, self._index = self._index, self._index + 1
            exposed_ns = max(exposed_ns, self._options.start_ns + self._offset_ns(index))
            rgb = rgb_from_bgr(bgr)
            yield Frame(
                seq=index,
                exposed_ns=exposed_ns,
                exposure_us=None,
                rgb=rgb,
                name=self._name(index),
                tone=self._options.tone,
            )
        self._report_end()

    def _read(self) -> npt.NDArray[Any] | cv2.Mat | None:
        if not self._open:
            raise DeviceError(f"{self._path} was closed; open it again to read on")
        first, self._first_bgr = self._first_bgr, None
        if first is not None:
            return first
        ok, bgr = self._capture.read()
        return bgr if ok else None

    def _offset_ns(self, index: int) -> int:
        """Time of the frame just read from the first one, ns."""
        stamp_ms = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        self._last_s = stamp_ms / 1000
        if self._options.fps is None and index > 0 and stamp_ms <= 0:  # a raw stream has no timestamps
            if self._options.timed:
                raise _untimed(self._path)
            if index == 1:
                log.warning("%s: its frames carry no times, taken for %g per second", self._path, self._fps)
            return round(index * 1e9 / self._fps)
        if self._options.fps is not None:
            return round(index * 1e9 / self._fps)
        return round(stamp_ms * 1e6)

    def _name(self, index: int) -> str:
        return f"{readable(self._path.stem)}_{index:06d}"

    def _report_end(self) -> None:
        reason = self._cut_off() or self._too_few()
        if reason is not None:
            log.warning("%s: %s", self._path, reason)
            self._skipped = (SkippedFrame(name=self._name(self._index), reason=reason),)

    def _cut_off(self) -> str | None:
        cut_off = self._length.cut_off
        if cut_off is None:
            return None
        return f"ends after {self._index}{f' of {self._count}' if self._length.counted else ''} frames: {cut_off}"

    def _too_few(self) -> str | None:
        """Frames that the decoder left out without a word, where the container says how many there are."""
        length = self._length
        if length.counted and self._index + _TOLERATED_FRAMES < math.floor(self._count * (length.shown or 1.0)):
            return f"ends after {self._index} of {self._count} frames: damaged"
        tolerated_s = _TOLERATED_S + 2 / self._fps
        if length.duration_s is not None and self._last_s + tolerated_s < length.duration_s:
            return f"ends after {self._last_s:.1f} of {length.duration_s:.1f} s: damaged"
        return None

    def __enter__(self) -> FileCamera:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        self._capture.release()


class StreamCamera:
    """A live network stream; see ``edge.frames.Camera``. Made by ``open_camera``."""

    def __init__(self, capture: cv2.VideoCapture, name: str, clock: Clock, timeout_s: float, tone: Tone) -> None:
        self._capture = capture
        self._name = name
        self._timeout_s = timeout_s
        self._tone = tone
        self._clock = clock

    @property
    def live(self) -> bool:
        """True: the newest frame wins."""
        return True

    @property
    def frame_count(self) -> int | None:
        """None: a stream has no end."""
        return None

    @property
    def timeout_s(self) -> float | None:
        """As configured."""
        return self._timeout_s

    @property
    def skipped(self) -> tuple[SkippedFrame, ...]:
        """Empty: a stream does not name what it lost."""
        return ()

    def frames(self) -> Iterator[Frame]:
        """Yield frames as they arrive, ``exposed_ns`` being the moment.

        Raises DeviceError when the stream ends, and when _MAX_BAD_FRAMES in a row cannot be decoded.
        """
        seq = bad = 0
        while True:
            if not self._capture.grab():
                raise DeviceError(f"{self._name}: the stream stopped; check the link and the camera's power")
            arrived_ns = self._clock.monotonic_ns()
            ok, bgr = self._capture.retrieve()
            bad = 0 if ok else bad + 1
            if bad > _MAX_BAD_FRAMES:
                raise DeviceError(
                    f"{self._name}: {bad} pictures in a row could not be decoded; check the stream's codec and the link"
                )
            if ok:
                rgb = rgb_from_bgr(bgr)
                yield Frame(seq=seq, exposed_ns=arrived_ns, exposure_us=None, rgb=rgb, tone=self._tone)
            seq += 1

    def __enter__(self) -> StreamCamera:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._capture.release()
