"""Change light, colour, sharpness and noise of whole batches on the device, each picture in its own way."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from models.gpu.crops import to_device

KERNEL_PX = 11
"""Side of the kernels that blur and sharpen."""
SHARPNESS_SHARE = 0.35
"""Share of all pictures that are blurred or sharpened."""

_LUMA = np.array([0.299, 0.587, 0.114])
_YCC = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]])
_JPEG = np.array([
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
], np.float32).reshape(8, 8)  # fmt: skip
"""Table K.1 of ITU-T T.81, used for all three channels."""


def change(rng: np.random.Generator, rgb: Tensor, gentle: npt.NDArray[np.bool_]) -> Tensor:
    """Return pictures (n, 3, H, W), 0 to 255, in another light; of `gentle` ones six in ten stay as they are."""
    count = len(gentle)
    out = rgb.clone()
    changed = np.flatnonzero(~gentle | (rng.random(count) < 0.4))
    if len(changed):
        rows = to_device(changed, rgb.device)
        out[rows] = _change(rng, rgb[rows], round(SHARPNESS_SHARE * count))
    return torch.round(out.clamp(0, 255))


def _change(rng: np.random.Generator, rgb: Tensor, sharpened: int) -> Tensor:
    count = len(rgb)
    x = _colours(rng, rgb)
    x = _uneven(rng, x)
    # always as many: cuDNN chooses an algorithm anew for each number of pictures
    picked = rng.choice(count, min(count, sharpened), replace=False)
    if len(picked):
        rows = to_device(picked, x.device)
        x[rows] = _sharpness(rng, x[rows])
    sigma = np.where(rng.random(count) < 0.45, rng.uniform(1, 12, count), 0.0)
    x = x + torch.randn_like(x) * _rows(sigma, x)
    picked = np.flatnonzero(rng.random(count) < 0.3)
    if len(picked):
        rows = to_device(picked, x.device)
        x[rows] = _jpeg(rng, x[rows].clamp(0, 255))
    return x


def _colours(rng: np.random.Generator, rgb: Tensor) -> Tensor:
    """Grey, swapped channels, hue, cast through one 3x3 matrix; then gamma, contrast, gain, offset."""
    count = len(rgb)
    matrices = np.repeat(np.eye(3)[None], count, 0)
    for i in range(count):
        draw = rng.random()
        if draw < 0.22:
            matrices[i] = _LUMA
        elif draw < 0.34:
            matrices[i] = matrices[i][rng.permutation(3)]
        elif draw < 0.45:
            matrices[i] = _turn_hue(float(rng.uniform(-0.6, 0.6)))
    matrices *= 1 + rng.uniform(-0.15, 0.15, (count, 3, 1))
    matrix = to_device(matrices.astype(np.float32), rgb.device)
    x = torch.einsum("nij,njhw->nihw", matrix, rgb).clamp(0, 255) / 255
    change = rng.random(count) < 0.9
    gamma = np.where(change & (rng.random(count) < 0.6), np.exp(rng.uniform(math.log(0.5), math.log(2.2), count)), 1.0)
    pivot = rng.uniform(90, 160, count) / 255
    contrast, gain = (
        np.where(change, rng.uniform(0.6, 1.4, count), 1),
        np.where(change, rng.uniform(0.65, 1.2, count), 1),
    )
    offset = np.where(change, rng.uniform(-20, 20, count), 0)
    x = (x + 1e-6) ** _rows(gamma, x)
    return (((x - _rows(pivot, x)) * _rows(contrast, x) + _rows(pivot, x)) * _rows(gain, x)).mul(255) + _rows(offset, x)


def _turn_hue(angle: float) -> npt.NDArray[np.float64]:
    """Turn colours about the grey axis (Rodrigues)."""
    axis = np.ones(3) / math.sqrt(3)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    turned = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    return np.asarray(turned, np.float64)


def _uneven(rng: np.random.Generator, x: Tensor) -> Tensor:
    count = len(x)
    coarse = np.where(rng.random((count, 1, 1, 1)) < 0.3, rng.uniform(0.55, 1.35, (count, 1, 3, 3)), 1.0)
    field = functional.interpolate(
        to_device(coarse.astype(np.float32), x.device), x.shape[-2:], mode="bicubic", align_corners=True
    )
    return x * field


def _sharpness(rng: np.random.Generator, x: Tensor) -> Tensor:
    """Blur, motion blur or the sharpening of a camera, by one small kernel per picture."""
    count, size = len(x), x.shape[-1]
    kernels = np.stack([_kernel(rng) for _ in range(count)]).astype(np.float32)
    weight = to_device(kernels, x.device)[:, None]
    edge = KERNEL_PX // 2
    padded = functional.pad(x, (edge,) * 4, mode="reflect").transpose(0, 1)  # channels as batch, pictures as groups
    return functional.conv2d(padded, weight, groups=count).transpose(0, 1).reshape(count, 3, size, size)


def _kernel(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    spot = np.zeros((KERNEL_PX, KERNEL_PX))
    middle = KERNEL_PX // 2
    spot[middle, middle] = 1
    kind = rng.random()
    if kind < 0.4:
        return np.asarray(cv2.GaussianBlur(spot, (0, 0), float(rng.uniform(0.4, 1.5))), np.float64)
    if kind < 0.65:
        length, angle = float(rng.uniform(2, 8)), float(rng.uniform(0, np.pi))
        step = np.array([np.cos(angle), np.sin(angle)]) * length / 2
        line = np.zeros((KERNEL_PX, KERNEL_PX), np.float32)
        begin, end = np.rint(middle - step).astype(int), np.rint(middle + step).astype(int)
        cv2.line(line, begin.tolist(), end.tolist(), 1.0, 1)
        return np.asarray(line / line.sum(), np.float64)
    strength = float(rng.uniform(0.3, 1.2))
    soft = np.asarray(cv2.GaussianBlur(spot, (0, 0), float(rng.uniform(0.8, 1.6))), np.float64)
    return (1 + strength) * spot - strength * soft


def _jpeg(rng: np.random.Generator, x: Tensor) -> Tensor:
    """Round the cosine transform of 8x8 blocks as JPEG does, at quality 25 to 95."""
    count, _, height, width = x.shape
    quality = rng.uniform(25, 95, count)
    scale = np.where(quality < 50, 50 / quality, 2 - quality / 50).astype(np.float32)
    table = to_device(np.maximum(1, scale[:, None, None] * _JPEG), x.device)[:, None, None, None]
    i = np.arange(8)
    basis = np.cos((2 * i[None] + 1) * i[:, None] * np.pi / 16) * np.where(i[:, None] == 0, np.sqrt(1 / 8), 0.5)
    dct = to_device(basis.astype(np.float32), x.device)
    to_ycc = to_device(_YCC.astype(np.float32), x.device)
    blocks = torch.einsum("ij,njhw->nihw", to_ycc, x - 128)
    blocks = blocks.reshape(count, 3, height // 8, 8, width // 8, 8).transpose(3, 4)
    coded = torch.round(dct @ blocks @ dct.T / table) * table
    blocks = (dct.T @ coded @ dct).transpose(3, 4).reshape(count, 3, height, width)
    return torch.einsum("ij,njhw->nihw", to_device(np.linalg.inv(_YCC).astype(np.float32), x.device), blocks) + 128


def _rows(values: npt.NDArray[np.floating[Any]], x: Tensor) -> Tensor:
    return to_device(np.asarray(values, np.float32), x.device)[:, None, None, None]
