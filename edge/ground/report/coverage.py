"""What was not seen, in words: the first thing that a report says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.detections.coverage import charts_of
from edge.ground.report.flight import Flight, Json
from edge.ground.report.walls import Float64, Wall
from edge.ground.report.words import count

ORDER = ("0.1", "0.2", "0.3", "0.5", "1.0", "2.0", "unscaled", "far", "oblique", "blurred", "dark", "bright", "unknown")
"""Classes of ``spanhawk/coverage/1``, best first; a number: cracks of so many millimetres and wider are found."""
_WHY = {
    "unscaled": "sharp, but without range or lens nobody knows how many millimetres a pixel is",
    "far": "from too far away",
    "oblique": "at too flat an angle",
    "blurred": "blurred",
    "dark": "too dark",
    "bright": "too bright",
    "unknown": "nothing in the pictures tells how sharp they are",
}


@dataclass(frozen=True, slots=True)
class Unseen:
    """The statement that a report begins with."""

    headline: str
    sentences: list[str]


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """The edge of a patch on the surface."""

    feature: Json
    frame: str
    charts: tuple[int, ...]
    """All that it was seen on; empty where that is not known."""
    ring_m: Float64
    """(N, 3) in that local frame."""
    holes_m: tuple[Float64, ...] = ()
    """Of the same kind: what lies within the edge and does not belong to the patch."""

    def lies_on(self, wall: Wall) -> bool:
        """Whether it is drawn on that wall."""
        return self.frame == wall.frame and wall.holds(self.ring_m)

    def rings_on(self, wall: Wall) -> list[list[list[float]]]:
        """Its rings of [metres along, metres up], the outer one first."""
        return [wall.flat(ring_m).tolist() for ring_m in (self.ring_m, *self.holes_m)]

    def row_on(self, wall: Wall) -> Json:
        """As ``row``, but its own ``area_m2``: that of the Feature belongs to all outlines of it together."""
        outer, *holes = (_area_of(wall.flat(ring_m)) for ring_m in (self.ring_m, *self.holes_m))
        return {**row(self.feature), "area_m2": round(outer - sum(holes), 4)}


@dataclass(frozen=True, slots=True)
class Patch:
    """How much was seen how well."""

    rank: int
    """Index into ORDER; of a class that is not in it, its length."""
    words: str
    area_m2: float | None
    """None where one of its patches has no known size."""


COLUMNS = ("class", "seen", "reason", "narrowest_crack_mm", "area_m2")
"""Of a patch, as the GIS files and the ground's collection ``coverage`` have them."""


def row(feature: Json) -> Json:
    """A patch as the files have it: the keys of COLUMNS; None is unknown."""
    found = {name: feature["properties"].get(name) for name in COLUMNS}
    texts = {name: found[name] if isinstance(found[name], str) else None for name in COLUMNS[:3]}
    return texts | {name: found[name] if isinstance(found[name], int | float) else None for name in COLUMNS[3:]}


def polygons(feature: Json) -> list[list[list[list[float]]]]:
    """Of each polygon its rings, the outer one first, of [longitude, latitude, ..]; empty where it has no place."""
    geometry = feature.get("geometry")
    coordinates = geometry.get("coordinates") if isinstance(geometry, dict) else None
    if not isinstance(geometry, dict) or not isinstance(coordinates, list):
        return []
    found = [coordinates] if geometry.get("type") == "Polygon" else coordinates
    wanted = geometry.get("type") in ("Polygon", "MultiPolygon")
    return [one for one in found if isinstance(one, list) and one and all(map(_is_ring, one))] if wanted else []


def _is_ring(ring: Any) -> bool:
    return isinstance(ring, list) and len(ring) >= 4 and all(map(_is_place, ring))


def _is_place(point: Any) -> bool:
    return isinstance(point, list) and len(point) >= 2 and all(isinstance(one, int | float) for one in point)


def features_of(document: Any) -> list[Json]:
    """The Features of a ``spanhawk/coverage/1`` document; what is none (the words of a drone) is left out."""
    whole = document if isinstance(document, dict) else {}
    found = whole.get("features", [whole])
    return [one for one in found if _is_feature(one)] if isinstance(found, list) else []


def _is_feature(one: Any) -> bool:
    return isinstance(one, dict) and isinstance(one.get("properties"), dict)


def patches(flight: Flight) -> list[Patch]:
    """Coverage by class, best first."""
    found: dict[int, list[Json]] = {}
    for one in flight.coverage:
        found.setdefault(rank(one), []).append(one["properties"])
    return [Patch(at, _words(at), _area_m2(found[at])) for at in sorted(found)]


def outlines(coverage: Sequence[Json]) -> list[Outline]:
    """Outer edges of all patches that have a place in metres."""
    found = []
    for feature in coverage:
        place = feature["properties"].get("place")
        if not isinstance(place, dict) or not isinstance(place.get("frame"), str):
            continue
        charts, polygons = charts_of(feature["properties"]), place.get("polygons_m")
        for polygon in polygons if isinstance(polygons, list) else ():
            ring, *holes = [_ring_m(one) for one in polygon] if isinstance(polygon, list) and polygon else [None]
            if ring is not None:
                whole = tuple(hole for hole in holes if hole is not None)
                found.append(Outline(feature, place["frame"], charts, ring, whole))
    return found


