"""Networks that this project defines itself, known by name: each is rebuilt from its own definition for any size."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from convert import ConversionError
from convert.network import resized
from models import DataError

if TYPE_CHECKING:
    import keras


def rebuilt_family(
    path: Path, saved: keras.Model, height: int, width: int, listed: tuple[str, ...], kept: tuple[str, ...]
) -> keras.Model:
    """The same network for another input size, with the heads of the classes `kept`, in this order.

    Raises DataError where the record's classes `listed` are not the network's, ConversionError where the size is none.
    """
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
    from models.unet import fast_unet, size_of

    return fast_unet(height, width, size=size_of(saved), batch_size=1, classes=classes)


def _classic(saved: keras.Model, height: int, width: int, classes: int) -> keras.Model:
    from models.unet import classic_unet

    depth, base = sum(layer.name.startswith("pool") for layer in saved.layers), saved.get_layer("down0_a").filters
    return classic_unet(height, width, base=base, depth=depth, batch_size=1, classes=classes)


def _patches(saved: keras.Model, height: int, width: int, classes: int) -> keras.Model:
    """The patch classifier has one size; it is cloned with a static batch."""
    own = tuple(saved.input_shape[1:3])
    if (height, width) != own and None not in own:
        raise ValueError(f"it was trained on patches of {own[0]} x {own[1]} px")
    return resized(saved, (height, width))


FAMILIES: Mapping[str, Callable[[keras.Model, int, int, int], keras.Model]] = {
    "fast_unet": _fast, "classic_unet": _classic, "unet": _classic, "patch_classifier": _patches,
}  # fmt: skip
"""Networks known by name, and how each is built for a height, a width and a number of classes."""

_MARKS = {"fast_unet": "stem", "classic_unet": "down0_a", "unet": "down0_a"}
"""A layer that each of them has, which somebody else's network of that name has not."""


def is_of_a_family(saved: keras.Model) -> bool:
    """Whether a network is one of `FAMILIES`, not merely named like one."""
    mark = _MARKS.get(saved.name)
    return saved.name in FAMILIES and (mark is None or any(layer.name == mark for layer in saved.layers))
