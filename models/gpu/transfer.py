"""Move weights of the fast U-Nets between Keras and PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models import DataError
from models.arrays import Arrays as Arrays  # for the callers of this module

if TYPE_CHECKING:
    import keras

_NORM = ("weight", "bias", "running_mean", "running_var")
"""BatchNorm's arrays in Keras' order: gamma, beta, moving mean, moving variance."""


def from_keras(model: keras.Model) -> Arrays:
    """Return the weights of a `fast_unet` with one class as arrays for PyTorch, float32."""
    found: Arrays = {}
    for layer in model.layers:
        values = [np.asarray(value, np.float32) for value in layer.get_weights()]
        if not values:
            continue
        if layer.name == "logits":
            found["logits.weight"], found["logits.bias"] = values[0].transpose(3, 2, 0, 1), values[1]
        elif layer.name.endswith("_bn"):
            block = layer.name.removesuffix("_bn")
            found |= {f"blocks.{block}.bn.{name}": value for name, value in zip(_NORM, values, strict=True)}
        else:
            found[f"blocks.{layer.name}.conv.weight"] = values[0].transpose(3, 2, 0, 1)
    return found


def to_keras(arrays: Arrays, model: keras.Model) -> None:
    """Set the weights of a `fast_unet` with one class. Raises DataError where a layer has none, or of another shape."""
    for layer in model.layers:
        if not layer.weights:
            continue
        try:
            if layer.name == "logits":
                values = [arrays["logits.weight"].transpose(2, 3, 1, 0), arrays["logits.bias"]]
            elif layer.name.endswith("_bn"):
                values = [arrays[f"blocks.{layer.name.removesuffix('_bn')}.bn.{name}"] for name in _NORM]
            else:
                values = [arrays[f"blocks.{layer.name}.conv.weight"].transpose(2, 3, 1, 0)]
            layer.set_weights([np.asarray(value, np.float32) for value in values])
        except (KeyError, ValueError) as error:
            raise DataError(f"The weights do not fit layer {layer.name} of the {model.name}: {error}") from error
