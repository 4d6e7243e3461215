"""What a network answers with, and how it comes to answer with logits, which is what the drone compares.

Between the last weights and the answer there may be a sigmoid or a softmax, which is taken off; anything else that
bends the answers (a hard sigmoid, tanh, a clip) leaves no logits, and is refused by its name.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convert import ConversionError
from convert.network import rebuilt

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

# Layers and operations by class name. These hand each answer on as it is, to another place at most:
_MOVES = frozenset({
    "Reshape", "Cropping2D", "Permute", "Flatten", "Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout",
    "Identity", "GetItem", "Squeeze", "ExpandDims", "Transpose", "Cast", "StopGradient", "ActivityRegularization",
})  # fmt: skip
# These make sums of answers, which of logits are logits again:
_MIXES = frozenset({
    "Add", "Subtract", "Average", "Concatenate", "Stack", "BatchNormalization", "Rescaling", "Normalization",
    "Resizing", "Resize", "UpSampling2D", "ZeroPadding2D", "Pad", "AveragePooling2D", "GlobalAveragePooling2D",
    "MaxPooling2D", "GlobalMaxPooling2D", "Mean", "Max",
})  # fmt: skip
_SIGMOIDS, _SOFTMAXES = frozenset({"sigmoid", "Sigmoid"}), frozenset({"softmax", "Softmax"})


def to_logits(model: keras.Model, path: Path | None = None) -> keras.Model:
    """Take a sigmoid or softmax off the end, fused into a layer or of its own.

    The drone compares logits with a threshold; a per-pixel softmax or sigmoid is slow on it and adds nothing. A softmax
    over background and crack becomes the difference of their logits. Raises ConversionError, naming the layer, where
    the answers are neither logits nor one of these.
    """
    name = "the network" if path is None else str(path)
    maker = _maker(model, model.outputs[0])
    behind: list[str] = []
    while _kind(maker) in _MOVES or _repeats(maker) or (_bends(maker) == "linear" and not _weighted(maker)):
        behind.append(maker.name)
        maker = _maker(model, _inputs(maker)[0])
    bends = _bends(maker)
    axis = getattr(maker, "axis", -1)
    if bends in _SOFTMAXES and axis not in (-1, len(maker.output.shape) - 1):
        raise ConversionError(
            f"{name} ends in a softmax ({maker.name}) over axis {axis}, that is over rows or columns of the picture; "
            "classes are the last axis."
        )
    if bends in _SIGMOIDS | _SOFTMAXES:
        made = _without(model, maker)
        return _difference(name, made, behind) if bends in _SOFTMAXES and len(made.output_shape) == 4 else made
    _refuse_bent(name, model, maker)
    return model


def _without(model: keras.Model, squash: Any) -> keras.Model:
    """The network without this activation."""
    import keras

    picture = keras.Input(model.input_shape[1:], batch_size=model.input_shape[0], name="rgb")

    def change(layer: Any) -> dict[str, Any]:
        return {"activation": "linear"} if layer.name == squash.name else {}

    if _weighted(squash) or _kind(squash) == "Activation":
        return rebuilt(model, picture, change)
    before = rebuilt(keras.Model(model.inputs[0], squash.input, name=model.name), picture)
    if squash.output is model.outputs[0]:
        return before
    rest = keras.Model(squash.output, model.outputs[0], name=model.name)
    return rebuilt(rest, before.outputs[0], picture=picture)


def _difference(name: str, made: keras.Model, behind: list[str]) -> keras.Model:
    """One logit of crack out of two that a softmax compared: softmax(a, b) is sigmoid(b - a)."""
    import keras

    channels = made.output_shape[3]
    if channels != 2 or behind:
        raise ConversionError(
            f"{name} ends in a softmax over {channels} channels, which share one pixel out among classes; a segmenter "
            "has a sigmoid for each kind of damage, or a softmax over background and crack at its very end."
        )
    log.warning(
        "%s ends in a softmax over two channels: the first is taken for background, the second for damage", name
    )
    head = keras.layers.Conv2D(1, 1, use_bias=False, name="damage_minus_background")
    answer = head(made.outputs[0])
    head.set_weights([np.array([-1, 1], np.float32).reshape(1, 1, 2, 1)])
    return keras.Model(made.inputs[0], answer, name=made.name)


def _refuse_bent(name: str, model: keras.Model, last: Any) -> None:
    """Look at all between `last` and the last weights before it."""
    waiting = [last]
    while waiting:
        one = waiting.pop()
        bends = _bends(one)
        if bends in _SIGMOIDS | _SOFTMAXES:
            raise ConversionError(
                f"{name} has a {bends.lower()} ({one.name}) in front of {last.name}, so what it answers with are no "
                "logits; put it at the very end, behind all that enlarges, joins or weighs the answers."
            )
        if bends not in (None, "linear"):
            raise ConversionError(
                f"{name} ends in {bends} ({one.name}), so its answers are no logits; end it in a sigmoid, or in a "
                "layer without activation, train again and convert that."
            )
        if not _weighted(one):
            waiting += [_maker(model, tensor) for tensor in _inputs(one)]


def _bends(operation: Any) -> str | None:
    """What an operation does to its sums, by name: ``linear`` for an activation that does nothing; None: only sums."""
    import keras

    activation = getattr(operation, "activation", None)
    if activation is not None:
        return str(getattr(activation, "__name__", type(activation).__name__))
    if isinstance(operation, keras.layers.InputLayer) or _kind(operation) in _MOVES | _MIXES or _weighted(operation):
        return None
    return _kind(operation)


def _weighted(operation: Any) -> bool:
    """Whether it makes its answers with weights of its own: a convolution or a dense layer."""
    return getattr(operation, "kernel", None) is not None or hasattr(operation, "pointwise_kernel")


def _repeats(operation: Any) -> bool:
    """Whether it puts the same answer into several places: joined to itself (see `convert.network.repeated`)."""
    given = _inputs(operation)
    return _kind(operation) == "Concatenate" and all(one is given[0] for one in given)


def _kind(operation: Any) -> str:
    return type(operation).__name__


def _maker(model: keras.Model, tensor: Any) -> Any:
    import keras

    return next(one for one in model.operations if any(tensor is each for each in keras.tree.flatten(one.output)))


def _inputs(operation: Any) -> list[Any]:
    import keras

    return [] if isinstance(operation, keras.layers.InputLayer) else keras.tree.flatten(operation.input)
