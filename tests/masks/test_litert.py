from __future__ import annotations

import math
import subprocess
import sys
import tracemalloc
from importlib.util import find_spec

import numpy as np
import pytest

from edge.frames import Frame
from edge.masks import interpreter, litert
from edge.masks.bundle import default_bundle_path, load_bundle, load_golden
from edge.masks.litert import Options, open_segmenter
from edge.support import config
from edge.support.errors import BundleError, ConfigError, DeviceError


def frame(rgb: np.ndarray, lores: np.ndarray | None = None) -> Frame:
    return Frame(seq=7, exposed_ns=0, exposure_us=None, rgb=np.ascontiguousarray(rgb), lores=lores)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.fixture
def opened(fixtures, clock):
    with open_segmenter(Options(unsigned="allow", bundle=fixtures / "pixel", threads=1), clock) as segmenter:
        yield segmenter


@pytest.fixture
def score_of_red(opened) -> np.ndarray:
    """The score the pixel network gives each red, read off one frame that fits its input."""
    ramp = np.zeros((3, 96, 3), np.uint8)
    ramp[..., 0] = np.minimum(np.arange(3 * 96).reshape(3, 96), 255)
    return opened.segment(frame(ramp)).classes[0].score.ravel()[:256]


def test_the_pixel_network_answers_what_its_formula_says(score_of_red):
    for red in range(256):
        expected = 255 * sigmoid(8 * (0.5 - red / 255))
        assert abs(int(score_of_red[red]) - expected) <= 2.5  # half a step of 0.031 logits, and the rounding


@pytest.mark.parametrize(
    ("height", "width"),
    [(1, 1), (1, 96), (64, 1), (7, 5), (64, 96), (65, 96), (64, 97), (65, 97), (10, 700), (700, 3), (150, 222)],
)
def test_every_pixel_of_any_frame_gets_its_own_score(opened, score_of_red, height, width):
    rgb = noise(height, width)
    mask = opened.segment(frame(rgb))
    np.testing.assert_array_equal(mask.classes[0].score, score_of_red[rgb[..., 0]])
    np.testing.assert_array_equal(mask.classes[0].damage, mask.classes[0].score >= 153)
    assert mask.classes[0].damage.view(np.uint8).max() <= 1
    assert mask.classes[0].damage.any() == (score_of_red[rgb[..., 0]] >= 153).any()


def test_frames_of_changing_size_do_not_leak_into_each_other(opened, score_of_red):
    for seed, (height, width) in enumerate([(150, 222), (7, 5), (150, 222), (222, 150), (64, 96)]):
        rgb = noise(height, width, seed)
        np.testing.assert_array_equal(opened.segment(frame(rgb)).classes[0].score, score_of_red[rgb[..., 0]])


def test_a_mask_given_away_is_not_touched_by_the_next_frame(opened):
    mask = opened.segment(frame(noise(30, 40)))
    before = mask.classes[0].score.copy()
    opened.segment(frame(noise(30, 40, seed=1)))
    np.testing.assert_array_equal(mask.classes[0].score, before)


def test_red_is_first(opened):
    colours = np.zeros((1, 3, 3), np.uint8)
    colours[0, [0, 1, 2], [0, 1, 2]] = 255
    red, green, blue = opened.segment(frame(colours)).classes[0].score[0]
    assert red < 10
    assert green > 245
    assert blue > 245


def test_the_answer_is_sigmoid_of_the_enlarged_logits(fixtures, clock):
    """The context network against the interpreter's raw answer, taken the slow way."""
    bundle = load_bundle(fixtures / "context")
    golden, card = load_golden(bundle), bundle.card
    rgb = (golden.input[0].astype(np.int16) + 128).astype(np.uint8)
    once = Options(unsigned="allow", bundle=fixtures / "context", threads=1, half_look="off")
    with open_segmenter(once, clock) as segmenter:
        score = segmenter.segment(frame(rgb)).classes[0].score
    logits = (golden.output[0, :, :, 0].astype(float) - card.output.zero_point) * card.output.scale
    padded = np.pad(logits, 1, mode="edge")
    for y in range(0, 64, 5):
        for x in range(0, 96, 7):
            row, column = (y + 0.5) / 4 + 0.5, (x + 0.5) / 4 + 0.5
            i, j = int(row), int(column)
            fy, fx = row - i, column - j
            top = padded[i, j] * (1 - fx) + padded[i, j + 1] * fx
            bottom = padded[i + 1, j] * (1 - fx) + padded[i + 1, j + 1] * fx
            expected = 255 * sigmoid(top * (1 - fy) + bottom * fy)
            assert abs(int(score[y, x]) - expected) <= 0.25 * 255 * card.output.scale * 2.5 + 1


def test_a_network_that_looks_around_shows_no_seam_in_even_surroundings(fixtures, clock):
    even = np.full((200, 300, 3), 140, np.uint8)
    with open_segmenter(Options(unsigned="allow", bundle=fixtures / "context", threads=1), clock) as segmenter:
        inside = segmenter.segment(frame(even)).classes[0].score[16:-16, 16:-16].astype(int)
    assert np.ptp(inside) <= 12


