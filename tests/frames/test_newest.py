"""The live feed over real cameras: V4l2Camera on a scripted driver, folders and films. Nothing sleeps: time is set."""

import logging
import queue
import random
import threading
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.clock import ManualClock, SystemClock
from edge.errors import DeviceError
from edge.frames import folder, newest, v4l2
from edge.frames.newest import NewestFrame

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


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 1, tzinfo=timezone.utc), monotonic_ns=1000 * SECOND)


def plugged(clock, *drivers):
    """An opener that gives one camera after the other; an exception among ``drivers`` is raised instead."""
    waiting = iter(drivers)

    def open_camera():
        driver = next(waiting)
        if isinstance(driver, BaseException):
            raise driver
        return v4l2.V4l2Camera(driver, Path("/dev/video0"), v4l2.Options(), clock)

    return open_camera


def finish(*drivers: Driver) -> None:
    """Let drivers that hang return, so that their threads end."""
    for driver in drivers:
        driver.script.put(Driver.GONE)


def test_each_frame_is_taken_once(clock):
    driver = Driver()
    with NewestFrame(plugged(clock, driver), clock) as feed:
        assert feed.take(0.0) is None
        for expected in range(3):
            driver.play(Driver.FRAME)
            assert feed.take(0.0).seq == expected
            assert feed.take(0.0) is None
        assert (feed.frames, feed.dropped, feed.reopened) == (3, 0, 0)
        finish(driver)


def test_newest_wins_and_the_others_are_counted(clock):
    driver = Driver()
    with NewestFrame(plugged(clock, driver), clock) as feed:
        driver.play(*[Driver.FRAME] * 5)
        frame = feed.take(0.0)
        assert (frame.seq, int(frame.rgb[0, 0, 0])) == (4, 5)
        assert (feed.frames, feed.dropped) == (5, 4)
        finish(driver)


def test_gaps_of_the_camera_are_drops_too(clock):
    driver = Driver()
    with NewestFrame(plugged(clock, driver), clock) as feed:
        seen = []
        for step in ("frame", "damaged", "damaged", "frame", "frame", "damaged", "frame"):
            driver.play(step)
            frame = feed.take(0.0)
            seen += [frame.seq] if frame else []
        assert seen == [0, 3, 4, 6]
        assert (feed.frames, feed.dropped) == (4, 3)
        finish(driver)


def test_drops_are_the_gaps_the_consumer_sees(clock):
    """Whatever happens, seq of the frames taken and ``dropped`` tell the same story."""
    rng = random.Random(5)
    drivers = [Driver() for _ in range(6)]
    taken = []
    with NewestFrame(plugged(clock, *drivers), clock) as feed:
        for number, driver in enumerate(drivers):
            driver.asked.wait(PATIENCE_S)
            for _ in range(40):
                driver.play(rng.choice([Driver.FRAME, Driver.FRAME, Driver.DAMAGED]))
                if rng.random() < 0.6 and (frame := feed.take(0.0)):
                    taken.append(frame.seq)
            driver.play(Driver.FRAME)
            taken.append(feed.take(0.0).seq)
            if number < len(drivers) - 1:
                driver.play(Driver.GONE)
        assert taken == sorted(set(taken))
        assert feed.dropped == taken[-1] + 1 - len(taken)
        assert feed.reopened == 5
        finish(drivers[-1])


def test_take_waits_for_the_next_frame():
    driver, clock = Driver(), SystemClock()
    with NewestFrame(plugged(clock, driver), clock) as feed:
        threading.Timer(0.02, driver.script.put, [Driver.FRAME]).start()
        assert feed.take(PATIENCE_S).seq == 0
        finish(driver)


