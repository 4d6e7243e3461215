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


def decode(data: bytes) -> npt.NDArray[Any]:
    """RGB, (H, W, 3), uint8, as stored. Raises UnreadableImageError with what libjpeg complains about."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if height * width <= _MAX_PIXELS:
            if colours not in ("CMYK", "YCCK"):
                return _strictly(data, "RGB")
            _strictly(data, "CMYK")
            # Print colours become RGB in OpenCV only; what it would keep silent about was heard above.
            samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
            if samples is not None:
                return np.asarray(cv2.cvtColor(samples, cv2.COLOR_BGR2RGB))
    except ValueError as error:
        raise UnreadableImageError(f"damaged inside: the JPEG decoder says {str(error)!r}") from error
    raise UnreadableImageError(f"its header says {width} x {height} px of {colours}, which is not read")


def _strictly(data: bytes, colours: str) -> npt.NDArray[Any]:
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, colours))
    except ValueError as error:
        if _PADDING.match(str(error)) is None:
            raise
    return np.asarray(simplejpeg.decode_jpeg(data, colours, strict=False))
