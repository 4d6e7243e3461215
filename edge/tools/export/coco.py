"""COCO: instances as polygons, ids from 1. https://cocodataset.org/#format-data"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.support.disk import write_whole
from edge.tools.export import Picture, Shape, copy, draw


def write(pictures: Iterator[Picture], out: Path) -> str:
    """Write ``out/annotations.json`` and ``out/images/``. Raises OSError."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    kinds: dict[str, int] = {}
    for picture in pictures:
        copy(picture.path, out / "images")
        number = len(images) + 1
        images.append(
            {"id": number, "file_name": picture.path.name, "width": picture.width_px, "height": picture.height_px}
        )
        for shape in picture.kept:
            polygons, area, box = _outlines(picture, shape)
            if not polygons:
                continue
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": kinds.setdefault(shape.kind, len(kinds) + 1),
                    "segmentation": polygons,
                    "area": area,
                    "bbox": box,
                    "iscrowd": 0,
                    "attributes": {"crack_id": shape.crack_id, "verdict": shape.verdict, "score": shape.score},
                }
            )
    categories = [{"id": number, "name": kind, "supercategory": "damage"} for kind, number in kinds.items()]
    document = {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": categories}
    write_whole(out / "annotations.json", json.dumps(document, ensure_ascii=False).encode(), durable=False)
    return f"{len(images)} pictures with {len(annotations)} findings as COCO"


def _outlines(picture: Picture, shape: Shape) -> tuple[list[list[float]], float, list[float]]:
    """Polygons around a finding's pixels, its area in pixels, and its box: x, y, width, height."""
    mask = np.zeros((picture.height_px, picture.width_px), np.uint8)
    draw(mask, shape.points_px, closed=shape.closed, width_px=max(2.0, shape.width_px))
    if not mask.any():
        return [], 0.0, []
    x, y, width, height = cv2.boundingRect(mask)
    polygons = list(_polygons(mask[y : y + height, x : x + width], x, y))
    return polygons, float((mask > 0).sum()), [float(x), float(y), float(width), float(height)]


def _polygons(mask: npt.NDArray[np.uint8], left: int, top: int) -> Iterator[list[float]]:
    """x, y, x, y, ... around the pixels of ``mask``, whose first pixel lies at ``left``, ``top`` of the picture.

    A polygon of COCO has no holes: a crack that closes on itself would be all that it surrounds. So a piece with a hole
    is cut in two through the hole, until none has one.
    """
    # Drawn twice as large, the outline runs along the edges of the pixels and not through their centres.
    double = np.kron(mask, np.ones((2, 2), np.uint8))
    contours, tree = cv2.findContours(double, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    hole = next((one for one, (_, _, _, parent) in zip(contours, tree[0], strict=True) if parent >= 0), None)
    if hole is None:
        for contour in contours:
            yield ((contour.reshape(-1, 2) + 0.5) / 2 + (left, top)).reshape(-1).tolist()
        return
    x, _, width, _ = cv2.boundingRect(hole)  # of the pixels around it, so that its middle is a column of the hole
    cut = (x + (width - 1) // 2) // 2
    for at, part in ((left, mask[:, :cut]), (left + cut, mask[:, cut:])):
        if part.any():
            yield from _polygons(part, at, top)
