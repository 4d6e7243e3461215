"""JPEG through simplejpeg, which hands on every warning of libjpeg as an error."""

from __future__ import annotations

import re
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from edge.frames.whole import UnreadableImageError

_PADDING = re.compile(r"Corrupt JPEG data: [1-9] extraneous bytes before marker 0xd9")
"""Some cameras write a few bytes behind the last block, and nothing is wrong. libjpeg is stopped at its first complaint
and this one comes at the very end, so no other is behind it. Of 196 damaged photos that only the bytes left over told,
the fewest were 18."""
_MAX_PIXELS = 1 << 30  # OpenCV's own limit; a forged header may say more than there is memory


def decode(data: bytes, reduce: int = 1) -> npt.NDArray[Any]:
    """RGB, (H, W, 3), uint8, as stored, or at one ``reduce``-th of its size (2, 4 or 8; rounded up).

    A smaller picture comes out of smaller transforms of the same blocks: a quarter to half of the time is saved, and
    libjpeg complains about the same damage. Raises UnreadableImageError with what it complains about.
    """
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if height * width <= _MAX_PIXELS:
            if colours not in ("CMYK", "YCCK"):
                return _strictly(data, "RGB", (-(-height // reduce), -(-width // reduce)))
            _strictly(data, "CMYK")
            # Print colours become RGB in OpenCV only; what it would keep silent about was heard above.
            samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
            if samples is not None:
                return reduced(np.asarray(cv2.cvtColor(samples, cv2.COLOR_BGR2RGB)), reduce)
    except ValueError as error:
        raise UnreadableImageError(f"damaged inside: the JPEG decoder says {str(error)!r}") from error
    raise UnreadableImageError(f"its header says {width} x {height} px of {colours}, which is not read")


def reduced(samples: npt.NDArray[Any], reduce: int) -> npt.NDArray[Any]:
    """A picture (H, W, 3) at one ``reduce``-th of its size, rounded up, by means over its pixels."""
    if reduce == 1:
        return samples
    height, width = samples.shape[:2]
    size = -(-width // reduce), -(-height // reduce)
    return np.asarray(cv2.resize(samples, size, interpolation=cv2.INTER_AREA))


def _strictly(data: bytes, colours: str, least: tuple[int, int] = (0, 0)) -> npt.NDArray[Any]:
    """``least``: the smallest height and width that will do; (0, 0): as stored."""
    rows, columns = least
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, colours, min_height=rows, min_width=columns))
    except ValueError as error:
        if _PADDING.match(str(error)) is None:
            raise
    found = simplejpeg.decode_jpeg(data, colours, min_height=rows, min_width=columns, strict=False)
    return np.asarray(found)
