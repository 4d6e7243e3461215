"""A Raspberry Pi camera through picamera2 (libcamera).

One request carries the full picture and, where asked for, a smaller one of the same exposure and field of view.
Facts this module rests on (picamera2's source and manual): format ``BGR888`` has red first in memory;
``SensorTimestamp`` is when the first row was read out, so its exposure ended then; a request that is not released
starves the camera; on a Pi 4 the second stream can only be YUV.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import TimeoutError as JobTimeoutError
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edge.frames import RGB, Frame, SkippedFrame, Tone, longest_wait_s
from edge.frames.kernel_time import on_monotonic, suspended_ns
from edge.frames.tone import srgb_codes
from edge.support.clock import Clock
from edge.support.errors import DeviceError, UsageError

log = logging.getLogger(__name__)

_BAND_PX = 128  # even; a band of luma and colours stays in the cache

_INSTALL = (
    "run: sudo apt install python3-picamera2, and use a Python environment made with --system-site-packages "
    "(on Raspberry Pi OS Bookworm with numpy below 2)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Which camera, and what it is asked for. Sizes are even numbers."""

    number: int = 0
    """Which camera, as rpicam-hello --list-cameras counts them."""
    width_px: int | None = None
    """Columns of the picture; None: all the sensor has."""
    height_px: int | None = None
    """Lines of the picture; None: all the sensor has."""
    format: Literal["BGR888", "XBGR8888", "YUV420", "NV12"] = "BGR888"
    """What the camera is asked for: BGR888 and XBGR8888 are RGB in memory; YUV420 and NV12 take half the memory bus
    and are turned into RGB here; a USB or virtual camera often has one of them alone."""
    raw: bool = True
    """Choose the sensor's mode by a raw stream; false for a camera that has none, as one on USB."""
    lores_width_px: int | None = None
    """Columns of a second, smaller picture in the same shape for the network; None: no second picture."""
    sensor_width_px: int | None = None
    """Columns of the sensor mode; None: the full mode, whose field of view is the lens's. Smaller modes are faster
    but some crop, which changes millimetres per pixel."""
    sensor_height_px: int | None = None
    """Lines of the sensor mode; None: the full mode."""
    fps: float | None = None
    """Fixed frames per second; None: as fast as the mode and the exposure allow."""
    exposure_us: int | None = None
    """Fixed exposure, microseconds; None: automatic."""
    gain: float | None = None
    """Fixed analogue gain, 1 or more; None: automatic."""
    focus_m: float | None = None
    """Fixed focus distance, metres, for a lens that moves; None: as the camera has it."""
    autofocus: bool = False
    """Focus all the time. Not with ``focus_m``."""
    sharpness: float | None = None
    """Sharpening by the camera, 1 being its usual amount; 0, none, is best for widths. None: as the camera has it."""
    tone: Tone | None = None
    """``srgb`` or ``linear``: the tone curve of the camera's tuning, which adds contrast of its own, is replaced by
    this one; None: it stays, and is read as sRGB, which it resembles."""
    readout_us: int = 0
    """Time from the first row's readout to the last one's, microseconds; half of it is added to ``exposed_ns``, which
    is then the middle row's. 0: unknown or global shutter."""
    hflip: bool = False
    """Mirror left and right."""
    vflip: bool = False
    """Mirror top and bottom (both flips: mounted upside down)."""
    buffer_count: int = 4
    """Buffers the camera cycles through; each holds a full picture."""
    timeout_s: float = 5.0
    """Longest wait for a frame, seconds (three frame periods where that is longer); then the camera counts as gone."""

    def __post_init__(self) -> None:
        for first, second in (("width_px", "height_px"), ("sensor_width_px", "sensor_height_px")):
            if (getattr(self, first) is None) != (getattr(self, second) is None):
                raise UsageError(f"{first} and {second} come together; give both or neither")
        for name in ("width_px", "height_px", "lores_width_px", "sensor_width_px", "sensor_height_px"):
            value = getattr(self, name)
            if value is not None and (value <= 0 or value % 2):
                raise UsageError(f"{name} is {value}; needs an even number above 0")
        for name in ("fps", "exposure_us", "gain", "focus_m", "timeout_s", "buffer_count"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise UsageError(f"{name} is {value}; needs a number above 0")
        if not self.raw and self.sensor_width_px is not None:
            raise UsageError("sensor_width_px chooses a raw mode and raw is false; leave one of them out")
        if self.autofocus and self.focus_m is not None:
            raise UsageError("autofocus and focus_m exclude each other; give one of them")


def open_camera(options: Options, clock: Clock) -> PiCamera:
    """Configure and start the camera; raises DeviceError saying what is missing and what to do."""
    try:
        import libcamera
        from picamera2 import Picamera2
    except (ImportError, ValueError) as error:  # ValueError: apt's simplejpeg built for another numpy
        raise DeviceError(f"picamera2 cannot be imported ({error}); {_INSTALL}") from error
    found = Picamera2.global_camera_info()
    if not 0 <= options.number < len(found):
        raise DeviceError(
            f"camera {options.number} is not there, {len(found)} found; check the ribbon cable at both ends, then run "
            "rpicam-hello --list-cameras"
        )
    try:
        tuning = None if options.tone is None else _tuning(Picamera2, found[options.number], options.tone)
        device = Picamera2(options.number, tuning=tuning)
    except RuntimeError as error:
        raise DeviceError(f"camera {options.number} does not open ({error}); stop whatever else uses it") from error
    try:
        _start(device, libcamera, options)
    except RuntimeError as error:  # how picamera2 says that a configuration does not fit; DeviceError passes through
        device.close()
        raise DeviceError(f"camera {options.number} refuses its configuration ({error})") from error
    except DeviceError:
        device.close()
        raise
    return PiCamera(device, options, clock)


def _tuning(picamera2: Any, info: Mapping[str, Any], tone: Tone) -> Any:
    """The camera's own tuning with a plain curve in it, and without contrast that follows the picture."""
    model = info["Model"]
    try:
        tuning = picamera2.load_tuning_file(f"{model}.json")
        contrast = picamera2.find_tuning_algo(tuning, "rpi.contrast")
    except (RuntimeError, StopIteration) as error:
        raise DeviceError(f"no tuning with a tone curve is installed for {model}; leave tone out") from error
    light = np.linspace(0, 1, 65)
    curve = srgb_codes(light.astype(np.float32)) / 255 if tone == "srgb" else light
    points = np.rint(65535 * np.column_stack((light, curve))).astype(int)
    contrast.update(ce_enable=0, gamma_curve=points.ravel().tolist())
    return tuning


def _start(device: Any, libcamera: Any, options: Options) -> None:
    sensor = tuple(device.sensor_resolution)
    main = (options.width_px or sensor[0], options.height_px or sensor[1])
    controls = _controls(options, libcamera)
    for control, option in controls.items():
        if control not in device.camera_controls:
            raise DeviceError(f"this camera has no {control}; leave {option[0]} out of the configuration")
    configuration = device.create_video_configuration(
        main={"size": main, "format": options.format},
        lores=None if options.lores_width_px is None else _lores(main, options.lores_width_px),
        # The sensor mode is chosen by the raw stream: without it a small picture may come from a cropped mode.
        raw={"size": (options.sensor_width_px or sensor[0], options.sensor_height_px or sensor[1])}
        if options.raw
        else None,
        transform=libcamera.Transform(hflip=int(options.hflip), vflip=int(options.vflip)),
        colour_space=libcamera.ColorSpace.Sycc(),  # full range: what _rgb_from_yuv undoes
        buffer_count=options.buffer_count,
        controls={control: value for control, (_, value) in controls.items()},
        display=None,
        encode=None,
    )
    device.configure(configuration)
    given = tuple(device.camera_configuration()["main"]["size"])
    if given != main:
        raise DeviceError(f"asked the camera for {main[0]}x{main[1]}, it gives {given[0]}x{given[1]}; set that size")
    form = device.camera_configuration()["main"]["format"]
    if form != options.format:
        raise DeviceError(f"asked the camera for {options.format}, it gives {form}; set format to what it offers")
    device.start()


def _lores(main: tuple[int, int], width_px: int) -> dict[str, Any]:
    """The second stream in the shape of the first: of another shape it would be stretched or cropped."""
    return {"size": (width_px, 2 * round(width_px * main[1] / main[0] / 2)), "format": "YUV420"}


def _controls(options: Options, libcamera: Any) -> dict[str, tuple[str, Any]]:
    """libcamera control: (the option behind it, its value)."""
    controls: dict[str, tuple[str, Any]] = {}
    if options.fps is not None:
        frame_us = round(1e6 / options.fps)
        controls["FrameDurationLimits"] = ("fps", (frame_us, frame_us))
    if options.exposure_us is not None:
        controls["ExposureTime"] = ("exposure_us", options.exposure_us)
    if options.gain is not None:
        controls["AnalogueGain"] = ("gain", options.gain)
    if options.exposure_us is not None and options.gain is not None:
        controls["AeEnable"] = ("exposure_us and gain", False)
    if options.sharpness is not None:
        controls["Sharpness"] = ("sharpness", options.sharpness)
    if options.autofocus:
        controls["AfMode"] = ("autofocus", libcamera.controls.AfModeEnum.Continuous)
    if options.focus_m is not None:
        controls["AfMode"] = ("focus_m", libcamera.controls.AfModeEnum.Manual)
        controls["LensPosition"] = ("focus_m", 1.0 / options.focus_m)  # dioptres
    return controls


class PiCamera:
    """See ``edge.frames.Camera``; made by ``open_camera``."""

    def __init__(self, device: Any, options: Options, clock: Clock) -> None:
        self._device = device
        self._options = options
        self._clock = clock
        self._name = f"camera {options.number}"
        self._timeout_s = longest_wait_s(options.timeout_s, options.fps, options.exposure_us)
        self._main = device.camera_configuration()["main"]
        self._lores = device.camera_configuration()["lores"]
        self._seq = 0
        self._last: Mapping[str, Any] | None = None
        self._stamp_doubted = False
        self._open = True

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
        """Empty: a sensor's lost frames have no names; they show as gaps in ``seq``."""
        return ()

    def frames(self) -> Iterator[Frame]:
        """Yield each frame the sensor delivers; raises DeviceError when none comes within ``timeout_s``."""
        while True:
            request = self._request()
            try:
                metadata = request.get_metadata()
                arrived_ns = self._clock.monotonic_ns()
                # Copied at once: camera memory is slow to read and the camera wants it back.
                rgb = self._picture(request)
                lores = None if self._lores is None else request.make_buffer("lores")
            finally:
                request.release()
            self._count(metadata)
            yield Frame(
                seq=self._seq,
                exposed_ns=self._exposed_ns(metadata, arrived_ns),
                exposure_us=metadata.get("ExposureTime"),
                rgb=rgb,
                tone=self._options.tone or "srgb",
                lores=None if lores is None else _rgb_from_yuv(lores, self._lores),
            )

    def _picture(self, request: Any) -> RGB:
        if self._options.format in ("YUV420", "NV12"):
            return _rgb_from_yuv(request.make_buffer("main"), self._main)
        picture = request.make_array("main")
        return np.ascontiguousarray(picture[:, :, :3])  # XBGR8888 has a fourth byte

    def _request(self) -> Any:
        if not self._open:
            raise DeviceError(f"{self._name} was closed; open it again to read on")
        job = self._device.capture_request(wait=False)
        try:
            return job.get_result(timeout=self._timeout_s)
        except RuntimeError as error:
            raise DeviceError(f"{self._name} failed ({error}); it has to be opened again") from error
        except JobTimeoutError as error:
            self._device.cancel_all_and_flush()  # else closing would wait behind this job indefinitely
            raise DeviceError(
                f"{self._name} gave no frame for {self._timeout_s:g} s; check the ribbon cable and the power"
            ) from error

    def _count(self, metadata: Mapping[str, Any]) -> None:
        """Advance ``seq`` by the frames the sensor has exposed since the last one, told by its own time stamps."""
        last, self._last = self._last, metadata
        if last is None:
            return
        steps = 1
        # The longer of both durations: a frame rate that changes is not taken for a lost frame.
        frame_us = max(last.get("FrameDuration", 0), metadata.get("FrameDuration", 0))
        if frame_us and "SensorTimestamp" in last and "SensorTimestamp" in metadata:
            steps = round((metadata["SensorTimestamp"] - last["SensorTimestamp"]) / (1000 * frame_us))
        self._seq += max(1, steps)

    def _exposed_ns(self, metadata: Mapping[str, Any], arrived_ns: int) -> int:
        """Middle of the exposure of the middle row."""
        stamp_ns = metadata.get("SensorTimestamp")
        sensor_ns = None if stamp_ns is None else on_monotonic(stamp_ns, arrived_ns, suspended_ns())
        if sensor_ns is None and not self._stamp_doubted:
            self._stamp_doubted = True
            log.warning("%s: SensorTimestamp %s is unusable; frames carry their arrival", self._name, stamp_ns)
        begun_ns: int = arrived_ns if sensor_ns is None else sensor_ns
        exposure_us: int = metadata.get("ExposureTime", 0)
        return begun_ns - 500 * exposure_us + 500 * self._options.readout_us

    def __enter__(self) -> PiCamera:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open:
            self._open = False
            self._device.close()


def _rgb_from_yuv(buffer: npt.NDArray[np.uint8], stream: Mapping[str, Any]) -> RGB:
    """YUV 4:2:0 of full range as libcamera lays it out, rows padded to ``stride``, to RGB of the stream's size.

    YUV420 has U and V in planes of their own, with rows of half the stride; NV12 has them in turns. The buffer may be
    longer than the picture: the kernel hands out whole pages.

    OpenCV's own YUV420 conversion assumes video range (16 to 235) and no padding; its YCrCb is JPEG's, full range.
    Goes band by band, so that beside the result nothing of its size is made: at 12 megapixels 60 MB less.
    """
    import cv2

    (width, height), stride = stream["size"], stream["stride"]
    luma, chroma = stride * height, (stride // 2) * (height // 2)
    y = buffer[:luma].reshape(height, stride)[:, :width]
    colour = buffer[luma : luma + 2 * chroma]
    if stream["format"] == "NV12":
        planes = np.moveaxis(colour.reshape(height // 2, stride // 2, 2), 2, 0)[:, :, : width // 2]
    else:
        planes = colour.reshape(2, height // 2, stride // 2)[:, :, : width // 2]
    rgb = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _BAND_PX):
        bottom = min(height, top + _BAND_PX)
        first, last = max(0, top // 2 - 1), min(height // 2, bottom // 2 + 1)  # a row's colour lies between two rows
        size = width, 2 * (last - first)
        own = np.s_[top - 2 * first : bottom - 2 * first]
        u, v = (cv2.resize(np.ascontiguousarray(p[first:last]), size, interpolation=cv2.INTER_LINEAR) for p in planes)
        cv2.cvtColor(cv2.merge((y[top:bottom], v[own], u[own])), cv2.COLOR_YCrCb2RGB, dst=rgb[top:bottom])
    return rgb
