"""The same crack in earlier flights, found by its place: no name goes from one flight to the next.

Two courses may be one crack where they lie no farther apart than the places of both flights allow (95 %), in all three
directions, and run the same way. Where most of them agree on one shift between the flights, they must agree on it too.
What has several such partners is said to have them, and none of them is called the same.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from edge.ground import CrackRow, Query, Reader
from edge.ground.report.flight import Flight, Json, Past
from edge.ground.report.gathered import place_sigma_m
from edge.ground.report.walls import Float64
from edge.surface import earth
from edge.surface.geodetic import to_wgs84

_PAGE = 500
_COVER_95 = 1.96
_SAMPLES = 40
"""Points that a course is compared by."""
_SAME_WAY = math.cos(math.radians(30.0))
_AGREED_M = 0.05
"""So well do cracks agree on the shift between two flights."""
_CLOSE_M = 0.01
"""Nearer than this no two places are told apart: the course of one crack differs by so much from view to view."""
_LEAST_AGREED = 5
_CLEARLY = 1.5
"""By so much more findings than any other shift the right one has."""
_HYPOTHESES = 1500
_ASKED = 500
"""So many detections of a flight tell how well its places are known."""
_DEGREES_PER_M = 1.0 / 111_000


@dataclass(frozen=True, slots=True, eq=False)
class _Course:
    feature: Json
    axes: str
    """What the third number counts from; for a structure's own axes its name. Only equal ones are compared."""
    points: Float64
    """(_SAMPLES, 3): earth-centred metres, or the structure's own."""

    @property
    def length_m(self) -> float:
        return float(np.linalg.norm(np.diff(self.points, axis=0), axis=1).sum())

    @property
    def direction(self) -> Float64:
        """(3,): unit vector from end to end."""
        way = self.points[-1] - self.points[0]
        size = float(np.linalg.norm(way))
        return np.asarray(way / size if size else way)


def every_crack(store: Reader, asked: Query) -> Iterator[CrackRow]:
    """The last revision of every crack that ``asked`` means, whatever its limit."""
    while rows := store.cracks(replace(asked, limit=_PAGE)):
        yield from rows
        asked = replace(asked, after=rows[-1].row)


def history(store: Reader, flight: Flight) -> tuple[dict[str, list[Past]], list[str]]:
    """By crack_id what earlier flights found at its place, oldest first, and what could not be compared."""
    now = [course for one in flight.cracks if (course := _course(one)) is not None]
    begins = min((str(one["properties"].get("first_seen") or "") for one in flight.cracks), default="")
    if not now or not begins:
        return {}, []
    before: dict[tuple[str, str], list[_Course]] = {}
    for row in _nearby(store, now):
        if row.flight_id == flight.flight_id and row.vehicle == flight.vehicle:
            continue
        feature = json.loads(row.payload)
        if feature["properties"]["last_seen"] < begins and (course := _course(feature)) is not None:
            before.setdefault((row.vehicle, row.flight_id), []).append(course)
    if not before:
        return {}, []
    ours_m = flight.place_sigma_m
    found: dict[str, list[Past]] = {}
    told: list[str] = []
    for (vehicle, flight_id), theirs in before.items():
        theirs_m = _sigma_m(store, vehicle, flight_id)
        if ours_m is None or theirs_m is None:
            told.append(
                f"the earlier flight {flight_id} is not compared: nobody states how well the places "
                f"{'of this flight' if ours_m is None else 'of that flight'} are known"
            )
            continue
        for name, past in _pairs(now, theirs, _COVER_95 * math.hypot(ours_m, theirs_m)):
            found.setdefault(name, []).append(past)
    for pasts in found.values():
        pasts.sort(key=lambda past: past.seen_at)
    return found, told


def _nearby(store: Reader, now: Sequence[_Course]) -> Iterator[CrackRow]:
    """Cracks about these ones; of a structure's own axes all, because they have no place on the earth to ask by."""
    if any(one.feature.get("geometry") is None for one in now):
        yield from every_crack(store, Query())
        return
    points = [point for one in now for point in one.feature["geometry"]["coordinates"]]
    lon, lat = [float(point[0]) for point in points], [float(point[1]) for point in points]
    around = 20.0 * _DEGREES_PER_M
    wide = around / max(0.01, math.cos(math.radians(max(map(abs, lat)))))
    box = (min(lon) - wide, min(lat) - around, max(lon) + wide, max(lat) + around)
    yield from every_crack(store, Query(box=box))


def _course(feature: Json) -> _Course | None:
    """None for what has no place in three dimensions that another flight could share, and for withdrawn cracks."""
    found = feature["properties"]
    place = found.get("place") or {}
    frame, path = place.get("frame"), place.get("path_m")
    if found.get("state") == "withdrawn" or not isinstance(frame, str) or not path:
        return None
    points = _evenly(np.asarray(path, np.float64))
    if frame.startswith("structure:"):
        return _Course(feature, frame, points)
    datum = next((one for one in ("ell", "amsl") if frame.endswith(one)), None)
    # The same numbers whatever the height counts from; heights of two kinds are never compared.
    places = None if datum is None else to_wgs84(frame.removesuffix(datum) + "ell", points)
    if datum is None or places is None:
        return None
    return _Course(feature, datum, np.array([earth.to_ecef(lat, lon, height) for lon, lat, height in places]))


