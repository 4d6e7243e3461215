from __future__ import annotations

import threading

import numpy as np
import pytest

from edge.frames import Frame
from edge.masks.dark import Options, open_segmenter
from edge.support import config
from edge.support.clock import SystemClock
from edge.support.errors import ConfigError, DeviceError


def frame(rgb: np.ndarray) -> Frame:
    return Frame(seq=0, exposed_ns=0, exposure_us=None, rgb=rgb)


def wall_with_line() -> np.ndarray:
    rgb = np.full((80, 120, 3), 180, np.uint8)
    rgb[:, 58:61] = 90
    return rgb


def test_a_dark_line_on_a_light_wall_is_crack_and_nothing_else_is(clock):
    with open_segmenter(Options(), clock) as segmenter:
        mask = segmenter.segment(frame(wall_with_line()))
    expected = np.zeros((80, 120), bool)
    expected[:, 58:61] = True
    np.testing.assert_array_equal(mask.classes[0].damage, expected)


def test_a_light_line_and_an_even_wall_score_nothing(clock):
    rgb = wall_with_line()
    with open_segmenter(Options(), clock) as segmenter:
        light = segmenter.segment(frame(255 - rgb))
        assert not light.classes[0].score[:, 58:61].any()
        assert not light.classes[0].damage.any()
        assert not segmenter.segment(frame(np.full((40, 50, 3), 30, np.uint8))).classes[0].score.any()


def test_the_score_is_the_brightness_missing_against_the_surroundings(clock):
    rgb = np.random.default_rng(5).integers(0, 256, (23, 31, 3), dtype=np.uint8)
    options = Options(surround_px=5, full_contrast=100, threshold=0.3)
    with open_segmenter(options, clock) as segmenter:
        mask = segmenter.segment(frame(rgb))
    grey = rgb @ np.array([0.299, 0.587, 0.114])
    padded = np.pad(grey, 2, mode="reflect")
    for y in range(23):
        for x in range(31):
            missing = padded[y : y + 5, x : x + 5].mean() - grey[y, x]
            expected = min(max(missing, 0) / 100 * 255, 255)
            assert abs(int(mask.classes[0].score[y, x]) - expected) <= 5  # two roundings of a grey level are 2 * 2.55
    np.testing.assert_array_equal(mask.classes[0].damage, mask.classes[0].score >= 77)


def test_it_fails_when_told_to_as_a_device_does(clock):
    with open_segmenter(Options(fail_after=2), clock) as segmenter:
        segmenter.segment(frame(wall_with_line()))
        segmenter.segment(frame(wall_with_line()))
        for _ in range(2):
            with pytest.raises(DeviceError, match="after 2 frames"):
                segmenter.segment(frame(wall_with_line()))


def test_it_answers_with_noise_when_told_to_and_not_before(clock):
    with open_segmenter(Options(noise_after=1), clock) as segmenter:
        assert segmenter.segment(frame(wall_with_line())).classes[0].damage.mean() < 0.2
        assert 0.4 < segmenter.segment(frame(wall_with_line())).classes[0].damage.mean() < 0.6


def test_it_hangs_until_it_is_closed_when_told_to():
    with open_segmenter(Options(hang_after=0), SystemClock()) as segmenter:
        call = threading.Thread(target=segmenter.segment, args=(frame(wall_with_line()),), daemon=True)
        call.start()
        call.join(0.2)
        assert call.is_alive()


def test_it_is_slow_when_told_to_on_the_clock(clock):
    with open_segmenter(Options(slow_ms=40.0), clock) as segmenter:
        segmenter.segment(frame(wall_with_line()))
        segmenter.segment(frame(wall_with_line()))
    assert clock.monotonic_ns() == 80_000_000


def test_by_default_it_takes_no_time(clock):
    with open_segmenter(Options(), clock) as segmenter:
        segmenter.segment(frame(wall_with_line()))
    assert clock.monotonic_ns() == 0


def test_what_runs_is_said(clock):
    with open_segmenter(Options(threshold=0.4), clock) as segmenter:
        assert (segmenter.model, segmenter.sha256, segmenter.classes[0].threshold) == ("dark", None, 0.4)
        assert segmenter.runtime.backend == "dark"
        assert segmenter.runtime.library.startswith("opencv ")
        assert segmenter.degraded is None


@pytest.mark.parametrize(
    "table",
    [
        {"surround_px": 4},
        {"surround_px": 1},
        {"full_contrast": 0},
        {"threshold": 0.0},
        {"threshold": 1.5},
        {"fail_after": -1},
        {"slow_ms": -1},
        {"hang_after": -1},
        {"noise_after": -1},
    ],
)
def test_impossible_options_are_refused(table):
    with pytest.raises(ConfigError, match=f"segmenter: .*{next(iter(table))}"):
        config.build(Options, table, "segmenter")