def test_a_camera_that_fails_is_opened_again_and_seq_goes_on(clock, caplog):
    caplog.set_level(logging.INFO)
    first, second = Driver(), Driver(size=(16, 12))
    with NewestFrame(plugged(clock, first, second), clock) as feed:
        first.play(Driver.FRAME, Driver.FRAME, Driver.GONE)
        assert second.asked.wait(PATIENCE_S)
        assert first.released.is_set()
        assert "delivers no frames" in feed.health()
        assert feed.take(0.0).seq == 1
        second.play(Driver.FRAME)
        frame = feed.take(0.0)
        assert (frame.seq, frame.width_px) == (2, 16)
        assert feed.health() is None
        assert feed.reopened == 1
        finish(second)
    told = [record.levelname for record in caplog.records if record.name == newest.__name__]
    assert told[:2] == ["WARNING", "INFO"]


def test_a_camera_plugged_in_later_appears(clock):
    driver = Driver()
    absent = [DeviceError("no /dev/video0; plug the camera in") for _ in range(5)]
    with NewestFrame(plugged(clock, *absent, driver), clock) as feed:
        assert driver.asked.wait(PATIENCE_S)
        driver.play(Driver.FRAME)
        assert feed.take(0.0).seq == 0
        assert feed.reopened == 5
        finish(driver)


def test_pauses_grow_to_a_cap_with_full_jitter(clock):
    driver, opened = Driver(), []
    inner = plugged(clock, *[DeviceError("absent") for _ in range(40)], driver)

    def open_camera():
        opened.append(clock.monotonic_ns())
        return inner()

    with NewestFrame(open_camera, clock, rng=random.Random(3)):
        assert driver.asked.wait(PATIENCE_S)
        finish(driver)
    pauses_s = np.diff(opened[:41]) / SECOND
    oracle = random.Random(3)
    wanted_s = [oracle.random() * min(5.0, 0.5 * 2**attempt) for attempt in range(40)]
    np.testing.assert_allclose(pauses_s, wanted_s, atol=1e-6)
    assert pauses_s.max() <= 5.0


def test_pauses_begin_anew_after_a_frame(clock):
    class Longest(random.Random):
        def uniform(self, a, b):
            return b

    first, second = Driver(), Driver()
    inner = plugged(clock, *[DeviceError("absent") for _ in range(9)], first, second)
    opened = []

    def open_camera():
        opened.append(clock.monotonic_ns())
        return inner()

    with NewestFrame(open_camera, clock, rng=Longest()):
        assert first.asked.wait(PATIENCE_S)
        first.play(Driver.FRAME, Driver.GONE)
        assert second.asked.wait(PATIENCE_S)
        finish(second)
    assert (np.diff(opened[:11]) / SECOND).tolist() == [0.5, 1, 2, 4, 5, 5, 5, 5, 5, 0.5]


def test_a_pause_between_attempts_is_not_silence(clock):
    pausing, gate = threading.Event(), threading.Event()

    class Slow(ManualClock):
        """The camera's thread pauses until the gate opens."""

        def wait(self, event, timeout_s):
            if threading.current_thread() is threading.main_thread():
                return super().wait(event, timeout_s)
            pausing.set()
            return gate.wait(PATIENCE_S)

    slow, driver = Slow(clock.utc()), Driver()
    with NewestFrame(plugged(slow, DeviceError("absent"), driver), slow) as feed:
        assert pausing.wait(PATIENCE_S)
        slow.advance(60 * SECOND)
        assert feed.take(0.0) is None
        assert feed.reopened == 0
        assert feed.health() == "absent"
        gate.set()
        assert driver.asked.wait(PATIENCE_S)
        assert feed.reopened == 1
        finish(driver)


def test_failures_are_told_once_and_then_once_a_minute(clock, caplog):
    driver = Driver()
    absent = [DeviceError("no camera here") for _ in range(200)]
    begun_ns = clock.monotonic_ns()
    with NewestFrame(plugged(clock, *absent, driver), clock, rng=random.Random(1)):
        assert driver.asked.wait(PATIENCE_S)
        minutes = (clock.monotonic_ns() - begun_ns) / 60 / SECOND
        finish(driver)
    told = [record.getMessage() for record in caplog.records if "no camera here" in record.getMessage()]
    assert told[0] == "no camera here"
    assert minutes > 4
    assert minutes - 1 <= len(told) <= minutes + 1
    assert "more failures since the last report" in told[1]


