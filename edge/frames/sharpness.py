"""How sharp, and how well lit, a picture is: what decides whether a narrow crack could be seen in it.

Blur is read from edges that the picture has anyway (pores, joints, grain, cracks), by how much further blurring weakens
them (S. Zhuo and T. Sim, "Defocus map estimation from a single image", Pattern Recognition 44, 2011): an edge blurred
by a Gaussian of deviation s loses the share sqrt((s² + b²) / s²) of its slope when blurred again by b. Horizontal and
vertical slopes are read apart and the worse one counts, because motion smears in one direction. Where no slope stands
out from the noise, nothing can be said: a smooth wall and a lens cap look alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.frames import RGB, Tone
from edge.frames.tone import light_of

_PATCH_PX = 64
_PATCHES = (4, 2)
"""Across and down: eight samples of the picture, at its full resolution."""
_BORDER_PX = 6
_CALM_PX = 0.8
"""Gaussian sigma that calms the noise before slopes are read."""
_AGAIN_PX = 1.6
"""Gaussian sigma of the blur that is added to see what it does."""
_STRONGEST = 0.02
"""Share of the pixels whose slopes are read."""
_OVER_NOISE = 5.0
"""Slopes below so many standard deviations of the noise are no edges."""
_BLURRED_MOST_PX = 12.0
"""What looks more blurred than this has no edge of its own: shading over the whole picture."""
_DARK_CODE, _BRIGHT_CODE = 6, 250
_EVERY_PX = 8


@dataclass(frozen=True, slots=True)
class Sharpness:
    """What the pixels say of a picture's quality."""

    blur_px: float | None
    """Gaussian sigma of the blur in the worse direction, pixels, lens and motion together; None where nothing in the
    picture stands out from its noise."""
    noise: float
    """Standard deviation of the noise, codes of 8 bits."""
    light: float
    """Median light of the picture, 0 to 1, 1 is white."""
    dark_share: float
    """Share of pixels that are black or nearly so."""
    bright_share: float
    """Share of pixels that are white or nearly so."""


def measure(rgb: RGB, tone: Tone) -> Sharpness:
    """Measure one picture, uint8 (H, W, 3); about half a millisecond whatever its size."""
    # As a histogram: all that is asked follows from how often each code is there.
    below = np.bincount(rgb[::_EVERY_PX, ::_EVERY_PX, 1].ravel(), minlength=256).cumsum()
    count = int(below[-1])
    middle = (below.searchsorted((count - 1) // 2, side="right") + below.searchsorted(count // 2, side="right")) / 2
    light = float(light_of(tone)[int(middle)])
    dark, bright = float(below[_DARK_CODE] / count), float((count - below[_BRIGHT_CODE - 1]) / count)
    patches = _patches(rgb)
    noise = _noise(patches)
    return Sharpness(_blur_px(patches, noise), noise, light, dark, bright)


def _patches(rgb: RGB) -> npt.NDArray[np.float32]:
    """(N, h, w): green of places spread over the picture."""
    height, width = rgb.shape[:2]
    high, wide = min(_PATCH_PX, height), min(_PATCH_PX, width)
    tops = np.unique(np.linspace(0, height - high, _PATCHES[1]).astype(int))
    lefts = np.unique(np.linspace(0, width - wide, _PATCHES[0]).astype(int))
    return np.stack([rgb[y : y + high, x : x + wide, 1] for y in tops for x in lefts]).astype(np.float32)


def _noise(patches: npt.NDArray[np.float32]) -> float:
    """J. Immerkær, "Fast noise variance estimation" (1996), of the calmest quarter of the patches."""
    if min(patches.shape[1:]) < 3:
        return 0.0
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    found = np.abs(cv2.filter2D(_stacked(patches), -1, kernel)).reshape(patches.shape)
    inner = found[:, 1:-1, 1:-1].mean(axis=(1, 2)) * (np.sqrt(np.pi / 2) / 6)
    return _quantile(inner, 0.25)


def _blur_px(patches: npt.NDArray[np.float32], noise: float) -> float | None:
    if min(patches.shape[1:]) <= 2 * _BORDER_PX:
        return None
    calm = cv2.GaussianBlur(_stacked(patches), (5, 5), _CALM_PX)
    again = cv2.GaussianBlur(calm, (9, 9), _AGAIN_PX)
    blunt = _CALM_PX**2 + _AGAIN_PX**2
    # A derivative of Gaussian noise filtered by a Gaussian of that variance: noise / (sqrt(8 pi) variance).
    floor = _OVER_NOISE * max(noise, 0.3) / (np.sqrt(8 * np.pi) * blunt)
    worst: float | None = None
    for x, y in ((1, 0), (0, 1)):
        sharp = _inner(cv2.Sobel(calm, cv2.CV_32F, x, y, ksize=3, scale=0.125), patches)
        dull = np.abs(_inner(cv2.Sobel(again, cv2.CV_32F, x, y, ksize=3, scale=0.125), patches))
        count = max(1, round(_STRONGEST * dull.size))
        strong = _strongest(dull, count, floor)
        if strong.size < count // 4:
            continue
        ratio = _quantile(np.abs(sharp[strong]) / dull[strong], 0.5)
        if ratio <= 1.0:
            return None
        calmed = _AGAIN_PX / np.sqrt(ratio**2 - 1)
        blur = float(np.sqrt(max(0.0, calmed**2 - _CALM_PX**2)))
        worst = blur if worst is None else max(worst, blur)
    return worst if worst is None or worst <= _BLURRED_MOST_PX else None


def _quantile(values: npt.NDArray[np.floating], share: float) -> float:
    """As ``np.quantile`` of some values (N,), which takes ten times as long for so few."""
    ordered = np.sort(values)
    place = share * (len(ordered) - 1)
    low, high = float(ordered[int(place)]), float(ordered[min(int(place) + 1, len(ordered) - 1)])
    return low + (high - low) * (place - int(place))


def _strongest(slopes: npt.NDArray[np.float32], count: int, floor: float) -> npt.NDArray[np.intp]:
    """Places of the ``count`` largest of ``slopes`` (N,), in order, and of their equals; none below ``floor``.

    Every so many slopes tell about where the limit lies: what is above that is sorted, which is quicker than all.
    """
    sample = slopes[:: max(1, slopes.size // 512)]
    wanted = min(sample.size, 2 * count * sample.size // slopes.size + 8)
    about = float(np.partition(sample, -wanted)[-wanted])
    found = np.flatnonzero(slopes >= max(floor, about))
    if found.size < count and about > floor:  # the sample had more than its share of the strong ones
        found = np.flatnonzero(slopes >= floor)
    if found.size <= count:
        return found
    values = slopes[found]
    return np.asarray(found[values >= np.partition(values, -count)[-count]], np.intp)


def _stacked(patches: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """One below the other, so that one call filters all; what is near their borders is not used."""
    return patches.reshape(-1, patches.shape[2])


def _inner(filtered: npt.NDArray[np.generic], patches: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    inner = np.asarray(filtered, np.float32).reshape(patches.shape)
    return inner[:, _BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX].ravel()
