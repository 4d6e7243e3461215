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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert import ConversionError
from convert.logits import to_logits
from convert.network import read, resized
from convert.pixels import Pixels, from_fractions
from models import DataError

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

WEIGHTS_SUFFIX = ".weights.h5"
DEFAULT_SIZE = (512, 512)
SEGMENTER, CLASSIFIER = "logits", "class_logits"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A float network ready to be converted: float32 RGB in 0..1 (1, H, W, 3) to logits."""

    path: Path
    sha256: str
    model: keras.Model
    kind: str
    """``logits`` (a map) or ``class_logits`` (one row), as on the card."""
    record: Mapping[str, Any]
    pixels: Pixels
    """What the file's network takes; the one here takes 0..1 in any case."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input, pixels."""
        _, height, width, _ = self.model.input_shape
        return int(height), int(width)


def load_source(path: Path, size: tuple[int, int] | None = None, *, pixels: Pixels | None = None) -> Source:
    """Load the float network in ``path`` for an input of ``size`` = (height, width) px.

    ``size`` None: 512 x 512 for a U-Net (training saves it at another size), else the file's own. ``pixels``: what the
    network was trained on, where neither its layers nor the record say so (``"pixels": "0..255"``). Raises DataError
    for a file that is absent or none; ConversionError for a network that cannot fly.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder (a SavedModel?); give the file that model.save wrote as NAME.keras.")
    if not path.is_file():
        raise DataError(f"The model {path} does not exist; train one with python -m models train.")
    record = read_record(path)
    if path.name.endswith(WEIGHTS_SUFFIX):
        model = _from_weights(path, record, size or DEFAULT_SIZE)
    else:
        model = _from_keras(path, size)
    model, pixels = from_fractions(path, model, pixels or record.get("pixels"))
    model = to_logits(model, path)
    _check(path, model)
    kind = SEGMENTER if len(model.output_shape) == 4 else CLASSIFIER
    return Source(path=path, sha256=sha256(path), model=model, kind=kind, record=record, pixels=pixels)


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
    saved = read(path)
    own = tuple(saved.input_shape[1:3])
    if _is_of_a_family(saved):
        wanted = size or (own if saved.name == "patch_classifier" and None not in own else DEFAULT_SIZE)
        return _rebuilt(path, saved, *wanted)
    if None in own:
        if size is None:
            raise ConversionError(
                f"{path} has an open input size {own}; say with --height and --width what it is to be."
            )
        return _sized(path, saved, size)
    if size is not None and size != own:
        raise ConversionError(
            f"{path} takes {own[0]} x {own[1]} px and is no {', '.join(FAMILIES)}, which are rebuilt for any size; "
            f"leave out --height and --width, or save it for {size[0]} x {size[1]}."
        )
    return saved


def _from_weights(path: Path, record: Mapping[str, Any], size: tuple[int, int]) -> keras.Model:
    """Weights of a fast U-Net, whose base width and shuffle the record or the weights themselves give."""
    from models.unet import fast_unet

    settings = record.get("config", {}).get("model", {})
    kind = settings.get("kind", "fast_unet")
    if kind != "fast_unet":
        raise DataError(f"{path} holds weights of a {kind}; give the .keras file, which says how it is built.")
    base, shuffle = settings.get("base") or 16, settings.get("shuffle", 4)
    try:
        model = fast_unet(*size, base=base, shuffle=shuffle, batch_size=1)
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
    from models.unet import fast_unet

    base, shuffle = saved.get_layer("stem").filters, math.isqrt(saved.get_layer("logits").filters)
    return fast_unet(height, width, base=base, shuffle=shuffle, batch_size=1)


def _classic(saved: keras.Model, height: int, width: int) -> keras.Model:
    from models.unet import classic_unet

    depth = sum(layer.name.startswith("pool") for layer in saved.layers)
    return classic_unet(height, width, base=saved.get_layer("down0_a").filters, depth=depth, batch_size=1)


def _patches(saved: keras.Model, height: int, width: int) -> keras.Model:
    """The patch classifier has one size; it is cloned with a static batch."""
    own = tuple(saved.input_shape[1:3])
    if (height, width) != own and None not in own:
        raise ValueError(f"it was trained on patches of {own[0]} x {own[1]} px")
    return resized(saved, (height, width))


FAMILIES: Mapping[str, Callable[[keras.Model, int, int], keras.Model]] = {
    "fast_unet": _fast, "classic_unet": _classic, "unet": _classic, "patch_classifier": _patches,
}  # fmt: skip
"""Networks known by name, and how each is built for a size."""

_MARKS = {"fast_unet": "stem", "classic_unet": "down0_a", "unet": "down0_a"}
"""A layer that each of them has, which somebody else's network of that name has not."""


def _is_of_a_family(saved: keras.Model) -> bool:
    mark = _MARKS.get(saved.name)
    return saved.name in FAMILIES and (mark is None or any(layer.name == mark for layer in saved.layers))


def _sized(path: Path, saved: keras.Model, size: tuple[int, int]) -> keras.Model:
    try:
        return resized(saved, size)
    except ValueError as error:
        words = " ".join(str(error).split())[:200]
        raise ConversionError(f"{path} cannot take {size[0]} x {size[1]} px ({words}); choose another size.") from error


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
