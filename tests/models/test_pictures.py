"""Rendering, look-alikes, augmentation and batches."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models import augment, batches, lookalikes, render
from models.rendered import write_set


def mix(**changes):
    values = {
        "sources": [], "crop_px": 64, "shuffle": 4, "rendered_cracks": 1.0, "rendered_clean": 1.0,
        "lookalikes_on_cracked": 0.5, "lookalikes_on_clean": 0.5,
    }  # fmt: skip
    return batches.Mix(**{**values, **changes})


def cross(size=200):
    """Picture whose bright pixels are exactly the mask, so that any misalignment shows."""
    mask = np.zeros((size, size), np.uint8)
    mask[60:70, :] = 1
    mask[:, 90:104] = 1
    return np.repeat((40 + 180 * mask)[..., None], 3, axis=2).astype(np.uint8), mask


@pytest.mark.parametrize("seed", range(12))
def test_crop_keeps_mask_binary_and_aligned(seed):
    rgb, mask = cross()
    out, moved = augment.random_crop(np.random.default_rng(seed), rgb, mask, 96, (65, 97))
    assert out.shape == (96, 96, 3)
    assert out.dtype == np.uint8
    assert set(np.unique(moved)) <= {0, 1}
    assert moved.any(), "the aimed point must lie in the crop"
    apart = (out[..., 0] > 120) != (moved > 0)
    assert apart.mean() < 0.02


@pytest.mark.parametrize("seed", range(12))
def test_photometric_keeps_shape_and_place(seed):
    rgb, mask = cross()
    out = augment.photometric(np.random.default_rng(seed), rgb)
    assert out.shape == rgb.shape
    assert out.dtype == np.uint8
    inside, outside = out[mask > 0].mean(), out[mask == 0].mean()
    assert inside > outside


def test_label_weight_loosens_the_edge_but_keeps_the_core():
    mask = np.zeros((40, 40), np.uint8)
    mask[10:20] = 1
    mask[30] = 1  # one pixel wide
    weight = augment.label_weight(mask, 2, band_weight=0.25)
    assert weight[15, 5] == 1
    assert weight[25, 5] == 1
    assert weight[9, 5] == weight[10, 5] == 0.25
    assert weight[30, 5] == 1, "a hairline must not lose its only pixels"
    assert (augment.label_weight(mask, 0) == 1).all()


@pytest.mark.parametrize("seed", range(6))
def test_rendered_crack_is_darker_than_its_surroundings(seed):
    rng = np.random.default_rng(seed)
    ground = render.concrete(rng, 128)
    rgb, mask = render.draw_crack(rng, ground)
    assert mask.any()
    assert mask.mean() < 0.25
    change = rgb.astype(int).mean(2) - ground.astype(int).mean(2)
    assert change[mask > 0].mean() < -4
    far = ~metrics_grow(mask > 0, 12)
    assert abs(change[far].mean()) < 1.5


def metrics_grow(mask, radius):
    kernel = np.ones((2 * radius + 1,) * 2, np.uint8)
    return cv2.dilate(mask.astype(np.uint8), kernel) > 0


@pytest.mark.parametrize("painter", dict.fromkeys(lookalikes.PAINTERS), ids=lambda painter: painter.__name__)
def test_every_painter_leaves_a_picture_and_says_what_it_hides(painter):
    ground = render.concrete(np.random.default_rng(0), 96)
    changed = 0
    for seed in range(8):
        rgb, hidden = painter(np.random.default_rng(seed), ground.copy())
        assert rgb.shape == ground.shape
        assert rgb.dtype == np.uint8
        assert hidden.shape == (96, 96)
        assert hidden.dtype == np.bool_
        changed += bool((rgb != ground).any())
    assert changed >= 6


def test_cells_follow_the_channel_order_of_the_card():
    plane = np.arange(64).reshape(8, 8)
    cells = batches.to_cells(plane, 2, 4)
    for dy in range(4):
        for dx in range(4):
            assert cells[1, 0, dy * 4 + dx] == plane[4 + dy, dx]


def test_batch_depends_only_on_seed_and_number():
    first, again, other = (batches.make_batch(mix(), 3, number, 4) for number in (7, 7, 8))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])
    images, targets = first
    assert images.shape == (4, 64, 64, 3)
    assert targets.shape == (4, 16, 16, 32)
    assert 0 <= images.min() <= images.max() <= 1
    assert set(np.unique(targets[..., :16])) <= {0.0, 1.0}


def test_stream_yields_batches_in_order_whatever_the_threads():
    for threads in (1, 3):
        feed = batches.stream(lambda number: batches.make_batch(mix(crop_px=32), 1, number, 2), 5, threads)
        for number in range(5, 10):
            assert np.array_equal(next(feed)[0], batches.make_batch(mix(crop_px=32), 1, number, 2)[0])
        feed.close()


def test_stream_raises_what_went_wrong_in_its_thread():
    broken = mix(sources=[batches.Source(name="none", weight=1e9, looseness_px=0, clean=True, pictures=[])])
    feed = batches.stream(lambda number: batches.make_batch(broken, 1, number, 2), 0)
    with pytest.raises(ValueError, match="high"):
        next(feed)


def test_clean_source_gives_no_crack_and_cracked_source_does(tmp_path):
    write_set(tmp_path / "set", 6, 96, seed=2)
    from models.data import find_examples

    rng = np.random.default_rng(0)
    free = batches.load_source("free", find_examples(tmp_path / "set/images", None), 1.0, 1, rng)
    cracked = batches.load_source("set", find_examples(tmp_path / "set/images", tmp_path / "set/masks"), 1.0, 1, rng)
    assert free.clean
    assert not cracked.clean
    only = {"rendered_cracks": 0.0, "rendered_clean": 0.0}
    assert not batches.make_batch(mix(sources=[free], **only), 1, 1, 8)[1][..., :16].any()
    assert batches.make_batch(mix(sources=[cracked], **only), 1, 1, 8)[1][..., :16].any()
