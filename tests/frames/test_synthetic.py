"""The rendered camera as a camera: pacing, gaps, endings, misbehaviour, sameness."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from datetime import datetime, timezone

import numpy as np
import pytest

from edge.daemon.meter import likeness
from edge.frames.synthetic import Options, SyntheticCamera, open_camera
from edge.rendered.flightpath import FlightPath, Lens
from edge.rendered.scene import Scene, build_scene
from edge.support import config
from edge.support.clock import ManualClock
from edge.support.errors import ConfigError, DeviceError

NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)
SMALL = Options(seed=3, width_px=320, height_px=180, live=False, seconds=2.0)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return build_scene(3, width_mm=2400, height_mm=1200)


def fly(scene: Scene, clock: ManualClock | None = None, **changes: object) -> SyntheticCamera:
    return SyntheticCamera(dataclasses.replace(SMALL, **changes), clock or ManualClock(NOON), scene)


def test_a_recording_gives_every_frame_on_an_even_time_grid(scene: Scene) -> None:
    clock = ManualClock(NOON, monotonic_ns=5_000_000_000)
    camera = fly(scene, clock)
    frames = list(camera.frames())
    assert [frame.seq for frame in frames] == list(range(10))
    assert camera.frame_count == 10
    assert [frame.exposed_ns for frame in frames] == [5_000_000_000 + n * 200_000_000 for n in range(10)]
    assert frames[3].name == "frame_000003"
    assert frames[3].exposure_us == 800
    assert frames[0].rgb.shape == (180, 320, 3)
    assert frames[0].rgb.dtype == np.uint8
    assert not frames[0].rgb.flags.writeable
    assert not camera.live
    assert camera.skipped == ()
    assert clock.monotonic_ns() == 5_000_000_000, "a recording does not wait"


def test_the_same_seed_gives_the_same_pictures_and_another_seed_gives_others() -> None:
    def look(seed: int) -> list[np.ndarray]:
        surface = build_scene(seed, width_mm=1000, height_mm=700)
        return [frame.rgb for frame in fly(surface, seed=seed, seconds=0.4).frames()]

    first, other, second = look(3), look(4), look(3)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_the_opener_builds_the_whole_bridge() -> None:
    with open_camera(SMALL, ManualClock(NOON)) as camera:
        assert (camera.scene.width_mm, camera.scene.height_mm) == (6000, 2400)
        assert len(camera.scene.cracks) > 15
        assert next(camera.frames()).seq == 0


def test_a_frame_does_not_depend_on_the_frames_read_before(scene: Scene) -> None:
    camera = fly(scene)
    assert np.array_equal(list(camera.frames())[7].rgb, fly(scene).render(7).rgb)


def test_a_live_camera_waits_for_the_end_of_the_exposure(scene: Scene) -> None:
    clock = ManualClock(NOON)
    with fly(scene, clock, live=True, seconds=None) as camera:
        for frame in itertools.islice(camera.frames(), 4):
            assert clock.monotonic_ns() == frame.exposed_ns + 400_000
            assert frame.name is None
    assert camera.frame_count is None


def test_a_slow_reader_misses_frames_and_sees_the_gap(scene: Scene) -> None:
    clock = ManualClock(NOON)
    with fly(scene, clock, live=True, seconds=None) as camera:
        frames = camera.frames()
        assert next(frames).seq == 0
        clock.advance(1_050_000_000)  # five more exposures and a quarter
        assert next(frames).seq == 5
        assert next(frames).seq == 6, "the one after that is not late"


def test_an_endless_flight_goes_out_and_back(scene: Scene) -> None:
    camera = fly(scene, seconds=None, fps=0.2)
    assert camera.frame_count is None
    assert len(list(itertools.islice(camera.frames(), 40))) == 40
    lap_ns = round(2 * camera.track.lap_s * 1e9)
    there, again = camera.track.pose_at(10**9), camera.track.pose_at(10**9 + lap_ns)
    assert abs(there.x_mm - again.x_mm) < 100
    assert abs(there.y_mm - again.y_mm) < 100
    far = camera.track.pose_at(round(camera.track.lap_s * 1e9))
    assert far.y_mm < 500 < 700 < camera.track.pose_at(0).y_mm


def test_the_whole_surface_is_seen_in_one_lap() -> None:
    lens = Lens(8.0, 12.4, 320, 180)
    track = FlightPath(3, lens, 6000.0, 2400.0, 1.7, 1.0, 0)
    seen = np.zeros((24, 60), bool)
    y, x = np.mgrid[50:2400:100, 50:6000:100].astype(float)
    for t_s in np.arange(0, track.lap_s, 0.1):
        pose = track.pose_at(round(t_s * 1e9))
        point = pose.surface_to_frame(lens) @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
        u, v = point[:2] / point[2]
        seen |= ((u > 0) & (v > 0) & (u < 320) & (v < 180)).reshape(seen.shape)
    assert seen.mean() > 0.97


def test_lost_frames_leave_gaps(scene: Scene) -> None:
    assert [frame.seq for frame in fly(scene, drop_every=3).frames()] == [0, 1, 3, 4, 6, 7, 9]
    assert [frame.seq for frame in fly(scene, drop_every=2, live=True).frames()] == [0, 2, 4, 6, 8]


def test_a_sensor_that_goes_says_so(scene: Scene) -> None:
    frames = fly(scene, fail_after=2).frames()
    assert [next(frames).seq, next(frames).seq] == [0, 1]
    with pytest.raises(DeviceError, match="gone after 2 frames"):
        next(frames)


def test_a_silent_sensor_gives_nothing_until_closed(scene: Scene) -> None:
    camera = fly(scene, silent_after=1, live=True)
    got: list[int] = []
    reader = threading.Thread(target=lambda: got.extend(frame.seq for frame in camera.frames()))
    with camera:
        reader.start()
        reader.join(0.3)
        assert reader.is_alive(), "it hangs as a driver does"
    reader.join(10)
    assert got == [0]
    assert not reader.is_alive()


def test_it_delivers_noise_when_told_to_and_not_before(scene: Scene) -> None:
    frames = list(fly(scene, noise_after=1).frames())
    assert [likeness(frame.rgb) > 0.15 for frame in frames[:3]] == [True, False, False]


def test_a_frozen_sensor_repeats_its_picture_under_new_numbers(scene: Scene) -> None:
    frames = list(fly(scene, freeze_after=2).frames())
    assert [frame.seq for frame in frames] == list(range(10))
    assert frames[9].exposed_ns == 9 * 200_000_000
    assert not np.array_equal(frames[0].rgb, frames[1].rgb)
    assert all(np.array_equal(frames[1].rgb, frame.rgb) for frame in frames[2:])


def test_a_closed_camera_gives_no_more_frames(scene: Scene) -> None:
    camera = fly(scene)
    with camera:
        frames = camera.frames()
        next(frames)
    assert list(frames) == []


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"fps": 0}, "fps is 0"),
        ({"seconds": -1.0}, "seconds is -1"),
        ({"range_m": float("inf")}, "range_m: got inf"),
        ({"width_px": 16}, "at least 32x32"),
        ({"fps": 2000, "exposure_us": 800}, "does not fit"),
        ({"drop_every": 1}, "drop_every is 1; give 2 or more"),
        ({"fail_after": -1}, "fail_after is -1"),
        ({"freeze_after": 0}, "freeze_after is 0"),
        ({"sed": 1}, "did you mean seed"),
        ({"noise": "yes"}, "true or false"),
        ({"sharpen": -0.5}, "sharpen is -0.5"),
        ({"jpeg_quality": 0}, "jpeg_quality is 0; give 1 to 100"),
        ({"tone": "gamma"}, "tone"),
    ],
)
def test_wrong_options_are_refused_by_name(table: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config.build(Options, table, "camera")
