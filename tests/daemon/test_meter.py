from __future__ import annotations

from datetime import datetime, timezone
from typing import Literal

import numpy as np
import pytest

from edge.daemon.meter import WINDOW, InHand, Meter, Noise
from edge.frames import RGB, Frame
from edge.masks import ClassMask, DamageClass, Mask
from edge.support.clock import ManualClock
from edge.support.timings import percentiles
from tests.pictures import concrete, frame


def test_nothing_is_unknown_not_zero() -> None:
    reading = Meter().read(0)
    assert (reading.frames, reading.fps, reading.last_frame_ns, reading.stage_ms) == (0, None, None, {})


def test_counts_rate_and_percentiles() -> None:
    meter = Meter()
    for i in range(11):
        meter.add(i * 100_000_000, {"segment": float(i)}, detections=2)
    reading = meter.read(10**9)
    assert (reading.frames, reading.detections) == (11, 22)
    assert reading.fps == pytest.approx(10)
    assert reading.last_frame_ns == 10**9
    assert reading.stage_ms["segment"] == {"p50": 5.0, "p90": 9.0, "p99": 9.9, "max": 10.0}


def test_the_window_forgets_but_the_counts_do_not() -> None:
    meter = Meter()
    for i in range(WINDOW + 50):
        meter.add(i, {"segment": 1000.0 if i < 50 else 1.0}, 0)
    assert meter.read(0).stage_ms["segment"]["max"] == 1.0
    assert meter.read(0).frames == WINDOW + 50


def test_a_camera_of_one_frame_in_twenty_seconds_has_a_rate_while_it_delivers() -> None:
    meter = Meter()
    for i in range(3):
        meter.add(i * 20 * 10**9, {}, 0)
    assert meter.read(55 * 10**9).fps == pytest.approx(1 / 20)
    assert meter.read(81 * 10**9).fps is None, "the next frame is overdue: it may have died"


def test_the_part_that_was_looked_at_is_the_mean_of_the_window() -> None:
    meter = Meter()
    assert meter.read(0).looked_share is None
    meter.add(0, {}, 0)
    meter.add(1, {}, 0, looked_share=0.5)
    assert meter.read(1).looked_share == 0.75


def test_what_is_not_reported_is_counted_by_reason() -> None:
    meter = Meter()
    assert meter.read(0).suppressed == {}
    meter.add(0, {}, 0, suppressed={"weak": 0})
    assert meter.read(0).suppressed == {"weak": 0}
    meter.add(1, {}, 0, suppressed={"weak": 3})
    meter.add(2, {}, 0, suppressed={"weak": 1})
    assert meter.read(2).suppressed == {"weak": 4}


def test_percentiles_agree_with_a_sort() -> None:
    values = list(np.random.default_rng(1).uniform(0, 10, 101))
    table = percentiles({"a": values, "empty": []})
    assert table["a"]["p50"] == pytest.approx(sorted(values)[50], abs=5e-4)
    assert "empty" not in table


def test_a_frame_that_hangs_is_told_and_a_slow_board_is_not() -> None:
    clock = ManualClock(datetime(2026, 6, 1, tzinfo=timezone.utc))
    hand = InHand(clock)
    with hand:
        clock.advance(9 * 10**9)  # the first one warms up an interpreter
        assert hand.trouble() is None
        clock.advance(2 * 10**9)
        assert str(hand.trouble()).startswith("one frame has been in work for 11 s: the accelerator hangs")
    slow = InHand(clock)
    for _ in range(3):
        with slow:
            clock.advance(2 * 10**9)
            assert slow.trouble() is None
    with slow:
        clock.advance(7 * 10**9)
        assert "for 7 s, the longest before it 2.0 s" in str(slow.trouble())
    assert slow.trouble() is None


def test_noise_for_cracks_is_told_after_ten_frames_and_an_area_is_not() -> None:
    picture = frame()
    shape, flood = picture.rgb.shape[:2], Noise()
    noise = np.random.default_rng(3).random(shape) < 0.5

    def mask(measure: Literal["line", "area"]) -> Mask:
        kind = DamageClass("crack", 0.5, measure)
        return Mask(picture, (ClassMask(picture, kind, np.where(noise, 200, 0).astype(np.uint8), noise),), "m")

    for _ in range(20):
        flood.see(mask("area"))
    assert flood.trouble() is None, "rust may cover a picture"
    for _ in range(9):
        flood.see(mask("line"))
    assert flood.trouble() is None
    flood.see(mask("line"))
    assert "of the picture as cracks, 10 frames in a row" in str(flood.trouble())
    flood.see(mask("area"))
    assert flood.trouble() is None


def test_a_camera_that_delivers_noise_is_told_and_a_dull_wall_is_not() -> None:
    chance, noise, wall = np.random.default_rng(4), Noise(), Noise()

    def mask(number: int, rgb: RGB) -> Mask:
        picture, nothing = Frame(number, 0, None, rgb), np.zeros(rgb.shape[:2], np.uint8)
        found = ClassMask(picture, DamageClass("crack", 0.5, "line"), nothing, nothing.astype(bool))
        return Mask(picture, (found,), "m")

    for number in range(10):
        assert noise.trouble() is None
        noise.see(mask(number, chance.integers(0, 256, (60, 80, 3), np.uint8)))
        wall.see(mask(number, concrete(60, 80, seed=number)))
    assert str(noise.trouble()).startswith("the camera delivers noise, 10 frames in a row")
    assert wall.trouble() is None
    noise.see(mask(10, np.zeros((60, 80, 3), np.uint8)))
    assert noise.trouble() is None, "black and even is another trouble"


def test_second_looks_are_counted_since_the_start() -> None:
    meter = Meter()
    assert meter.read(0).second_looks == 0
    for looks in (3, 0, 2):
        meter.add(0, {}, 0, second_looks=looks)
    assert meter.read(0).second_looks == 5


def test_what_a_frame_waits_for_a_disk_is_no_fault_of_the_accelerator() -> None:
    clock, waited = ManualClock(datetime(2026, 6, 1, tzinfo=timezone.utc)), [0]
    hand = InHand(clock, lambda: waited[0])
    with hand:
        clock.advance(2 * 10**9)
        clock.advance(100 * 10**9)
        waited[0] += 100 * 10**9  # its picture, on a card that collects its garbage
        assert hand.trouble() is None
    with hand:
        clock.advance(7 * 10**9)
        assert "for 7 s, the longest before it 2.0 s" in str(hand.trouble()), "and does not make the next one wait"