def test_a_silent_camera_is_given_up_and_opened_again(clock):
    hung, fresh = Driver(), Driver()
    with NewestFrame(plugged(clock, hung, fresh), clock, stall_s=2.0) as feed:
        clock.advance(1_500_000_000)
        hung.play(Driver.FRAME)
        assert feed.take(0.0).seq == 0
        clock.advance(1_900_000_000)
        assert feed.take(0.0) is None
        assert (feed.health(), feed.reopened) == (None, 0)
        clock.advance(200_000_000)
        assert feed.health() == "no frame from the camera for 2.1 s"
        assert feed.take(0.0) is None
        assert fresh.asked.wait(PATIENCE_S)
        assert feed.reopened == 1
        fresh.play(Driver.FRAME)
        assert feed.take(0.0).seq == 1
        hung.script.put(Driver.FRAME)  # the driver returns at last: its frame is stale and must not be seen
        assert hung.released.wait(PATIENCE_S)
        assert feed.take(0.0) is None
        assert (feed.frames, feed.dropped) == (2, 0)
        finish(fresh)


def test_an_opening_that_hangs_is_given_up(clock):
    gate, fresh, late = threading.Event(), Driver(), Driver()
    openings = iter([gate.wait, lambda: True])
    inner = plugged(clock, fresh, late)

    def open_camera():
        next(openings)()
        return inner()

    with NewestFrame(open_camera, clock, open_s=15.0) as feed:
        clock.advance(14 * SECOND)
        feed.take(0.0)
        assert feed.reopened == 0
        clock.advance(2 * SECOND)
        feed.take(0.0)
        assert fresh.asked.wait(PATIENCE_S)
        assert feed.reopened == 1
        gate.set()
        assert late.released.wait(PATIENCE_S)
        assert not late.asked.is_set()
        finish(fresh)


def test_a_driver_that_always_hangs_is_not_tried_for_ever(clock):
    drivers = [Driver() for _ in range(3)]
    with NewestFrame(plugged(clock, *drivers), clock) as feed:
        for driver in drivers:
            assert driver.asked.wait(PATIENCE_S)
            driver.asked.clear()
            clock.advance(20 * SECOND)
            feed.take(0.0)
        assert feed.reopened == 2
        assert feed.health() == "the camera's driver hangs; restart the service, or the machine"
        finish(*drivers)


def test_the_watchdog_sees_when_the_last_frame_came(clock):
    driver = Driver()
    with NewestFrame(plugged(clock, driver), clock) as feed:
        assert feed.last_frame_ns is None
        clock.advance(700_000_000)
        driver.play(Driver.FRAME)
        assert feed.last_frame_ns == clock.monotonic_ns()
        finish(driver)


def test_a_camera_without_its_first_frame_is_not_well(clock):
    driver = Driver()
    with NewestFrame(plugged(clock, driver), clock) as feed:
        assert driver.asked.wait(PATIENCE_S)
        clock.advance(3 * SECOND)
        assert feed.health() == "no frame from the camera for 3.0 s"
        finish(driver)


def test_a_frozen_picture_is_told(clock):
    driver = Driver(size=(640, 480))
    driver.still = True
    with NewestFrame(plugged(clock, driver), clock) as feed:
        driver.play(*[Driver.FRAME] * 10)
        assert feed.health() is None
        driver.play(Driver.FRAME)
        assert "repeats the same picture (10 times)" in feed.health()
        driver.still = False
        driver.play(Driver.FRAME)
        assert feed.health() is None
        finish(driver)


def test_a_size_that_changes_is_fine(clock):
    driver = Driver()
    with NewestFrame(plugged(clock, driver), clock) as feed:
        sizes = []
        for size in ((8, 6), (640, 480), (2, 2), (8, 6)):
            driver.size = size
            driver.play(Driver.FRAME)
            frame = feed.take(0.0)
            sizes.append((frame.width_px, frame.height_px))
        assert sizes == [(8, 6), (640, 480), (2, 2), (8, 6)]
        finish(driver)


