"""The Pi camera against a stand-in for the vendor's module, with picamera2's contract of requests and jobs.

The stand-in lays pictures out as libcamera does (rows padded, BGR888 red first, planar YUV at full range), hands out
no more requests than it has buffers, and times out instead of waiting, so nothing here sleeps.
"""

import importlib.util
import sys
import types
from datetime import datetime, timezone

import numpy as np
import pytest

from edge.frames import picamera
from edge.frames.picamera import Options, open_camera
from edge.support.clock import ManualClock
from edge.support.errors import DeviceError, UsageError
from tests.frames.fake_picamera2 import FRAME_US, MS, SENSOR, START_NS, Device, metadata, paint


@pytest.fixture
def clock(monkeypatch) -> ManualClock:
    """20 ms after the first row of the first frame was read out."""
    monkeypatch.setattr(picamera, "suspended_ns", lambda: 0)
    return ManualClock(datetime(2026, 1, 1, tzinfo=timezone.utc), monotonic_ns=START_NS + 20 * MS)


@pytest.fixture
def device(monkeypatch) -> type[Device]:
    """The stand-in modules in place; the class, for the test to set up."""
    fresh = type("Picamera2", (Device,), {"script": [metadata(index) for index in range(4)]})  # attributes of its own
    libcamera = types.ModuleType("libcamera")
    libcamera.Transform = lambda hflip=0, vflip=0: ("transform", hflip, vflip)
    libcamera.ColorSpace = types.SimpleNamespace(Sycc=lambda: "sYCC")
    libcamera.controls = types.SimpleNamespace(AfModeEnum=types.SimpleNamespace(Manual=0, Continuous=2))
    module = types.ModuleType("picamera2")
    module.Picamera2 = fresh
    monkeypatch.setitem(sys.modules, "libcamera", libcamera)
    monkeypatch.setitem(sys.modules, "picamera2", module)
    return fresh


def read(camera, count: int) -> list:
    source = camera.frames()
    return [next(source) for _ in range(count)]


@pytest.mark.parametrize(
    ("given", "wanted_s"),
    [({}, 5.0), ({"timeout_s": 12.0}, 12.0), ({"fps": 0.1}, 30.0), ({"fps": 0.5, "exposure_us": 4_000_000}, 12.0)],
)
def test_it_waits_as_configured_or_for_three_frames_of_a_slow_sensor(device, clock, given, wanted_s):
    with open_camera(Options(**given), clock) as camera:
        assert camera.timeout_s == wanted_s


def test_colours_size_and_identity(device, clock):
    with open_camera(Options(), clock) as camera:
        assert camera.live
        assert camera.frame_count is None
        assert camera.skipped == ()
        frames = read(camera, 4)
    np.testing.assert_array_equal(frames[0].rgb, paint(SENSOR))
    assert [frame.seq for frame in frames] == [0, 1, 2, 3]
    assert frames[0].lores is None
    assert frames[0].exposure_us == 8000
    assert frames[0].name is None


