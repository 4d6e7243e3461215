"""Pixels to the network's input and its output to scores: the one place, in flight and in training.

A *code* is a raw int8 logit plus 128, so that it is a uint8 that rises with the logit: resizing and blending
work on codes, and one table turns them into scores at the very end.
"""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import numpy.typing as npt

INPUT_SCALE = 1 / 255
INPUT_ZERO_POINT = -128

_SIGN = 0x80
# A float32 scale written to JSON and back; calibration itself moves it by a few parts in ten million.
_SCALE_TOLERANCE = 1e-4
_WORDS: dict[int, type[np.unsignedinteger[Any]]] = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}

UInt8 = npt.NDArray[np.uint8]
Int8 = npt.NDArray[np.int8]


def check_input(scale: float, zero_point: int) -> None:
    """Raise ValueError unless the input is quantised as 0..1 over 256 steps, the only way ``to_input`` knows."""
    if zero_point != INPUT_ZERO_POINT or not math.isclose(scale, INPUT_SCALE, rel_tol=_SCALE_TOLERANCE):
        raise ValueError(
            f"the input has scale {scale:.8g} and zero point {zero_point}, this version needs 1/255 and "
            f"{INPUT_ZERO_POINT}; convert the model again, calibrated on pictures in 0..1"
        )


def to_input(rgb: UInt8, out: Int8) -> None:
    """Write uint8 ``rgb`` (H, W, 3) into ``out``, an int8 array or view of the same shape: v becomes v - 128."""
    np.bitwise_xor(rgb, np.uint8(_SIGN), out=out.view(np.uint8))


def pixel_shuffle(raw: npt.NDArray[Any], factor: int) -> npt.NDArray[Any]:
    """Depth to space: (h, w, r * r) becomes (h * r, w * r); channel dy * r + dx is row dy, column dx of its cell."""
    height, width, channels = raw.shape
    if channels != factor * factor:
        raise ValueError(f"{factor * factor} channels are needed for a shuffle by {factor}, got {channels}")
    cells = raw.reshape(height, width, factor, factor)
    return cells.transpose(0, 2, 1, 3).reshape(height * factor, width * factor)


def to_codes(raw: Int8, factor: int, out: UInt8 | None = None) -> UInt8:
    """Depth to space and the step to codes in one pass: int8 (h, w, r * r) to uint8 (h * r, w * r).

    ``out`` is C-contiguous; the result is ``out``, or a new array.
    """
    height, width, channels = raw.shape
    if channels != factor * factor:
        raise ValueError(f"{factor * factor} channels are needed for a shuffle by {factor}, got {channels}")
    if out is None:
        out = np.empty((height * factor, width * factor), np.uint8)
    word = np.dtype(_WORDS.get(factor, np.uint8))  # a cell's row travels as one word where a word has its size
    cells = np.ascontiguousarray(raw).view(np.uint8).reshape(height, width, factor, factor).view(word)
    target = out.reshape(height, factor, width, factor).view(word)
    sign = word.type(int.from_bytes(bytes([_SIGN]) * word.itemsize, "little"))
    np.bitwise_xor(cells.transpose(0, 2, 1, 3), sign, out=target)
    return out


def upsample(codes: UInt8, height_px: int, width_px: int, out: UInt8 | None = None) -> UInt8:
    """Bilinear to (height_px, width_px) in the logit domain, so that edges finer than a cell survive the threshold.

    Half-pixel centred: with stride s, cell i covers the pixels [s * i, s * i + s). The result is ``out`` where
    given and of that size; ``codes`` itself when it has the size already.
    """
    import cv2

    if codes.shape == (height_px, width_px):
        return codes
    enlarged = cv2.resize(codes, (width_px, height_px), dst=out, interpolation=cv2.INTER_LINEAR)
    return cast(UInt8, enlarged)  # OpenCV's types do not say that the kind of number stays


def dequantise(raw: Int8, scale: float, zero_point: int) -> npt.NDArray[np.float32]:
    """Raw int8 values as float32 logits."""
    return (raw.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)


def score_table(scale: float, zero_point: int) -> UInt8:
    """uint8 (256,): for each code (raw + 128) the score round(255 * sigmoid(logit))."""
    logits = (np.arange(256) - 128 - zero_point) * scale
    table: UInt8 = np.rint(127.5 * (1 + np.tanh(logits / 2))).astype(np.uint8)
    return table


def threshold_code(threshold: float) -> int:
    """The smallest uint8 score that counts as crack: the first s with s / 255 >= ``threshold`` (0 to 1)."""
    return math.ceil(threshold * 255)  # s / 255 * 255 is s exactly in float64, for every s
