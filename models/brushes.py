"""Masks that were painted with a brush, out of label files: run lengths of COCO and CVAT, pictures of labelme.

Run lengths are the counts of pixels that are not painted and painted in turn, the unpainted first. COCO counts down the
columns of the whole picture, CVAT along the rows of a rectangle.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Bool = npt.NDArray[np.bool_]

_MOST_PX = 1 << 28
"""No picture is larger; what claims to be would only take the memory."""
_MOST_BITS = 40
"""Of one count."""


def of_coco(segmentation: Any) -> Bool:
    """(height, width) of COCO's `{"size": [height, width], "counts": …}`, compressed or not. Raises ValueError."""
    try:
        height, width = (int(side) for side in segmentation["size"])
        counts = segmentation["counts"]
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError("no size and counts") from error
    runs = _uncompressed(counts) if isinstance(counts, str) else counts
    return np.ascontiguousarray(_filled(runs, width, height).T)


def of_cvat(rle: str, width: int, height: int) -> Bool:
    """(height, width) of the attributes of CVAT's `<mask>`. Raises ValueError."""
    return _filled([int(count) for count in rle.split(",")], height, width)


def of_labelme(mask: Any, width: int, height: int) -> Bool:
    """(height, width) of a labelme `mask`, a PNG in base64. Raises ValueError for what is none, or of another size."""
    content = base64.b64decode(mask) if isinstance(mask, str) else b""
    try:
        found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError("no picture") from error
    if found is None or found.shape != (height, width):
        raise ValueError("no picture of this size")
    return np.asarray(found > 0, np.bool_)


def _filled(runs: Sequence[int], lines: int, length: int) -> Bool:
    """(lines, length), filled line after line."""
    try:
        counts = np.asarray(runs, np.int64)
    except (TypeError, OverflowError) as error:
        raise ValueError("no counts") from error
    if counts.ndim != 1 or min(lines, length) < 1 or lines * length > _MOST_PX:
        raise ValueError("no counts of a picture")
    if (counts < 0).any() or (counts > _MOST_PX).any() or int(counts.sum()) != lines * length:
        raise ValueError("the counts do not fill the mask")
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(lines, length)


def _uncompressed(text: str) -> list[int]:
    """Counts of COCO's string: five bits a character from "0" on, the lowest first, a sixth where more follow.

    The last one's highest bit is the sign. From the fourth on each count is told as the difference to the last but one.
    """
    runs: list[int] = []
    value = shift = 0
    for code in (ord(character) - 48 for character in text):
        if not 0 <= code < 64 or shift > _MOST_BITS:
            raise ValueError("no compressed counts")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the compressed counts end too early")
    return runs
