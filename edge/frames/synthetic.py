"""A camera that flies along a rendered bridge, for demonstrations and for tests that need to know the truth.

Configuration ``[camera] backend = "synthetic"``. The same options give the same pictures on every run. The scene, its
blur and its noise are in linear light; then comes what every camera does to a picture: the sRGB curve, sharpening, 8
bits, JPEG. Each can be changed or left out.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

import cv2
import numpy as np

from edge.frames import RGB, Frame, SkippedFrame, Tone, longest_wait_s
from edge.rendered.flightpath import FlightPath, Lens
from edge.rendered.render import colours, gain
from edge.rendered.scene import Scene, build_scene
from edge.rendered.sensor import developed, noise_table, smear, vignette, with_noise
from edge.rendered.strokes import Float64
from edge.support.clock import Clock
from edge.support.errors import DeviceError

FOCAL_MM = 8.0
SENSOR_WIDTH_MM = 3.968
"""1280 pixels of 3.1 µm: a small industrial lens before the middle of a binned sensor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What ``[camera]`` may say for ``backend = "synthetic"``."""

    seed: int = 1
    """Chooses the bridge, its cracks, the sway and the noise."""
    width_px: int = 1280
    """Width of a frame; the field of view stays the same."""
    height_px: int = 720
    """Height of a frame."""
    fps: float = 5.0
    """Frames per second of flight."""
    seconds: float | None = None
    """Length of the flight; None: without end, the track repeats out and back."""
    live: bool = True
    """True: paced like a sensor, a slow reader misses frames; false: a recording, every frame at once."""
    range_m: float = 1.7
    """Mean distance from lens to surface, metres; it sways by a few per cent."""
    speed_m_s: float = 1.0
    """Speed along the track, metres per second."""
    exposure_us: int = 800
    """Length of the exposure, microseconds."""
    noise: bool = True
    """Shot and read noise of the sensor."""
    blur: bool = True
    """Motion blur over the exposure."""
    lens_blur_px: float = 0.4
    """Gaussian sigma of what the lens blurs besides the 0.5 pixel of a good one and its sensor, pixels."""
    tone: Tone = "srgb"
    """``srgb`` or ``linear``: what the codes stand for; frames say so."""
    sharpen: float = 0.5
    """Amount of the unsharp mask, radius 1 pixel, that firmware puts on a picture; 0: none."""
    jpeg_quality: int | None = 92
    """The picture goes through JPEG of this quality, 1 to 100; None: it does not."""
    drop_every: int | None = None
    """Every so many frames one is lost, as on a bad cable; None: none is."""
    fail_after: int | None = None
    """The sensor is gone after this many frames (DeviceError); None: never."""
    silent_after: int | None = None
    """The driver hangs after this many frames: no error, no further frame until closed; None: never."""
    freeze_after: int | None = None
    """The sensor repeats its picture after this many frames, with new numbers and times; None: never."""
    noise_after: int | None = None
    """The sensor delivers noise instead of a picture after this many frames, as over a bad cable; None: never."""

    def __post_init__(self) -> None:
        positive = ("width_px", "height_px", "fps", "seconds", "range_m", "speed_m_s", "exposure_us")
        for name in positive:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value}; it must be above 0")
        if min(self.width_px, self.height_px) < 32:
            raise ValueError(f"a frame of {self.width_px}x{self.height_px} px is too small; give at least 32x32")
        if self.exposure_us * self.fps > 1e6:
            raise ValueError(f"exposure_us = {self.exposure_us} does not fit into a frame at fps = {self.fps:g}")
        if self.drop_every is not None and self.drop_every < 2:
            raise ValueError(f"drop_every is {self.drop_every}; give 2 or more, or leave it out")
        if self.freeze_after is not None and self.freeze_after < 1:
            raise ValueError(f"freeze_after is {self.freeze_after}; give 1 or more: a frozen sensor repeats a picture")
        if self.jpeg_quality is not None and not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"jpeg_quality is {self.jpeg_quality}; give 1 to 100, or leave it out")
        for name in ("sharpen", "lens_blur_px"):
            if not 0 <= getattr(self, name) <= 5:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 to 5")
        for name in ("seed", "fail_after", "silent_after"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} is {value}; it must be 0 or more")


def open_camera(options: Options, clock: Clock) -> SyntheticCamera:
    """Build the bridge and start the flight at the clock's present time. Takes about a second or two."""
    return SyntheticCamera(options, clock, build_scene(options.seed))


