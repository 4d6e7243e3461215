"""Map and elevations as numbers for SVG: what is drawn, in which units, and with which ticks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from edge.ground.report.coverage import Outline, grade, polygons
from edge.ground.report.findings import Finding
from edge.ground.report.flight import Json
from edge.ground.report.sheets import NARROW, Drawing, Sheet
from edge.ground.report.walls import Wall
from edge.ground.report.words import count
from edge.surface import earth


def overview(
    findings: Sequence[Finding], coverage: Sequence[Json], track: Sequence[Sequence[float]], wanted_mm: float
) -> Drawing | None:
    """The map, north up, metres east and north of its corner; None where nothing has a place on the earth.

    ``track``: [longitude, latitude] of the cameras in the order of time.
    """
    placed = [one for one in findings if one.lonlat is not None]
    shaded = [(rings, grade(one, wanted_mm)) for one in coverage for rings in polygons(one)]
    everything = [point for one in placed for point in one.lonlat or ()] + list(track)
    everything += [point for rings, _ in shaded for point in rings[0]]
    if not everything:
        return None
    middle = np.mean([[float(point[0]), float(point[1])] for point in everything], axis=0)
    scale = _metres_per_degree(float(middle[1]))
    sheet = Sheet([_flat(point, middle, scale) for point in everything], "Map, north up", "m")
    for rings, word in shaded:
        sheet.area([[_flat(point, middle, scale) for point in ring] for ring in rings], word)
    if track:
        sheet.track([_flat(point, middle, scale) for point in track])
    for one in placed:
        sheet.line(one, [_flat(point, middle, scale) for point in one.lonlat or ()])
    return sheet.done()


def elevation(
    wall: Wall, number: int, findings: Sequence[Finding], outlines: Sequence[Outline], wanted_mm: float
) -> Drawing | None:
    """One wall as one looks at it: metres along and up, with the coverage that lies on it; None where it is empty."""
    on_it = [(one, one.flat_m.tolist()) for one in findings if one.wall == number and one.flat_m is not None]
    shaded = [(one.rings_on(wall), grade(one.feature, wanted_mm)) for one in outlines if one.lies_on(wall)]
    points = [point for _, path in on_it for point in path] + [point for (ring, *_), _ in shaded for point in ring]
    if not points:
        return None
    sheet = Sheet(points, wall.name, "m")
    for rings, word in shaded:
        sheet.area(rings, word)
    for one, path in on_it:
        sheet.line(one, path)
    return sheet.done()


def charts(findings: Sequence[Finding]) -> Iterator[Drawing]:
    """Cracks without a place, as the pictures alone join them: no scale is claimed.

    Of a picture that was joined to no other there is no drawing, since its photo shows the same.
    """
    for number, group in sorted(_groups(findings).items(), key=lambda item: item[0] or 0):
        if not _joined(group):
            continue
        # Pictures count downwards.
        paths = [(one, [[x, -y] for x, y in one.chart_path.tolist()]) for one in group if one.chart_path is not None]
        sheet = Sheet([point for _, path in paths for point in path], f"Joined pictures, part {number}", "", NARROW)
        for one, path in paths:
            sheet.line(one, path)
        yield sheet.done()


def _groups(findings: Sequence[Finding]) -> dict[int | None, list[Finding]]:
    """Those without a place, by the map that the pictures alone make."""
    groups: dict[int | None, list[Finding]] = {}
    for one in findings:
        if one.wall is None and one.chart_path is not None:
            groups.setdefault(one.chart, []).append(one)
    return groups


def _joined(group: Sequence[Finding]) -> bool:
    frames = {one.best.get("frame_seq") for one in group}
    return len(frames) > 1 or any((one.views or 0) > 1 for one in group)


def nowhere(
    findings: Sequence[Finding],
    coverage: Sequence[Json],
    outlines: Sequence[Outline],
    walls: Sequence[Wall],
    sheets: Iterable[Drawing],
) -> list[str]:
    """What none of ``sheets`` shows, in sentences; empty where they show everything.

    ``outlines``: of ``coverage``, and drawn on the walls that hold them.
    """
    drawn = {line.crack_id for sheet in sheets for line in sheet.lines}
    alone = {one.crack_id for group in _groups(findings).values() if not _joined(group) for one in group} - drawn
    lost = len({one.crack_id for one in findings} - drawn - alone)
    held = {id(one.feature) for one in outlines if any(one.lies_on(wall) for wall in walls)}
    unseen = sum(not polygons(one) and id(one) not in held for one in coverage)
    words = [count(lost, "finding")] if lost else []
    words += [f"{count(unseen, 'outline')} of what was looked at"] if unseen else []
    told = [f"{count(len(alone), 'finding')} on photos that were joined to no other: see each photo."] if alone else []
    return told + ([f"Drawn nowhere, because their place is not known: {' and '.join(words)}."] if words else [])


def _metres_per_degree(lat_deg: float) -> tuple[float, float]:
    """East and north, on WGS 84 at that latitude: good to a millimetre in a bridge's size."""
    step = 1e-4
    here = earth.to_ecef(lat_deg, 0.0, 0.0)
    east = float(np.linalg.norm(earth.to_ecef(lat_deg, step, 0.0) - here)) / step
    other = lat_deg + (step if lat_deg < 89 else -step)
    return east, float(np.linalg.norm(earth.to_ecef(other, 0.0, 0.0) - here)) / step


def _flat(point: Sequence[float], middle: Any, scale: tuple[float, float]) -> list[float]:
    return [(float(point[0]) - middle[0]) * scale[0], (float(point[1]) - middle[1]) * scale[1]]
