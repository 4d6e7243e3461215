"""What every segmenter of the room promises; a new backend module is found and tested by itself."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import pkgutil
import re
import shutil
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import edge.masks
from edge.frames import Frame
from edge.masks import Segmenter
from edge.masks.preprocess import threshold_code
from edge.support.clock import ManualClock
from edge.support.errors import DeviceError

PIXEL = Path(__file__).parents[1] / "masks" / "fixtures" / "pixel"
ALWAYS_HERE = {"litert", "dark", "onnx"}
SIZES = [(1, 1), (1, 9), (7, 5), (64, 96), (511, 513), (720, 1280)]


def backends() -> list[str]:
    names = [module.name for module in pkgutil.iter_modules(edge.masks.__path__)]
    return [name for name in names if hasattr(importlib.import_module(f"edge.masks.{name}"), "open_segmenter")]


def test_the_room_has_its_backends():
    assert {"litert", "edgetpu", "onnx", "dark"} <= set(backends())


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pixel bundle with a file for every backend that wants one of its own."""
    folder = Path(shutil.copytree(PIXEL, tmp_path_factory.mktemp("bundle") / "pixel"))
    content = (folder / "model.tflite").read_bytes() + b"edgetpu-custom-op"
    (folder / "model_edgetpu.tflite").write_bytes(content)
    card = json.loads((folder / "card.json").read_text())
    card["files"]["model_edgetpu.tflite"] = hashlib.sha256(content).hexdigest()
    (folder / "card.json").write_text(json.dumps(card))
    return folder


@pytest.fixture(params=backends())
def backend(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(f"edge.masks.{request.param}")


@pytest.fixture
def segmenter(backend: ModuleType, bundle: Path) -> Iterator[Segmenter]:
    clock = ManualClock(datetime(2025, 6, 1, tzinfo=timezone.utc))
    try:
        opened = backend.open_segmenter(options(backend, bundle), clock)
    except DeviceError as absent:
        if backend.__name__.rpartition(".")[2] in ALWAYS_HERE:
            raise
        pytest.skip(f"hardware: {absent}")
    with opened as inside:
        yield inside


def options(backend: ModuleType, bundle: Path) -> object:
    fields = {field.name for field in dataclasses.fields(backend.Options)}
    here = {"bundle": bundle, "unsigned": "allow", "provider": "cpu"}
    return backend.Options(**{name: value for name, value in here.items() if name in fields})


def frame(height: int, width: int, seed: int = 0) -> Frame:
    """Noise on a light wall with dark lines, so that there is something to find."""
    rgb = np.random.default_rng(seed).integers(150, 200, (height, width, 3), dtype=np.uint8)
    rgb[height // 2 : height // 2 + 2] = 20
    return Frame(seq=seed, exposed_ns=0, exposure_us=None, rgb=rgb)


def test_options_are_a_frozen_keyword_only_dataclass_with_defaults(backend: ModuleType) -> None:
    parameters = backend.Options.__dataclass_params__
    assert parameters.frozen
    assert all(field.kw_only for field in dataclasses.fields(backend.Options))
    made = backend.Options()
    assert hash(made) == hash(backend.Options())
    assert not hasattr(made, "__dict__")


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_mask_has_the_frame_s_size_and_is_read_only(segmenter: Segmenter, height: int, width: int) -> None:
    taken = frame(height, width)
    before = taken.rgb.copy()
    mask = segmenter.segment(taken)
    assert mask.frame is taken
    assert (mask.classes[0].score.shape, mask.classes[0].score.dtype) == ((height, width), np.uint8)
    assert (mask.classes[0].damage.shape, mask.classes[0].damage.dtype) == ((height, width), np.bool_)
    assert not mask.classes[0].score.flags.writeable
    assert not mask.classes[0].damage.flags.writeable
    assert mask.classes[0].score.flags.c_contiguous
    assert mask.classes[0].damage.view(np.uint8).max() <= 1
    np.testing.assert_array_equal(taken.rgb, before)


def test_crack_is_score_at_or_above_the_threshold(segmenter: Segmenter) -> None:
    mask = segmenter.segment(frame(123, 211))
    found = mask.classes[0]
    assert 0 < found.kind.threshold <= 1
    assert tuple(one.kind for one in mask.classes) == segmenter.classes
    np.testing.assert_array_equal(found.damage, found.score >= threshold_code(found.kind.threshold))
    np.testing.assert_array_equal(found.damage, found.score / 255 >= found.kind.threshold)
    assert found.damage.any()
    assert not found.damage.all()


def test_the_same_frame_gives_the_same_mask_whatever_came_between(segmenter: Segmenter) -> None:
    first = segmenter.segment(frame(130, 170))
    segmenter.segment(frame(40, 300, seed=1))
    again = segmenter.segment(frame(130, 170))
    np.testing.assert_array_equal(first.classes[0].score, again.classes[0].score)
    np.testing.assert_array_equal(first.classes[0].damage, again.classes[0].damage)


def test_masks_do_not_share_memory(segmenter: Segmenter) -> None:
    first, second = segmenter.segment(frame(64, 96)), segmenter.segment(frame(64, 96))
    assert not np.shares_memory(first.classes[0].score, second.classes[0].score)
    assert not np.shares_memory(first.classes[0].damage, second.classes[0].damage)


def test_colour_order_matters(segmenter: Segmenter) -> None:
    """Pure red and pure blue differ for every backend: swapped channels cannot pass unseen."""
    wall = np.full((33, 33, 3), 100, np.uint8)
    red, blue = wall.copy(), wall.copy()
    red[16, 16], blue[16, 16] = (255, 0, 0), (0, 0, 255)
    scores = [
        segmenter.segment(Frame(seq=0, exposed_ns=0, exposure_us=None, rgb=rgb)).classes[0].score[16, 16]
        for rgb in (red, blue)
    ]
    assert int(scores[1]) - int(scores[0]) > 100


def test_it_says_what_runs(segmenter: Segmenter, backend: ModuleType) -> None:
    runtime = segmenter.runtime
    assert runtime.backend == backend.__name__.rpartition(".")[2]
    assert runtime.library
    assert runtime.accelerator in ("cpu", "edgetpu", "cuda", "tensorrt")
    assert runtime.threads is None or runtime.threads >= 1
    assert segmenter.degraded is None
    assert segmenter.segment(frame(5, 5)).model == segmenter.model
    if segmenter.sha256 is not None:
        assert re.fullmatch("[0-9a-f]{64}", segmenter.sha256)
        assert segmenter.model.endswith(f"-{segmenter.sha256[:8]}")


def test_leaving_the_block_closes_it(segmenter: Segmenter) -> None:
    with segmenter as inside:
        inside.segment(frame(9, 9))
    with pytest.raises(DeviceError, match="closed"):
        segmenter.segment(frame(9, 9))
