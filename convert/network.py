"""A Keras file of anybody's as one plain network: every layer at the top, float32, one tensor in and one out.

What a file may hold beside that (lists and dictionaries of tensors, networks inside of networks, half precision) says
nothing about the answers, and is taken off here; what the drone could not run is refused with its reason.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convert import ConversionError
from models import DataError

if TYPE_CHECKING:
    import keras

_OTHERS = {
    ".pt": "PyTorch", ".pth": "PyTorch", ".ckpt": "PyTorch or TensorFlow", ".onnx": "ONNX", ".tflite": "LiteRT",
    ".pb": "TensorFlow", ".npz": "numpy",
}  # fmt: skip
_PROBE_PX = 64
_EXACT, _HALF, _BRAIN = 1e-3, 5e-2, 0.2
"""How far answers may be apart, as a part of the largest: rounding in single precision, in half, and in bfloat16, which
has three bits less than half."""
_SUFFIXES = (".keras", ".h5", ".hdf5")
# Precisions whose networks give the same answers in float32.
_FLOATS = re.compile(r"(mixed_)?b?float(16|32|64)")


def refuse_others(path: Path) -> None:
    """Raise DataError, saying whose it is, for a file that by its name is not Keras's."""
    if path.suffix.lower() not in _SUFFIXES:
        whose = _OTHERS.get(path.suffix.lower())
        raise DataError(
            f"{path} is {'no Keras file' if whose is None else f'a file of {whose}'}; build the network in Keras, put "
            "the weights into it, and save it with model.save as NAME.keras."
        )


