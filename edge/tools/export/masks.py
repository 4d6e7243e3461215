"""Masks that ``python -m models train`` reads: only pictures of which every finding was reviewed."""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterator
from pathlib import Path

import cv2

from edge.support.disk import write_whole
from edge.tools.export import Picture, copy

_PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")


def write(pictures: Iterator[Picture], out: Path, *, unreviewed: bool) -> str:
    """Write ``out/images`` with ``out/masks/KIND`` (0/255 PNG), and ``out/negatives``: what was rejected altogether.

    A picture with a finding that nobody reviewed is left out, unless ``unreviewed``: a mask without it would teach that
    nothing is there. What an earlier set left in ``out`` goes. Raises OSError.
    """
    written: set[Path] = set()
    kept: list[Picture] = []
    count = negatives = left = 0
    for picture in pictures:
        if not unreviewed and any(shape.verdict == "unreviewed" for shape in picture.shapes):
            left += 1
        elif picture.kept:
            written.add(copy(picture.path, out / "images"))
            kept.append(picture)
            count += 1
        else:
            written.add(copy(picture.path, out / "negatives"))
            negatives += 1
    kinds = sorted({shape.kind for picture in kept for shape in picture.kept})
    for kind in kinds:
        (out / "masks" / kind).mkdir(parents=True, exist_ok=True)
        for picture in kept:
            done, data = cv2.imencode(".png", picture.mask(kind))
            if not done:
                raise OSError(f"OpenCV could not encode the mask of {picture.path.name}")
            path = out / "masks" / kind / f"{picture.path.stem}.png"
            write_whole(path, data.tobytes(), durable=False)
            written.add(path)
    clear(out, written)
    why = (
        f"; {left} pictures with findings that nobody reviewed are left out: review them, or say --unreviewed"
        if left
        else ""
    )
    return f"{count} pictures with masks of {', '.join(kinds) or 'nothing'}, {negatives} hard negatives{why}"


def clear(out: Path, kept: Container[Path]) -> None:
    """Remove the pictures and masks of an earlier set in ``out``, all but ``kept``; other files there stay.

    Between new ones they would contradict them: a picture of which all was rejected since lay in ``images/`` before.
    Raises OSError.
    """
    masks = out / "masks"
    classes = [path for path in masks.iterdir() if path.is_dir()] if masks.is_dir() else []
    folders = [path for path in (out / "images", out / "negatives", *classes) if path.is_dir()]
    for path in (path for folder in folders for path in folder.iterdir()):
        is_picture = path.suffix.lower() in _PICTURES and not path.name.startswith(".") and path.is_file()
        if is_picture and path not in kept:
            path.unlink()
    for folder in (*folders, masks):
        with contextlib.suppress(OSError):  # it is not there, or holds something
            folder.rmdir()
