"""What stands for the picamera2 library, which exists on Raspberry Pi OS alone."""

from concurrent.futures import TimeoutError as JobTimeoutError

import numpy as np

SENSOR = (256, 192)
FRAME_US = 33_333
START_NS = 50_000_000_000
MS = 1_000_000


def paint(size: tuple[int, int]) -> np.ndarray:
    """The scene as RGB at any size: four flat colours, one per quarter."""
    width, height = size
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[: height // 2, : width // 2] = (230, 40, 30)
    rgb[: height // 2, width // 2 :] = (20, 200, 60)
    rgb[height // 2 :, : width // 2] = (30, 60, 220)
    rgb[height // 2 :, width // 2 :] = (255, 255, 255)
    return rgb


def yuv(rgb: np.ndarray, stride: int, form: str) -> np.ndarray:
    """YUV 4:2:0, full range (JPEG's matrix, ITU-T T.871), rows padded with junk to ``stride``.

    YUV420 has U and V in planes of their own, NV12 in turns.
    """
    r, g, b = (rgb[..., channel].astype(float) for channel in range(3))
    y = 0.299 * r + 0.587 * g + 0.114 * b
    u = 128 - 0.168736 * r - 0.331264 * g + 0.5 * b
    v = 128 + 0.5 * r - 0.418688 * g - 0.081312 * b
    u, v = u[::2, ::2], v[::2, ::2]
    if form == "NV12":
        planes = [(y, stride), (np.stack((u, v), axis=2).reshape(len(u), -1), stride)]
    else:
        planes = [(y, stride), (u, stride // 2), (v, stride // 2)]
    padded = [np.pad(plane, ((0, 0), (0, row - plane.shape[1])), constant_values=77) for plane, row in planes]
    tail = np.full(100, 77.0)  # frames are padded to whole pages
    return np.rint(np.concatenate([*(plane.ravel() for plane in padded), tail])).clip(0, 255).astype(np.uint8)


class Request:
    def __init__(self, device, metadata):
        self.device, self.metadata, self.released = device, metadata, False
        device.out += 1

    def get_metadata(self):
        assert not self.released
        return dict(self.metadata)

    def make_array(self, name):
        stream = self._stream(name)
        assert stream["format"] in ("BGR888", "RGB888", "XBGR8888")
        rgb = paint(stream["size"])
        if stream["format"] == "XBGR8888":
            return np.dstack((rgb, np.full(rgb.shape[:2], 77, np.uint8)))
        return rgb if stream["format"] == "BGR888" else rgb[..., ::-1]

    def make_buffer(self, name):
        stream = self._stream(name)
        assert stream["format"] in ("YUV420", "NV12")
        return yuv(paint(stream["size"]), stream["stride"], stream["format"])

    def _stream(self, name):
        assert not self.released
        stream = self.device.configuration[name]
        if stream is None:
            raise RuntimeError(f"Stream {name!r} is not defined")
        return stream

    def release(self):
        assert not self.released, "released twice"
        self.released = True
        self.device.out -= 1


class Job:
    def __init__(self, device):
        self.device = device

    def get_result(self, timeout=None):
        assert timeout is not None, "this would wait for ever"
        if self.device.error is not None:
            raise self.device.error
        if self.device.out >= self.device.configuration["buffer_count"] or not self.device.script:
            raise JobTimeoutError
        self.device.jobs.remove(self)
        return Request(self.device, self.device.script.pop(0))


class Device:
    """picamera2.Picamera2; ``script`` is the metadata of the frames it will deliver."""

    cameras = 1
    busy = False
    last = None
    script = ()
    error = None
    controls_it_has = ("FrameDurationLimits", "ExposureTime", "AnalogueGain", "AeEnable")

    def __init__(self, camera_num=0, tuning=None):
        if self.busy:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        Device.last = self
        self.tuning = tuning
        self.script = list(type(self).script)
        self.sensor_resolution = SENSOR
        self.camera_controls = dict.fromkeys(self.controls_it_has, (0, 1, 0))
        self.configuration, self.jobs, self.out, self.started, self.closed = None, [], 0, False, False

    @classmethod
    def global_camera_info(cls):
        return [{"Model": "imx477", "Num": number} for number in range(cls.cameras)]

    @staticmethod
    def load_tuning_file(name):
        if name != "imx477.json":
            raise RuntimeError(f"Tuning file {name} not found")
        curve = [0, 0, 32768, 54876, 65535, 65535]
        return {
            "version": 2.0,
            "algorithms": [{"rpi.agc": {}}, {"rpi.contrast": {"ce_enable": 1, "gamma_curve": curve}}],
        }

    @staticmethod
    def find_tuning_algo(tuning, name):
        return next(algorithm for algorithm in tuning["algorithms"] if name in algorithm)[name]

    def create_video_configuration(self, *, main, lores, display, encode, **rest):
        for stream in (main, lores):
            if stream is not None:
                stream["stride"] = -(-stream["size"][0] // 64) * 64
        return {"main": main, "lores": lores, **rest}

    def configure(self, configuration):
        if configuration["main"]["size"][0] > SENSOR[0]:
            raise RuntimeError("lores stream dimensions may not exceed main stream")
        self.configuration = configuration

    def camera_configuration(self):
        return self.configuration

    def start(self):
        self.started = True

    def capture_request(self, wait=None):
        assert wait is False, "capture_request would wait for ever"
        assert self.started
        assert not self.closed
        self.jobs.append(Job(self))
        return self.jobs[-1]

    def cancel_all_and_flush(self):
        self.jobs.clear()

    def close(self):
        assert not self.jobs, "closing would wait behind a job that never ends"
        assert not self.closed
        self.closed = True


def metadata(index: int, **more) -> dict:
    """Frame ``index`` at 30 per second, 8 ms of exposure."""
    stamp_ns = START_NS + index * FRAME_US * 1000
    return {"SensorTimestamp": stamp_ns, "ExposureTime": 8000, "FrameDuration": FRAME_US} | more
