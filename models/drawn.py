"""What is drawn in a mask file: damage or not, whatever depth, palette, colour or transparency it was saved with.

The samples are read as they are stored. Two values mean nothing and something. Of several, as anti-aliasing and JPEG
leave them, what is above half of the highest is drawn. What could be read in two ways is refused with the reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.frames.decode import UnreadableImageError, several, unchanged
from edge.frames.stills import inspect
from models import DamagedError, DataError

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Samples = npt.NDArray[Any]

CLASS_NUMBERS = 16
"""Several values up to this one are numbers of classes, not brightness."""
FEW = 4
"""Up to so many different values are chosen ones; anti-aliasing leaves more."""
BETWEEN = (0.15, 0.85)
"""Of the highest value: what lies between is neither drawn nor not drawn."""
MOST_BETWEEN = 0.25
"""A larger share of such pixels is no mask, but a photograph."""
_SOLID_PX = 5
"""Side of a square of one value between: no edge is so wide."""
_MOST_FLAT = 0.05
"""Of what is drawn: so many pixels JPEG leaves in squares of one value."""
_NEIGHBOURS = np.ones((3, 3), np.uint8)
_STEEP = 0.45
"""Of the brightest neighbour: by so much do the neighbours of a drawn edge differ at least. Anti-aliased lines of any
width reach 1.0, JPEG at quality 40 0.95, twofold enlarging 0.67; a blur of three pixels 0.2 to 0.5."""
MOST_DRAWN = 0.5
"""A crack covers less of a picture than this; otherwise what is drawn is the ground."""
_SAME_HUE = 0.25
_SAME_COLOUR = 1 / 16
_THIN = 0.05
"""Of the shorter side: half the width up to which something is thin."""


def read_mask(path: Path, shape: tuple[int, int], *, turned: int = 1, areas: bool = False) -> UInt8:
    """Read a mask as uint8 0/1 (H, W) of the given (height, width).

    `turned` is the EXIF orientation of its picture. `areas`: the mask of one class of several, which may cover most of
    a picture; a crack does not. Raises DamagedError for a file that cannot be read, DataError for another size and for
    what could be read in two ways.
    """
    samples, own = _stored(path)
    _check_fit(path, samples, shape, turned, own)
    palette = _palette(path)
    drawn = _by_index(*palette, path) if palette is not None else None
    if drawn is None:
        drawn = _binary(_one_plane(samples, path), path)
    share = float(drawn.mean())
    if share > MOST_DRAWN and (not areas or _thin(~drawn)):
        raise DataError(
            f"Mask {path} seems to be inverted: {share:.0%} of it would be damage. Sound ground is 0, damage is not: "
            "invert it. If damage does cover most of it, name it in the configuration (labels)."
        )
    return drawn.astype(np.uint8)


def read_numbers(path: Path, shape: tuple[int, int], *, turned: int = 1) -> Samples:
    """Read a label map as the numbers that are stored, (H, W): indices of a palette, or grey values.

    `turned` is the EXIF orientation of its picture. Raises DamagedError for a file that cannot be read, DataError for
    another size and for colours.
    """
    samples, own = _stored(path)
    palette = _palette(path)
    samples = samples if palette is None else palette[0]
    _check_fit(path, samples, shape, turned, own)
    if samples.ndim == 3:
        samples = _without_alpha(samples, path)
    if samples.ndim == 3:
        if (samples != samples[..., :1]).any():
            raise DataError(f"Mask {path} has colours, not class numbers; export it as grey or with a palette.")
        samples = samples[..., 0]
    return samples


def _stored(path: Path) -> tuple[Samples, int]:
    """The samples, turned upright, and the file's own EXIF orientation."""
    still = inspect(path)
    if still.bad is not None:
        raise DamagedError(f"Mask {path} cannot be read: {still.bad}; replace it or take it out.")
    try:
        data = path.read_bytes()
        if several(data):
            raise DataError(f"Mask {path} holds several pictures; which is the mask? Export that one alone.")
        return unchanged(data, still.exif.orientation), still.exif.orientation
    except (UnreadableImageError, OSError) as error:
        raise DamagedError(f"Mask {path} cannot be read: {error}; replace it or take it out.") from error


