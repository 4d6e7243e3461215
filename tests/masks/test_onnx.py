"""The ONNX backend on the CPU, next to LiteRT on the same bundle; and what must be refused."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from edge.frames import Frame
from edge.masks import litert, onnx
from edge.masks.onnx import Options, open_segmenter
from edge.support.errors import EXIT_UNAVAILABLE, BundleError, DeviceError


def frame(height: int = 90, width: int = 130) -> Frame:
    rgb = np.random.default_rng(3).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return Frame(seq=0, exposed_ns=0, exposure_us=None, rgb=rgb)


def test_it_scores_as_the_int8_network_does(fixtures, clock):
    """Tiles, pixel shuffle and blending are the same; the rounding of weights and logits is what may differ."""
    settings = {"bundle": fixtures / "pixel", "unsigned": "allow", "threads": 1}
    with open_segmenter(Options(provider="cpu", **settings), clock) as segmenter:
        found = segmenter.segment(frame())
    with litert.open_segmenter(litert.Options(**settings), clock) as segmenter:
        wanted = segmenter.segment(frame())
    assert np.abs(found.classes[0].score.astype(int) - wanted.classes[0].score).max() <= 6
    assert found.classes[0].damage.any()
    assert not found.classes[0].damage.all()


def test_it_says_what_runs(fixtures, clock):
    with open_segmenter(
        Options(bundle=fixtures / "pixel", unsigned="allow", provider="cpu", threads=1), clock
    ) as opened:
        assert (opened.runtime.backend, opened.runtime.accelerator, opened.runtime.threads) == ("onnx", "cpu", 1)
        assert opened.runtime.library.startswith("onnxruntime ")


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_provider_that_is_not_there_is_refused_or_announced(fixtures, clock, provider, caplog):
    import onnxruntime

    if onnx._PROVIDERS[provider] in onnxruntime.get_available_providers():
        pytest.skip("hardware: this ONNX Runtime was built with the provider")
    settings = {"bundle": fixtures / "pixel", "unsigned": "allow", "provider": provider, "threads": 1}
    with pytest.raises(DeviceError, match="was built without") as refusal:
        open_segmenter(Options(**settings), clock)
    assert refusal.value.exit_code == EXIT_UNAVAILABLE
    with (
        caplog.at_level(logging.WARNING),
        open_segmenter(Options(**settings, when_absent="degrade"), clock) as opened,
    ):
        assert opened.runtime.accelerator == "cpu"
        assert opened.degraded is not None
        assert opened.degraded.startswith(f"running on the CPU instead of {provider}: ")
    assert opened.degraded in caplog.messages


def test_a_bundle_without_an_onnx_model_is_refused(fixtures, clock):
    with pytest.raises(BundleError, match=r"holds no artefact onnx.*convert onnx"):
        open_segmenter(Options(bundle=fixtures / "context", unsigned="allow", provider="cpu"), clock)


def test_an_onnx_file_that_is_none_is_refused(pixel, clock):
    pixel.replace("model.onnx", b"no model")
    with pytest.raises(BundleError, match=r"model\.onnx: onnxruntime .* cannot open it"):
        open_segmenter(Options(bundle=pixel.folder, unsigned="allow", provider="cpu"), clock)


def test_a_wrong_answer_is_refused(pixel, clock, tmp_path):
    with np.load(pixel.folder / "golden_onnx.npz") as arrays:
        answer = arrays["output"]
    np.savez(tmp_path / "wrong.npz", output=np.roll(answer, 40, axis=2) ^ 0x55)
    pixel.replace("golden_onnx.npz", (tmp_path / "wrong.npz").read_bytes())
    with pytest.raises(BundleError, match="of the golden answer is off"):
        open_segmenter(Options(bundle=pixel.folder, unsigned="allow", provider="cpu"), clock)


def test_a_golden_answer_the_card_does_not_list_is_refused(pixel, clock):
    card = pixel.card
    del card["files"]["golden_onnx.npz"]
    pixel.write_card(card)
    with pytest.raises(BundleError, match=r"golden_onnx\.npz is not listed; model\.onnx does not fly without it"):
        open_segmenter(Options(bundle=pixel.folder, unsigned="allow", provider="cpu"), clock)


def test_a_model_of_another_size_is_refused(pixel, clock):
    pixel.change("input.height", 32)
    pixel.change("output.height", 8)
    with pytest.raises(BundleError, match=r"input is tensor\(float\) \[1, 64, 96, 3\], the card says"):
        open_segmenter(Options(bundle=pixel.folder, unsigned="allow", provider="cpu"), clock)


def test_device_numbers_start_at_zero():
    with pytest.raises(ValueError, match="device is at least 0"):
        Options(device=-1)


def test_tensorrt_is_asked_for_half_precision_and_a_kept_engine(tmp_path):
    options = Options(engine_dir=tmp_path, device=1)
    assert onnx._provider_options(options, "tensorrt", False) == {
        "device_id": "1",
        "trt_fp16_enable": "True",
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(tmp_path),
    }
    assert onnx._provider_options(options, "cpu", True) == {}
    assert onnx._provider_options(options, "tensorrt", True)["trt_int8_enable"] == "True"


@pytest.mark.parametrize("facts", [{"opset": "17", "largest_difference": 0.0}, {"opset": 17}, {"version": 1}])
def test_facts_that_are_none_are_refused(pixel, clock, facts):
    pixel.change("artifacts.onnx.facts", facts)
    with pytest.raises(BundleError, match=r"card\.artifacts\.onnx\.facts\."):
        open_segmenter(Options(bundle=pixel.folder, unsigned="allow", provider="cpu"), clock)


def test_its_golden_tolerance_is_its_own(pixel, clock, tmp_path):
    """An answer that is off by 9 steps: refused with the tolerance of 2 steps, taken with one of 9."""
    with np.load(pixel.folder / "golden_onnx.npz") as arrays:
        answer = arrays["output"].astype(np.int16)
    np.savez(tmp_path / "off.npz", output=np.where(answer > 0, answer - 9, answer + 9).astype(np.int8))
    pixel.replace("golden_onnx.npz", (tmp_path / "off.npz").read_bytes())
    options = Options(bundle=pixel.folder, unsigned="allow", provider="cpu")
    with pytest.raises(BundleError, match="off by more than 2 steps"):
        open_segmenter(options, clock)
    pixel.change("artifacts.onnx.golden.tolerance_lsb", 9)
    with open_segmenter(options, clock) as opened:
        assert opened.segment(frame()).classes[0].damage.any()
