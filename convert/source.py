"""The float network a bundle is made from: a Keras file, or weights beside a record, rebuilt at the drone's size.

What is known by name (`FAMILIES`) is rebuilt by its own definition for any input size; other Keras models are taken as
they are, with a static batch of 1. The float model's record (`run.json` of a training, or `NAME.json` beside
`NAME.weights.h5`) gives threshold, classes and provenance.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert import ConversionError
from models import DataError

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

WEIGHTS_SUFFIX = ".weights.h5"
DEFAULT_SIZE = (512, 512)
SEGMENTER, CLASSIFIER = "logits", "class_logits"
_BYTES_SCALE = 1 / 64
"""A first Rescaling by less than this is meant for inputs of 0 to 255."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A float network ready to be converted: float32 RGB in 0..1 (1, H, W, 3) to logits."""

    path: Path
    sha256: str
    model: keras.Model
    kind: str
    """``logits`` (a map) or ``class_logits`` (one row), as on the card."""
    record: Mapping[str, Any]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input, pixels."""
        _, height, width, _ = self.model.input_shape
        return int(height), int(width)


def load_source(path: Path, size: tuple[int, int] | None = None) -> Source:
    """Load the float network in ``path`` for an input of ``size`` = (height, width) px.

    ``size`` None: 512 x 512 for a U-Net (training saves it at another size), else the file's own. Raises DataError for
    a file that is absent or none; ConversionError for a network that cannot fly.
    """
    if not path.is_file():
        raise DataError(f"The model {path} does not exist; train one with python -m models train.")
    record = read_record(path)
    if path.name.endswith(WEIGHTS_SUFFIX):
        model = _from_weights(path, record, size or DEFAULT_SIZE)
    else:
        model = _from_keras(path, size)
    model = to_logits(_from_bytes(model))
    _check(path, model)
    kind = SEGMENTER if len(model.output_shape) == 4 else CLASSIFIER
    return Source(path=path, sha256=sha256(path), model=model, kind=kind, record=record)


def read_record(path: Path) -> dict[str, Any]:
    """The record beside a float model; empty where there is none. Raises DataError where it is not JSON."""
    name = f"{path.name.removesuffix(WEIGHTS_SUFFIX)}.json" if path.name.endswith(WEIGHTS_SUFFIX) else "run.json"
    record = path.with_name(name)
    if not record.is_file():
        return {}
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{record} is not JSON ({error}); copy the training's run.json again.") from error
    if not isinstance(found, dict):
        raise DataError(f"{record} holds a {type(found).__name__}, not an object; copy the training's run.json again.")
    return found


def sha256(path: Path) -> str:
    """SHA-256 of a file, hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _from_keras(path: Path, size: tuple[int, int] | None) -> keras.Model:
    import keras

    try:
        saved = keras.models.load_model(path, compile=False)
    except (ValueError, OSError, KeyError, TypeError, zipfile.BadZipFile) as error:
        words = " ".join(str(error).split())[:200]
        raise DataError(f"{path} cannot be read as a Keras model ({words}); save it with model.save.") from error
    if not isinstance(saved, keras.Model) or len(saved.inputs) != 1 or len(saved.outputs) != 1:
        count = len(getattr(saved, "outputs", ()))
        raise ConversionError(f"{path} holds a network with {count} outputs; one input and one output can fly.")
    own = tuple(saved.input_shape[1:3])
    if len(saved.input_shape) != 4 or saved.input_shape[3] != 3:
        raise ConversionError(f"{path} takes inputs of shape {saved.input_shape}, not RGB pictures (batch, H, W, 3).")
    if saved.name in FAMILIES:
        wanted = size or (own if saved.name == "patch_classifier" and None not in own else DEFAULT_SIZE)
        return _rebuilt(path, saved, *wanted)
    if None in own:
        raise ConversionError(
            f"{path} has an open input size {own} and is no {', '.join(FAMILIES)}; save it with a fixed size."
        )
    if size is not None and size != own:
        raise ConversionError(
            f"{path} takes {own[0]} x {own[1]} px and is no {', '.join(FAMILIES)}, which are rebuilt for any size; "
            f"leave out --height and --width, or save it for {size[0]} x {size[1]}."
        )
    return _cloned(saved, own)


def _from_weights(path: Path, record: Mapping[str, Any], size: tuple[int, int]) -> keras.Model:
    """Weights of a fast U-Net, whose base width and shuffle the record or the weights themselves give."""
    from models.unet import SIZES, fast_size, fast_unet

    settings = record.get("config", {}).get("model", {})
    kind = settings.get("kind", "fast_unet")
    if kind != "fast_unet":
        raise DataError(f"{path} holds weights of a {kind}; give the .keras file, which says how it is built.")
    base, shuffle = settings.get("base") or 16, settings.get("shuffle", 4)
    try:
        named = settings.get("size")
        model = fast_unet(*size, size=SIZES[named] if named else fast_size(base, shuffle), batch_size=1)
        with warnings.catch_warnings():  # Keras only warns about weights it does not find, and leaves them random
            warnings.simplefilter("error", UserWarning)
            model.load_weights(path)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        words = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path} does not fit a fast_unet with base {base} and shuffle {shuffle} at {size[0]} x {size[1]} px "
            f"({words}); give the .keras file, or the training's run.json as "
            f"{path.name.removesuffix(WEIGHTS_SUFFIX)}.json beside it."
        ) from error
    return model


