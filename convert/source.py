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
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert import ConversionError
from edge.masks.card import SOUND
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
    classes: tuple[str, ...]
    """In the order of the outputs; a classifier's first is ``sound``."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Score threshold of each kind of damage, 0 to 1; empty until they are asked for (`with_thresholds`)."""

    @property
    def damage(self) -> tuple[str, ...]:
        """The classes that are damage."""
        return tuple(name for name in self.classes if self.kind == SEGMENTER or name != SOUND)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input, pixels."""
        _, height, width, _ = self.model.input_shape
        return int(height), int(width)


def load_source(path: Path, size: tuple[int, int] | None = None, keep: Sequence[str] | None = None) -> Source:
    """Load the float network in ``path`` for an input of ``size`` = (height, width) px.

    ``size`` None: 512 x 512 for a U-Net (training saves it at another size), else the file's own. ``keep`` names the
    classes whose outputs are kept, in this order; None keeps all. Raises DataError for a file that is absent or none,
    a record without classes, and a class that it does not name; ConversionError for a network that cannot fly.
    """
    if not path.is_file():
        raise DataError(f"The model {path} does not exist; train one with python -m models train.")
    record = read_record(path)
    listed = classes_of(path, record)
    kept = _kept(path, listed, keep)
    if path.name.endswith(WEIGHTS_SUFFIX):
        model = _from_weights(path, record, size or DEFAULT_SIZE, listed, kept)
    else:
        model = _from_keras(path, size, listed, kept)
    model = to_logits(_from_bytes(model))
    outputs = _check(path, model, len(kept))
    classifier = len(model.output_shape) == 2
    if classifier and outputs == len(listed) + 1:
        kept = (SOUND, *listed)  # a patch classifier's first output is that nothing is damaged
    if classifier and outputs != len(kept):
        raise DataError(f"The record of {path} names {len(listed)} classes, the network has {outputs} outputs.")
    kind = CLASSIFIER if classifier else SEGMENTER
    return Source(path=path, sha256=sha256(path), model=model, kind=kind, record=record, classes=kept)


def classes_of(path: Path, record: Mapping[str, Any]) -> tuple[str, ...]:
    """The kinds of damage that the training's record names, in the order of the network's outputs.

    Raises DataError where it names none: what an output means cannot be guessed.
    """
    listed = record.get("classes") or record.get("config", {}).get("model", {}).get("classes")
    if not isinstance(listed, list) or not all(isinstance(one, str) and one for one in listed):
        raise DataError(
            f"The record of {path} ({record_path(path).name}) names no classes; copy it from the training, or add "
            '"classes": [...] to it, in the order of the outputs.'
        )
    if len(set(listed)) < len(listed):
        raise DataError(f"The record of {path} names a class twice: {', '.join(listed)}.")
    return tuple(listed)


def with_thresholds(source: Source, given: float | None = None) -> Source:
    """`source` with a score threshold per kind of damage: `given` where there is one kind, else the record's.

    Raises DataError where one is not known.
    """
    if given is not None:
        if len(source.damage) > 1:
            raise DataError(
                f"--threshold is for one class, and {source.path} has {', '.join(source.damage)}; change "
                "score_thresholds in its record, or keep one class with --class."
            )
        return replace(source, thresholds={source.damage[0]: given})
    first = source.record.get("score_threshold")
    known = {classes_of(source.path, source.record)[0]: first} if first is not None else {}
    known |= source.record.get("score_thresholds", {})
    missing = [name for name in source.damage if name not in known]
    if missing:
        raise DataError(
            f"No record beside {source.path} gives a score_threshold for {missing[0]!r}: "
            f"{record_path(source.path).name} is missing or holds none; copy it from the training, or give --threshold."
        )
    return replace(source, thresholds={name: float(known[name]) for name in source.damage})


def _kept(path: Path, listed: tuple[str, ...], keep: Sequence[str] | None) -> tuple[str, ...]:
    if keep is None:
        return listed
    unknown = [name for name in keep if name not in (*listed, SOUND)]
    if unknown:
        raise DataError(f"{path} knows the classes {', '.join(listed)}, not {unknown[0]!r}.")
    return tuple(name for name in keep if name != SOUND)


def read_record(path: Path) -> dict[str, Any]:
    """The record beside a float model; empty where there is none. Raises DataError where it is not JSON."""
    record = record_path(path)
    if not record.is_file():
        return {}
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{record} is not JSON ({error}); copy the training's run.json again.") from error
    if not isinstance(found, dict):
        raise DataError(f"{record} holds a {type(found).__name__}, not an object; copy the training's run.json again.")
    return found


def record_path(path: Path) -> Path:
    """Where the record of a float model lies: `NAME.json` beside `NAME.weights.h5`, else `run.json`."""
    name = f"{path.name.removesuffix(WEIGHTS_SUFFIX)}.json" if path.name.endswith(WEIGHTS_SUFFIX) else "run.json"
    return path.with_name(name)


def sha256(path: Path) -> str:
    """SHA-256 of a file, hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _from_keras(
    path: Path, size: tuple[int, int] | None, listed: tuple[str, ...], kept: tuple[str, ...]
) -> keras.Model:
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
        height, width = size or (own if saved.name == "patch_classifier" and None not in own else DEFAULT_SIZE)
        return _rebuilt(path, saved, height, width, listed, kept)
    if kept != listed:
        raise ConversionError(f"{path} is no {', '.join(FAMILIES)}; only of those can single classes be kept.")
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


