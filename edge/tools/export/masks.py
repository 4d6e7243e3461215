"""Masks that ``python -m models train`` reads: only pictures of which every finding was reviewed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2

from edge.support.disk import write_whole
from edge.tools.export import Picture, copy


def write(pictures: Iterator[Picture], out: Path, *, unreviewed: bool) -> str:
    """Write ``out/images`` with ``out/masks/KIND`` (0/255 PNG), and ``out/negatives``: what was rejected altogether.

    A picture with a finding that nobody reviewed is left out, unless ``unreviewed``: a mask without it would teach that
    nothing is there. Raises OSError.
    """
    kept: list[Picture] = []
    count = negatives = left = 0
    for picture in pictures:
        if not unreviewed and any(shape.verdict == "unreviewed" for shape in picture.shapes):
            left += 1
        elif picture.kept:
            copy(picture.path, out / "images")
            kept.append(picture)
            count += 1
        else:
            copy(picture.path, out / "negatives")
            negatives += 1
    kinds = sorted({shape.kind for picture in kept for shape in picture.kept})
    for kind in kinds:
        (out / "masks" / kind).mkdir(parents=True, exist_ok=True)
        for picture in kept:
            done, data = cv2.imencode(".png", picture.mask(kind))
            if not done:
                raise OSError(f"OpenCV could not encode the mask of {picture.path.name}")
            write_whole(out / "masks" / kind / f"{picture.path.stem}.png", data.tobytes(), durable=False)
    why = (
        f"; {left} pictures with findings that nobody reviewed are left out: review them, or say --unreviewed"
        if left
        else ""
    )
    return f"{count} pictures with masks of {', '.join(kinds) or 'nothing'}, {negatives} hard negatives{why}"
