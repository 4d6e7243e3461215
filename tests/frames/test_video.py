import logging
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from edge.frames.video import FileCamera, Options, open_camera
from edge.support.clock import ManualClock
from edge.support.config import build
from edge.support.errors import ConfigError, DeviceError, UsageError

CLOCK = ManualClock(datetime(2026, 1, 1, tzinfo=timezone.utc), monotonic_ns=123_456_789)
FPS = 25.0


def picture(index: int) -> np.ndarray:
    """BGR: red above, and a grey below that counts frames."""
    bgr = np.full((48, 64, 3), 8 * index, np.uint8)
    bgr[:16] = (0, 0, 255)
    return bgr


def clip(path: Path, count: int = 20, codec: str = "MJPG") -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), FPS, (64, 48))
    assert writer.isOpened()
    for index in range(count):
        writer.write(picture(index))
    writer.release()
    return path


def read(path: Path, **options) -> list:
    with open_camera(Options(source=str(path), **options), CLOCK) as camera:
        return list(camera.frames())


@pytest.mark.parametrize(("ending", "codec"), [(".avi", "MJPG"), (".mp4", "mp4v"), (".mkv", "mp4v"), (".mov", "mp4v")])
def test_every_frame_in_order_with_name_and_time(tmp_path, ending, codec):
    frames = read(clip(tmp_path / f"Flight 7{ending}", codec=codec))
    assert [frame.seq for frame in frames] == list(range(20))
    assert frames[12].name == "Flight 7_000012"
    assert [frame.exposed_ns for frame in frames] == pytest.approx([index * 40_000_000 for index in range(20)], abs=1e6)
    for index, frame in enumerate(frames):
        assert frame.rgb.shape == (48, 64, 3)
        assert np.abs(frame.rgb[4, 4].astype(int) - (255, 0, 0)).max() < 24  # red first
        assert abs(int(frame.rgb[40, 40, 1]) - 8 * index) < 8
        assert frame.exposure_us is None


def test_what_the_camera_says_of_itself(tmp_path):
    with open_camera(Options(source=str(clip(tmp_path / "a.avi"))), CLOCK) as camera:
        assert not camera.live
        assert camera.frame_count == 20
        list(camera.frames())
        assert camera.skipped == ()


def test_fps_and_start_override_the_container(tmp_path):
    frames = read(clip(tmp_path / "a.avi", 4), fps=2.0, start_ns=9)
    assert [frame.exposed_ns for frame in frames] == [9, 500_000_009, 1_000_000_009, 1_500_000_009]


def test_a_raw_stream_without_timestamps_still_moves_in_time(tmp_path):
    path = tmp_path / "raw.mjpeg"
    path.write_bytes(b"".join(cv2.imencode(".jpg", picture(index))[1].tobytes() for index in range(5)))
    times = [frame.exposed_ns for frame in read(path)]
    assert times[0] == 0
    assert times == sorted(set(times))
    assert len(times) == 5


@pytest.mark.parametrize("name", ["raw.mjpeg", "renamed.avi"])
def test_a_raw_stream_is_named_or_refused_by_its_content(tmp_path, name, caplog):
    path = tmp_path / name
    path.write_bytes(b"".join(cv2.imencode(".jpg", picture(index))[1].tobytes() for index in range(5)))
    with pytest.raises(UsageError, match="its frames carry no times; say how many there are a second with --fps"):
        open_camera(Options(source=str(path), timed=True), CLOCK)
    assert [frame.exposed_ns for frame in read(path, timed=True, fps=10.0)][:2] == [0, 100_000_000]
    read(path)
    assert "how many there are a second is guessed" in caplog.text


class Clockless:
    """A real film whose container tells these times, in ms."""

    def __init__(self, path: Path, times_ms: list[float]):
        self.film = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        self.times_ms = times_ms
        self.taken = 0

    def read(self):
        self.taken += 1
        return self.film.read()

    def get(self, prop):
        return self.times_ms[self.taken - 1] if prop == cv2.CAP_PROP_POS_MSEC else self.film.get(prop)

    def release(self):
        self.film.release()


