"""The label files that people correct in other programs: labelme, COCO's annotations.json, CVAT's annotations.xml.

Of a picture every shape is told, also one that cannot be drawn (`Unread`): whoever passed over it would say that the
picture shows nothing there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt

from models import DataError, brushes, painted
from models.labelled import Brushed, Complaints, Drawn, Labelled, LabelSet, Unread

Shape = Drawn | Brushed | Unread


def read(source: Path, classes: Sequence[str], complaints: Complaints) -> LabelSet:
    """Open what `source` holds: a folder, or an annotations file. Raises DataError where it is none of the known forms.

    `classes` are those that are asked for, for masks in no class's folder.
    """
    if not source.exists():
        raise DataError(f"{source}: no such file or folder.")
    if source.is_file() or (source / "annotations.json").is_file() or (source / "annotations.xml").is_file():
        file = source if source.is_file() else source / "annotations.json"
        file = file if file.is_file() else source / "annotations.xml"
        return _cvat(file, complaints) if file.suffix.lower() == ".xml" else _coco(file, complaints)
    if (source / painted.MASKS).is_dir():
        return painted.read(source, classes, complaints)
    paths = sorted(source.glob("*.json"))
    found = (_labelme(path, complaints) for path in paths)
    named = frozenset[str]().union(*(_labels(path) for path in paths))
    return LabelSet(named, (one for one in found if one is not None))


def _labels(path: Path) -> set[str]:
    """The classes that a labelme file names; none of what is no labelme file."""
    try:
        shapes = json.loads(path.read_bytes())["shapes"]
        return {str(one["label"]) for one in shapes if isinstance(one, dict) and one.get("label") is not None}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return set()


def _labelme(path: Path, complaints: Complaints) -> Labelled | None:
    try:
        document = json.loads(path.read_bytes())
        name = str(document["imagePath"])
        size = document.get("imageWidth"), document.get("imageHeight")
        listed = list(document["shapes"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        complaints.leave_out(path.name, "its file is not labelme's", f" ({type(error).__name__})")
        return None
    image = _beside(path.parent, name, path.name, complaints)
    if image is None:
        return None
    known = all(isinstance(side, int) for side in size)
    return Labelled(image, (int(size[0]), int(size[1])) if known else None, tuple(map(_labelme_shape, listed)))


def _labelme_shape(one: Any) -> Shape:
    if not isinstance(one, dict):
        return Unread(None, "a shape that is none")
    kind = None if one.get("label") is None else str(one["label"])
    form = one.get("shape_type", "polygon")
    points = _points(one.get("points"))
    if form not in ("polygon", "linestrip", "line", "rectangle", "mask"):
        return Unread(kind, f"a shape of type {str(form)[:40]!r} is not known")
    if kind is None:
        return Unread(None, "a shape has no class")
    if points is None:
        return Unread(kind, "a shape has no points")
    if form == "mask":
        (left, top), (right, bottom) = points[0].astype(int), points[-1].astype(int)  # both are in it
        try:
            mask = brushes.of_labelme(one.get("mask"), int(right - left + 1), int(bottom - top + 1))
        except ValueError:
            return Unread(kind, "a brushed mask cannot be read")
        return Brushed(kind, int(left), int(top), mask)
    if form == "rectangle":
        (left, top), (right, bottom) = points[0], points[-1]
        points = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    return Drawn(kind, points - 0.5, form in ("polygon", "rectangle"), _width(one.get("width_px")))


def _coco(path: Path, complaints: Complaints) -> LabelSet:
    try:
        document = json.loads(path.read_bytes())
        kinds = {one["id"]: str(one["name"]) for one in document["categories"]}
        images, annotations = [dict(one) for one in document["images"]], list(document["annotations"])
        by_image: dict[Any, list[Any]] = {}
        for one in annotations:
            by_image.setdefault(one["image_id"], []).append(one)
        hash(tuple(one.get("id") for one in images))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: not COCO annotations ({type(error).__name__}); export them again.") from error

    def pictures() -> Iterator[Labelled]:
        for image in images:
            found = _beside(path.parent, str(image.get("file_name")), path.name, complaints)
            if found is None:
                continue
            shapes = [shape for one in by_image.get(image.get("id"), []) for shape in _coco_shapes(one, kinds)]
            yield Labelled(found, _size(image.get("width"), image.get("height")), tuple(shapes))

    return LabelSet(frozenset(kinds.values()), pictures())


def _coco_shapes(one: Any, kinds: dict[Any, str]) -> Iterator[Shape]:
    category, said = one.get("category_id"), one.get("segmentation")
    kind = kinds.get(category) if isinstance(category, int | str) else None
    if kind is None:
        yield Unread(None, "a shape is of no category")
    elif isinstance(said, dict):
        try:
            yield Brushed(kind, 0, 0, brushes.of_coco(said), whole=True)
        except ValueError:
            yield Unread(kind, "a run-length mask cannot be read")
    elif not isinstance(said, list) or not said:
        yield Unread(kind, "a box has no outline")
    else:
        for flat in said:
            pairs = [flat[at : at + 2] for at in range(0, len(flat), 2)] if isinstance(flat, list) else None
            points = _points(pairs)
            yield Unread(kind, "a shape has no points") if points is None else Drawn(kind, points - 0.5, True, None)


def _cvat(path: Path, complaints: Complaints) -> LabelSet:
    try:
        text = path.read_text(encoding="utf-8")
        if "<!DOCTYPE" in text:
            raise DataError(f"{path}: holds a DOCTYPE, which no CVAT export does; export it again.")
        root = ET.fromstring(text)
    except (OSError, ValueError, ET.ParseError) as error:
        raise DataError(f"{path}: not CVAT's XML ({error}); export it again as CVAT for images 1.1.") from error

    def pictures() -> Iterator[Labelled]:
        for image in root.iter("image"):
            found = _beside(path.parent, image.get("name", ""), path.name, complaints)
            if found is not None:
                shapes = tuple(map(_cvat_shape, image))
                yield Labelled(found, _size(image.get("width"), image.get("height")), shapes)

    listed = {label.findtext("name", "").strip() for label in root.iter("label")}
    drawn = {one.get("label", "") for image in root.iter("image") for one in image}
    return LabelSet(frozenset((listed | drawn) - {""}), pictures())


def _cvat_shape(one: ET.Element) -> Shape:
    kind = one.get("label") or None
    if one.tag not in ("polyline", "polygon", "mask"):
        return Unread(kind, f"a shape of type {one.tag[:40]!r} is not known")
    if kind is None:
        return Unread(None, "a shape has no class")
    if one.tag == "mask":
        try:
            left, top, width, height = (int(one.get(name, "")) for name in ("left", "top", "width", "height"))
            return Brushed(kind, left, top, brushes.of_cvat(one.get("rle", ""), width, height))
        except ValueError:
            return Unread(kind, "a brushed mask cannot be read")
    points = _points([pair.split(",") for pair in one.get("points", "").split(";")])
    if points is None:
        return Unread(kind, "a shape has no points")
    said = [item.text for item in one.iter("attribute") if item.get("name") == "width_px"]
    return Drawn(kind, points - 0.5, one.tag == "polygon", _width(said[0] if said else None))


def _beside(folder: Path, name: str, told_by: str, complaints: Complaints) -> Path | None:
    """The picture of that name in ``folder`` or its images/; the way to it in the label file is not followed."""
    plain = name.replace("\\", "/").rpartition("/")[2]
    for path in (folder / plain, folder / "images" / plain):
        if plain and path.is_file():
            return path
    complaints.leave_out(told_by, "a picture that it names is not beside it", f" ({plain[:80]!r})")
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
    except (TypeError, ValueError, OverflowError):
        return None


def _width(said: Any) -> float | None:
    try:
        width = float(said)
    except (TypeError, ValueError):
        return None
    return width if 0 < width < 1000 else None
