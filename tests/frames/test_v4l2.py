import logging
import os
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.frames import kernel_time, v4l2
from edge.frames.v4l2 import Options, V4l2Camera, configure, device_path, open_camera
from edge.support.clock import ManualClock
from edge.support.errors import DeviceError, UsageError

PATH = Path("/dev/video7")
SECOND = 1_000_000_000


def clock_at(seconds: float) -> ManualClock:
    return ManualClock(datetime(2026, 1, 1, tzinfo=timezone.utc), monotonic_ns=round(seconds * SECOND))


@pytest.fixture(autouse=True)
def never_suspended(monkeypatch):
    monkeypatch.setattr(v4l2, "suspended_ns", lambda: 0)


def film(path: Path, count: int = 6) -> Path:
    """A Motion-JPEG film: what a USB camera sends, one JPEG per frame. Red above; 25 frames per second."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    for index in range(count):
        bgr = np.full((48, 64, 3), 10 * index, np.uint8)
        bgr[:16] = (0, 0, 255)
        writer.write(bgr)
    writer.release()
    return path


def decoded(path: Path) -> cv2.VideoCapture:
    """A real capture that converts to BGR, as OpenCV does for a YUYV camera."""
    return cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)


def compressed(path: Path) -> cv2.VideoCapture:
    """A real capture that hands out JPEG bytes, as OpenCV does for an MJPG camera with conversion off."""
    return cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])


@pytest.mark.parametrize("source", [decoded, compressed])
def test_frames_are_red_first_and_counted(tmp_path, source):
    with V4l2Camera(source(film(tmp_path / "a.avi")), PATH, Options(), clock_at(0.5)) as camera:
        assert camera.live
        assert camera.frame_count is None
        assert camera.skipped == ()
        frames = []
        with pytest.raises(DeviceError, match="/dev/video7 delivers no frames"):
            frames.extend(camera.frames())
    assert [frame.seq for frame in frames] == list(range(6))
    assert np.abs(frames[3].rgb[4, 4].astype(int) - (255, 0, 0)).max() < 24
    assert abs(int(frames[3].rgb[40, 40, 0]) - 30) < 8


def test_the_drivers_stamp_is_the_time_of_exposure(tmp_path):
    # The film's own time, 0 to 200 ms, plays the driver's; frames are read at 0.5 s.
    with V4l2Camera(decoded(film(tmp_path / "a.avi")), PATH, Options(), clock_at(0.5)) as camera:
        source = camera.frames()
        times = [next(source).exposed_ns for _ in range(6)]
    assert times == pytest.approx([index * 40_000_000 for index in range(6)], abs=1000)


def test_half_of_a_fixed_exposure_is_taken_off(tmp_path):
    options = Options(exposure_us=8000)
    with V4l2Camera(decoded(film(tmp_path / "a.avi")), PATH, options, clock_at(0.5)) as camera:
        source = camera.frames()
        next(source)
        frame = next(source)
    assert frame.exposed_ns == pytest.approx(40_000_000 - 4_000_000, abs=1000)
    assert frame.exposure_us == 8000


def test_a_stamp_of_another_clock_is_not_believed_and_told_once(tmp_path, caplog):
    options = Options(exposure_us=8000)
    with V4l2Camera(decoded(film(tmp_path / "a.avi")), PATH, options, clock_at(5000)) as camera:
        source = camera.frames()
        times = [next(source).exposed_ns for _ in range(3)]
    assert times == [5000 * SECOND - 4_000_000] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "/dev/video7: the driver's time stamps are unusable; frames carry the time of reading"
    ]


def test_a_stamp_of_a_suspended_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(v4l2, "suspended_ns", lambda: 3600 * SECOND)

    class BootTime:
        """A film whose stamps are an hour ahead of the monotonic clock."""

        def __init__(self):
            self.film = decoded(film(tmp_path / "a.avi"))
            self.grab, self.retrieve, self.release, self.set = (
                self.film.grab,
                self.film.retrieve,
                self.film.release,
                self.film.set,
            )

        def get(self, prop):
            return self.film.get(prop) + 3600_000 * (prop == cv2.CAP_PROP_POS_MSEC)

    with V4l2Camera(BootTime(), PATH, Options(), clock_at(0.5)) as camera:
        source = camera.frames()
        next(source)
        assert next(source).exposed_ns == pytest.approx(40_000_000, abs=1000)


def test_jpegs_cut_short_on_the_bus_are_left_out_and_leave_a_gap(tmp_path):
    class LossyBus:
        """Every third JPEG loses its second half, as with a bad USB cable."""

        def __init__(self):
            self.film = compressed(film(tmp_path / "a.avi", 9))
            self.grab, self.get, self.set, self.release = (
                self.film.grab,
                self.film.get,
                self.film.set,
                self.film.release,
            )
            self.taken = 0

        def retrieve(self):
            ok, buffer = self.film.retrieve()
            self.taken += 1
            data = buffer.ravel()
            return ok, data[: len(data) // 2] if self.taken % 3 == 0 else data

    frames = []
    with (
        V4l2Camera(LossyBus(), PATH, Options(), clock_at(0.5)) as camera,
        pytest.raises(DeviceError, match="delivers no frames"),
    ):
        frames.extend(camera.frames())
    assert [frame.seq for frame in frames] == [0, 1, 3, 4, 6, 7]


class Bus:
    """A driver that hands out these frames and then only damaged ones."""

    def __init__(self, *good: bool):
        self.good = iter(good)
        self.grabs = 0

    def grab(self):
        self.grabs += 1
        return True

    def retrieve(self):
        return next(self.good, False), np.zeros((4, 6, 3), np.uint8)

    def get(self, prop):
        return 0.0

    def release(self):
        pass


@pytest.mark.parametrize("good", [(), (*[False] * 29, True)])
def test_nothing_but_damaged_frames_is_a_failure(good):
    bus, frames = Bus(*good), []
    with (
        V4l2Camera(bus, PATH, Options(), clock_at(0.5)) as camera,
        pytest.raises(DeviceError, match="30 damaged frames in a row"),
    ):
        frames.extend(camera.frames())
    assert len(frames) == sum(good)
    assert bus.grabs == len(good) + 30


class Bench:
    """The property half of ``cv2.VideoCapture`` for a camera with these sizes and controls."""

    def __init__(self, sizes=((1280, 720),), formats=("MJPG", "YUYV"), controls=(), fps=30.0):
        self.sizes, self.formats, self.controls = sizes, formats, controls
        self.asked: list[tuple[int, float]] = []
        self.state = {
            cv2.CAP_PROP_FRAME_WIDTH: 640.0,
            cv2.CAP_PROP_FRAME_HEIGHT: 480.0,
            cv2.CAP_PROP_FPS: fps,
            cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*formats[0]),
        }
        self.wanted_width = 0.0

    def set(self, prop, value):
        self.asked.append((prop, value))
        if prop == cv2.CAP_PROP_FRAME_WIDTH:
            self.wanted_width = value
        elif prop == cv2.CAP_PROP_FRAME_HEIGHT:
            width, height = min(self.sizes, key=lambda size: abs(size[0] - self.wanted_width) + abs(size[1] - value))
            self.state[cv2.CAP_PROP_FRAME_WIDTH], self.state[cv2.CAP_PROP_FRAME_HEIGHT] = width, height
        elif prop == cv2.CAP_PROP_FOURCC and int(value).to_bytes(4, "little").decode() in self.formats:
            self.state[prop] = value
        elif prop not in (cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_FPS, cv2.CAP_PROP_BUFFERSIZE, cv2.CAP_PROP_CONVERT_RGB):
            return prop in self.controls
        return True

    def get(self, prop):
        return self.state.get(prop, 0.0)


def test_the_camera_is_asked_for_everything():
    exposure = (cv2.CAP_PROP_AUTO_EXPOSURE, cv2.CAP_PROP_EXPOSURE)
    focus = (cv2.CAP_PROP_AUTOFOCUS, cv2.CAP_PROP_FOCUS)
    bench = Bench(controls=(*exposure, cv2.CAP_PROP_GAIN, *focus))
    configure(bench, PATH, Options(fps=30.0, exposure_us=2000, gain=12, focus=40))
    assert bench.asked == [
        (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")),
        (cv2.CAP_PROP_FRAME_WIDTH, 1280),
        (cv2.CAP_PROP_FRAME_HEIGHT, 720),
        (cv2.CAP_PROP_FPS, 30.0),
        (cv2.CAP_PROP_BUFFERSIZE, 2),
        (cv2.CAP_PROP_CONVERT_RGB, 0),
        (cv2.CAP_PROP_AUTO_EXPOSURE, 1),
        (cv2.CAP_PROP_EXPOSURE, 20),
        (cv2.CAP_PROP_GAIN, 12),
        (cv2.CAP_PROP_AUTOFOCUS, 0),
        (cv2.CAP_PROP_FOCUS, 40),
    ]


def test_yuyv_is_converted_by_opencv():
    bench = Bench()
    configure(bench, PATH, Options(fourcc="YUYV"))
    assert cv2.CAP_PROP_CONVERT_RGB not in dict(bench.asked)


def test_another_size_is_refused():
    with pytest.raises(DeviceError, match=r"asked for 1280x720 MJPG, the camera gives 1024x768; .*any_size = true"):
        configure(Bench(sizes=((640, 480), (1024, 768))), PATH, Options())


def test_another_size_is_accepted_when_allowed(caplog):
    configure(Bench(sizes=((640, 480),)), PATH, Options(any_size=True))
    assert "the camera gives 640x480" in caplog.text


def test_another_pixel_format_is_refused():
    with pytest.raises(DeviceError, match='asked for MJPG, the camera gives YUYV; set fourcc = "YUYV"'):
        configure(Bench(formats=("YUYV",)), PATH, Options())


def test_the_advice_for_a_camera_of_neither_format_names_those_that_are_read():
    with pytest.raises(DeviceError, match=r'gives NV12; MJPG and YUYV are read; .*backend = "video"'):
        configure(Bench(formats=("NV12",)), PATH, Options())


def test_another_rate_is_told(caplog):
    configure(Bench(fps=15.0), PATH, Options(fps=30.0))
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "asked for 30 frames per second, the camera gives 15" in caplog.text


@pytest.mark.parametrize("option", ["exposure_us", "gain", "focus"])
def test_a_control_the_camera_lacks_is_named(option):
    with pytest.raises(DeviceError, match=f"does not take {option}; leave it out"):
        configure(Bench(), PATH, Options(**{option: 500}))


def test_no_such_device(tmp_path):
    with pytest.raises(DeviceError, match=r"no .*/video3; plug the camera in, .*v4l2-ctl --list-devices; found: "):
        open_camera(Options(device=str(tmp_path / "video3")), clock_at(0))


def test_a_file_is_no_device(tmp_path):
    (tmp_path / "video0").touch()
    with pytest.raises(DeviceError, match="is not a camera device"):
        open_camera(Options(device=str(tmp_path / "video0")), clock_at(0))


def test_a_device_of_another_kind():
    with pytest.raises(DeviceError, match="/dev/null does not open as a camera"):
        open_camera(Options(device="/dev/null"), clock_at(0))


def test_a_device_without_permission(monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the tests may run as root, whom nothing is denied
    with pytest.raises(DeviceError, match="/dev/null: permission denied; run: sudo usermod -aG video"):
        open_camera(Options(device="/dev/null"), clock_at(0))


@pytest.mark.parametrize(
    ("device", "path"), [(0, "/dev/video0"), ("2", "/dev/video2"), ("/dev/v4l/by-id/usb-cam", "/dev/v4l/by-id/usb-cam")]
)
def test_device_names(device, path):
    assert device_path(device) == Path(path)


@pytest.mark.parametrize("wrong", [{"width_px": 0}, {"height_px": -720}, {"fps": 0.0}, {"exposure_us": 50}])
def test_impossible_options(wrong):
    with pytest.raises(UsageError, match="needs"):
        Options(**wrong)


def test_stamps():
    now_ns = 100 * SECOND
    on = kernel_time.on_monotonic
    assert on(99 * SECOND + 1, now_ns, 0) == 99 * SECOND + 1
    assert on(now_ns, now_ns, 0) == now_ns
    assert on(99 * SECOND - 1, now_ns, 0) is None
    assert on(now_ns + 1, now_ns, 0) is None
    assert on(159 * SECOND + 7, now_ns, 60 * SECOND) == 99 * SECOND + 7
    assert on(99 * SECOND + 7, now_ns, 60 * SECOND) == 99 * SECOND + 7
    assert on(0, now_ns, 0) is None


def test_time_suspended_is_not_negative():
    assert kernel_time.suspended_ns() > -1_000_000  # both clocks are read one after the other