def test_other_errors_reach_the_consumer(clock):
    with NewestFrame(plugged(clock, ZeroDivisionError("a bug")), clock) as feed:
        feed._thread.join(PATIENCE_S)
        assert "a bug" in feed.health()
        for _ in range(2):
            with pytest.raises(ZeroDivisionError, match="a bug"):
                feed.take(PATIENCE_S)


def test_a_recording_ends(tmp_path):
    for index in range(4):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((6, 8, 3), index, np.uint8))
    clock = SystemClock()
    seen = []
    with NewestFrame(lambda: folder.open_camera(folder.Options(path=tmp_path), clock), clock) as feed:
        while not feed.ended:
            frame = feed.take(PATIENCE_S)
            seen += [frame.name] if frame else []
        assert feed.take(PATIENCE_S) is None  # at once
        assert feed.health() is None
        assert seen[-1] == "3"
        assert len(seen) + feed.dropped == feed.frames == 4


def test_a_slow_recording_is_not_begun_again(tmp_path, clock, monkeypatch):
    steps, decoding = threading.Semaphore(0), threading.Semaphore(0)

    def decode(data, orientation):
        decoding.release()
        assert steps.acquire(timeout=PATIENCE_S)
        return np.zeros((6, 8, 3), np.uint8)

    monkeypatch.setattr(folder, "decode", decode)
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.zeros((6, 8, 3), np.uint8))
    with NewestFrame(lambda: folder.open_camera(folder.Options(path=tmp_path), clock), clock) as feed:
        for _ in range(3):
            assert decoding.acquire(timeout=PATIENCE_S)
            clock.advance(60 * SECOND)
            feed.take(0.0)
            steps.release()
        feed._thread.join(PATIENCE_S)
        assert (feed.frames, feed.reopened) == (3, 0)


def test_images_all_alike_are_no_frozen_sensor(tmp_path, clock):
    for index in range(15):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.zeros((6, 8, 3), np.uint8))
    with NewestFrame(lambda: folder.open_camera(folder.Options(path=tmp_path), clock), clock) as feed:
        feed._thread.join(PATIENCE_S)
        assert (feed.frames, feed.health()) == (15, None)


def test_the_first_gap_of_a_recording_counts(tmp_path, clock):
    (tmp_path / "0.png").touch()
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((6, 8, 3), np.uint8))
    with NewestFrame(lambda: folder.open_camera(folder.Options(path=tmp_path), clock), clock) as feed:
        feed._thread.join(PATIENCE_S)
        assert feed.take(0.0).seq == 1
        assert feed.dropped == 1


def test_stopping_ends_the_thread_and_closes_the_camera(clock):
    driver = Driver()
    with NewestFrame(plugged(clock, driver), clock) as feed:
        driver.play(Driver.FRAME)
        thread = feed._thread
        threading.Timer(0.02, driver.script.put, [Driver.FRAME]).start()
    assert not thread.is_alive()
    assert driver.released.is_set()
    assert feed.frames == 1


def test_a_stuck_driver_does_not_keep_the_program_from_stopping(clock, caplog, monkeypatch):
    monkeypatch.setattr(newest, "_JOIN_S", 0.02)
    driver = Driver()
    with NewestFrame(plugged(clock, driver), clock) as feed:
        assert driver.asked.wait(PATIENCE_S)
        assert feed._thread.daemon
    assert "does not return; its thread is left behind" in caplog.text
    finish(driver)
    assert driver.released.wait(PATIENCE_S)


def test_a_recording_plays_at_its_own_pace_as_if_it_began_now(tmp_path):
    """Its times are moved to this clock: a navigator is asked about moments that it knows."""
    clock = ManualClock(datetime(2026, 6, 1, tzinfo=timezone.utc), monotonic_ns=50 * SECOND)
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((4, 4, 3), np.uint8))
    with folder.open_camera(folder.Options(path=tmp_path, fps=5.0, start_ns=7 * SECOND), clock) as camera:
        played = list(NewestFrame(lambda: camera, clock)._played(camera, threading.Event()))
    assert [frame.exposed_ns for frame in played] == [50 * SECOND, 50_200_000_000, 50_400_000_000]
    assert clock.monotonic_ns() == 50_400_000_000
