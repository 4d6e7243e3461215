"""The patch classifier: one window in, one answer out, and its sliding-window heat map over a photo of any size.

What came before segmentation in crack inspection: a small network that says of a 128 x 128 window whether its centre
holds damage, moved over the photo. Kept as a yardstick: it is accurate on windows, slow on photos, and its map is as
coarse as a window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import keras

UInt8 = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]

NAME = "patch_classifier"
STAGES = (1, 2, 4, 6, 8)
"""Channels per stage, times `base`."""
STRIDE_PX = 16
"""Default distance of neighbouring windows in a heat map."""
BATCH = 64
"""Windows classified at a time."""


def patch_classifier(
    size: int = 128, classes: int = 1, base: int = 16, batch_size: int | None = None, dtype: str | None = None
) -> keras.Model:
    """Build the classifier: five stages of 3x3 convolution, BatchNorm, ReLU and 2x2 max pooling, then one dense layer.

    Input (batch, size, size, 3) float RGB 0..1; output (batch, 1 + classes) softmax: sound, then each class. `dtype`
    as in `models.unet.fast_unet`. Raises ValueError where `size` is no multiple of 32.
    """
    import keras

    if size <= 0 or size % 2 ** len(STAGES):
        raise ValueError(f"the window must be a positive multiple of {2 ** len(STAGES)} px, not {size}.")
    inputs = keras.Input((size, size, 3), batch_size=batch_size, name="rgb")
    x = inputs
    for i, factor in enumerate(STAGES):
        x = keras.layers.Conv2D(
            base * factor, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"conv{i}",
            dtype=dtype,
        )(x)  # fmt: skip
        x = keras.layers.BatchNormalization(momentum=0.98, name=f"conv{i}_bn", dtype=dtype)(x)
        x = keras.layers.ReLU(name=f"conv{i}_relu", dtype=dtype)(x)
        x = keras.layers.MaxPooling2D(2, name=f"conv{i}_pool", dtype=dtype)(x)
    x = keras.layers.Flatten(name="flat", dtype=dtype)(x)
    x = keras.layers.Dense(1 + classes, name="classes", dtype=dtype)(x)
    # in float32 always: a half-precision softmax rounds sure answers to 0 and 1
    return keras.Model(inputs, keras.layers.Softmax(name="softmax", dtype="float32")(x), name=NAME)


def heat_map(model: keras.Model, rgb: UInt8, index: int = 0, stride_px: int = STRIDE_PX, batch: int = BATCH) -> Float:
    """Slide the classifier over uint8 RGB (H, W, 3): score 0..1 of class `index`, float32 (H, W).

    Each cell of stride x stride px gets the answer of the window centred on it, at the border filled up by reflection;
    between the centres the map is bilinear. Raises ValueError where `stride_px` is below 1 or above the window.
    """
    window = int(model.input_shape[1])
    if not 1 <= stride_px <= window:
        raise ValueError(f"the stride must be 1 to {window} px, the size of a window, not {stride_px}.")
    height, width = rgb.shape[:2]
    rows, columns = -(-height // stride_px), -(-width // stride_px)
    before = (window - stride_px) // 2
    after = [(count - 1) * stride_px + window - before - extent for count, extent in ((rows, height), (columns, width))]
    padded = np.pad(rgb, ((before, after[0]), (before, after[1]), (0, 0)), mode="symmetric")
    views = np.lib.stride_tricks.sliding_window_view(padded, (window, window), axis=(0, 1))
    views = views[::stride_px, ::stride_px].transpose(0, 1, 3, 4, 2)
    cells = np.empty(rows * columns, np.float32)
    for first in range(0, cells.size, batch):
        chosen = np.arange(first, min(first + batch, cells.size))
        images = np.zeros((batch, window, window, 3), np.float32)  # always full: a new shape would compile a new graph
        images[: len(chosen)] = views[chosen // columns, chosen % columns]
        images /= 255
        cells[chosen] = np.asarray(model.predict_on_batch(images), np.float32)[: len(chosen), 1 + index]
    size = (columns * stride_px, rows * stride_px)
    full = cv2.resize(cells.reshape(rows, columns), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(full, np.float32)[:height, :width]
