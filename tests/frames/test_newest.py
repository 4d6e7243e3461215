"""The live feed over real cameras: V4l2Camera on a scripted driver, folders and films. Nothing sleeps: time is set."""

import random
import threading
from datetime import datetime, timezone

import cv2
import numpy as np
import pytest

from edge.frames import folder, newest, stills
from edge.frames.newest import NewestFrame
from edge.support.clock import ManualClock, SystemClock
from tests.frames.driver import PATIENCE_S, SECOND, Driver, finish, plugged


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

    def decode(data, orientation, reduce):
        decoding.release()
        assert steps.acquire(timeout=PATIENCE_S)
        return np.zeros((6, 8, 3), np.uint8)

    monkeypatch.setattr(stills, "decode", decode)
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
    assert "does not return; its thread is abandoned" in caplog.text
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
