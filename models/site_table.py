"""A Markdown table of what several settings report on held-out sites: the rows of docs/accuracy.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from models import sites
from models.sites import Table


def markdown(table: Table, second_looks: int = 0) -> str:
    """One row a setting and part of the photographs: `choose`, `report`, and both halves together.

    Sites stand in the order of the recipe in the head. F1 and recalls of cracked sites are shares, tiles of crack-free
    sites that fire per cent; `second_looks` are runs of the network beside the tiles of all pictures.
    """
    parts = {part: sites.sweep(table, part) for part in sites.PARTS} | {"both": sites.sweep(table, None)}
    one = parts["both"][0]
    cracked, clean = ", ".join(one["f1"]), ", ".join(one["fires"])
    lines = [
        f"{len(table.tiles)} pictures, {second_looks} second looks; cracked: {cracked}; crack-free: {clean}",
        "",
        "| threshold, rule, stricter | half | score | hairlines: all; by site | F1, strict | F1 at 2 px | fire |",
        "|---|---|---|---|---|---|---|",
    ]
    for i in range(len(table.settings)):
        lines += (_row(rows[i], part, one) for part, rows in parts.items())
    return "\n".join(lines)


def _row(row: Mapping[str, Any], part: str, heads: Mapping[str, Any]) -> str:
    rule = "card" if row.get("by_rule") else f"{row['sure_length_px']:g} px"
    recall = f"{row['hairline_recall']:.3f}; {_shares(row['hairlines'], heads['f1'])}"
    fires = ", ".join("–" if name not in row["fires"] else f"{100 * row['fires'][name]:.0f}" for name in heads["fires"])
    f1 = " | ".join(_shares(row[name], heads["f1"]) for name in ("f1", "f1_2px"))
    setting = f"{row['threshold']:g}, {rule}, {row['stricter']:g}"
    return f"| {setting} | {part} | {row['score']:.3f} | {recall} | {f1} | {fires} % |"


def _shares(values: Mapping[str, float], names: Iterable[str]) -> str:
    """A site without a picture in this half has no value."""
    return ", ".join(f"{values[name]:.3f}" if name in values else "–" for name in names)
