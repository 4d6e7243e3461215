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
BEFORE = "before"
"""Folder within that one: what was in the way of new files, until all of them are in place."""


@contextlib.contextmanager
def whole_set(out: Path) -> Iterator[Path]:
    """Give an empty folder to write into; its files go into `out`, over those of their names, once all are there.

    Whatever ends it before leaves nothing behind: no file, no folder, and what was in `out` is as it was. Only a kill
    leaves `.part`, and where it comes while files move, those that moved; the next call for `out` puts back what they
    had replaced (see `put_back`) and removes the rest of `.part`. Raises TryAgainError for a full disk, DataError for
    whatever else the system refuses.
    """
    new = [folder for folder in (out, *out.parents) if not folder.exists()]
    part = out / PART  # within, because what is above may be another disk, or not be writable
    done = False
    try:
        put_back(out)
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
        if done or not _files(part / BEFORE):  # what could not be moved back waits there for the next call
            shutil.rmtree(part, ignore_errors=True)
        with contextlib.suppress(OSError):
            for folder in [] if done else new:
                folder.rmdir()


def put_back(out: Path) -> None:
    """Undo what a kill left: files in `out` that new ones had replaced are those from before again. Raises OSError."""
    before = out / PART / BEFORE
    for path in _files(before):
        target = out / path.relative_to(before)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir()]


def _move(part: Path, out: Path) -> None:
    """Move what is in `part` into `out`, all of it or nothing. Raises OSError."""
    before = part / BEFORE
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
                aside = before / path.relative_to(part)
                aside.parent.mkdir(parents=True, exist_ok=True)
                steps.insert(0, (target, aside))
            for one, other in steps:
                shutil.move(one, other)  # a folder in `out` may be a link to another disk
                moved.append((one, other))
        before.rename(part / "replaced")  # from here on a kill leaves the new files
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