def test_a_frame_smaller_than_the_network_ends_in_more_of_the_same_not_in_black(fixtures, clock):
    even = np.full((30, 40, 3), 140, np.uint8)
    with open_segmenter(Options(unsigned="allow", bundle=fixtures / "context", threads=1), clock) as segmenter:
        segmenter.segment(frame(np.zeros((64, 96, 3), np.uint8)))  # what a tensor may still hold
        inside = segmenter.segment(frame(even)).classes[0].score[16:, 16:].astype(int)
    assert np.ptp(inside) <= 12


def test_lores_is_segmented_and_enlarged(fixtures, clock, score_of_red):
    rgb, lores = noise(40, 60), np.full((20, 30, 3), 200, np.uint8)
    lores[:, :15] = 10
    with open_segmenter(
        Options(unsigned="allow", bundle=fixtures / "pixel", threads=1, source="lores"), clock
    ) as segmenter:
        mask = segmenter.segment(frame(rgb, lores))
        assert mask.classes[0].score.shape == (40, 60)
        assert (mask.classes[0].score[:, :28] == score_of_red[10]).all()
        assert (mask.classes[0].score[:, 32:] == score_of_red[200]).all()
        assert (np.diff(mask.classes[0].score[5].astype(int)) <= 0).all()
        with pytest.raises(ConfigError, match=r"frame 7 has no lores.*set source to main"):
            segmenter.segment(frame(rgb))


def test_what_runs_is_said(opened, fixtures):
    bundle = load_bundle(fixtures / "pixel")
    assert opened.model == bundle.model
    assert opened.sha256 == bundle.sha256
    assert opened.classes[0].threshold == 0.6
    assert opened.degraded is None
    assert (opened.runtime.backend, opened.runtime.accelerator, opened.runtime.threads) == ("litert", "cpu", 1)
    name, version = opened.runtime.library.split()
    assert name in ("ai-edge-litert", "tflite-runtime")
    assert version[0].isdigit()


@pytest.mark.parametrize(("rgb", "looks"), [(noise(900, 1200), False), (np.zeros((900, 1200, 3), np.uint8), True)])
def test_a_large_photo_takes_little_more_memory_than_its_answer(opened, rgb, looks):
    assert bool(opened.segment(frame(rgb)).second_looks) is looks
    tracemalloc.start()
    try:
        opened.segment(frame(rgb))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < (3.6 if looks else 2.2) * 900 * 1200  # score and crack are one byte a pixel each


def test_the_bundle_that_ships_opens_and_runs(clock):
    try:
        default_bundle_path()
    except BundleError as absent:
        pytest.skip(str(absent))
    with open_segmenter(Options(), clock) as segmenter:
        assert segmenter.segment(frame(noise(33, 1000))).classes[0].score.shape == (33, 1000)


def test_options_come_from_a_configuration_table(tmp_path):
    options = config.build(Options, {"bundle": str(tmp_path), "threads": 2, "source": "lores"}, "segmenter")
    assert options == Options(bundle=tmp_path, threads=2, source="lores")
    assert 1 <= Options().threads <= 4


@pytest.mark.parametrize(
    ("table", "words"),
    [({"threads": 0}, "threads"), ({"overlap_px": -1}, "overlap_px"), ({"source": "both"}, "'main', 'lores'")],
)
def test_impossible_options_are_refused(table, words):
    with pytest.raises(ConfigError, match=words):
        config.build(Options, table, "segmenter")


def test_an_overlap_too_large_for_the_network_is_refused(fixtures, clock):
    with pytest.raises(ConfigError, match=r"overlap_px: got 17; bundle pixel-\w+ allows at most 16"):
        open_segmenter(Options(unsigned="allow", bundle=fixtures / "pixel", overlap_px=17), clock)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("float.tflite", "input type is float32, the card says int8"),
        ("two_outputs.tflite", "2 outputs"),
        ("dynamic.tflite", r"input shape is \(1, -1, -1, 3\), the card says \(1, 64, 96, 3\)"),
        ("context/model.tflite", r"output shape is \(1, 16, 24, 1\), the card says \(1, 16, 24, 16\)"),
    ],
)
def test_a_model_that_is_not_what_its_card_says_is_refused(pixel, fixtures, clock, model, words):
    pixel.replace("model.tflite", (fixtures / model).read_bytes())
    with pytest.raises(BundleError, match=words):
        open_segmenter(Options(unsigned="allow", bundle=pixel.folder), clock)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("output.scale", 0.03, r"output scale is 0\.0313\d*, the card says 0\.03;"),
        ("output.zero_point", 1, "output zero point is -1, the card says 1"),
        ("input.scale", 1 / 255.01, "input scale"),
    ],
)
def test_a_card_of_another_calibration_is_refused(pixel, clock, field, value, words):
    pixel.change(field, value)
    with pytest.raises(BundleError, match=words):
        open_segmenter(Options(unsigned="allow", bundle=pixel.folder), clock)


