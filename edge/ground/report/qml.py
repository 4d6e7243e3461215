"""Styles for QGIS: lines in the colours of the width bands, and a map tip with the photo."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from edge.ground.report.bands import NO_BAND
from edge.ground.report.tables import UNKNOWN_COLOUR, colour

_GEOMETRY = {
    "Point": ("0", "marker", "SimpleMarker"),
    "Line": ("1", "line", "SimpleLine"),
    "Polygon": ("2", "fill", "SimpleFill"),
}


def crack_style(bands: Sequence[str], photo_field: str) -> str:
    """Rules by the beginning of ``band``, which also says how far an interval reaches; the rest is grey."""
    root = ElementTree.Element("qgis", version="3.22.0", styleCategories="Symbology|MapTips")
    renderer = ElementTree.SubElement(root, "renderer-v2", type="RuleRenderer", symbollevels="0", forceraster="0")
    rules = ElementTree.SubElement(renderer, "rules", key="{spanhawk}")
    symbols = ElementTree.SubElement(renderer, "symbols")
    for number, name in enumerate(bands):
        quoted = name.replace("'", "''")
        ElementTree.SubElement(
            rules, "rule", key=f"{{band-{number}}}", symbol=str(number), label=name,
            filter=f"left(\"band\", {len(name)}) = '{quoted}'",
        )  # fmt: skip
        _symbol(symbols, str(number), "Line", colour(number), "0.8")
    other = str(len(bands))
    ElementTree.SubElement(rules, "rule", key="{band-none}", symbol=other, label=NO_BAND, filter="ELSE")
    _symbol(symbols, other, "Line", UNKNOWN_COLOUR, "0.5")
    tip = ElementTree.SubElement(root, "mapTip", enabled="1")
    tip.text = (
        '<b>[% "number" %]: [% replace("kind", \'<\', \'&lt;\') %]</b>, [% "state" %]<br/>[% "band" %]<br/>'
        "[% coalesce(\"width_mean_mm\" || ' mm', 'at most ' || "
        "\"width_at_most_mm\" || ' mm', 'width not known') %]<br/>"
        f'<img width="400" src="file:///[% file_path(layer_property(@layer, \'path\')) %]/[% "{photo_field}" %]"/>'
    )
    return _text(root)


def plain_style(geometry: str) -> str:
    """One quiet symbol for ``Point``, ``Line`` or ``Polygon``."""
    root = ElementTree.Element("qgis", version="3.22.0", styleCategories="Symbology")
    renderer = ElementTree.SubElement(root, "renderer-v2", type="singleSymbol", symbollevels="0", forceraster="0")
    _symbol(ElementTree.SubElement(renderer, "symbols"), "0", geometry, "#5b7f95", "0.3")
    return _text(root)


def _symbol(symbols: ElementTree.Element, name: str, geometry: str, hex_colour: str, width_mm: str) -> None:
    _, kind, layer_class = _GEOMETRY[geometry]
    symbol = ElementTree.SubElement(symbols, "symbol", type=kind, name=name, alpha="1", clip_to_extent="1")
    layer = ElementTree.SubElement(symbol, "layer", {"class": layer_class, "enabled": "1", "locked": "0", "pass": "0"})
    options = ElementTree.SubElement(layer, "Option", type="Map")
    rgba = ",".join(str(int(hex_colour[at : at + 2], 16)) for at in (1, 3, 5))
    values = {
        "Point": {"name": "triangle", "color": f"{rgba},255", "size": "1.6", "outline_width": "0.1"},
        "Line": {"line_color": f"{rgba},255", "line_width": width_mm, "line_width_unit": "MM", "capstyle": "round"},
        "Polygon": {"color": f"{rgba},25", "outline_color": f"{rgba},140", "outline_width": width_mm, "style": "solid"},
    }[geometry]
    for key, value in values.items():
        ElementTree.SubElement(options, "Option", name=key, value=value, type="QString")


def _text(root: ElementTree.Element) -> str:
    body = ElementTree.tostring(root, encoding="unicode")
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + body