class SyntheticCamera:
    """A camera over a scene of known truth: ``scene``, ``lens``, ``track`` and the homography of each frame."""

    def __init__(self, options: Options, clock: Clock, scene: Scene) -> None:
        self.scene = scene
        self.lens = Lens(FOCAL_MM, SENSOR_WIDTH_MM * 1000 / options.width_px, options.width_px, options.height_px)
        self.track = FlightPath(
            options.seed,
            self.lens,
            scene.width_mm,
            scene.height_mm,
            options.range_m,
            options.speed_m_s,
            clock.monotonic_ns(),
        )
        self._options = options
        self._clock = clock
        self._closed = threading.Event()
        self._vignette = vignette(self.lens)
        self._noise = noise_table(options.seed, self.lens) if options.noise else None

    @property
    def live(self) -> bool:
        """As configured."""
        return self._options.live

    @property
    def frame_count(self) -> int | None:
        """Frames of a recorded flight; None when live or without end."""
        return None if self.live else self._last()

    @property
    def timeout_s(self) -> float | None:
        """For a live one two seconds, or three frame periods where that is longer; None for a recording."""
        return longest_wait_s(2.0, self._options.fps) if self.live else None

    @property
    def skipped(self) -> tuple[SkippedFrame, ...]:
        """Always empty: a lost frame of a sensor leaves a gap in ``seq``, no file."""
        return ()

    def frames(self) -> Iterator[Frame]:
        """Fly: yield frames until the flight ends or the camera is closed. Raises DeviceError after ``fail_after``."""
        number = -1
        rgb: RGB | None = None
        for delivered in itertools.count():
            if delivered == self._options.fail_after:
                raise DeviceError(f"synthetic camera: the sensor is gone after {delivered} frames (fail_after)")
            if delivered == self._options.silent_after:
                self._hang()
            upcoming = self._next(number)
            if upcoming is None:
                return
            number = upcoming
            if rgb is None or self._options.freeze_after is None or delivered < self._options.freeze_after:
                rgb = self._expose(number)
            if self._options.noise_after is not None and delivered >= self._options.noise_after:
                rgb = np.random.default_rng(number).integers(0, 256, rgb.shape, np.uint8)
            yield self._frame(number, rgb)

    def render(self, number: int) -> Frame:
        """Render frame ``number`` of the flight; always the same picture for the same number."""
        return self._frame(number, self._expose(number))

    def surface_to_frame(self, frame: Frame) -> Float64:
        """The true 3x3 homography from surface millimetres to pixels of ``frame``; its inverse leads back."""
        return self.track.pose_at(frame.exposed_ns).surface_to_frame(self.lens)

    def __enter__(self) -> SyntheticCamera:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()

    @property
    def _period_ns(self) -> float:
        return 1e9 / self._options.fps

    def _last(self) -> int | None:
        seconds = self._options.seconds
        return None if seconds is None else max(1, round(seconds * self._options.fps))

    def _next(self, number: int) -> int | None:
        """The number of the frame after ``number``, the newest one when live; None at the end or when closed."""
        upcoming = number + 1
        if self.live:
            elapsed_ns = self._clock.monotonic_ns() - self.track.start_ns - self._options.exposure_us * 500
            upcoming = max(upcoming, math.floor(elapsed_ns / self._period_ns))
        if self._options.drop_every is not None and (upcoming + 1) % self._options.drop_every == 0:
            upcoming += 1
        last = self._last()
        if self._closed.is_set() or (last is not None and upcoming >= last):
            return None
        return upcoming if not self.live or self._await(upcoming) else None

    def _await(self, number: int) -> bool:
        """Wait until the exposure of frame ``number`` has ended; False when closed first."""
        ready_ns = self._exposed_ns(number) + self._options.exposure_us * 500
        while not self._closed.is_set():
            left_ns = ready_ns - self._clock.monotonic_ns()
            if left_ns <= 0:
                return True
            self._clock.wait(self._closed, left_ns / 1e9)
        return False

    def _hang(self) -> None:
        while not self._clock.wait(self._closed, self._period_ns / 1e9):
            pass

    def _exposed_ns(self, number: int) -> int:
        return self.track.start_ns + round(number * self._period_ns)

    def _frame(self, number: int, rgb: RGB) -> Frame:
        name = None if self.live else f"frame_{number:06d}"
        exposed_ns = self._exposed_ns(number)
        exposure_us, tone = self._options.exposure_us, self._options.tone
        return Frame(seq=number, exposed_ns=exposed_ns, exposure_us=exposure_us, rgb=rgb, name=name, tone=tone)

    def _expose(self, number: int) -> RGB:
        shape = (self.lens.height_px, self.lens.width_px)
        at_ns = self._exposed_ns(number)
        homography = self.track.pose_at(at_ns).surface_to_frame(self.lens)
        rng = np.random.default_rng([self._options.seed, 31, number])
        light = gain(self.scene, homography, shape)
        if self._options.lens_blur_px:
            light = np.asarray(cv2.GaussianBlur(light, (0, 0), self._options.lens_blur_px), np.float32)
        if self._options.blur:
            # The colour map below is soft: only the sharp gain can show a smear of a few pixels.
            light = smear(light, self.track.smear_px(at_ns, self._options.exposure_us, self.lens))
        light *= self._vignette * np.float32(1 + 0.02 * rng.standard_normal())
        picture = colours(self.scene, homography, shape) * light[..., None]
        if self._noise is not None:
            picture = with_noise(picture, self._noise, rng)
        return developed(picture, self._options.tone, self._options.sharpen, self._options.jpeg_quality)
