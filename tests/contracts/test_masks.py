"""What every segmenter of the room promises; a new backend module is found and tested by itself.

A backend that lives elsewhere is tested by its dotted name, with a bundle that holds its artefact:
``SPANHAWK_BACKEND=vendor.npu SPANHAWK_BUNDLE=bundles/mine pytest tests/contracts/test_masks.py``.
"""

from __future__ import annotations

import dataclasses
import importlib
import io
import os
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
from edge.masks.bundle import load_bundle, load_golden
from edge.masks.options import NetworkOptions
from edge.masks.preprocess import threshold_code
from edge.masks.traits import Device, traits_of
from edge.support import backends as finder
from edge.support.clock import ManualClock
from edge.support.errors import BundleError, DeviceError
from tests.masks.conftest import EditableBundle

PIXEL = Path(__file__).parents[1] / "masks" / "fixtures" / "pixel"
ALWAYS_HERE = {"litert", "dark", "onnx"}
NOON = datetime(2025, 6, 1, 12, tzinfo=timezone.utc)
SIZES = [(1, 1), (1, 9), (7, 5), (64, 96), (511, 513), (720, 1280)]


def room() -> list[str]:
    """The room's own backends, as a configuration names them."""
    names = [module.name for module in pkgutil.iter_modules(edge.masks.__path__)]
    return [name for name in names if hasattr(importlib.import_module(f"edge.masks.{name}"), "open_segmenter")]


def module_of(name: str) -> ModuleType:
    return finder.find("edge.masks", name, "open_segmenter", "masks.backend")


ELSEWHERE = os.environ.get("SPANHAWK_BACKEND")
BACKENDS = [ELSEWHERE] if ELSEWHERE else room()
RUN_MODELS = [name for name in BACKENDS if traits_of(module_of(name)).artifact is not None]
"""All but the fakes."""


def test_the_room_has_its_backends():
    assert {"litert", "edgetpu", "onnx", "dark"} <= set(room())


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with an artefact for every backend that is tested."""
    given = os.environ.get("SPANHAWK_BUNDLE", PIXEL)
    editable = EditableBundle(Path(shutil.copytree(given, tmp_path_factory.mktemp("bundle") / "pixel")))
    for seal in ("card.json.sha256", "card.json.minisig"):
        (editable.folder / seal).unlink(missing_ok=True)  # the card is about to be changed
    if "edgetpu" not in editable.card["artifacts"]:
        content = (editable.folder / "model.tflite").read_bytes() + b"edgetpu-custom-op"
        editable.add("edgetpu", "model_edgetpu.tflite", content)
    return editable.folder


@pytest.fixture(params=BACKENDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def backend(name: str) -> ModuleType:
    return module_of(name)


@pytest.fixture
def editable(bundle: Path, tmp_path: Path) -> EditableBundle:
    """A copy to spoil."""
    return EditableBundle(Path(shutil.copytree(bundle, tmp_path / "pixel")))


@pytest.fixture
def segmenter(name: str, backend: ModuleType, bundle: Path) -> Iterator[Segmenter]:
    with opened(name, backend, bundle) as inside:
        yield inside


def opened(name: str, backend: ModuleType, bundle: Path) -> Segmenter:
    clock = ManualClock(datetime(2025, 6, 1, tzinfo=timezone.utc))
    try:
        segmenter: Segmenter = backend.open_segmenter(options(backend, bundle), clock)
    except DeviceError as absent:
        if name in ALWAYS_HERE:
            raise
        pytest.skip(f"hardware: {absent}")
    return segmenter


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


def test_it_says_what_runs(segmenter: Segmenter, name: str) -> None:
    runtime = segmenter.runtime
    assert runtime.backend == name
    assert runtime.library
    assert re.fullmatch("[a-z0-9_-]+", runtime.accelerator)
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


def test_its_traits_tell_doctor_and_benchmark_what_they_need(backend: ModuleType, bundle: Path) -> None:
    traits = traits_of(backend)
    chosen = options(backend, bundle)
    assert isinstance(chosen, NetworkOptions) is (traits.artifact is not None)
    assert isinstance(traits.on_threads(chosen), bool)
    if traits.faster_than is not None:
        assert traits_of(finder.find("edge.masks", traits.faster_than, "open_segmenter", "test")).artifact is not None
    try:
        device = traits.find_device(chosen)
    except DeviceError as absent:
        assert "; " in str(absent), "what is absent, then what to do"
    else:
        assert device is None or (isinstance(device, Device) and device.where)


def test_it_has_a_network_to_time_that_runs_its_artefact(segmenter: Segmenter, backend: ModuleType) -> None:
    artifact = traits_of(backend).artifact
    network = getattr(segmenter, "network", None)
    assert (network is None) is (artifact is None)
    if network is not None:
        assert network.library == segmenter.runtime.library
        assert network.accelerator == segmenter.runtime.accelerator
    if segmenter.runtime.accelerator != "cpu":
        assert network.exclusive or network.operators() is not None, "benchmark must see that it does the work"


@pytest.mark.parametrize("name", RUN_MODELS)
def test_a_bundle_that_nobody_signed_is_refused(backend: ModuleType, bundle: Path) -> None:
    with pytest.raises(BundleError, match="unsigned"):
        backend.open_segmenter(dataclasses.replace(options(backend, bundle), unsigned="refuse"), ManualClock(NOON))


@pytest.mark.parametrize("name", RUN_MODELS)
def test_a_bundle_without_its_artefact_is_refused(backend: ModuleType, editable: EditableBundle) -> None:
    artifact, card = str(traits_of(backend).artifact), editable.card
    del card["artifacts"][artifact]
    editable.write_card(card)
    with pytest.raises(BundleError, match=rf"\b{artifact}\b"):
        backend.open_segmenter(options(backend, editable.folder), ManualClock(NOON))


@pytest.mark.parametrize("name", RUN_MODELS)
def test_an_altered_artefact_is_refused(backend: ModuleType, editable: EditableBundle) -> None:
    path = editable.folder / editable.card["artifacts"][str(traits_of(backend).artifact)]["file"]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match="SHA-256"):
        backend.open_segmenter(options(backend, editable.folder), ManualClock(NOON))


@pytest.mark.parametrize("name", RUN_MODELS)
def test_a_wrong_answer_is_refused(name: str, backend: ModuleType, editable: EditableBundle) -> None:
    """Half of what the golden file says is far off what the artefact computes."""
    artifact = str(traits_of(backend).artifact)
    golden = load_golden(load_bundle(editable.folder), artifact)
    wrong = golden.output.copy()
    wrong[:, ::2] ^= 0x55
    buffer = io.BytesIO()
    np.savez(buffer, input=golden.input, output=wrong)
    editable.replace(editable.card["artifacts"][artifact]["golden"]["file"], buffer.getvalue())
    with pytest.raises(BundleError, match="golden answer"):
        opened(name, backend, editable.folder)