@pytest.mark.parametrize(
    ("times_ms", "wanted_ms"),
    [([0, 0, 0, 0], [0, 40, 80, 120]), ([-1, -1, -1, -1], [0, 40, 80, 120]), ([0, 80, 40, 120], [0, 80, 80, 120])],
)
def test_times_that_are_missing_or_run_back(tmp_path, times_ms, wanted_ms):
    capture = Clockless(clip(tmp_path / "a.avi", 4), [*times_ms, 0])
    with FileCamera(capture, capture.read()[1], tmp_path / "a.avi", Options(source="a.avi")) as camera:
        assert [frame.exposed_ns // 1_000_000 for frame in camera.frames()] == wanted_ms


def test_a_film_cut_short_is_read_to_its_end_and_told(tmp_path, caplog):
    data = clip(tmp_path / "whole.avi").read_bytes()
    pictures, index = data.index(b"movi"), data.index(b"idx1")
    cut = tmp_path / "cut.avi"
    cut.write_bytes(data[: (pictures + index) // 2])
    with open_camera(Options(source=str(cut)), CLOCK) as camera:
        frames = list(camera.frames())
        (skipped,) = camera.skipped
    assert 5 < len(frames) < 15
    assert skipped.name == f"cut_{len(frames):06d}"
    assert f"ends after {len(frames)} of 20 frames" in skipped.reason
    assert f"cut.avi: ends after {len(frames)} of 20 frames" in caplog.text


def test_a_film_shot_sideways_is_turned(tmp_path):
    path = clip(tmp_path / "phone.mp4", codec="mp4v")
    data = path.read_bytes()
    # tkhd holds the display matrix (ISO 14496-12): a quarter turn clockwise in place of the identity.
    upright = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    at = data.index(upright, data.index(b"tkhd"))
    path.write_bytes(data[:at] + turned + data[at + 36 :])
    first = read(path)[0]
    assert (first.height_px, first.width_px) == (64, 48)
    assert np.abs(first.rgb[30, -4].astype(int) - (255, 0, 0)).max() < 24  # what was above is now right


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.touch(),
        lambda path: path.write_bytes(os.urandom(20_000)),
        lambda path: path.write_text("a text"),
        lambda path: path.write_bytes(clip(path.with_name("w.mp4"), codec="mp4v").read_bytes()[:-200]),
        lambda path: path.write_bytes(clip(path.with_name("w.mkv"), codec="mp4v").read_bytes()[:400]),
        lambda path: path.mkdir(),
        lambda path: os.mkfifo(path),
        lambda path: None,
    ],
)
def test_not_a_video(tmp_path, make):
    path = tmp_path / "clip.mp4"
    make(path)
    with pytest.raises(UsageError) as caught:
        open_camera(Options(source=str(path)), CLOCK)
    assert str(caught.value).startswith(f"{path}: ")


def test_ffmpeg_does_not_write_to_stderr(tmp_path):
    """In a process of its own: FFmpeg takes its log level when it is first used."""
    (tmp_path / "junk.mp4").write_bytes(b"\0\0\0\x18ftypisom" * 99)
    program = (
        "import sys; from edge.frames.video import *\n"
        "for source in sys.argv[1:]:\n"
        "    try: open_camera(Options(source=source, timeout_s=1), None)\n"
        "    except (DeviceError, UsageError): print('refused')\n"
    )
    sources = [str(tmp_path / "junk.mp4"), "rtsp://a:b@127.0.0.1:1/main"]
    done = subprocess.run([sys.executable, "-c", program, *sources], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("refused\nrefused\n", "")


def test_after_closing_no_frames_come(tmp_path):
    camera = open_camera(Options(source=str(clip(tmp_path / "a.avi"))), CLOCK)
    with camera:
        frames = camera.frames()
        next(frames)
    with pytest.raises(DeviceError, match="was closed"):
        next(frames)
    with pytest.raises(DeviceError, match="was closed"):
        next(camera.frames())


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://admin:s3cr/et@10.0.0.2/main",
        "rtsp://cam:554/user=admin&password=s3cret&channel=1",
        "rtps://admin:s3cr/et@10.0.0.2/main",  # a typing error, so no stream for us
        "rtmp://10.0.0.2/live?key=s3cret",
    ],
)
def test_no_password_is_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: SimpleNamespace(isOpened=lambda: False))
    with pytest.raises((DeviceError, UsageError)) as caught:
        open_camera(Options(source=url), CLOCK)
    for shown in (str(caught.value), repr(Options(source=url))):
        assert "s3cr" not in shown


