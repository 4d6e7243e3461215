"""YUV 4:2:0 becomes RGB band by band: the same picture, and nothing of its size beside it."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edge.frames.picamera import _rgb_from_yuv

Floats = npt.NDArray[np.float64]


def buffer(width: int, height: int, stride: int, form: str) -> tuple[npt.NDArray[np.uint8], Floats, Floats, Floats]:
    """Luma and colours of noise as libcamera lays them out, and the three planes themselves."""
    numbers = np.random.default_rng(1)
    y = numbers.integers(60, 190, (height, width))
    u, v = (numbers.integers(90, 166, (height // 2, width // 2)) for _ in range(2))
    colours = [(np.stack((u, v), axis=2).reshape(height // 2, width), stride)]
    if form == "YUV420":
        colours = [(u, stride // 2), (v, stride // 2)]
    rows = [np.pad(plane, ((0, 0), (0, size - plane.shape[1]))).ravel() for plane, size in [(y, stride), *colours]]
    return np.concatenate(rows).astype(np.uint8), y.astype(float), u.astype(float), v.astype(float)


def enlarged(plane: Floats) -> Floats:
    """Twice the size, linear between the middles of pixels."""
    for axis in (0, 1):
        size = plane.shape[axis]
        at = np.clip((np.arange(2 * size) + 0.5) / 2 - 0.5, 0, size - 1)
        low = np.minimum(at.astype(int), size - 2)
        share = np.expand_dims(at - low, 1 - axis)
        plane = (1 - share) * plane.take(low, axis) + share * plane.take(low + 1, axis)
    return plane


@pytest.mark.parametrize("form", ["YUV420", "NV12"])
@pytest.mark.parametrize("height", [2, 128, 130, 390])
def test_bands_join_without_a_seam(form: str, height: int) -> None:
    stream: dict[str, Any] = {"size": (70, height), "stride": 128, "format": form}
    raw, y, u, v = buffer(70, height, 128, form)
    if height == 2:
        u, v = (np.repeat(plane, 2, axis=0) for plane in (u, v))  # one row of colour: nothing to read between
        u, v = enlarged(u)[:2], enlarged(v)[:2]
    else:
        u, v = enlarged(u), enlarged(v)
    # JPEG's matrix, ITU-T T.871
    wanted = np.dstack((y + 1.402 * (v - 128), y - 0.344136 * (u - 128) - 0.714136 * (v - 128), y + 1.772 * (u - 128)))
    assert np.abs(_rgb_from_yuv(raw, stream) - np.clip(wanted, 0, 255)).max() <= 2.5


def test_twelve_megapixels_take_no_second_picture() -> None:
    stream: dict[str, Any] = {"size": (4000, 3000), "stride": 4032, "format": "YUV420"}
    raw = np.full(4032 * 3000 * 3 // 2, 128, np.uint8)
    tracemalloc.start()
    rgb = _rgb_from_yuv(raw, stream)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rgb.nbytes == 36_000_000
    assert peak < 1.15 * rgb.nbytes
