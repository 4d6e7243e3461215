"""What numbers a network wants for a pixel, and how it comes to take 0..1, which is what a drone's bytes stand for.

Most networks bring their own scaling: Rescaling, Normalization, a subtraction of means, an exchange of red and blue.
All of that is y = A x + b for the three channels of a pixel, so it is measured, not recognised: A and b tell whether x
is a byte or a fraction, and one layer takes the place of the whole chain.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from convert import ConversionError
from convert.frames import to_float
from convert.network import rebuilt

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

Pixels = Literal["0..1", "0..255", "-1..1", "torch", "caffe"]
Floats = npt.NDArray[np.float64]


class Scaling(NamedTuple):
    """y = matrix @ x + offset for the channels of a pixel."""

    matrix: Floats
    """float64 (3, 3)."""
    offset: Floats
    """float64 (3,)."""

    def after(self, first: Scaling) -> Scaling:
        """Both, `first` before this one."""
        return Scaling(self.matrix @ first.matrix, self.matrix @ first.offset + self.offset)

    @property
    def factor(self) -> float | None:
        """The one number that it multiplies all channels by; None where it does more than that."""
        factor = float(self.matrix[0, 0])
        alike = np.allclose(self.matrix, factor * np.eye(3), atol=1e-6 * abs(factor)) and np.allclose(self.offset, 0)
        return factor if alike else None


_ONE, _NONE = np.eye(3), np.zeros(3)
RANGES: dict[Pixels, Scaling] = {
    "0..1": Scaling(_ONE, _NONE),
    "0..255": Scaling(255 * _ONE, _NONE),
    "-1..1": Scaling(2 * _ONE, _NONE - 1),
    "torch": Scaling(
        np.diag([1 / 0.229, 1 / 0.224, 1 / 0.225]), -np.array([0.485 / 0.229, 0.456 / 0.224, 0.406 / 0.225])
    ),
    "caffe": Scaling(255 * _ONE[::-1], -np.array([103.939, 116.779, 123.68])),
}
"""What makes each out of 0..1. The last two are ``preprocess_input`` of ``keras.applications``, by the names of its
modes (``imagenet_utils``): means and deviations of ImageNet; and blue first, bytes less their means."""

_LONGEST_CHAIN = 12
_PROBE_PX = 4
_LOOKED_AT = 8
_TOO_FAR = 2000.0
"""Between 1 and 255 squared: pictures of one trade differ in variance by some tens at most."""
# A chain that makes less than this of the step from 0 to 1 was made for bytes (the widest standard deviation in use is
# some 128 grey levels, the smallest 20), one that makes more than that for fractions. What lies between may be either.
_BYTES_AT_MOST, _FRACTIONS_AT_LEAST = 12 / 255, 0.5
# The chain answers 0 to a middle grey, so where that lies beyond the fractions, it was made for bytes.
_FRACTIONS_END = 2.0
# What may stand in front of the first weights and does nothing to the values of an even picture.
_SPATIAL = frozenset({
    "ZeroPadding2D", "Pad", "Resizing", "Resize", "Cropping2D", "MaxPooling2D", "AveragePooling2D", "Concatenate",
    "Reshape",
})  # fmt: skip


def from_fractions(path: Path, model: keras.Model, told: Pixels | None) -> tuple[keras.Model, Pixels]:
    """The network taking 0..1, and which numbers it took before; `told` is what its owner says, None: it says itself.

    A network without scaling of its own took 0..1 unless its owner says otherwise. Raises ConversionError where its
    first layers fit neither bytes nor fractions, or are not understood, and nobody says which it was trained on.
    """
    import keras

    if told is not None and told not in RANGES:
        raise ConversionError(f"{path}: pixels are one of {', '.join(RANGES)}, not {told!r}.")
    end, own = _chain(model)
    pixels = told or _deduced(path, model, end, own)
    whole = own.after(RANGES[pixels])
    if end is model.inputs[0] and whole.factor == 1:
        return model, pixels
    log.info("%s takes pixels of %s; its scaling is made one with that", path, pixels)
    picture = keras.Input(model.input_shape[1:], batch_size=1, name="rgb")
    scaled: Any = picture
    if whole.factor is None:  # one small convolution, where the converter would make several operators of it
        layer = keras.layers.Conv2D(3, 1, name="scaling")
        scaled = layer(picture)
        layer.set_weights([whole.matrix.T[None, None].astype(np.float32), whole.offset.astype(np.float32)])
    elif not np.isclose(whole.factor, 1, rtol=1e-6):  # the converter folds this one into the first convolution
        scaled = keras.layers.Rescaling(whole.factor, name="scaling")(picture)
    return rebuilt(keras.Model(end, model.outputs[0], name=model.name), scaled, picture=picture), pixels


def check_statistics(path: Path, model: keras.Model, pictures: Sequence[npt.NDArray[np.uint8]]) -> None:
    """Compare what the first BatchNormalization is given with what it was given in training.

    A network that was trained on bytes and is fed fractions (or the other way round) shows it there: the variances are
    255 squared apart. Raises ConversionError then. Smaller differences, as between 0..1 and -1..1, stay unseen.
    """
    import keras

    layer = next((one for one in model.layers if isinstance(one, keras.layers.BatchNormalization)), None)
    if layer is None or not pictures:
        return
    trained = np.asarray(layer.moving_variance, np.float64)
    probe = keras.Model(model.inputs[0], layer.input)
    given = [np.asarray(probe(to_float(one), training=False), np.float64) for one in pictures[:_LOOKED_AT]]
    found = np.concatenate([one.reshape(-1, one.shape[-1]) for one in given]).var(axis=0)
    alive = (trained > 0) & (found > 0)
    if np.allclose(trained, 1) or not alive.any():
        return  # never trained, so it tells nothing
    ratio = float(np.median(found[alive] / trained[alive]))
    if not 1 / _TOO_FAR < ratio < _TOO_FAR:
        raise ConversionError(
            f"{path}: the network's {layer.name} saw values {(1 / ratio) ** 0.5:.3g} times as large in training as "
            "these pictures give; it was trained on other pixels: say with --pixels on which."
        )


def _deduced(path: Path, model: keras.Model, end: Any, own: Scaling) -> Pixels:
    strange = _not_understood(model, end)
    if strange is not None:
        raise ConversionError(
            f"{path}: what {strange} does to the pixels, in front of the first weights, is not understood; say with "
            "--pixels what the network was trained on."
        )
    if end is model.inputs[0]:
        return "0..1"
    step, middle = float(np.abs(own.matrix).max()), float(np.max(-own.offset / own.matrix.sum(axis=1)))
    if middle > _FRACTIONS_END or step <= _BYTES_AT_MOST:
        return "0..255"
    if step >= _FRACTIONS_AT_LEAST:
        return "0..1"
    raise ConversionError(
        f"{path} multiplies its pixels by {step:.4g}, which fits neither 0..1 nor 0..255; say with --pixels what it "
        "was trained on."
    )


def _chain(model: keras.Model) -> tuple[Any, Scaling]:
    """The tensor behind all that merely scales the picture, and the scaling up to there."""
    import keras

    picture = model.inputs[0]
    front, _ = _in_front(model, picture)
    for one in reversed(front[:_LONGEST_CHAIN]):
        tensor = keras.tree.flatten(one.output)[0]
        if len(tensor.shape) == 4 and tensor.shape[3] == 3 and not _in_front(model, picture, tensor)[1]:
            scaling = _measured(picture, tensor)
            if scaling is not None:
                return tensor, scaling
    return picture, RANGES["0..1"]


def _in_front(model: keras.Model, tensor: Any, wall: Any = None) -> tuple[list[Any], bool]:
    """The operations from `tensor` on, in order of execution, that come before any weights, and whether weights follow.

    Nothing is followed through the tensor `wall`.
    """
    import keras

    reached, found, weights = [tensor], [], False
    for one in model.operations:
        if isinstance(one, keras.layers.InputLayer) or not _reads(one, reached):
            continue
        if _weighted(one):
            weights = True
            continue
        found.append(one)
        reached += [each for each in keras.tree.flatten(one.output) if each is not wall]
    return found, weights


def _not_understood(model: keras.Model, end: Any) -> str | None:
    """The first operation between `end` and the first weights that may change values; None where there is none."""
    front, _ = _in_front(model, end)
    return next((str(one.name) for one in front if type(one).__name__ not in _SPATIAL), None)


def _reads(operation: Any, tensors: list[Any]) -> bool:
    import keras

    return any(one is tensor for one in keras.tree.flatten(operation.input) for tensor in tensors)


def _weighted(operation: Any) -> bool:
    """Whether it has weights that were learned for what comes in: any but a normalisation's."""
    return getattr(operation, "kernel", None) is not None or hasattr(operation, "pointwise_kernel")


def _measured(picture: Any, tensor: Any) -> Scaling | None:
    """The scaling between two tensors, measured on even pictures and tried on noise; None where it is none."""
    import keras

    height, width = (int(side or _PROBE_PX) for side in picture.shape[1:3])
    probe, rng = keras.Model(picture, tensor), np.random.default_rng(0)

    def answer(values: Any) -> Floats:
        given = np.broadcast_to(np.asarray(values, np.float32), (1, height, width, 3))
        return np.asarray(probe(given, training=False), np.float64)

    offset = answer(0.0)[0, 0, 0]
    matrix = np.stack([answer(channel)[0, 0, 0] - offset for channel in np.eye(3)], axis=1)
    for top in (1.0, 255.0):
        given = top * rng.random((1, height, width, 3))
        found, expected = answer(given), given @ matrix.T + offset
        if found.shape != expected.shape or not np.allclose(found, expected, rtol=1e-3, atol=1e-3 * top):
            return None
    return Scaling(matrix, offset) if np.all(np.abs(matrix).sum(axis=1) > 0) else None