def test_a_password_in_a_config_error_is_not_shown():
    with pytest.raises(ConfigError) as caught:
        build(Options, {"source": "rtsp://a:s3cret@h/", "timeout_s": -1}, "camera")
    assert "s3cret" not in str(caught.value)


class MotionJpeg(BaseHTTPRequestHandler):
    """What an IP camera sends on HTTP: five pictures, then the line drops."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for index in range(5):
            jpeg = cv2.imencode(".jpg", picture(index))[1].tobytes()
            self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg))
            self.wfile.write(jpeg + b"\r\n")

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def stream() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), MotionJpeg) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://user:s3cret@127.0.0.1:{server.server_port}/video.mjpg"
        server.shutdown()
        thread.join()


def test_a_stream_that_ends_is_a_device_gone(stream, caplog):
    caplog.set_level(logging.DEBUG)
    frames = []
    with open_camera(Options(source=stream), CLOCK) as camera:
        assert camera.live
        assert camera.frame_count is None
        with pytest.raises(DeviceError, match="the stream stopped") as caught:
            frames.extend(camera.frames())
    assert "s3cret" not in str(caught.value) + caplog.text


def test_a_stream_of_which_nothing_can_be_decoded_is_given_up(stream, monkeypatch):
    """Packets go on coming: without an end of it the thread would never be free again."""
    with open_camera(Options(source=stream), CLOCK) as camera:
        monkeypatch.setattr(camera, "_capture", Undecodable(camera._capture))
        with pytest.raises(DeviceError, match="31 pictures in a row could not be decoded"):
            next(camera.frames())


class Undecodable:
    """A capture whose packets arrive without end, and hold no picture."""

    def __init__(self, capture):
        self.release = capture.release

    def grab(self):
        return True

    def retrieve(self):
        return False, None


def test_frames_of_a_stream(stream):
    with open_camera(Options(source=stream), CLOCK) as camera:
        source = camera.frames()
        frames = [next(source) for _ in range(4)]
    assert [frame.seq for frame in frames] == [0, 1, 2, 3]
    assert {frame.exposed_ns for frame in frames} == {123_456_789}
    assert {frame.name for frame in frames} == {None}
    assert np.abs(frames[0].rgb[4, 4].astype(int) - (255, 0, 0)).max() < 24


def test_a_stream_that_refuses():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"rtsp://admin:s3cret@127.0.0.1:{taken.getsockname()[1]}/main"
        with pytest.raises(DeviceError, match=r"rtsp://\*\*\*@127.0.0.1.*no video within 5 s"):
            open_camera(Options(source=url), CLOCK)


def test_a_stream_that_accepts_and_is_silent_does_not_hang():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        url = f"rtsp://127.0.0.1:{server.getsockname()[1]}/main"
        with pytest.raises(DeviceError, match=r"no video within 0\.3 s"):
            open_camera(Options(source=url, timeout_s=0.3), CLOCK)


@pytest.mark.parametrize("wrong", [{"fps": 0.0}, {"fps": -3.0}, {"timeout_s": 0.0}])
def test_impossible_options(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Options(source="a.mp4", **wrong)