def _evenly(path: Float64) -> Float64:
    """(_SAMPLES, 3): the course at equal steps."""
    steps = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    at = np.linspace(0.0, steps[-1], _SAMPLES)
    return np.column_stack([np.interp(at, steps, column) for column in path.T])


@dataclass(frozen=True, slots=True)
class _Pair:
    here: int
    there: int
    off_m: tuple[float, float, float]
    """From the earlier course to this one, across them."""


def _pairs(now: Sequence[_Course], before: Sequence[_Course], reach_m: float) -> Iterator[tuple[str, Past]]:
    """By crack_id of ``now`` what lies there in ``before``: one entry for each flight and crack."""
    near = [
        _Pair(here, there, off_m)
        for here, one in enumerate(now)
        for there, other in enumerate(before)
        if (off_m := _off_m(one, other, reach_m)) is not None
    ]
    near, moved_m = _aligned(near)
    of_here, of_there = Counter(pair.here for pair in near), Counter(pair.there for pair in near)
    told: set[int] = set()
    for pair in near:
        if pair.here in told:
            continue
        told.add(pair.here)
        among = max(of_here[pair.here], of_there[pair.there])
        found = before[pair.there].feature["properties"]
        yield (
            str(now[pair.here].feature["properties"]["crack_id"]),
            Past(
                flight_id=str(found["flight_id"]),
                seen_at=str(found["last_seen"]),
                width_mm=found.get("width_mm") if among == 1 else None,
                at_most_mm=found.get("width_at_most_mm") if among == 1 else None,
                length_mm=found.get("length_mm") if among == 1 else None,
                apart_m=round(math.dist(pair.off_m, moved_m), 3),
                among=among,
            ),
        )


def _aligned(near: list[_Pair]) -> tuple[list[_Pair], tuple[float, float, float]]:
    """The pairs that agree on how far the two flights are moved against each other, and how far that is.

    Most of what is wrong with a place (satellites, compass) is wrong with all places of a flight. Where most findings
    agree on one shift, and on no other nearly as well, those that agree are left; else all pairs and no shift.
    """
    if not near:
        return near, (0.0, 0.0, 0.0)
    offs, here = np.array([pair.off_m for pair in near]), np.array([pair.here for pair in near])
    tried = offs[:: 1 + len(offs) // _HYPOTHESES]
    agree = np.linalg.norm(offs[None] - tried[:, None], axis=2) < _AGREED_M
    counts = np.array([len(np.unique(here[row])) for row in agree])
    best = int(counts.argmax())
    elsewhere = np.linalg.norm(tried - tried[best], axis=1) > 3 * _AGREED_M
    second = int(counts[elsewhere].max(initial=0))
    if counts[best] < max(_LEAST_AGREED, len(np.unique(here)) / 2) or counts[best] < _CLEARLY * second:
        return near, (0.0, 0.0, 0.0)
    moved = np.median(offs[agree[best]], axis=0)
    rest_m = np.linalg.norm(offs - moved, axis=1)
    # How well the flights really agree is seen in each crack's nearest partner.
    nearest_m = [float(rest_m[here == one].min()) for one in np.unique(here[agree[best]])]
    close_m = min(_AGREED_M, max(_CLOSE_M, 4 * median(nearest_m)))
    left = [pair for pair, apart_m in zip(near, rest_m, strict=True) if apart_m < close_m]
    return left, (float(moved[0]), float(moved[1]), float(moved[2]))


def _off_m(one: _Course, other: _Course, reach_m: float) -> tuple[float, float, float] | None:
    """Median way from the other course to this one; None where they cannot be one crack."""
    if one.axes != other.axes or one.feature["properties"].get("kind") != other.feature["properties"].get("kind"):
        return None
    middles_m = float(np.linalg.norm(one.points[_SAMPLES // 2] - other.points[_SAMPLES // 2]))
    if middles_m > one.length_m + other.length_m + reach_m:
        return None
    shorter, longer, sign = (one, other, 1.0) if one.length_m <= other.length_m else (other, one, -1.0)
    ways = shorter.points[:, None] - longer.points[None]
    nearest = np.linalg.norm(ways, axis=2).argmin(axis=1)
    off = sign * np.median(ways[np.arange(len(nearest)), nearest], axis=0)
    # Of a crack shorter than the places are good for, the course says nothing.
    turned = shorter.length_m > 2 * reach_m and abs(shorter.direction @ longer.direction) < _SAME_WAY
    if float(np.linalg.norm(off)) > reach_m or turned:
        return None
    return float(off[0]), float(off[1]), float(off[2])


def _sigma_m(store: Reader, vehicle: str, flight_id: str) -> float | None:
    """As ``Flight.place_sigma_m``, of an earlier flight's first findings."""
    rows = store.detections(Query(vehicle=vehicle, flight_id=flight_id, limit=_ASKED))
    stated = [sigma_m for row in rows if (sigma_m := place_sigma_m(json.loads(row.payload))) is not None]
    return median(stated) if stated else None
