"""labelme: one JSON beside each picture. https://github.com/wkentaro/labelme"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from edge.support.disk import write_whole
from edge.tools.export import Picture, copy

# The layout of a file, not a version of labelme's that must match: it reads older and newer ones.
_VERSION = "5.5.0"


def write(pictures: Iterator[Picture], out: Path) -> str:
    """Write ``out/NAME.jpg`` and ``out/NAME.json``. Raises OSError."""
    count = shapes = 0
    for picture in pictures:
        copy(picture.path, out)
        document = {
            "version": _VERSION,
            "flags": {"hard_negative": not picture.kept},
            "shapes": [
                {
                    "label": shape.kind,
                    # labelme counts from the corner of the first pixel, not from its centre.
                    "points": (shape.points_px + 0.5).round(2).tolist(),
                    "group_id": None,
                    "description": shape.crack_id or "",
                    "shape_type": "polygon" if shape.closed else "linestrip",
                    "flags": {"confirmed": shape.verdict == "confirmed"},
                    "mask": None,
                    "width_px": round(shape.width_px, 2),
                }
                for shape in picture.kept
            ],
            "imagePath": picture.path.name,
            "imageData": None,
            "imageHeight": picture.height_px,
            "imageWidth": picture.width_px,
        }
        data = json.dumps(document, ensure_ascii=False, indent=1).encode()
        write_whole(out / f"{picture.path.stem}.json", data, durable=False)
        count, shapes = count + 1, shapes + len(picture.kept)
    return f"{count} pictures with {shapes} findings for labelme"