def _check_fit(path: Path, samples: Samples, shape: tuple[int, int], turned: int, own: int) -> None:
    size, wanted = samples.shape[:2], shape
    sideways = turned in (5, 6, 7, 8)
    as_stored = turned != 1 and own == 1
    remedy = "save the photo upright (and without that tag), then draw or export the mask on it"
    if size != wanted:
        if as_stored and sideways and size == wanted[::-1]:
            raise DataError(
                f"Mask {path} lies like the stored rows of its photo, which has EXIF orientation {turned} and is shown "
                f"turned; {remedy}."
            )
        raise DataError(
            f"Mask {path} is {size[1]} x {size[0]} px but its image is {wanted[1]} x {wanted[0]} px; "
            "export the mask again at the size of the image."
        )
    if as_stored and (not sideways or wanted[0] == wanted[1]):
        raise DataError(
            f"Mask {path}: its photo has EXIF orientation {turned}, and nothing shows whether the mask was drawn on "
            f"the stored or on the turned photo; {remedy}."
        )


def _thin(part: Bool) -> bool:
    """Whether no point of it is far from what it is not: so is a crack, or the ground of an inverted mask of one."""
    if not part.any():
        return False
    depth_px = cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, 3)
    return bool(depth_px.max() < _THIN * min(part.shape))


