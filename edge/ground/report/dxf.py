"""cracks.dxf: each wall's cracks in metres along and up, side by side, for CAD (ezdxf, the extra ``[dxf]``)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from edge.ground.report.tables import colour
from edge.ground.report.walls import Float64
from edge.ground.report.words import clean

_GAP_M = 2.0
_TEXT_M = 0.05


def drawing(walls: Mapping[str, Sequence[tuple[Mapping[str, Any], int | None, Float64]]]) -> bytes:
    """DXF R2010 in metres; ``walls``: by name, each crack's row, band, and course (N, 2) along and up."""
    import ezdxf
    from ezdxf import units

    document = ezdxf.new("R2010", setup=False)  # type: ignore[attr-defined, unused-ignore]  # no types; some versions have them
    document.units = units.M
    space = document.modelspace()
    right_m = 0.0
    for number, (name, cracks) in enumerate(walls.items(), 1):
        layer = f"WALL_{number}"
        document.layers.add(layer)
        if not cracks:
            continue
        left_m = min(float(path[:, 0].min()) for _, _, path in cracks)
        width_m = max(float(path[:, 0].max()) for _, _, path in cracks) - left_m
        low_m = min(float(path[:, 1].min()) for _, _, path in cracks)
        shift_m = right_m - left_m
        space.add_text(clean(name), height=3 * _TEXT_M, dxfattribs={"layer": layer}).set_placement(
            (right_m, low_m - 1.0)
        )
        for row, band, path in cracks:
            rgb = int(colour(band)[1:], 16)
            attributes = {"layer": layer, "true_color": rgb}
            course = [(float(x) + shift_m, float(y)) for x, y in path]
            if len(course) > 1:
                space.add_lwpolyline(course, dxfattribs=attributes)
            else:
                space.add_point(course[0], dxfattribs=attributes)
            x, y = course[0]
            space.add_text(_label(row), height=_TEXT_M, dxfattribs=attributes).set_placement((x, y))
        right_m += width_m + _GAP_M
    text = io.StringIO()
    document.write(text)
    return text.getvalue().encode("utf-8")


def _label(row: Mapping[str, Any]) -> str:
    width, at_most = row["width_mean_mm"], row["width_at_most_mm"]
    if row["area_cm2"] is not None:
        kind = " ".join(str(row["kind"]).split())  # a line of a DXF file is a value
        return f"{row['number']}: {kind}, {row['area_cm2']:g} cm2, {row['state']}"
    size = f"{width:g} mm" if width is not None else "?" if at_most is None else f"<= {at_most:g} mm"
    return f"{row['number']}: {size}" + ("" if row["state"] == "confirmed" else f", {row['state']}")