@pytest.mark.parametrize("lores_width_px", [128, 100, 66])
def test_second_stream_is_the_same_picture_smaller(device, clock, lores_width_px):
    with open_camera(Options(lores_width_px=lores_width_px), clock) as camera:
        (frame,) = read(camera, 1)
    height = 2 * round(lores_width_px * SENSOR[1] / SENSOR[0] / 2)
    assert frame.lores.shape == (height, lores_width_px, 3)
    wanted = paint((lores_width_px, height)).astype(int)
    away_from_edges = np.zeros(wanted.shape[:2], bool)
    for y in (slice(0, height // 2 - 3), slice(height // 2 + 3, height)):
        for x in (slice(0, lores_width_px // 2 - 3), slice(lores_width_px // 2 + 3, lores_width_px)):
            away_from_edges[y, x] = True
    assert np.abs(frame.lores - wanted)[away_from_edges].max() <= 3


@pytest.mark.parametrize(("form", "within"), [("BGR888", 0), ("XBGR8888", 0), ("YUV420", 3), ("NV12", 3)])
def test_every_format_is_the_same_picture(device, clock, form, within):
    with open_camera(Options(format=form, width_px=100, height_px=80), clock) as camera:
        (frame,) = read(camera, 1)
    assert frame.rgb.flags.c_contiguous
    away_from_edges = np.ix_([*range(37), *range(43, 80)], [*range(47), *range(53, 100)])
    assert np.abs(frame.rgb - paint((100, 80)).astype(int))[away_from_edges].max() <= within


def test_a_camera_without_a_raw_stream(device, clock):
    with open_camera(Options(raw=False), clock) as camera:
        read(camera, 1)
    assert Device.last.configuration["raw"] is None
    with pytest.raises(UsageError, match="raw is false"):
        Options(raw=False, sensor_width_px=100, sensor_height_px=80)


def test_a_format_that_the_camera_changes_is_refused(device, clock, monkeypatch):
    given = Device.camera_configuration
    monkeypatch.setattr(
        device, "camera_configuration", lambda self: {**given(self), "main": given(self)["main"] | {"format": "NV12"}}
    )
    with pytest.raises(DeviceError, match="asked the camera for BGR888, it gives NV12; set format to what it offers"):
        open_camera(Options(), clock)


def test_every_request_goes_back(device, clock):
    device.script = [metadata(index) for index in range(50)]
    with open_camera(Options(buffer_count=2), clock) as camera:
        read(camera, 50)
        assert Device.last.out == 0


def test_a_request_goes_back_when_reading_it_fails(device, clock):
    with open_camera(Options(), clock) as camera:
        Device.last.configuration = Device.last.configuration | {"main": None}
        with pytest.raises(RuntimeError):
            read(camera, 1)
        assert Device.last.out == 0


def test_exposed_is_the_middle_of_the_exposure(device, clock):
    with open_camera(Options(), clock) as camera:
        (frame,) = read(camera, 1)
    assert frame.exposed_ns == START_NS - 4 * MS


def test_half_the_readout_is_added(device, clock):
    with open_camera(Options(readout_us=20_000), clock) as camera:
        (frame,) = read(camera, 1)
    assert frame.exposed_ns == START_NS - 4 * MS + 10 * MS


def test_a_boot_time_stamp_is_brought_back(device, clock, monkeypatch):
    asleep_ns = 7200 * 1_000_000_000
    monkeypatch.setattr(picamera, "suspended_ns", lambda: asleep_ns)
    device.script = [metadata(0, SensorTimestamp=START_NS + asleep_ns)]
    with open_camera(Options(), clock) as camera:
        (frame,) = read(camera, 1)
    assert frame.exposed_ns == START_NS - 4 * MS


@pytest.mark.parametrize("stamp", [1, START_NS // 1000, None])
def test_a_stamp_of_no_clock_is_not_believed(device, clock, caplog, stamp):
    device.script = [metadata(index, SensorTimestamp=stamp) for index in range(3)]
    if stamp is None:
        device.script = [{"ExposureTime": 8000} for _ in range(3)]
    with open_camera(Options(), clock) as camera:
        frames = read(camera, 3)
    assert [frame.exposed_ns for frame in frames] == [START_NS + 16 * MS] * 3
    assert [frame.seq for frame in frames] == [0, 1, 2]
    assert caplog.text.count("is unusable") == 1


def test_frames_the_sensor_took_and_nobody_got_are_gaps(device, clock):
    device.script = [metadata(index) for index in (0, 1, 4, 5, 15)]
    clock.advance(400 * MS)
    with open_camera(Options(), clock) as camera:
        assert [frame.seq for frame in read(camera, 5)] == [0, 1, 4, 5, 15]


def test_a_frame_rate_that_changes_is_no_gap(device, clock):
    slow = [metadata(0), metadata(1, FrameDuration=2 * FRAME_US), metadata(3, FrameDuration=2 * FRAME_US), metadata(5)]
    device.script = slow
    with open_camera(Options(), clock) as camera:
        assert [frame.seq for frame in read(camera, 4)] == [0, 1, 2, 3]


def test_a_stuck_camera_is_a_device_error_and_can_be_closed(device, clock):
    device.script = [metadata(0)]
    with open_camera(Options(timeout_s=3.0), clock) as camera:
        with pytest.raises(DeviceError, match="camera 0 gave no frame for 3 s; check the ribbon cable"):
            read(camera, 2)
        assert Device.last.jobs == []
    assert Device.last.closed


def test_an_error_inside_picamera2_is_a_device_error(device, clock):
    device.error = RuntimeError("dequeue timer expired")
    camera = open_camera(Options(), clock)
    with pytest.raises(DeviceError, match="dequeue timer expired"):
        read(camera, 1)


def test_after_closing_no_frames_come(device, clock):
    with open_camera(Options(), clock) as camera:
        source = camera.frames()
        next(source)
    assert Device.last.closed
    with pytest.raises(DeviceError, match="was closed"):
        next(source)
    camera.__exit__(None, None, None)


def test_what_the_camera_is_asked_for(device, clock):
    device.controls_it_has = (*Device.controls_it_has, "AfMode", "LensPosition")
    options = Options(
        width_px=128,
        height_px=96,
        sensor_width_px=200,
        sensor_height_px=150,
        fps=20.0,
        exposure_us=500,
        gain=2.0,
        focus_m=4.0,
        hflip=True,
        vflip=True,
        buffer_count=3,
    )
    with open_camera(options, clock):
        asked = Device.last.configuration
    assert (asked["main"]["size"], asked["main"]["format"]) == ((128, 96), "BGR888")
    assert asked["raw"] == {"size": (200, 150)}
    assert asked["transform"] == ("transform", 1, 1)
    assert asked["colour_space"] == "sYCC"
    assert asked["buffer_count"] == 3
    assert asked["controls"] == {
        "FrameDurationLimits": (50_000, 50_000),
        "ExposureTime": 500,
        "AnalogueGain": 2.0,
        "AeEnable": False,
        "AfMode": 0,
        "LensPosition": 0.25,
    }


def test_nothing_is_fixed_unless_asked(device, clock):
    with open_camera(Options(), clock):
        assert Device.last.configuration["controls"] == {}
        assert Device.last.configuration["raw"] == {"size": SENSOR}


def test_autofocus(device, clock):
    device.controls_it_has = ("AfMode",)
    with open_camera(Options(autofocus=True), clock):
        assert Device.last.configuration["controls"] == {"AfMode": 2}


def test_a_control_the_camera_lacks_is_named(device, clock):
    with pytest.raises(DeviceError, match="this camera has no AfMode; leave focus_m out"):
        open_camera(Options(focus_m=2.0), clock)
    assert Device.last.closed


def test_a_configuration_it_refuses(device, clock):
    with pytest.raises(DeviceError, match="refuses its configuration"):
        open_camera(Options(width_px=9000, height_px=9000), clock)
    assert Device.last.closed


def test_another_size_than_asked_for(device, clock, monkeypatch):
    def adjusted(self, configuration):
        self.configuration = configuration | {"main": configuration["main"] | {"size": (128, 80)}}

    monkeypatch.setattr(device, "configure", adjusted)
    with pytest.raises(DeviceError, match="asked the camera for 128x96, it gives 128x80"):
        open_camera(Options(width_px=128, height_px=96), clock)
    assert Device.last.closed


@pytest.mark.parametrize(("cameras", "number"), [(0, 0), (1, 1), (2, -1)])
def test_no_such_camera(device, clock, cameras, number):
    device.cameras = cameras
    with pytest.raises(DeviceError, match=f"camera {number} is not there, {cameras} found; check the ribbon cable"):
        open_camera(Options(number=number), clock)


def test_a_camera_in_use(device, clock):
    device.busy = True
    with pytest.raises(DeviceError, match=r"camera 0 does not open .*stop whatever else uses it"):
        open_camera(Options(), clock)


@pytest.mark.skipif(importlib.util.find_spec("picamera2") is not None, reason="picamera2 is installed here")
def test_without_picamera2(clock):
    with pytest.raises(DeviceError, match=r"apt install python3-picamera2.*--system-site-packages"):
        open_camera(Options(), clock)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"width_px": 640}, "width_px and height_px come together"),
        ({"sensor_height_px": 640}, "sensor_width_px and sensor_height_px come together"),
        ({"width_px": 641, "height_px": 480}, "width_px is 641; needs an even number"),
        ({"lores_width_px": -2}, "lores_width_px is -2"),
        ({"fps": 0.0}, "fps is 0.0; needs a number above 0"),
        ({"focus_m": 0.0}, "focus_m is 0.0"),
        ({"autofocus": True, "focus_m": 2.0}, "exclude each other"),
    ],
)
def test_impossible_options(wrong, told):
    with pytest.raises(UsageError, match=told):
        Options(**wrong)


@pytest.mark.parametrize(("tone", "half"), [("srgb", 188), ("linear", 127.5)])  # 0.735 is the sRGB code of light 0.5
def test_a_plain_tone_curve_replaces_that_of_the_tuning(device, clock, tone, half):
    with open_camera(Options(tone=tone), clock) as camera:
        [frame] = read(camera, 1)
    assert frame.tone == tone
    contrast = Device.last.tuning["algorithms"][1]["rpi.contrast"]
    light, code = contrast["gamma_curve"][::2], contrast["gamma_curve"][1::2]
    assert contrast["ce_enable"] == 0
    assert (light[0], code[0], light[-1], code[-1]) == (0, 0, 65535, 65535)
    assert np.interp(32767.5, light, code) / 257 == pytest.approx(half, abs=0.6)


def test_the_cameras_own_tuning_stays_unless_asked(device, clock):
    with open_camera(Options(), clock) as camera:
        assert read(camera, 1)[0].tone == "srgb"
    assert Device.last.tuning is None


def test_sharpening_can_be_turned_off_or_is_not_there(device, clock):
    with pytest.raises(DeviceError, match="has no Sharpness; leave sharpness out"):
        open_camera(Options(sharpness=0.0), clock)
    device.controls_it_has = (*Device.controls_it_has, "Sharpness")
    with open_camera(Options(sharpness=0.0), clock):
        assert Device.last.configuration["controls"]["Sharpness"] == 0.0
