"""COCO: instances as polygons, ids from 1. https://cocodataset.org/#format-data"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

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
    (out / "annotations.json").write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    return f"{len(images)} pictures with {len(annotations)} findings as COCO"


def _outlines(picture: Picture, shape: Shape) -> tuple[list[list[float]], float, list[float]]:
    """Polygons around a finding's pixels, its area in pixels, and its box: x, y, width, height."""
    mask = np.zeros((picture.height_px, picture.width_px), np.uint8)
    draw(mask, shape.points_px, closed=shape.closed, width_px=max(2.0, shape.width_px))
    if not mask.any():
        return [], 0.0, []
    # Drawn twice as large, the outline runs along the edges of the pixels and not through their centres.
    x, y, width, height = cv2.boundingRect(mask)
    double = np.kron(mask[y : y + height, x : x + width], np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(double, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    polygons = [
        ((contour.reshape(-1, 2) + 0.5) / 2 + (x, y)).reshape(-1).tolist() for contour in contours if len(contour) >= 3
    ]
    return polygons, float((mask > 0).sum()), [float(x), float(y), float(width), float(height)]