def broken_models(good: bytes) -> dict[str, bytes]:
    rng = np.random.default_rng(3)
    flipped = bytearray(good)
    for place in rng.integers(0, len(good), 40):
        flipped[place] ^= 0xFF
    return {
        "empty": b"",
        "cut in half": good[: len(good) // 2],
        "without its last bytes": good[:-64],
        "random": rng.bytes(3000),
        "random with the right magic": rng.bytes(4) + b"TFL3" + rng.bytes(3000),
        "flipped": bytes(flipped),
    }


@pytest.mark.skipif(find_spec("ai_edge_litert") is None, reason="tflite-runtime dies of a file that is no model")
@pytest.mark.parametrize("how", broken_models(b"x" * 100))
def test_broken_bytes_with_a_card_that_vouches_for_them_are_refused(pixel, clock, how):
    pixel.replace("model.tflite", broken_models((pixel.folder / "model.tflite").read_bytes())[how])
    with pytest.raises(BundleError, match=r"model\.tflite"):
        open_segmenter(Options(unsigned="allow", bundle=pixel.folder), clock)


def with_golden(pixel, change) -> None:
    golden = load_golden(load_bundle(pixel.folder))
    path = pixel.folder / "golden.npz"
    np.savez_compressed(path, input=golden.input, output=change(golden.output.astype(int)).astype(np.int8))
    pixel.replace("golden.npz", path.read_bytes())


def far_off(share: float):
    def change(output: np.ndarray) -> np.ndarray:
        changed = output.ravel().copy()
        changed[: round(share * changed.size)] += 5
        return np.clip(changed, -128, 127).reshape(output.shape)

    return change


def test_a_golden_answer_within_tolerance_passes(pixel, clock):
    with_golden(pixel, lambda output: np.clip(output + 2, -128, 127))
    open_segmenter(Options(unsigned="allow", bundle=pixel.folder), clock)
    with_golden(pixel, far_off(0.009))
    open_segmenter(Options(unsigned="allow", bundle=pixel.folder), clock)


def test_a_wrong_golden_answer_does_not_fly(pixel, clock):
    with_golden(pixel, lambda output: np.clip(output + 5, -128, 127))
    with pytest.raises(BundleError, match=r"9\d\.\d% of the golden answer is off by more than 2 steps .* on cpu"):
        open_segmenter(Options(unsigned="allow", bundle=pixel.folder), clock)


def test_too_many_wrong_values_do_not_fly_either(pixel, clock):
    with_golden(pixel, far_off(0.02))
    with pytest.raises(BundleError, match=r"the card allows 1\.0%"):
        open_segmenter(Options(unsigned="allow", bundle=pixel.folder), clock)


def test_another_bundle_s_weights_under_this_card_do_not_fly(pixel, clock):
    """Same shapes and scales, other weights: only the golden answer can tell."""
    content = (pixel.folder / "model.tflite").read_bytes()
    weight = b"\x81" + bytes(8)  # -127: each filter holds -8 at its own pixel and 0 elsewhere
    assert content.count(weight) >= 15
    pixel.replace("model.tflite", content.replace(weight, b"\xc0" + bytes(8)))
    with pytest.raises(BundleError, match="golden answer"):
        open_segmenter(Options(unsigned="allow", bundle=pixel.folder), clock)


def test_a_run_that_fails_is_a_device_error(fixtures):
    bundle = load_bundle(fixtures / "pixel")
    network = interpreter.open_network(bundle, "tflite", threads=1)
    held = network.input()  # the interpreter refuses to run while a view is held
    with pytest.raises(DeviceError, match="failed on cpu"):
        network.run()
    del held
    network.run()


def test_no_interpreter_installed_says_what_to_install(fixtures, clock, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", None)
    with pytest.raises(ConfigError, match="pip install ai-edge-litert"):
        open_segmenter(Options(unsigned="allow", bundle=fixtures / "pixel"), clock)


def test_the_older_interpreter_is_used_where_it_is_the_only_one(fixtures, clock, monkeypatch, tmp_path):
    """A stand-in under the older package's name, which hands out the installed interpreter."""
    newer = pytest.importorskip("ai_edge_litert.interpreter")
    older = tmp_path / "tflite_runtime"
    older.mkdir()
    (older / "__init__.py").write_text('__version__ = "2.14.0"\n')
    (older / "interpreter.py").write_text(
        "import sys\nInterpreter = sys.modules['ai_edge_litert.interpreter'].Interpreter\n"
    )
    assert sys.modules["ai_edge_litert.interpreter"] is newer
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with open_segmenter(Options(unsigned="allow", bundle=fixtures / "pixel"), clock) as segmenter:
        assert segmenter.runtime.library == "tflite-runtime 2.14.0"


def test_the_interpreter_is_not_imported_before_it_is_opened():
    check = f"import sys, {litert.__name__}; assert not {{'ai_edge_litert', 'tflite_runtime'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)
