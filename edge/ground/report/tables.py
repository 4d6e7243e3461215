"""cracks.geojson, cracks.csv and cracks.kml: the same rows for the programs that read text."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from edge.ground.report.columns import FIELDS
from edge.ground.report.words import cell, clean

Row = Mapping[str, Any]
Course = Sequence[Sequence[float]] | None
"""[longitude, latitude] or [.., height above the ellipsoid]."""

COLOURS = ("#6baed6", "#ffd23f", "#e66101", "#a8093a", "#4a1486", "#0d0628")
"""Of the bands, narrowest first; bands beyond take the last. They can be told apart with each kind of colour blindness
(a test says by how much)."""
UNKNOWN_COLOUR = "#6b7280"


def colour(band: int | None) -> str:
    """The band's colour as #rrggbb."""
    return UNKNOWN_COLOUR if band is None else COLOURS[min(band, len(COLOURS) - 1)]


def geojson(rows: Sequence[Row], courses: Sequence[Course]) -> bytes:
    """An RFC 7946 FeatureCollection; a crack without a place has no geometry."""
    features = [
        {"type": "Feature", "id": row["crack_id"], "geometry": _geometry(course), "properties": dict(row)}
        for row, course in zip(rows, courses, strict=True)
    ]
    document = {"type": "FeatureCollection", "features": features}
    return (json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def table(rows: Sequence[Row]) -> bytes:
    """RFC 4180 with a byte-order mark, which spreadsheets need to read UTF-8; an unknown value is an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(FIELDS)
    for row in rows:
        writer.writerow([cell(value) if isinstance(value, str) else value for value in (row[name] for name in FIELDS)])
    return text.getvalue().encode("utf-8-sig")


def kml(name: str, rows: Sequence[Row], courses: Sequence[Course], bands: Sequence[int | None]) -> bytes:
    """OGC KML 2.2: lines on the ground or, where their height above the ellipsoid is known, as attributes of the file.

    KML counts heights from mean sea level, which is not what is known, so lines are laid on the ground.
    """
    ElementTree.register_namespace("", _KML)
    root = ElementTree.Element(f"{{{_KML}}}kml")
    document = _add(root, "Document")
    _add(document, "name", name)
    schema = _add(document, "Schema", name="crack", id="crack")
    for field in FIELDS:
        _add(schema, "SimpleField", name=field, type="string")
    for band in sorted({-1 if one is None else one for one in bands}):
        style = _add(document, "Style", id=f"band{band}")
        line = _add(style, "LineStyle")
        red, green, blue = (colour(None if band < 0 else band)[at : at + 2] for at in (1, 3, 5))
        _add(line, "color", f"ff{blue}{green}{red}")
        _add(line, "width", "4")
    for row, course, crack_band in zip(rows, courses, bands, strict=True):
        _placemark(document, row, course, crack_band)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


_KML = "http://www.opengis.net/kml/2.2"


def _geometry(course: Course) -> dict[str, Any] | None:
    if course is None:
        return None
    if len(course) == 1:
        return {"type": "Point", "coordinates": list(course[0])}
    return {"type": "LineString", "coordinates": [list(point) for point in course]}


def _placemark(document: ElementTree.Element, row: Row, course: Course, band: int | None) -> None:
    mark = _add(document, "Placemark")
    width = "width not known"
    if row["area_cm2"] is not None:
        width = f"{row['area_cm2']:g} cm²"
    elif row["width_mean_mm"] is not None:
        width = f"{row['width_mean_mm']:g} mm"
    elif row["width_at_most_mm"] is not None:
        width = f"at most {row['width_at_most_mm']:g} mm"
    _add(mark, "name", f"{row['number']}: {row['kind']}, {width}")
    _add(mark, "description", _balloon(row))
    _add(mark, "styleUrl", f"#band{-1 if band is None else band}")
    data = _add(_add(mark, "ExtendedData"), "SchemaData", schemaUrl="#crack")
    for field in FIELDS:
        if row[field] is not None:
            _add(data, "SimpleData", str(row[field]), name=field)
    if course is not None:
        shape = _add(mark, "Point" if len(course) == 1 else "LineString")
        if len(course) > 1:
            _add(shape, "tessellate", "1")
        _add(shape, "altitudeMode", "clampToGround")
        _add(shape, "coordinates", " ".join(f"{point[0]:.8f},{point[1]:.8f}" for point in course))


def _balloon(row: Row) -> str:
    """HTML: programs show it instead of the columns (KML 2.2, 9.1.3.1)."""
    length, review = row["length_mm"], row["review"]
    words = [row["state"], f"review: {review}", f"{length:g} mm long" if length is not None else None, row["face"]]
    picture = "" if row["photo"] is None else f'<br/><img src="{row["photo"]}" width="480"/>'
    return html.escape("; ".join(word for word in words if word)) + picture


def _add(parent: ElementTree.Element, tag: str, text: str | None = None, **attributes: str) -> ElementTree.Element:
    element = ElementTree.SubElement(
        parent, f"{{{_KML}}}{tag}", {key: clean(value) for key, value in attributes.items()}
    )
    element.text = None if text is None else clean(text)
    return element
