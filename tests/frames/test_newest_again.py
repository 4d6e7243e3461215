"""The live feed when its camera fails, falls silent or hangs: given up, opened again, told. Nothing sleeps."""

import logging
import random
import threading

import numpy as np

from edge.frames import newest
from edge.frames.newest import NewestFrame
from edge.support.clock import ManualClock
from edge.support.errors import DeviceError
from tests.frames.driver import PATIENCE_S, SECOND, Driver, finish, plugged


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
    assert "times more since the last such line" in told[1]


def test_a_silent_camera_is_given_up_and_opened_again(clock):
    hung, fresh = Driver(), Driver()
    with NewestFrame(plugged(clock, hung, fresh), clock) as feed:
        clock.advance(1_500_000_000)
        hung.play(Driver.FRAME)
        assert feed.take(0.0).seq == 0
        clock.advance(1_900_000_000)
        assert feed.take(0.0) is None
        assert (feed.health(), feed.reopened) == (None, 0)
        clock.advance(200_000_000)
        assert feed.health() == "no frame from the camera for 2.1 s"
        assert (feed.take(0.0), feed.reopened) == (None, 0), "the camera's own error says more, so it comes first"
        clock.advance(500_000_000)
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


def test_a_slow_camera_delivers(clock):
    """0.4 frames per second: one frame in 2.5 s, each of them wanted. It used to be given up after 2 s, for ever."""
    slow = Driver()
    with NewestFrame(plugged(clock, slow, fps=0.4), clock) as feed:
        for seq in range(6):
            for _ in range(10):
                clock.advance(250_000_000)
                assert feed.take(0.0) is None
                assert feed.health() is None, "nothing is wrong with it"
            slow.play(Driver.FRAME)
            assert feed.take(0.0).seq == seq
        assert (feed.frames, feed.dropped, feed.reopened) == (6, 0, 0)
        finish(slow)


def test_a_camera_may_be_silent_for_as_long_as_it_is_configured(clock):
    """Noticed after two seconds all the same, so that the pilot knows."""
    driver, fresh = Driver(), Driver()
    with NewestFrame(plugged(clock, driver, fresh, timeout_s=5.0), clock) as feed:
        for _ in range(2):
            clock.advance(100_000_000)
            driver.play(Driver.FRAME)
        assert feed.take(0.0).seq == 1
        clock.advance(2_100_000_000)
        assert feed.health() == "no frame from the camera for 2.1 s"
        clock.advance(2_800_000_000)
        assert (feed.take(0.0), feed.reopened) == (None, 0)
        driver.play(Driver.FRAME)
        assert (feed.take(0.0).seq, feed.reopened, feed.health()) == (2, 0, None)
        finish(driver, fresh)


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
