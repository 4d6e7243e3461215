"""A network opened at another size than its file's is the same network, and is opened so only where that is so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.frames import Frame
from edge.masks import tiles
from edge.masks.anysize import any_size
from edge.masks.artifacts import TFLITE
from edge.masks.bundle import default_bundle_path, load_bundle
from edge.masks.interpreter import open_network, other_sizes
from edge.masks.litert import Options, open_segmenter
from edge.support.errors import BundleError
from edge.tools.benchmark.loops import rendered

SEEN_PX = 160
"""So far from a border the shipped network feels it no more than by a rounding here and there."""


def answer(network, rgb: np.ndarray) -> np.ndarray:
    np.copyto(network.input(), (rgb.astype(np.int16) - 128).astype(np.int8))
    network.run()
    return network.output().astype(np.int16).copy()


def picture(height: int, width: int) -> np.ndarray:
    """Concrete with dark, winding lines of many widths."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:height, :width]
    grey = rng.normal(150, 6, (height, width))
    for k in range(8):
        middle = (k + 0.5) * width / 8 + 20 * np.sin(y / (40 + 9 * k))
        grey -= 90 * (np.abs(x - middle) < 1 + k / 2)
    return np.clip(grey, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)


@pytest.mark.parametrize(("height", "width"), [(736, 704), (416, 608)])
def test_at_another_size_the_shipped_network_answers_as_at_its_own(height, width):
    bundle = load_bundle(default_bundle_path())
    own, others = open_network(bundle, TFLITE, 1), other_sizes(bundle, TFLITE, 1)
    assert others is not None
    assert others.step_px == (32, 32)
    rgb = picture(max(height, 512), max(width, 512))
    there = answer(others.open(height, width), rgb[:height, :width])
    here = answer(own, rgb[:512, :512])
    factor = bundle.card.output.pixel_shuffle
    rows, columns = ((min(512, extent) - SEEN_PX) // factor for extent in (height, width))
    off = np.abs(there[:rows, :columns] - here[:rows, :columns])
    assert np.ptp(here[:rows, :columns]) > 60  # there is something to see
    assert np.mean(off > 2) < 0.002


def test_a_size_between_two_steps_is_refused_in_words():
    others = other_sizes(load_bundle(default_bundle_path()), TFLITE, 1)
    assert others is not None
    with pytest.raises(BundleError, match=r"500 x 512 is no multiple of 32 x 32.*largest_tile to 0"):
        others.open(500, 512)


def test_a_network_that_answers_for_the_whole_picture_keeps_its_size():
    folder = default_bundle_path().with_name("patch-classifier")
    assert any_size(load_bundle(folder).model_path.read_bytes()) is None


def test_all_shipped_networks_that_draw_masks_can_be_opened_at_other_sizes():
    for name in ("fast-unet", "fast-unet-s", "classic-unet"):
        sizes = any_size(load_bundle(default_bundle_path().with_name(name)).model_path.read_bytes())
        assert sizes is not None, name
        assert sizes.at(sizes.height, sizes.width) == sizes.content, name


def test_a_video_frame_takes_two_tiles_and_shows_the_same_cracks(clock):
    frame = Frame(0, 0, None, rendered(720, 1280))
    options = Options(unsigned="allow", threads=1)
    with open_segmenter(options, clock) as fitted, open_segmenter(replace(options, largest_tile=0.0), clock) as own:
        ours, theirs = (one.segment(frame).classes[0].damage for one in (fitted, own))
        assert (len(fitted.plan), fitted.plan[0].columns.size_px) == (2, 672)
        assert (len(own.plan), own.plan[0].columns.size_px) == (6, 512)
    assert theirs.sum() > 2000  # one crack of 840 px
    assert np.sum(ours != theirs) < 0.03 * theirs.sum()


def test_a_budget_is_shared_out_among_tiles_of_the_network_s_own_size(clock):
    with open_segmenter(Options(unsigned="allow", threads=1, budget_ms=1e6), clock) as segmenter:
        segmenter.segment(Frame(0, 0, None, picture(720, 1280)))
        assert len(segmenter.plan) == 6


@given(
    frame=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    own=st.tuples(st.integers(2, 12), st.integers(2, 12)),
    overlap=st.integers(0, 6),
    largest=st.sampled_from([0.5, 1.0, 1.5, 2.0, 4.0, 64.0]),
)
def test_no_tile_that_is_allowed_covers_a_frame_with_clearly_fewer_pixels(frame, own, overlap, largest):
    step = (4, 4)
    own = tuple(4 * n for n in own)
    overlap = min(overlap, min(own) // tiles.MAX_OVERLAP_PART)

    def computed(size: tuple[int, int]) -> int:
        return len(tiles.plan(*frame, *size, overlap)) * size[0] * size[1]

    size = tiles.fitted(frame, own, step, overlap, largest)
    assert computed(size) <= computed(own)
    if all(extent <= most for extent, most in zip(frame, own, strict=True)):
        assert size == own
        return
    if size != own:
        assert size[0] * size[1] <= largest * own[0] * own[1]
    shortest = [max(3 * n // 4, tiles.MAX_OVERLAP_PART * overlap) for n in own]
    lengths = [
        range(-(-least // 4) * 4, max(-(-extent // 4) * 4, -(-least // 4) * 4) + 1, 4)
        for least, extent in zip(shortest, frame, strict=True)
    ]
    every = [(h, w) for h in lengths[0] for w in lengths[1] if h * w <= largest * own[0] * own[1]]
    best = min((computed(one) for one in every[:: max(1, len(every) // 200)]), default=computed(own))
    assert computed(size) <= max(best, best / 0.95)