def _palette(path: Path) -> tuple[Samples, Samples] | None:
    """Indices (H, W) and colours (N, 3) of a file with a palette and no transparency, turned upright; else None."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            if image.mode != "P" or "transparency" in image.info:
                return None
            upright = ImageOps.exif_transpose(image)
            return np.asarray(upright), np.array(upright.getpalette("RGB"), np.uint8).reshape(-1, 3)
    except OSError:  # a kind that only OpenCV reads has no palette of numbers
        return None


def _by_index(indices: Samples, colours: Samples, path: Path) -> Bool | None:
    """What is drawn of up to two indices: not the black one, or else not index 0; None for more of them."""
    used = np.unique(indices)
    if len(used) > 2:
        return None
    black = [index for index in used.tolist() if index >= len(colours) or not colours[index].any()]
    if len(black) == 1 or (len(used) == 1 and not used[0]):
        return np.asarray(indices != (black or [0])[0])
    if 0 in used:
        return np.asarray(indices != 0)
    raise DataError(f"Mask {path}: neither colour of its palette is black, and neither is number 0; which is damage?")


def _one_plane(samples: Samples, path: Path) -> Samples:
    """What is drawn as one number per pixel, (H, W), 0 for nothing."""
    if samples.dtype.kind == "f" and not np.isfinite(samples).all():
        raise DataError(f"Mask {path} holds values that are no numbers; export it with 0 and 255.")
    if samples.ndim == 3 and samples.shape[2] in (2, 4):
        alpha = samples[..., -1]
        if (alpha != alpha.flat[0]).any():
            return _transparent(samples[..., :-1], alpha, path)
        samples = _without_alpha(samples, path)
    return samples if samples.ndim == 2 else _coloured(samples, path)


def _without_alpha(samples: Samples, path: Path) -> Samples:
    if samples.shape[2] not in (2, 4):
        return samples
    alpha = samples[..., -1]
    if (alpha != alpha.flat[0]).any():
        raise DataError(f"Mask {path} is transparent in places; export it without transparency.")
    if not alpha.flat[0] and (samples != samples[0, 0]).any():
        raise DataError(f"Mask {path} is transparent everywhere, over what is drawn; export it without transparency.")
    return samples[..., :-1]


def _transparent(colours: Samples, alpha: Samples, path: Path) -> Samples:
    """One colour on a transparent ground: where it is opaque. Several: what is drawn over black."""
    seen = colours[alpha > alpha.max() / 2]
    if (np.ptp(seen, axis=0) <= alpha.max() * _SAME_COLOUR).all():
        return alpha
    over_black = colours * (alpha / np.float32(alpha.max()))[..., None]
    return _coloured(np.rint(over_black).astype(colours.dtype), path)


def _coloured(colours: Samples, path: Path) -> Samples:
    """The brightest channel, where all that is drawn has one hue; (H, W, 3) to (H, W)."""
    brightest = np.asarray(colours.max(axis=2))
    drawn = colours[brightest > brightest.max() / 2].astype(np.float64)
    if len(drawn):
        hues = drawn / drawn.max(axis=1, keepdims=True)
        if (np.ptp(hues, axis=0) > _SAME_HUE).any():
            count = len(np.unique(drawn, axis=0))
            raise DataError(
                f"Mask {path} holds {count} different colours; which of them are damage? Export it with 0 and 255, "
                "or with a palette and name the values in the configuration (labels)."
            )
    return brightest


def _binary(plane: Samples, path: Path) -> Bool:
    values = np.unique(plane)
    if len(values) == 1 and values[0] == 0:
        return np.zeros(plane.shape, np.bool_)
    listed = ", ".join(f"{value:g}" for value in values[:6].tolist()) + ("" if len(values) <= 6 else " ...")
    if len(values) <= 2:
        if len(values) == 2 and values[0] != 0:
            raise DataError(f"Mask {path} holds the values {listed} and no 0; export it with 0 where there is nothing.")
        return np.asarray(plane != 0)
    highest = float(values[-1])
    if _numbered(values, plane.dtype.kind == "f"):
        raise DataError(
            f"Mask {path} holds the values {listed}, which look like class numbers, not 0 and 255; convert it so that "
            "only crack pixels are 255, or name the values in the configuration (labels)."
        )
    _check_two_sided(plane, highest, path)
    return np.asarray(plane > highest / 2)


def _numbered(values: Samples, fractions: bool) -> bool:
    """Whether the values of a mask, sorted, are numbers of classes rather than brightness."""
    highest = float(values[-1])
    if values[0] < 0 or (highest <= CLASS_NUMBERS and not fractions):
        return True
    low, high = (values > 0) & (values <= BETWEEN[0] * highest), values >= BETWEEN[1] * highest
    between = len(values) - 1 - low.sum() - high.sum()
    if len(values) <= FEW:
        return bool(low.any() or between)
    # 0 1 2 3 255: one value for "not known" above some classes; JPEG blurs both ends.
    return bool(not between and high.sum() == 1)


def _check_two_sided(plane: Samples, highest: float, path: Path) -> None:
    """What is between is a thin edge: else it is a photograph, or a map with areas of several classes."""
    between = (plane > BETWEEN[0] * highest) & (plane < BETWEEN[1] * highest)
    if between.mean() > MOST_BETWEEN:
        raise DataError(
            f"Mask {path} is a photograph or a map of probabilities: {between.mean():.0%} of it is neither dark nor "
            "bright; export it with 0 and 255."
        )
    square = np.ones((_SOLID_PX, _SOLID_PX), np.uint8)
    level = plane.astype(np.float32)
    flat = cv2.dilate(level, square) == cv2.erode(level, square)
    areas = flat & between
    if areas.sum() > _MOST_FLAT * (plane > highest / 2).sum():
        value = plane[areas][0]
        raise DataError(
            f"Mask {path} has areas of {value:g} between 0 and {highest:g}; are they damage? Export it with 0 and 255, "
            "or name the values in the configuration (labels)."
        )
    drawn = (plane > highest / 2).astype(np.uint8)
    edge = (drawn > 0) & (cv2.erode(drawn, _NEIGHBOURS) == 0)
    above, below = cv2.dilate(level, _NEIGHBOURS)[edge], cv2.erode(level, _NEIGHBOURS)[edge]
    if edge.any() and float(np.median((above - below) / above)) < _STEEP:
        raise DataError(
            f"Mask {path} fades over many pixels, as a map of probabilities does; where does the damage end? Export it "
            "with 0 and 255."
        )
