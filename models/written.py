"""Folders of pictures that are whole, or not there: a set with pictures missing teaches a falsehood."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
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
PART = ".part"
"""Folder within the one that is written, until all is there."""


@contextlib.contextmanager
def whole_set(out: Path) -> Iterator[Path]:
    """Give an empty folder to write into; its files go into `out`, over those of their names, once all are there.

    Whatever ends it before leaves nothing behind: no file, no folder, and what was in `out` is as it was. Raises
    TryAgainError for a full disk, DataError for whatever else the system refuses.
    """
    new = [folder for folder in (out, *out.parents) if not folder.exists()]
    part = out / PART  # within, because what is above may be another disk, or not be writable
    done = False
    try:
        shutil.rmtree(part, ignore_errors=True)  # of one that was killed
        part.mkdir(parents=True)
        yield part
        _move(part, out)
        done = True
    except OSError as error:
        full = error.errno in FULL
        sentence = (
            f"{error.filename or out}: {error.strerror or error}; nothing was written to {out}: "
            f"{'make room' if full else 'put that right or name another folder'} and run the same command again."
        )
        raise (TryAgainError if full else DataError)(sentence) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        with contextlib.suppress(OSError):
            for folder in [] if done else new:
                folder.rmdir()


def _move(part: Path, out: Path) -> None:
    """Move what is in `part` into `out`, all of it or nothing. Raises OSError."""
    before = part / "before"
    moved: list[tuple[Path, Path]] = []
    """(from, to), in order."""
    made: list[Path] = []
    done = False
    try:
        paths = sorted(part.rglob("*"))
        before.mkdir()
        for path in paths:
            target = out / path.relative_to(part)
            if path.is_dir():
                if not target.is_dir():
                    target.mkdir()
                    made.append(target)
                continue
            if target.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
            steps = [(path, target)]
            if target.exists():
                steps.insert(0, (target, before / str(len(moved))))
            for one, other in steps:
                shutil.move(one, other)  # a folder in `out` may be a link to another disk
                moved.append((one, other))
        done = True
    finally:
        if not done:
            for one, other in reversed(moved):
                shutil.move(other, one)
            for folder in reversed(made):
                folder.rmdir()


def write_png(path: Path, picture: npt.NDArray[np.uint8]) -> None:
    """Write uint8 RGB (H, W, 3) or one plane (H, W) as PNG, and the folders above it. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    write_whole(path, cv2.imencode(".png", bgr)[1].tobytes(), durable=False)
