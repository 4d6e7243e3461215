"""U-Net definitions in Keras 3: the fast one that flies and the classic one as a yardstick.

Both take float RGB in 0..1 of static size and return *logits* on a coarser grid with `shuffle` squared channels for
each class: class 0 first. The full picture is made outside the network by depth-to-space: channel index =
(class * shuffle + dy) * shuffle + dx. Keeping that step, the sigmoid and any large resize out of the graph leaves only
operators that integer accelerators take. Each class has a head of its own, `logits` for class 0, `logits_1` and so on,
so that a network of several classes flies with the one head that is asked for.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models import DataError

if TYPE_CHECKING:
    import keras

FAST_STRIDE = 4
"""Output stride of `fast_unet` before depth-to-space, in pixels."""
FAST_MULTIPLE = 32
"""Input height and width of `fast_unet` must be a multiple of this many pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FastSize:
    """Channels and joins of a fast U-Net."""

    encoder: tuple[int, int, int, int, int]
    """Channels at strides 2, 4, 8, 16, 32."""
    decoder: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    """At strides 16, 8, 4: channels brought up from below, and channels after the join."""
    add: bool = False
    """Joins add, where True, instead of concatenating: what is brought up then has the channels of the encoder."""
    fine: bool = True
    """A second convolution at stride 2."""
    shuffle: int = 4


def fast_size(base: int = 16, shuffle: int = 4) -> FastSize:
    """The first family: channels 1, 2, 4, 6, 6 times `base`, joins concatenate."""
    return FastSize(
        encoder=(base, base * 2, base * 4, base * 6, base * 6),
        decoder=((base * 4, base * 6), (base * 2, base * 4), (base * 2, base * 2)),
        shuffle=shuffle,
    )


SIZES = {
    "fast_unet": fast_size(),
    "fast_unet_lean": FastSize(
        encoder=(16, 32, 64, 96, 96), decoder=((96, 96), (64, 64), (32, 32)), add=True, fine=False
    ),
    "fast_unet_s": FastSize(encoder=(16, 16, 32, 64, 80), decoder=((64, 64), (32, 32), (16, 16)), add=True, fine=False),
}
"""Sizes that are trained and flown: 1.53, 1.10 and 0.38 GMAC at 512 x 512."""