def _from_weights(
    path: Path, record: Mapping[str, Any], size: tuple[int, int], listed: tuple[str, ...], kept: tuple[str, ...]
) -> keras.Model:
    """Weights of a fast U-Net, whose base width and shuffle the record or the weights themselves give."""
    from models.unet import fast_unet

    settings = record.get("config", {}).get("model", {})
    kind = settings.get("kind", "fast_unet")
    if kind != "fast_unet":
        raise DataError(f"{path} holds weights of a {kind}; give the .keras file, which says how it is built.")
    base, shuffle = settings.get("base") or 16, settings.get("shuffle", 4)
    try:
        model = fast_unet(*size, base=base, shuffle=shuffle, batch_size=1, classes=len(listed))
        with warnings.catch_warnings():  # Keras only warns about weights it does not find, and leaves them random
            warnings.simplefilter("error", UserWarning)
            model.load_weights(path)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        words = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path} does not fit a fast_unet of {len(listed)} classes with base {base} and shuffle {shuffle} at "
            f"{size[0]} x {size[1]} px ({words}); give the .keras file, or the training's run.json as "
            f"{path.name.removesuffix(WEIGHTS_SUFFIX)}.json beside it."
        ) from error
    return model if kept == listed else _rebuilt(path, model, size[0], size[1], listed, kept)


def _rebuilt(
    path: Path, saved: keras.Model, height: int, width: int, listed: tuple[str, ...], kept: tuple[str, ...]
) -> keras.Model:
    """The same network for another input size, with the heads of the classes `kept`, in this order."""
    heads = sum(_is_head(layer.name) for layer in saved.layers)
    if heads and heads != len(listed):
        raise DataError(
            f"The record of {path} names {len(listed)} classes ({', '.join(listed)}), the network has {heads}; "
            "copy the record of this very training."
        )
    if not heads and kept != listed:
        raise DataError(f"{path} is a {saved.name}, which answers for all its classes at once; leave out --class.")
    try:
        model = FAMILIES[saved.name](saved, height, width, len(kept))
    except ValueError as error:
        raise ConversionError(f"{path}: a {saved.name} cannot take {height} x {width} px: {error}") from error
    for layer in model.layers:
        if layer.weights:
            source = _head_name(listed.index(kept[_head_index(layer.name)])) if _is_head(layer.name) else layer.name
            layer.set_weights(saved.get_layer(source).get_weights())
    return model


def _head_name(index: int) -> str:
    return "logits" if index == 0 else f"logits_{index}"


def _is_head(name: str) -> bool:
    return re.fullmatch(r"logits(_\d+)?", name) is not None


def _head_index(name: str) -> int:
    """The number of the class whose logits the layer `name` gives."""
    return int(name.rpartition("_")[2]) if "_" in name else 0


def _fast(saved: keras.Model, height: int, width: int, classes: int) -> keras.Model:
    from models.unet import fast_unet

    base, shuffle = saved.get_layer("stem").filters, math.isqrt(saved.get_layer("logits").filters)
    return fast_unet(height, width, base=base, shuffle=shuffle, batch_size=1, classes=classes)


def _classic(saved: keras.Model, height: int, width: int, classes: int) -> keras.Model:
    from models.unet import classic_unet

    depth, base = sum(layer.name.startswith("pool") for layer in saved.layers), saved.get_layer("down0_a").filters
    return classic_unet(height, width, base=base, depth=depth, batch_size=1, classes=classes)


def _patches(saved: keras.Model, height: int, width: int, classes: int) -> keras.Model:
    """The patch classifier has one size; it is cloned with a static batch."""
    own = tuple(saved.input_shape[1:3])
    if (height, width) != own and None not in own:
        raise ValueError(f"it was trained on patches of {own[0]} x {own[1]} px")
    return _cloned(saved, (height, width))


FAMILIES: Mapping[str, Callable[[keras.Model, int, int, int], keras.Model]] = {
    "fast_unet": _fast, "classic_unet": _classic, "unet": _classic, "patch_classifier": _patches,
}  # fmt: skip
"""Networks known by name, and how each is built for a height, a width and a number of classes."""


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


def _check(path: Path, model: keras.Model, classes: int) -> int:
    """The number of the network's outputs (channels). Raises ConversionError for shapes that cannot fly."""
    shape = model.output_shape
    if not isinstance(shape, tuple) or None in shape or None in model.input_shape:
        raise ConversionError(f"{path}: shapes {model.input_shape} to {shape} are not all fixed; save it with a size.")
    if len(shape) == 2:
        return int(shape[1])
    if len(shape) != 4 or shape[3] % classes or math.isqrt(shape[3] // classes) ** 2 * classes != shape[3]:
        raise ConversionError(
            f"{path} answers {shape} for {classes} classes; a segmenter answers (1, h, w, classes * r * r) logits, a "
            "classifier (1, classes)."
        )
    return int(shape[3])