def read(path: Path) -> keras.Model:
    """Read a network that Keras saved. Raises DataError for a file that holds none, ConversionError as `plain`."""
    import keras

    refuse_others(path)
    try:
        with warnings.catch_warnings():  # Keras warns about names of tensors, which nothing here depends on
            warnings.simplefilter("ignore", UserWarning)
            saved = keras.models.load_model(path, compile=False)
    # what Keras raises for a file that is damaged, another's, or of a network with parts that it does not know
    except (ValueError, OSError, KeyError, TypeError, AttributeError, NotImplementedError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as a Keras model: {_reason(str(error))}.") from error
    made = plain(path, saved)
    if not all(np.isfinite(weights).all() for weights in made.get_weights()):
        raise DataError(
            f"{path} holds weights that are no numbers: its training went astray; convert one saved before that."
        )
    _compare(path, saved, made)
    return made


def _reason(words: str) -> str:
    """Why Keras cannot read a file, and what to do."""
    custom = re.search(
        r"Could not locate (?:class|function) '(\w+)'|Unknown (?:layer|object|activation\w*): '?(\w+)", words
    )
    if custom is not None:
        name = next(filter(None, custom.groups()))
        return (
            f"it uses {name}, which is not Keras's own; build the network from layers of keras.layers and save it again"
        )
    if "Lambda" in words:
        return (
            "it holds a Lambda layer, whose Python code is not run from a file; put a layer of keras.layers in its "
            "place (Rescaling, Resizing, Normalization) and save it again"
        )
    if "No model config" in words or "No model found" in words:
        return "it holds weights without a network; save the whole network with model.save"
    return f"{' '.join(words.split())[:200]}; save it again with model.save"


def plain(path: Path, saved: Any) -> keras.Model:
    """The network with its layers at the top, in float32, for a batch of 1; names of layers stay where they are unique.

    Raises ConversionError for what has not one picture in and one answer out.
    """
    import keras

    if not isinstance(saved, keras.Model):
        raise ConversionError(f"{path} holds a {type(saved).__name__}, not a network.")
    try:
        inputs, outputs = list(saved.inputs or ()), list(saved.outputs or ())
    except (ValueError, AttributeError):
        inputs, outputs = [], []
    if not inputs or not outputs:
        raise ConversionError(
            f"{path} holds a network without fixed tensors ({type(saved).__name__}); build it with keras.Input and "
            "keras.Model(inputs, outputs)."
        )
    for what, found in (("input", inputs), ("output", outputs)):
        if len(found) != 1:
            names = ", ".join(f"{one.name} {tuple(one.shape)}" for one in found)
            raise ConversionError(f"{path} holds a network with {len(found)} {what}s ({names}); one {what} can fly.")
    shape = tuple(inputs[0].shape)
    if len(shape) != 4 or shape[3] != 3:
        raise ConversionError(f"{path} takes inputs of shape {shape}, not RGB pictures (batch, H, W, 3).")
    return rebuilt(saved, keras.Input(shape[1:], batch_size=1, name="rgb"))


def _compare(path: Path, saved: Any, made: keras.Model) -> None:
    """Raise ConversionError where the network answers otherwise than the file: half precision alone may differ."""
    import keras

    saved = functional(saved)
    shape = tuple(side or _PROBE_PX for side in made.input_shape[1:])
    given = np.random.default_rng(0).integers(0, 256, (1, *shape)).astype(saved.inputs[0].dtype)
    for picture in (given, given / given.dtype.type(255)) if given.dtype.kind == "f" else (given,):
        answer = saved(keras.tree.pack_sequence_as(saved.input, [picture]), training=False)
        wanted = np.asarray(keras.tree.flatten(answer)[0], np.float64)
        found = np.asarray(made(picture.astype(np.float32), training=False), np.float64)
        names = {one.dtype_policy.name for one in saved._flatten_layers(include_self=False)}
        most = _EXACT if names <= {"float32"} else _BRAIN if any("bfloat" in name for name in names) else _HALF
        apart = float(np.abs(found - wanted).max() / max(1.0, float(np.abs(wanted).max())))
        if not apart <= most:
            raise ConversionError(
                f"{path}: rebuilt with its layers at the top, the network answers otherwise (by {apart:.2g}); report "
                "this with the file."
            )


def rebuilt(
    model: keras.Model,
    tensor: Any,
    change: Callable[[Any], dict[str, Any]] | None = None,
    *,
    picture: Any | None = None,
) -> keras.Model:
    """The same network and weights over `tensor`, which was made of the input `picture` (None: it is that itself).

    `change` gives settings of a layer that are to differ.

    It is run through as `keras.models.clone_model` does it, by the method of Keras's that no public name leads to: that
    one would end in a network of its own, cut off from what stands in front of `tensor`.
    """
    import keras

    pairs: list[tuple[Any, Any]] = []
    names: set[str] = set()

    def copied(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return layer
        settings = layer.get_config()
        if isinstance(layer, keras.layers.Layer):
            settings |= {"dtype": _as_float32(layer)} | ({} if change is None else change(layer))
        base, count = settings["name"], 1
        while settings["name"] in names:
            settings["name"], count = f"{base}_again_{count}", count + 1
        names.add(settings["name"])
        made = layer.__class__.from_config(settings)
        pairs.append((layer, made))
        return made

    called: set[int] = set()

    def call(layer: Any, *tensors: Any, **rest: Any) -> Any:
        if isinstance(layer, keras.Model):
            return over(layer, tensors[0])
        if isinstance(layer, keras.layers.UpSampling2D) and layer.interpolation == "nearest":
            return repeated(layer, tensors[0])
        if id(layer) in called:  # one that is used twice becomes two with the same weights
            layer = copied(layer)
            pairs[-1] = (next(old for old, made in pairs if made.name == layer.name.rpartition("_again_")[0]), layer)
        called.add(id(layer))
        return layer(*tensors, **rest)

    def over(part: Any, given: Any) -> Any:
        part = functional(part)
        given = keras.tree.pack_sequence_as(part.input, keras.tree.flatten(given))
        return part._run_through_graph(given, operation_fn=copied, call_fn=call)

    answer = keras.tree.flatten(over(model, tensor))[0]
    made = keras.Model(tensor if picture is None else picture, answer, name=model.name)
    for old, new in pairs:
        weights = old.get_weights() if hasattr(old, "get_weights") else []
        if weights:
            new.set_weights(weights)
    return made


def functional(model: Any) -> Any:
    """The network as Keras's functional one, which a Sequential holds inside."""
    import keras

    return model._functional if isinstance(model, keras.Sequential) else model


def repeated(layer: Any, tensor: Any) -> Any:
    """What UpSampling2D makes of `tensor` (1, h, w, c), each value repeated: joined to itself and counted anew.

    The layer itself becomes TILE in TFLite, which the fast kernels do not take; memory laid out row by row needs none.
    """
    import keras

    (rows, columns), (_, height, width, channels) = layer.size, tensor.shape
    if height is None or width is None:
        return layer(tensor)
    wide = tensor if columns == 1 else keras.layers.Concatenate(name=f"{layer.name}_beside")([tensor] * columns)
    row = keras.layers.Reshape((height, 1, columns * width * channels), name=f"{layer.name}_row")(wide)
    twice = row if rows == 1 else keras.layers.Concatenate(name=f"{layer.name}_below")([row] * rows)
    return keras.layers.Reshape((height * rows, width * columns, channels), name=f"{layer.name}_all")(twice)


def resized(model: keras.Model, size: tuple[int, int]) -> keras.Model:
    """The same network and weights for a batch of 1 and an input of `size`. Raises ValueError where it cannot be."""
    import keras

    return rebuilt(model, keras.Input((*size, 3), batch_size=1, name="rgb"))


def _as_float32(layer: Any) -> str:
    """Raises ConversionError for a layer that was quantised already."""
    name = layer.dtype_policy.name
    if not _FLOATS.fullmatch(name):
        raise ConversionError(
            f"Layer {layer.name} has the precision {name}; the float network is wanted, before it was quantised."
        )
    return "float32"