def _ring_m(points: Any) -> Float64 | None:
    """(N, 3) with N >= 3 and finite, or None."""
    try:
        ring = np.asarray(points, np.float64)
    except (TypeError, ValueError):
        return None
    good = ring.ndim == 2 and ring.shape[1] == 3 and len(ring) >= 3 and bool(np.isfinite(ring).all())
    return ring if good else None


def _area_of(ring: Float64) -> float:
    """Of a ring (N, 2), in its unit squared, whichever way it runs (Gauss)."""
    x, y = (ring - ring[0]).T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def grade(feature: Json, wanted_mm: float) -> str:
    """``good`` (cracks of ``wanted_mm`` are found there), ``fair`` (only wider ones), or ``poor``."""
    at = rank(feature)
    return "good" if at <= _best_enough(wanted_mm) else "fair" if at <= ORDER.index("2.0") else "poor"


def _best_enough(wanted_mm: float) -> int:
    """The last class of ORDER in which cracks of that width are found; -1 where none is fine enough."""
    widths = [at for at, word in enumerate(ORDER) if word not in _WHY and float(word) <= wanted_mm]
    return widths[-1] if widths else -1


def rank(feature: Json) -> int:
    """How well a patch was seen: index into ORDER, 0 the best; its length for a class nobody knows."""
    word = str(feature["properties"].get("class"))
    return ORDER.index(word) if word in ORDER else len(ORDER)


def unseen(flight: Flight, wanted_mm: float) -> Unseen:
    """Made of coverage.geojson; without one it says that nothing is known. ``wanted_mm``: which cracks matter."""
    also = _flown(flight)
    if not flight.coverage:
        return Unseen(
            "Nothing is known of what was seen and what was not",
            [
                "This flight holds no record of its coverage. A place without a finding here may never have been in a "
                "picture, or only in a blurred one: the absence of a finding says nothing.",
                *also,
            ],
        )
    found = patches(flight)
    areas = [one.area_m2 for one in found]
    share = flight.coverage_summary.get("probability")
    chance = f"with a probability of {share * 100:.0f} %" if isinstance(share, float) else "in most cases"
    placed = any(one.get("geometry") is not None for one in flight.coverage) or bool(outlines(flight.coverage))
    told = [
        "Whatever is not shaded in the drawings below was in no picture that could be placed: nothing is known of it."
        if placed
        else "No picture could be placed: nobody can tell which parts of the structure were looked at.",
    ]
    unscaled = all(one.rank == ORDER.index("unscaled") for one in found)
    if not unscaled:
        told.append(
            f"A place counts as seen for cracks of a width that are found there {chance}; narrower ones may be there."
        )
    if left_out := flight.coverage_summary.get("left_out_frames"):
        told.append(
            f"{count(left_out, 'picture')} left out of this map, because the flight has too many separate places: "
            "counted as not seen."
        )
    bad = [one for one in found if one.rank > _best_enough(wanted_mm)]
    enough = f"well enough for cracks of {wanted_mm:g} mm"
    headline = "The surface outside the recorded patches was not seen"
    if unscaled:
        headline = "How narrow a crack may be and still be found here is unknown: no range or lens gives millimetres"
    elif bad and all(area is not None for area in areas):
        total = sum(area for area in areas if area is not None)
        poor = sum(one.area_m2 for one in bad if one.area_m2 is not None)
        headline = f"Of {total:.1f} m² that were looked at, {poor:.1f} m² were not seen {enough}"
        if len(bad) == len(found):
            headline = f"None of the {total:.1f} m² that were looked at were seen {enough}"
    elif bad:
        headline = f"{'Nothing' if len(bad) == len(found) else 'Not all'} that was looked at was seen {enough}"
    return Unseen(headline, [*told, *also])


def _words(at: int) -> str:
    if at >= len(ORDER):
        return "of a class that this version does not know"
    word = ORDER[at]
    return (
        f"not for cracks of 2 mm: {_WHY[word]}"
        if word in _WHY and word != "unscaled"
        else _WHY.get(word, f"seen for cracks of {word} mm and wider")
    )


def _area_m2(properties: list[Json]) -> float | None:
    areas = [one.get("area_m2") for one in properties]
    known = [float(area) for area in areas if isinstance(area, (int, float))]
    return sum(known) if len(known) == len(areas) else None


def _flown(flight: Flight) -> list[str]:
    """What the flight itself counted as lost."""
    summary, told = flight.summary, []
    for key, what in (("dropped", "dropped unseen"), ("skipped", "could not be read")):
        if isinstance(lost := summary.get(key), int) and lost:
            told.append(f"{count(lost, 'picture')} {what}.")
    suppressed = summary.get("suppressed")
    held = suppressed if isinstance(suppressed, dict) else {}
    counts = {str(why): number for why, number in held.items() if isinstance(number, int) and number}
    if counts:
        total, reasons = sum(counts.values()), ", ".join(f"{number} {why}" for why, number in counts.items())
        told.append(f"{count(total, 'trace')} not certain enough to be reported as findings ({reasons}).")
    return told
