"""`python -m models import`: corrected labels of labelme, COCO, CVAT or painted masks, as folders for training."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import numpy.typing as npt

from edge.tools.export import copy, draw, prepare
from models import DamagedError, DataError, painted
from models.data import read_rgb
from models.labelled import Complaints, Drawn, Labelled

LINE_PX = 3.0
"""Width of a line that comes without one."""


def take(source: Path, out: Path, classes: Sequence[str], line_px: float, *, overwrite: bool = False) -> str:
    """Write `out/images`, `out/masks/CLASS` and `out/negatives`; returns what came of it and the configuration for it.

    `classes` empty: every class that the labels name. What cannot be used is told in one sentence each, and the rest is
    done. Raises DataError where nothing can be used, UsageError where `out` is not empty.
    """
    complaints = Complaints()
    prepare(out, overwrite=overwrite)
    kept: list[Path] = []
    kinds: dict[str, None] = dict.fromkeys(classes)
    negatives = 0
    for one in _read(source, classes, complaints):
        masks = _masks(one, classes, line_px, complaints)
        if masks is None:
            continue
        if not masks:
            copy(one.image, out / "negatives")
            negatives += 1
            continue
        copy(one.image, out / "images")
        kept.append(one.image)
        kinds |= dict.fromkeys(masks)
        for kind, mask in masks.items():
            _save(out, kind, one.image, mask)
    if not kept and not negatives:
        raise DataError(f"{source}: no picture with labels that can be used; give a folder of labelme files, COCO's "
                        "annotations.json, CVAT's annotations.xml, or images/ with masks/CLASS/.")  # fmt: skip
    for image in kept:  # training wants a mask of each class for each picture
        for kind in kinds:
            if not (out / "masks" / kind / f"{image.stem}.png").exists():
                height, width = read_rgb(image).shape[:2]
                _save(out, kind, image, np.zeros((height, width), np.uint8))
    told = f"{out}: {len(kept)} pictures with {', '.join(kinds)}, {negatives} without damage"
    passed_over = f"; {complaints.count.total()} things passed over, see above" if complaints.count else ""
    return f"{told}{passed_over}\n{_configuration(out, list(kinds), bool(kept), bool(negatives))}"


def _configuration(out: Path, kinds: list[str], kept: bool, negatives: bool) -> str:
    lines = []
    if kept:
        lines += ["[[sources]]", f'name = "{out.name}"', 'images = "images"']
        for kind in kinds:
            lines += ["[[sources.labels]]", f"name = {json.dumps(kind)}", f"masks = {json.dumps(f'masks/{kind}')}"]
    if negatives:
        lines += ["[[sources]]", f'name = "{out.name}-negatives"', 'images = "negatives"']
    return "\n".join(lines)


def _save(out: Path, kind: str, image: Path, mask: npt.NDArray[np.uint8]) -> None:
    folder = out / "masks" / kind
    folder.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(folder / f"{image.stem}.png"), mask):
        raise DataError(f"{folder}: cannot write the mask of {image.name}; is the disk full?")


def _masks(
    one: Labelled, classes: Sequence[str], line_px: float, complaints: Complaints
) -> dict[str, npt.NDArray[np.uint8]] | None:
    try:
        height, width = read_rgb(one.image).shape[:2]
    except DamagedError as error:
        complaints.say(str(error))
        return None
    if one.said_px is not None and one.said_px != (width, height):
        complaints.say(
            f"{one.image.name}: its labels were drawn on {one.said_px[0]} x {one.said_px[1]} pixels, the picture has "
            f"{width} x {height}; left out."
        )
        return None
    masks: dict[str, npt.NDArray[np.uint8]] = {}
    for shape in one.shapes:
        if (classes and shape.kind not in classes) or not _is_name(shape.kind):
            allowed = f"is none of {', '.join(classes)}" if classes else "cannot be a folder's name"
            complaints.say(f"{one.image.name}: the class {shape.kind[:60]!r} {allowed}; its shapes are passed over.")
            continue
        mask = masks.setdefault(shape.kind, np.zeros((height, width), np.uint8))
        draw(mask, shape.points_px, closed=shape.closed, width_px=shape.width_px or line_px)
    return {**masks, **{kind: mask for kind, mask in one.painted.items() if mask.any()}}


def _is_name(kind: str) -> bool:
    return 0 < len(kind) <= 80 and kind.strip(". ") == kind and not any(one in kind for one in '/\\\x00\n"')


def _read(source: Path, classes: Sequence[str], complaints: Complaints) -> Iterator[Labelled]:
    if not source.exists():
        raise DataError(f"{source}: no such file or folder.")
    if source.is_file() or (source / "annotations.json").is_file() or (source / "annotations.xml").is_file():
        file = source if source.is_file() else source / "annotations.json"
        file = file if file.is_file() else source / "annotations.xml"
        yield from _cvat(file, complaints) if file.suffix.lower() == ".xml" else _coco(file, complaints)
        return
    if (source / painted.MASKS).is_dir():
        yield from painted.read(source, classes, complaints)
        return
    for path in sorted(source.glob("*.json")):
        one = _labelme(path, complaints)
        if one is not None:
            yield one


def _labelme(path: Path, complaints: Complaints) -> Labelled | None:
    try:
        document = json.loads(path.read_bytes())
        image = _beside(path.parent, str(document["imagePath"]), path.name, complaints)
        size = document.get("imageWidth"), document.get("imageHeight")
        listed = list(document["shapes"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        complaints.say(f"{path.name}: not a labelme file ({type(error).__name__}); left out.")
        return None
    if image is None:
        return None
    shapes = []
    for one in listed:
        kind = one.get("shape_type", "polygon") if isinstance(one, dict) else None
        if kind not in ("polygon", "linestrip", "line", "rectangle"):
            complaints.say(f"{path.name}: a shape of type {str(kind)[:40]!r} is not known; passed over.")
            continue
        points = _points(one.get("points"))
        if points is None:
            complaints.say(f"{path.name}: a shape without points; passed over.")
            continue
        if kind == "rectangle":
            (left, top), (right, bottom) = points[0], points[-1]
            points = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
        shapes.append(
            Drawn(str(one.get("label")), points - 0.5, kind in ("polygon", "rectangle"), _width(one.get("width_px")))
        )
    known = all(isinstance(side, int) for side in size)
    return Labelled(image, (int(size[0]), int(size[1])) if known else None, tuple(shapes))


def _coco(path: Path, complaints: Complaints) -> Iterator[Labelled]:
    try:
        document = json.loads(path.read_bytes())
        kinds = {one["id"]: str(one["name"]) for one in document["categories"]}
        images, annotations = list(document["images"]), list(document["annotations"])
        by_image: dict[Any, list[Any]] = {}
        for one in annotations:
            by_image.setdefault(one["image_id"], []).append(one)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not COCO annotations ({type(error).__name__}); export them again.") from error
    for image in images:
        found = _beside(path.parent, str(image.get("file_name")), path.name, complaints)
        if found is None:
            continue
        shapes = []
        for one in by_image.get(image.get("id"), []):
            polygons = one.get("segmentation")
            if not isinstance(polygons, list):
                complaints.say(f"{found.name}: a run-length mask (iscrowd) is not read; export polygons.")
                continue
            for flat in polygons:
                points = _points([flat[at : at + 2] for at in range(0, len(flat), 2)])
                if points is not None and one.get("category_id") in kinds:
                    shapes.append(Drawn(kinds[one["category_id"]], points - 0.5, True, None))
                else:
                    complaints.say(f"{found.name}: a shape without points or of no category; passed over.")
        yield Labelled(found, _size(image.get("width"), image.get("height")), tuple(shapes))


def _cvat(path: Path, complaints: Complaints) -> Iterator[Labelled]:
    try:
        text = path.read_text(encoding="utf-8")
        if "<!DOCTYPE" in text:
            raise DataError(f"{path}: holds a DOCTYPE, which no CVAT export does; export it again.")
        root = ET.fromstring(text)
    except (OSError, ValueError, ET.ParseError) as error:
        raise DataError(f"{path}: not CVAT's XML ({error}); export it again as CVAT for images 1.1.") from error
    for image in root.iter("image"):
        found = _beside(path.parent, image.get("name", ""), path.name, complaints)
        if found is None:
            continue
        shapes = []
        for one in image:
            if one.tag not in ("polyline", "polygon"):
                complaints.say(f"{found.name}: a shape of type {one.tag[:40]!r} is not known; passed over.")
                continue
            pairs = [pair.split(",") for pair in one.get("points", "").split(";")]
            points = _points(pairs)
            if points is None:
                complaints.say(f"{found.name}: a shape without points; passed over.")
                continue
            said = [item.text for item in one.iter("attribute") if item.get("name") == "width_px"]
            shapes.append(
                Drawn(one.get("label", ""), points - 0.5, one.tag == "polygon", _width(said[0] if said else None))
            )
        yield Labelled(found, _size(image.get("width"), image.get("height")), tuple(shapes))


def _beside(folder: Path, name: str, told_by: str, complaints: Complaints) -> Path | None:
    """The picture of that name in ``folder`` or its images/; the way to it in the label file is not followed."""
    plain = name.replace("\\", "/").rpartition("/")[2]
    for path in (folder / plain, folder / "images" / plain):
        if plain and path.is_file():
            return path
    complaints.say(f"{told_by}: names the picture {plain[:80]!r}, which is not beside it; left out.")
    return None


def _points(listed: Any) -> npt.NDArray[np.float64] | None:
    try:
        points = np.asarray(listed, np.float64)
    except (TypeError, ValueError):
        return None
    sound = points.ndim == 2 and len(points) >= 2 and points.shape[1] == 2 and bool((np.abs(points) < 1e6).all())
    return points if sound else None


def _size(width: Any, height: Any) -> tuple[int, int] | None:
    try:
        return int(width), int(height)
    except (TypeError, ValueError):
        return None


def _width(said: Any) -> float | None:
    try:
        width = float(said)
    except (TypeError, ValueError):
        return None
    return width if 0 < width < 1000 else None