def fast_unet(
    height: int,
    width: int,
    base: int = 16,
    shuffle: int = 4,
    batch_size: int | None = None,
    dtype: str | None = None,
    classes: int = 1,
    size: FastSize | None = None,
) -> keras.Model:
    """Build the fast U-Net: stride-2 stem, encoder down to stride 32, one top-down path ending at stride 4.

    Input (batch, height, width, 3) float 0..1, output (batch, height / 4, width / 4, classes * shuffle ** 2) logits.
    `dtype` is a Keras dtype policy, as "float32" or "mixed_bfloat16"; None takes the global one. `size` gives the
    channels, in place of `base` and `shuffle` (see `fast_size`). Only 3x3 and 1x1 convolutions, each
    convolution-BatchNorm-ReLU6, bilinear resizes to constant sizes, and concatenations or additions. `batch_size=1` is
    needed for export. Raises ValueError where a size is no multiple of 32 or `shuffle` is not 1, 2 or 4.
    """
    import keras

    size = fast_size(base, shuffle) if size is None else size
    _check_size(height, width, FAST_MULTIPLE)
    if size.shuffle not in (1, 2, 4):
        raise ValueError(
            f"shuffle must be 1, 2 or 4, not {size.shuffle}: the network's output has stride {FAST_STRIDE}."
        )
    inputs = keras.Input((height, width, 3), batch_size=batch_size, name="rgb")
    x = _conv(inputs, size.encoder[0], "stem", dtype, strides=2)
    if size.fine:
        x = _conv(x, size.encoder[0], "s2_a", dtype)
    skips = []
    for stride, channels, convs in zip((4, 8, 16, 32), size.encoder[1:], (1, 1, 1, 2), strict=True):
        x = _conv(x, channels, f"s{stride}_down", dtype, strides=2)
        for i in range(convs):
            x = _conv(x, channels, f"s{stride}_{'abc'[i]}", dtype)
        skips.append(x)
    skips.pop()
    join = keras.layers.Add if size.add else keras.layers.Concatenate
    for stride, (reduced, merged) in zip((16, 8, 4), size.decoder, strict=True):
        x = _conv(x, reduced, f"up{stride}_reduce", dtype, kernel=1)
        x = _upsample(x, height // stride, width // stride)
        x = join(name=f"up{stride}_join", dtype=dtype)([x, skips.pop()])
        x = _conv(x, merged, f"up{stride}_merge", dtype)
    return keras.Model(inputs, _heads(x, size.shuffle, classes, dtype), name="fast_unet")


def classic_unet(
    height: int = 512,
    width: int = 512,
    base: int = 64,
    depth: int = 4,
    batch_size: int | None = None,
    dtype: str | None = None,
    classes: int = 1,
) -> keras.Model:
    """Build the classic encoder-decoder of Ronneberger et al. 2015 with padded convolutions and BatchNorm.

    `depth` poolings, `base` channels at full size, doubled at each level; two 3x3 convolutions per stage and one logit
    per pixel and class: input (batch, height, width, 3) float 0..1, output (batch, height, width, classes). `dtype` as
    in `fast_unet`. A yardstick for cost and accuracy, not meant to fly. Raises ValueError where a size is no multiple
    of 2 ** depth.
    """
    import keras

    _check_size(height, width, 2**depth)
    inputs = keras.Input((height, width, 3), batch_size=batch_size, name="rgb")
    x: Any = inputs
    skips = []
    for level in range(depth):
        x = _pair(x, base * 2**level, f"down{level}", dtype)
        skips.append(x)
        x = keras.layers.MaxPooling2D(2, name=f"pool{level}", dtype=dtype)(x)
    x = _pair(x, base * 2**depth, "bottom", dtype)
    for level in reversed(range(depth)):
        x = _upsample(x, height // 2**level, width // 2**level)
        x = _conv(x, base * 2**level, f"up{level}_reduce", dtype)
        x = keras.layers.Concatenate(name=f"up{level}_join", dtype=dtype)([skips.pop(), x])
        x = _pair(x, base * 2**level, f"up{level}", dtype)
    return keras.Model(inputs, _heads(x, 1, classes, dtype), name="classic_unet")


def open_saved(path: Path) -> keras.Model:
    """Open any `.keras` file. Raises DataError where it is damaged or something else."""
    import keras

    try:
        return keras.models.load_model(path, compile=False)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be opened: it is damaged or no Keras model; copy or train it again.") from error


def resized(saved: keras.Model, height: int, width: int, batch_size: int | None = None, head: int = 0) -> keras.Model:
    """Rebuild a U-Net of this module with another input size and the one class `head`.

    Raises DataError for another network and for a class that it does not have.
    """
    names = [layer.name for layer in saved.layers]
    if _head_name(head) not in names or saved.name not in ("fast_unet", "classic_unet"):
        raise DataError(f"The {saved.name} of this file has no class number {head}; look at classes in its run.json.")
    build: Callable[..., keras.Model]
    size: dict[str, Any]
    if saved.name == "fast_unet":
        build, size = fast_unet, {"size": size_of(saved, head)}
    else:
        depth = sum(name.startswith("pool") for name in names)
        build, size = classic_unet, {"base": saved.get_layer("up0_a").filters, "depth": depth}
    model = build(height, width, batch_size=batch_size, dtype="float32", **size)
    for layer in model.layers:
        source = _head_name(head) if layer.name == _head_name(0) else layer.name
        if layer.weights:
            layer.set_weights(saved.get_layer(source).get_weights())
    return model


def size_of(saved: keras.Model, head: int = 0) -> FastSize:
    """Read the size of a saved fast U-Net off its layers."""
    import keras

    def filters(name: str) -> int:
        return int(saved.get_layer(name).filters)

    encoder = [filters("stem"), *(filters(f"s{stride}_down") for stride in (4, 8, 16, 32))]
    decoder = [(filters(f"up{stride}_reduce"), filters(f"up{stride}_merge")) for stride in (16, 8, 4)]
    return FastSize(
        encoder=(encoder[0], encoder[1], encoder[2], encoder[3], encoder[4]),
        decoder=(decoder[0], decoder[1], decoder[2]),
        add=isinstance(saved.get_layer("up4_join"), keras.layers.Add),
        fine="s2_a" in [layer.name for layer in saved.layers],
        shuffle=math.isqrt(filters(_head_name(head))),
    )


def gmac(model: keras.Model) -> float:
    """Return the multiply-accumulates of one picture through the convolutions of `model`, in 1e9 (batch excluded)."""
    import keras

    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            kernel = layer.kernel.shape
            _, rows, columns, _ = layer.output.shape
            total += int(rows) * int(columns) * kernel[0] * kernel[1] * kernel[2] * kernel[3]
    return float(total) / 1e9


def _check_size(height: int, width: int, multiple: int) -> None:
    if height <= 0 or width <= 0 or height % multiple or width % multiple:
        raise ValueError(f"height and width must be positive multiples of {multiple} px, not {height} x {width}.")


def _conv(x: Any, channels: int, name: str, dtype: str | None, kernel: int = 3, strides: int = 1) -> Any:
    """Convolution without bias, BatchNorm, ReLU6: in this order the converter folds all three into one operator."""
    import keras

    x = keras.layers.Conv2D(
        channels, kernel, strides=strides, padding="same", use_bias=False, name=name,
        kernel_initializer="he_normal", dtype=dtype,
    )(x)  # fmt: skip
    x = keras.layers.BatchNormalization(momentum=0.98, name=f"{name}_bn", dtype=dtype)(x)
    return keras.layers.ReLU(max_value=6.0, name=f"{name}_relu", dtype=dtype)(x)


def _pair(x: Any, channels: int, name: str, dtype: str | None) -> Any:
    return _conv(_conv(x, channels, f"{name}_a", dtype), channels, f"{name}_b", dtype)


def _upsample(x: Any, height: int, width: int) -> Any:
    """Bilinear resize to a constant size; UpSampling2D would be lowered to TILE and SHAPE operators."""
    import keras

    return keras.ops.image.resize(x, (height, width), interpolation="bilinear")


def _heads(x: Any, shuffle: int, classes: int, dtype: str | None) -> Any:
    """One 1x1 convolution to logits per class, started at the share of crack pixels seen in practice (about 3 %)."""
    import keras

    bias = keras.initializers.Constant(-3.5)
    heads = [
        keras.layers.Conv2D(shuffle**2, 1, bias_initializer=bias, name=_head_name(index), dtype=dtype)(x)
        for index in range(classes)
    ]
    return heads[0] if classes == 1 else keras.layers.Concatenate(name="classes", dtype=dtype)(heads)


def _head_name(index: int) -> str:
    return "logits" if index == 0 else f"logits_{index}"
