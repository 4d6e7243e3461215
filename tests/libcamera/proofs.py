"""Real picamera2 through edge/frames/picamera.py; run in the root that ``python -m tests.libcamera`` makes."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from picamera2 import Picamera2

from edge.frames.picamera import Options, open_camera
from edge.support.clock import SystemClock
from edge.support.errors import DeviceError

CLOCK = SystemClock()
FRAMES = int(os.environ.get("SPANHAWK_FRAMES", "10000"))
CONFIG = """\
vehicle = "drone1"
[camera]
backend = "picamera"
number = {number}
format = "NV12"
raw = false
fps = 5.0
[masks]
threads = 1
[navigation]
backend = "fixed"
lat_deg = 51.0543
lon_deg = 3.7174
[outbox]
path = "{folder}/outbox.db"
[flight]
evidence_dir = "{folder}/evidence"
max_temperature_deg_c = 1000.0
[mqtt]
url = "mqtt://localhost:1883"
"""


def number(model: str) -> int:
    return next(info["Num"] for info in Picamera2.global_camera_info() if info["Model"] == model)


def chart(**more: object) -> Options:
    return Options(number=number("chart"), **{"format": "NV12", "raw": False, "fps": 60.0, **more})


def handles() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_colours_are_those_of_the_picture_that_was_laid_out():
    wanted = cv2.imread("/var/lib/chart/000.jpg")[:, :, ::-1].astype(int)
    with open_camera(chart(), CLOCK) as camera:
        frames = [frame.rgb.astype(int) for frame in islice(camera.frames(), 6)]
    rows, columns = np.mgrid[60:480:120, 53:640:107]  # the middle of each of the 24 fields
    worst = [
        min(np.abs(frame - picture)[rows, columns].max() for picture in (wanted, wanted[:, ::-1])) for frame in frames
    ]
    print(f"worst of 24 colours, 8 bit levels: {worst}")
    assert max(worst) <= 4


def test_pictures_follow_each_other():
    with open_camera(chart(fps=10.0), CLOCK) as camera:
        frames = [frame.rgb for frame in islice(camera.frames(), 8)]
    changes = [np.abs(a.astype(int) - b).max() > 50 for a, b in pairwise(frames)]
    assert any(changes)


def test_exposure_is_on_the_monotonic_clock_and_just_past():
    with open_camera(chart(), CLOCK) as camera:
        lags_ms = [(CLOCK.monotonic_ns() - frame.exposed_ns) / 1e6 for frame in islice(camera.frames(), 60)]
    print(f"a frame is {min(lags_ms):.1f} to {max(lags_ms):.1f} ms old when it arrives")
    assert min(lags_ms) > 0
    assert np.median(lags_ms) < 500


def test_time_rises_with_every_frame():
    with open_camera(chart(), CLOCK) as camera:
        stamps = [frame.exposed_ns for frame in islice(camera.frames(), 200)]
    assert np.diff(stamps).min() > 0


@pytest.mark.parametrize("form", ["BGR888", "XBGR8888", "YUV420"])
def test_a_format_it_does_not_have_is_refused_by_name(form):
    with pytest.raises(DeviceError, match=f"asked the camera for {form}, it gives NV12; set format|refuses its conf"):
        open_camera(chart(format=form), CLOCK)
    with open_camera(chart(), CLOCK) as camera:  # and is free again
        next(camera.frames())


@pytest.mark.parametrize(
    ("options", "control"),
    [({"exposure_us": 1000}, "ExposureTime"), ({"gain": 2.0}, "AnalogueGain"), ({"focus_m": 3.0}, "AfMode"),
     ({"sharpness": 0.5}, "Sharpness")],
)  # fmt: skip
def test_a_control_it_does_not_have_is_refused_by_name(options, control):
    with pytest.raises(DeviceError, match=f"this camera has no {control}; leave {next(iter(options))} out"):
        open_camera(chart(**options), CLOCK)


def test_a_camera_that_is_not_there():
    with pytest.raises(DeviceError, match="camera 7 is not there, 2 found"):
        open_camera(Options(number=7), CLOCK)


def test_opened_again_and_again_no_handle_is_lost():
    def visit() -> None:
        with open_camera(chart(), CLOCK) as camera:
            list(islice(camera.frames(), 3))

    for _ in range(3):
        visit()
    gc.collect()
    before = handles()
    for _ in range(10):
        visit()
    gc.collect()
    assert handles() <= before


def test_many_frames_lose_no_handle_and_no_request():
    with open_camera(chart(), CLOCK) as camera:
        source = camera.frames()
        next(source)
        before = handles()
        seqs = [frame.seq for frame in islice(source, FRAMES)]
        assert handles() <= before
    assert len(seqs) == FRAMES
    print(f"{FRAMES} frames, {seqs[-1] - seqs[0] + 1 - FRAMES} missed")


def test_the_daemon_flies_it(tmp_path):
    config = tmp_path / "spanhawk.toml"
    config.write_text(CONFIG.format(number=number("bridge"), folder=tmp_path))
    command = [sys.executable, "-m", "edge", "run", "--config", str(config)]
    log = tmp_path / "log"
    with log.open("wb") as out:
        daemon = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            detections = wait_for_detections(config, daemon)
        finally:
            daemon.send_signal(signal.SIGTERM)
            code = daemon.wait(30)
    assert detections, log.read_text(errors="replace")[-3000:]
    assert code == 0, log.read_text(errors="replace")[-3000:]
    print(f"{len(detections)} letters, the first: {str(detections[0])[:120]}")


def wait_for_detections(config: Path, daemon: subprocess.Popen[bytes]) -> list[object]:
    pause = threading.Event()
    for _ in range(60):
        CLOCK.wait(pause, 1.0)
        listed = subprocess.run(
            [sys.executable, "-m", "edge", "outbox", "list", "--config", str(config)], capture_output=True, text=True
        )
        letters = [json.loads(line) for line in listed.stdout.splitlines() if line.startswith("{")]
        if letters or daemon.poll() is not None:
            return letters
    return []
