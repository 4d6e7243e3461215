"""Random crops and changes of light, sharpness and noise. Cheap on purpose: a few milliseconds per crop on one core."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]


def random_crop(
    rng: np.random.Generator, rgb: UInt8, mask: UInt8, size: int, aim: tuple[int, int] | None, *, gentle: bool = False
) -> tuple[UInt8, UInt8]:
    """Cut a square of `size` px by one perspective warp: scale 0.5 to 2 (`gentle`: 0.85 to 1.2), turns, tilt, flip.

    `mask` holds one bit per class and has the size of `rgb`. `aim` (y, x) is a point of the source that must lie in the
    crop; None takes any place. Returns (crop, mask) warped alike.
    """
    height, width = mask.shape
    smallest = max(0.5, size / (1.5 * min(height, width)))
    least, most = (max(0.85, smallest), max(1.2, 1.1 * smallest)) if gentle else (min(smallest, 1.9), 2.0)
    scale = float(np.exp(rng.uniform(np.log(least), np.log(most))))
    angle = float(rng.integers(4)) * np.pi / 2 + (float(rng.uniform(-0.6, 0.6)) if rng.random() < 0.5 else 0.0)
    half = size / 2 / scale
    if aim is None:
        centre = np.array([_between(rng, half, width), _between(rng, half, height)])
    else:
        centre = np.array([aim[1], aim[0]]) + rng.uniform(-0.7, 0.7, 2) * half
    cos, sin = np.cos(angle), np.sin(angle)
    flip = -1.0 if rng.random() < 0.5 else 1.0
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    corners = corners * (1 + rng.uniform(-0.08, 0.08, (4, 2))) * [flip, 1]
    source = (corners @ np.array([[cos, sin], [-sin, cos]]) + centre).astype(np.float32)
    target = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
    warp = cv2.getPerspectiveTransform(source, target)
    if scale < 0.8:  # without it, thin lines alias away when shrinking
        rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), 0.35 / scale), np.uint8)
    out = cv2.warpPerspective(rgb, warp, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(out, np.uint8), _warp_bits(mask, np.asarray(warp, np.float64), size)


def photometric(rng: np.random.Generator, rgb: UInt8) -> UInt8:
    """Change light, colour, sharpness and noise of a crop; the geometry stays."""
    if rng.random() < 0.25:
        rgb = np.repeat(np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)[..., None], 3, axis=2)
    if rng.random() < 0.9:
        rgb = _tone(rng, rgb)
    if rng.random() < 0.3:
        rgb = _uneven_light(rng, rgb)
    rgb = _blur(rng, rgb)
    if rng.random() < 0.45:
        rgb = _sensor_noise(rng, rgb)
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))]
        rgb = np.asarray(cv2.imdecode(cv2.imencode(".jpg", rgb, quality)[1], cv2.IMREAD_COLOR), np.uint8)
    return rgb


def label_weight(mask: UInt8, looseness_px: int, band_weight: float = 0.3) -> Float:
    """Return the weight of each label: `band_weight` within `looseness_px` of a label edge, 1 elsewhere.

    Annotators disagree about the outermost pixels of a crack; 0 px trusts the label fully.
    """
    weight = np.ones(mask.shape, np.float32)
    if looseness_px > 0:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * looseness_px + 1,) * 2)
        outer, inner = cv2.dilate(mask, kernel), cv2.erode(mask, kernel)
        weight[outer != inner] = band_weight
        # the core of a line thinner than the band stays fully weighted, or thin cracks would not count at all
        depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
        weight[(mask > 0) & (depth >= cv2.dilate(depth, np.ones((3, 3), np.uint8)))] = 1.0
    return weight


def _warp_bits(mask: UInt8, warp: npt.NDArray[np.float64], size: int) -> UInt8:
    """Warp each bit that is set anywhere by itself; slightly more than half covered counts, so that thin lines live."""
    present, moved = int(np.bitwise_or.reduce(mask, axis=None)), np.zeros((size, size), np.uint8)
    for bit in range(8):
        if present >> bit & 1:
            plane = (mask >> bit & 1) * np.uint8(255)
            soft = cv2.warpPerspective(
                plane, warp, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
            )
            moved |= (np.asarray(soft) > 115).astype(np.uint8) << bit
    return moved


def _between(rng: np.random.Generator, half: float, extent: int) -> float:
    low, high = min(half, extent / 2), max(extent - half, extent / 2)
    return float(rng.uniform(low, high))


def _tone(rng: np.random.Generator, rgb: UInt8) -> UInt8:
    """Gamma 0.5 to 2.2, gain, contrast and colour cast through one lookup table per channel."""
    gamma = float(np.exp(rng.uniform(np.log(0.5), np.log(2.2)))) if rng.random() < 0.6 else 1.0
    gain, pivot, contrast = float(rng.uniform(0.65, 1.2)), float(rng.uniform(90, 160)), float(rng.uniform(0.6, 1.4))
    ramp = 255 * (np.arange(256) / 255) ** gamma
    ramp = ((ramp - pivot) * contrast + pivot) * gain + float(rng.uniform(-20, 20))
    cast = 1 + rng.uniform(-0.15, 0.15, 3)
    table = np.clip(ramp[:, None] * cast, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(rgb, table[None]), np.uint8)


def _uneven_light(rng: np.random.Generator, rgb: UInt8) -> UInt8:
    coarse = rng.uniform(0.55, 1.35, (3, 3)).astype(np.float32)
    field = cv2.resize(coarse, (rgb.shape[1], rgb.shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(rgb * field[..., None], 0, 255), np.uint8)


def _blur(rng: np.random.Generator, rgb: UInt8) -> UInt8:
    kind = rng.random()
    if kind < 0.2:
        return np.asarray(cv2.GaussianBlur(rgb, (0, 0), float(rng.uniform(0.4, 1.6))), np.uint8)
    if kind < 0.35:
        length = int(rng.integers(2, 8))
        kernel = np.zeros((2 * length + 1,) * 2, np.float32)
        angle, middle = float(rng.uniform(0, np.pi)), length
        step = np.array([np.cos(angle), np.sin(angle)]) * length / 2
        begin, end = np.rint(middle - step).astype(int), np.rint(middle + step).astype(int)
        cv2.line(kernel, begin.tolist(), end.tolist(), 1.0, 1)
        return np.asarray(cv2.filter2D(rgb, -1, kernel / kernel.sum()), np.uint8)
    if kind < 0.45:  # sharpened by the camera
        soft = cv2.GaussianBlur(rgb, (0, 0), 1.5)
        return np.asarray(cv2.addWeighted(rgb, 1.8, soft, -0.8, 0), np.uint8)
    return rgb


def _sensor_noise(rng: np.random.Generator, rgb: UInt8) -> UInt8:
    noise = np.empty(rgb.shape, np.int16)
    cv2.setRNGSeed(int(rng.integers(2**31)))
    cv2.randn(noise, np.zeros(3), np.full(3, rng.uniform(1, 12)))
    return np.asarray(np.clip(rgb + noise, 0, 255), np.uint8)
