"""Shapes and cost of the networks, and that weights fit any size."""

from __future__ import annotations

import numpy as np
import pytest

from models.unet import classic_unet, fast_unet, gmac, open_saved, resized

pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")
"""Keras 3.15 under numpy 2.4 warns about itself."""


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 160)])
@pytest.mark.parametrize("shuffle", [1, 2, 4])
def test_fast_unet_gives_logits_at_stride_four(height, width, shuffle):
    model = fast_unet(height, width, base=8, shuffle=shuffle)
    assert model.output_shape == (None, height // 4, width // 4, shuffle**2)


def test_fast_unet_is_within_its_budget_at_512():
    model = fast_unet(512, 512, batch_size=1)
    assert gmac(model) <= 2.0
    assert model.count_params() <= 1_000_000
    assert model.input_shape == (1, 512, 512, 3)


def test_gmac_by_hand():
    import keras

    inputs = keras.Input((10, 20, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(8, 3, strides=2, padding="same")(inputs))
    assert gmac(model) == pytest.approx(5 * 10 * 3 * 3 * 3 * 8 / 1e9)


@pytest.mark.parametrize(("base", "depth"), [(4, 2), (8, 3)])
def test_classic_unet_keeps_the_size(base, depth):
    model = classic_unet(64, 32, base=base, depth=depth)
    assert model.output_shape == (None, 64, 32, 1)
    assert model.predict_on_batch(np.zeros((2, 64, 32, 3), np.float32)).shape == (2, 64, 32, 1)


@pytest.mark.parametrize(("height", "width"), [(500, 512), (0, 32), (64, -32)])
def test_size_that_does_not_fit_is_refused_with_the_multiple(height, width):
    with pytest.raises(ValueError, match="multiples of 32 px"):
        fast_unet(height, width)


def test_shuffle_beyond_the_stride_is_refused():
    with pytest.raises(ValueError, match="must be 1, 2 or 4, not 8"):
        fast_unet(64, 64, shuffle=8)


def test_weights_move_to_another_size(tmp_path):
    small = fast_unet(64, 64, base=8, shuffle=2)
    small.save(tmp_path / "model.keras")
    large = resized(open_saved(tmp_path / "model.keras"), 64, 128, batch_size=1)
    image = np.random.default_rng(0).random((1, 64, 64, 3), np.float32)
    left = small.predict_on_batch(image)
    right = large.predict_on_batch(np.concatenate([image, image[:, :, ::-1]], axis=2))
    assert right.shape == (1, 16, 32, 4)
    # the left edge is far from the seam and sees the same surroundings
    assert np.allclose(left[:, :, :1], right[:, :, :1], atol=0.2)
