"""The promises of ``edge.frames.Camera``, kept by every module of the room that opens one.

A new backend is found by itself and opened without options; one that needs some gets a line in ``EXAMPLES``. A
backend whose device is not on this machine is skipped with the reason it gave.
"""

import ast
import dataclasses
import importlib
import inspect
import json
import os
import pkgutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

import edge.frames
from edge.frames import Frame, SkippedFrame
from edge.support.clock import SystemClock
from edge.support.config import build
from edge.support.errors import ConfigError, DeviceError

ROOM = [importlib.import_module(f"edge.frames.{module.name}") for module in pkgutil.iter_modules(edge.frames.__path__)]
BACKENDS = {module.__name__.rpartition(".")[2]: module for module in ROOM if "open_camera" in vars(module)}
COUNT = 6


def images(folder: Path) -> Path:
    for index in range(COUNT):
        cv2.imwrite(str(folder / f"{index}.png"), np.full((24, 32, 3), 20 * index, np.uint8))
    return folder


def film(folder: Path) -> str:
    path = str(folder / "film.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (32, 24))
    for index in range(COUNT):
        writer.write(np.full((24, 32, 3), 20 * index, np.uint8))
    writer.release()
    return path


EXAMPLES: dict[str, Callable[[Path], dict[str, object]]] = {
    "folder": lambda folder: {"path": str(images(folder))},
    "video": lambda folder: {"source": film(folder)},
    # What a camera on this machine needs, as JSON: a Raspberry Pi's own needs nothing.
    "picamera": lambda folder: json.loads(os.environ.get("SPANHAWK_PICAMERA", "{}")),
    "v4l2": lambda folder: json.loads(os.environ.get("SPANHAWK_V4L2", "{}")),
    "synthetic": lambda folder: {"width_px": 320, "height_px": 180, "fps": 50.0},
}


@pytest.fixture(params=sorted(BACKENDS))
def backend(request):
    return BACKENDS[request.param]


@dataclasses.dataclass
class Visit:
    """What one camera showed from opening to after closing."""

    live: bool
    timeout_s: float | None
    frame_count: int | None
    skipped: tuple[SkippedFrame, ...]
    frames: list[Frame]
    first_as_it_came: np.ndarray
    after_closing: list[type[BaseException]]


@pytest.fixture(scope="module", params=sorted(BACKENDS))
def visit(request, tmp_path_factory) -> Visit:
    """Open each backend once: scenes are costly to build."""
    module, example = BACKENDS[request.param], EXAMPLES.get(request.param, lambda folder: {})
    options = build(module.Options, example(tmp_path_factory.mktemp(request.param)), request.param)
    try:
        camera = module.open_camera(options, SystemClock())
    except DeviceError as error:
        pytest.skip(f"hardware: {request.param}: {error}")
    with camera:
        live, timeout_s, frame_count, skipped = camera.live, camera.timeout_s, camera.frame_count, camera.skipped
        source = camera.frames()
        first = next(source)
        first_as_it_came = first.rgb.copy()
        frames = [first, *islice(source, COUNT - 1)]
        if not live:
            frames += islice(source, 50)
    after_closing = [outcome(source), outcome(camera.frames())]
    camera.__exit__(None, None, None)  # closing twice is harmless
    return Visit(live, timeout_s, frame_count, skipped, frames, first_as_it_came, after_closing)


def outcome(source: Iterator[Frame]) -> type[BaseException]:
    with pytest.raises((DeviceError, StopIteration)) as caught:
        next(source)
    return caught.type


def test_the_room_has_its_backends():
    assert {"folder", "video", "v4l2", "picamera"} <= set(BACKENDS)


def test_options_are_a_frozen_dataclass_of_keywords(backend):
    options = backend.Options
    assert all(field.kw_only for field in dataclasses.fields(options))
    assert options.__dataclass_params__.frozen
    assert "__slots__" in vars(options)


def test_every_option_says_what_it_is(backend):
    (tree,) = ast.parse(inspect.getsource(backend.Options)).body
    fields = [index for index, node in enumerate(tree.body) if isinstance(node, ast.AnnAssign)]
    for index in fields:
        following = tree.body[index + 1]
        assert isinstance(following, ast.Expr), ast.unparse(tree.body[index])
        assert isinstance(following.value.value, str), ast.unparse(tree.body[index])


def test_unknown_options_are_refused_by_name(backend):
    with pytest.raises(ConfigError, match=r"camera\.no_such_key: unknown key"):
        build(backend.Options, {"no_such_key": 1}, "camera")


def test_it_says_what_it_is(visit):
    assert visit.live in (True, False)
    assert visit.frame_count is None or (visit.frame_count > 0 and not visit.live)
    assert visit.skipped == ()


def test_a_sensor_says_how_long_it_may_be_silent_and_a_recording_takes_its_time(visit):
    assert (visit.timeout_s is not None) is visit.live
    assert visit.timeout_s is None or visit.timeout_s > 0


def test_frames_are_read_only_pictures(visit):
    for frame in visit.frames:
        for picture in (frame.rgb, frame.lores):
            if picture is not None:
                assert (picture.dtype, picture.ndim, picture.shape[2]) == (np.uint8, 3, 3)
                assert picture.flags.c_contiguous
                assert not picture.flags.writeable


def test_frames_do_not_share_memory(visit):
    """A frame is still itself when the next ones have come."""
    first, *following = visit.frames
    np.testing.assert_array_equal(first.rgb, visit.first_as_it_came)
    assert not any(np.shares_memory(first.rgb, frame.rgb) for frame in following)


def test_seq_rises_and_time_does_not_run_back(visit):
    seqs, times = [frame.seq for frame in visit.frames], [frame.exposed_ns for frame in visit.frames]
    assert seqs == sorted(set(seqs))
    assert seqs[0] >= 0
    assert times == sorted(times)
    assert all(type(value) is int for value in seqs + times)


def test_names_are_unique_where_there_are_names(visit):
    names = [frame.name for frame in visit.frames]
    assert set(names) == {None} or (None not in names and len(set(names)) == len(names))
    assert not visit.live or set(names) == {None}


def test_times_and_exposures_are_real_or_none(visit):
    for frame in visit.frames:
        assert frame.exposure_us is None or (type(frame.exposure_us) is int and frame.exposure_us > 0)
        assert frame.taken_at is None or frame.taken_at.utcoffset() == timedelta(0)


def test_a_recording_delivers_what_it_announced(visit):
    short = not visit.live and visit.frame_count is not None and visit.frame_count <= COUNT
    assert not short or len(visit.frames) == visit.frame_count


def test_no_frames_after_closing(visit):
    assert len(visit.after_closing) == 2
