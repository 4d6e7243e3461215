"""Folders of pictures that are whole, or end with an error: a set with pictures missing teaches a falsehood."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.support.disk import write_whole
from edge.support.errors import TryAgainError
from models import DataError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A full disk, a full quota, and a limit on the size of files."""


@contextlib.contextmanager
def whole_set(out: Path) -> Iterator[None]:
    """What is written into `out` meanwhile is written as a whole.

    Raises TryAgainError for a full disk, DataError for whatever else the system refuses.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in FULL
        sentence = (
            f"{error.filename or out}: {error.strerror or error}; what is in {out} is not complete: "
            f"{'make room, remove it' if full else 'remove it'} and run the same command again."
        )
        raise (TryAgainError if full else DataError)(sentence) from error


def write_png(path: Path, picture: npt.NDArray[np.uint8]) -> None:
    """Write uint8 RGB (H, W, 3) or one plane (H, W) as PNG, and the folders above it. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    write_whole(path, cv2.imencode(".png", bgr)[1].tobytes(), durable=False)