def _rebuilt(path: Path, saved: keras.Model, height: int, width: int) -> keras.Model:
    try:
        model = FAMILIES[saved.name](saved, height, width)
    except ValueError as error:
        raise ConversionError(f"{path}: a {saved.name} cannot take {height} x {width} px: {error}") from error
    for layer in model.layers:  # by name: of a network with a head per class, the first class is kept
        if layer.weights:
            layer.set_weights(saved.get_layer(layer.name).get_weights())
    return model


def _fast(saved: keras.Model, height: int, width: int) -> keras.Model:
    from models.unet import fast_unet, size_of

    return fast_unet(height, width, size=size_of(saved), batch_size=1)


def _classic(saved: keras.Model, height: int, width: int) -> keras.Model:
    from models.unet import classic_unet

    depth = sum(layer.name.startswith("pool") for layer in saved.layers)
    return classic_unet(height, width, base=saved.get_layer("down0_a").filters, depth=depth, batch_size=1)


def _patches(saved: keras.Model, height: int, width: int) -> keras.Model:
    """The patch classifier has one size; it is cloned with a static batch."""
    own = tuple(saved.input_shape[1:3])
    if (height, width) != own and None not in own:
        raise ValueError(f"it was trained on patches of {own[0]} x {own[1]} px")
    return _cloned(saved, (height, width))


FAMILIES: Mapping[str, Callable[[keras.Model, int, int], keras.Model]] = {
    "fast_unet": _fast, "classic_unet": _classic, "unet": _classic, "patch_classifier": _patches,
}  # fmt: skip
"""Networks known by name, and how each is built for a size."""


def _from_bytes(model: keras.Model) -> keras.Model:
    """Let a network that scales 0..255 itself take 0..1; what is left of the factor goes into the first convolution."""
    import keras

    first = model.layers[1] if len(model.layers) > 1 else None
    if not isinstance(first, keras.layers.Rescaling) or not 0 < float(first.scale) < _BYTES_SCALE:
        return model
    log.info("the network scales bytes itself; %s is folded into its first convolution", first.name)
    return _cloned(model, model.input_shape[1:3], _changed(first.name, scale=float(first.scale) * 255))


def to_logits(model: keras.Model) -> keras.Model:
    """Take a softmax or sigmoid off the end, fused into the last layer or a layer of its own.

    The drone compares logits with a threshold; a per-pixel softmax or sigmoid is slow on it and adds nothing.
    """
    import keras

    last = model.layers[-1]
    if isinstance(last, (keras.layers.Softmax, keras.layers.Activation)):
        if isinstance(last, keras.layers.Activation) and last.activation not in _squashing():
            return model
        return keras.Model(model.inputs, last.input, name=model.name)
    if getattr(last, "activation", None) not in _squashing():
        return model
    return _cloned(model, model.input_shape[1:3], _changed(last.name, activation="linear"))


def _squashing() -> tuple[Any, ...]:
    import keras

    return (keras.activations.softmax, keras.activations.sigmoid)


def _cloned(
    model: keras.Model, size: tuple[int, int], clone_function: Callable[[Any], Any] | None = None
) -> keras.Model:
    """The same network and weights with a static batch of 1 and an input of `size`."""
    import keras

    fixed = keras.Input((*size, 3), batch_size=1, name="rgb")
    made = keras.models.clone_model(model, input_tensors=fixed, clone_function=clone_function)
    made.set_weights(model.get_weights())
    return made


def _changed(name: str, **changes: Any) -> Callable[[Any], Any]:
    """How to clone a network's layers with the settings of one of them changed."""

    def clone(layer: Any) -> Any:
        settings = layer.get_config() | (changes if layer.name == name else {})
        return layer.__class__.from_config(settings)

    return clone


def _check(path: Path, model: keras.Model) -> None:
    shape = model.output_shape
    if not isinstance(shape, tuple) or None in shape or None in model.input_shape:
        raise ConversionError(f"{path}: shapes {model.input_shape} to {shape} are not all fixed; save it with a size.")
    if len(shape) == 2:
        return
    if len(shape) != 4 or math.isqrt(shape[3]) ** 2 != shape[3]:
        raise ConversionError(
            f"{path} answers {shape}; a segmenter answers (1, h, w, r * r) logits, a classifier (1, classes)."
        )
