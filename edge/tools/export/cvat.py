"""CVAT for images 1.1: one XML for all pictures, cracks as polylines. https://docs.cvat.ai/"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from edge.support.disk import write_whole
from edge.tools.export import Picture, Shape, copy

# What XML 1.0 cannot hold, not even as an entity.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(pictures: Iterator[Picture], out: Path, name: str) -> str:
    """Write ``out/annotations.xml`` and ``out/images/``; ``name`` is the task's. Raises OSError."""
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    task = ET.SubElement(ET.SubElement(root, "meta"), "task")
    ET.SubElement(task, "name").text = _text(name)
    labels = ET.SubElement(task, "labels")
    kinds: dict[str, str] = {}
    count = shapes = 0
    for picture in pictures:
        copy(picture.path, out / "images")
        size = {"width": str(picture.width_px), "height": str(picture.height_px)}
        image = ET.SubElement(root, "image", {"id": str(count), "name": _text(picture.path.name), **size})
        for shape in picture.kept:
            _add(image, shape)
            kinds[shape.kind] = "polygon" if shape.closed else "polyline"
            shapes += 1
        count += 1
    ET.SubElement(task, "size").text = str(count)
    for kind, drawn in kinds.items():
        label = ET.SubElement(labels, "label")
        ET.SubElement(label, "name").text = _text(kind)
        ET.SubElement(label, "type").text = drawn
        attributes = ET.SubElement(label, "attributes")
        for key, default in (("crack_id", ""), ("verdict", "unreviewed"), ("width_px", "3")):
            attribute = ET.SubElement(attributes, "attribute")
            for tag, value in (("name", key), ("mutable", "False"), ("input_type", "text"), ("default_value", default)):
                ET.SubElement(attribute, tag).text = value
    data: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    write_whole(out / "annotations.xml", data, durable=False)
    return f"{count} pictures with {shapes} findings as CVAT for images"


def _add(image: ET.Element, shape: Shape) -> None:
    # CVAT counts from the corner of the first pixel, not from its centre.
    points = ";".join(f"{x:.2f},{y:.2f}" for x, y in shape.points_px + 0.5)
    drawn = ET.SubElement(
        image,
        "polygon" if shape.closed else "polyline",
        {"label": _text(shape.kind), "source": "auto", "occluded": "0", "points": points, "z_order": "0"},
    )
    facts = {"crack_id": shape.crack_id or "", "verdict": shape.verdict, "width_px": f"{shape.width_px:.2f}"}
    for key, value in facts.items():
        ET.SubElement(drawn, "attribute", {"name": key}).text = _text(value)


def _text(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)
