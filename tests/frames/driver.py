"""A camera driver that does what a test's script says."""

import queue
import threading
from pathlib import Path

import numpy as np

from edge.frames import v4l2

SECOND = 1_000_000_000
PATIENCE_S = 30  # for events that are certain to come; never waited out


class Driver:
    """``cv2.VideoCapture`` of a camera that does what the test says: a driver with nothing to do hangs in grab()."""

    FRAME, DAMAGED, GONE = "frame", "damaged", "gone"

    def __init__(self, size=(8, 6)):
        self.size = size
        self.script: queue.Queue[str] = queue.Queue()
        self.asked = threading.Event()
        self.released = threading.Event()
        self.taken = 0
        self.now = ""
        self.still = False

    def play(self, *steps: str) -> None:
        """Let the camera do ``steps`` and wait until it has come back for more (or failed)."""
        for step in steps:
            self.script.put(step)
        self.script.join()

    def grab(self):
        if self.now:
            self.script.task_done()
        self.asked.set()
        self.now = self.script.get()
        self.taken += 1
        if self.now == self.GONE:
            self.script.task_done()
        return self.now != self.GONE

    def retrieve(self):
        width, height = self.size
        return self.now == self.FRAME, np.full((height, width, 3), 0 if self.still else self.taken % 256, np.uint8)

    def get(self, prop):
        return 0.0

    def set(self, prop, value):
        return True

    def release(self):
        self.released.set()


def plugged(clock, *drivers, **options):
    """An opener that gives one camera after the other; an exception among ``drivers`` is raised instead."""
    waiting = iter(drivers)

    def open_camera():
        driver = next(waiting)
        if isinstance(driver, BaseException):
            raise driver
        return v4l2.V4l2Camera(driver, Path("/dev/video0"), v4l2.Options(**options), clock)

    return open_camera


def finish(*drivers: Driver) -> None:
    """Let drivers that hang return, so that their threads end."""
    for driver in drivers:
        driver.script.put(Driver.GONE)
