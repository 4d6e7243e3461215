"""Real cracks on other ground."""

from __future__ import annotations

import numpy as np
import pytest

from models import DataError, batches, paste


def cracked(ground=180, dark=60):
    rgb, mask = np.full((96, 96, 3), ground, np.uint8), np.zeros((96, 96), np.uint8)
    rgb[47:50, 10:80], mask[47:50, 10:80] = dark, 1
    return rgb, mask


@pytest.mark.parametrize("seed", range(5))
def test_crack_darkens_the_new_ground_by_its_own_ratio(seed):
    """The crack has a third of the brightness around it, on grounds of any brightness and colour."""
    rgb, mask = cracked()
    ground = np.empty((96, 96, 3), np.uint8)
    ground[:] = (120, 90, 60)
    out, label = paste.crack(np.random.default_rng(seed), rgb, mask, ground)
    assert np.array_equal(label, mask)
    share = out[48, 20:70].mean(axis=0) / ground[48, 20:70].mean(axis=0)
    assert np.allclose(share, share[0], atol=0.02), "the colour of the ground stays"
    assert 0.2 < share[0] < 0.6
    far = np.ones((96, 96), bool)
    far[40:57, 2:88] = False
    assert np.array_equal(out[far], ground[far])


def test_crack_that_cannot_be_seen_is_not_labelled():
    rgb, mask = cracked(ground=100, dark=98)
    _, label = paste.crack(np.random.default_rng(0), rgb, mask, np.full((96, 96, 3), 120, np.uint8))
    assert not label.any()


def test_picture_without_a_crack_leaves_the_ground_as_it_was():
    ground = np.full((8, 8, 3), 50, np.uint8)
    out, label = paste.crack(np.random.default_rng(0), ground + 9, np.zeros((8, 8), np.uint8), ground)
    assert np.array_equal(out, ground)
    assert not label.any()


def mix(*sources):
    return batches.Mix(
        sources=sources, crop_px=64, shuffle=1, stride=1, rendered_cracks=0, rendered_clean=0, pasted_cracks=1e9,
        lookalikes_on_cracked=0, lookalikes_on_clean=0,
    )  # fmt: skip


def test_batches_hold_pasted_cracks_with_their_labels():
    source = batches.Source(
        name="a",
        weight=1,
        looseness_px=0,
        clean=False,
        pictures=[batches.picture(*cracked(), np.random.default_rng(0))],
    )
    images, targets = batches.make_batch(mix(source), 1, 0, 6)
    assert (targets[..., 0].reshape(6, -1).sum(axis=1) > 0).sum() >= 4
    assert (targets[..., 1] == 1).all()
    grey = images.mean(axis=-1)
    for i in range(6):
        inside = targets[i, ..., 0] > 0
        if inside.any():
            assert grey[i][inside].mean() < grey[i][~inside].mean()


def test_pasting_without_a_cracked_source_is_refused():
    with pytest.raises(DataError, match="pasted_cracks needs a source with masks"):
        batches.make_batch(mix(), 1, 0, 1)
