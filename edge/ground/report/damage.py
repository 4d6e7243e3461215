"""Damaged areas of a flight: nobody names them while flying, so views of one are put together by their place.

Two views of one kind are the same area where their centres lie nearer to each other than half the larger one's extent.
Views without a place on the surface cannot be put together; of those only the largest are shown, and the rest counted.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from edge.ground.report.flight import Json

_CELL_M = 1.0
"""Areas are looked up by squares of this size, so that no area reaches farther than over the next one."""
_MOST_UNPLACED = 50
_INTERVAL = 1.96


class Area:
    """One area and the view that shows it best."""

    def __init__(self, feature: Json) -> None:
        self.best = feature
        self.frames = {_seq(feature)}
        self.first = self.last = _seen(feature)

    @property
    def name(self) -> str:
        """What the report calls it: its ``crack_id`` where it has one, else the id of its best view."""
        return str(self.best["properties"].get("crack_id") or self.best["properties"].get("id"))

    def add(self, feature: Json) -> None:
        """One more view of it."""
        self.frames.add(_seq(feature))
        self.first, self.last = min(self.first, _seen(feature)), max(self.last, _seen(feature))
        if _rank(feature) > _rank(self.best):
            self.best = feature


class Areas:
    """Takes the area damage of a flight, one detection at a time; memory goes with the areas, not with the views."""

    def __init__(self) -> None:
        self._cells: dict[tuple[Any, ...], list[Area]] = {}
        self._placed: list[Area] = []
        self._named: dict[str, Area] = {}
        self._largest: list[tuple[float, int, Json]] = []
        self._unplaced = 0

    def take(self, feature: Json) -> Area | None:
        """Look at one ``spanhawk/detection/2`` Feature with ``area``; returns the area that it is a view of.

        None where nothing tells which it is.
        """
        name, at = feature["properties"].get("crack_id"), _centre_m(feature)
        if isinstance(name, str):
            return self._add(self._named.get(name), feature, lambda area: self._named.update({name: area}))
        if at is not None:
            cell, known = _cell(feature, at), self._near(feature, at)
            return self._add(known, feature, lambda area: self._cells.setdefault(cell, []).append(area))
        self._unplaced += 1
        item = (_px(feature), -self._unplaced, feature)
        if len(self._largest) < _MOST_UNPLACED:
            heapq.heappush(self._largest, item)
        else:
            heapq.heappushpop(self._largest, item)
        return None

    @property
    def left_out(self) -> int:
        """Views that could not be put together with others and are not shown."""
        return self._unplaced - len(self._largest)

    def found(self, number: int) -> Iterator[tuple[Json, Json]]:
        """Each area in the shape of ``spanhawk/crack/1``, numbered from ``number``, and the detection that shows it."""
        unplaced = [Area(feature) for _, _, feature in sorted(self._largest, reverse=True)]
        for at, area in enumerate([*self._named.values(), *self._placed, *unplaced], number):
            yield _feature(at, area), area.best

    def _add(self, known: Area | None, feature: Json, keep: Callable[[Area], object]) -> Area:
        if known is not None:
            known.add(feature)
            return known
        area = Area(feature)
        keep(area)
        if not isinstance(feature["properties"].get("crack_id"), str):
            self._placed.append(area)
        return area

    def _near(self, feature: Json, at: tuple[float, float, float]) -> Area | None:
        frame, kind, *corner = _cell(feature, at)
        best, least_m = None, math.inf
        for step in np.ndindex(3, 3, 3):
            for one in self._cells.get((frame, kind, *(c + s - 1 for c, s in zip(corner, step, strict=True))), ()):
                there = _centre_m(one.best)
                assert there is not None, "only placed areas lie in cells"
                apart_m = math.dist(at, there)
                reach_m = min(_CELL_M, max(_extent_m(feature), _extent_m(one.best)) / 2)
                if apart_m < min(reach_m, least_m):
                    best, least_m = one, apart_m
        return best


def _cell(feature: Json, at: tuple[float, float, float]) -> tuple[Any, ...]:
    found = feature["properties"]
    return found["place"]["frame"], found.get("kind"), *(math.floor(value / _CELL_M) for value in at)


def _centre_m(feature: Json) -> tuple[float, float, float] | None:
    place = feature["properties"].get("place") or {}
    east, north, up = (place.get(name) for name in ("east_m", "north_m", "up_m"))
    if place.get("method") != "surface" or not isinstance(place.get("frame"), str):
        return None
    if not all(isinstance(one, (int, float)) and math.isfinite(one) for one in (east, north, up)):
        return None
    return place["east_m"], place["north_m"], place["up_m"]


def _extent_m(feature: Json) -> float:
    return float(feature["properties"]["area"].get("extent_mm") or 0.0) / 1000


def _rank(feature: Json) -> tuple[bool, float, float]:
    """A whole view before one that the frame cuts, then the larger."""
    area = feature["properties"]["area"]
    return not area.get("cut_by_frame"), float(area.get("area_cm2") or 0.0), _px(feature)


def _px(feature: Json) -> float:
    return float(feature["properties"]["area"].get("area_px") or 0.0)


def _seq(feature: Json) -> int:
    return int(feature["properties"].get("frame_seq") or 0)


def _seen(feature: Json) -> str:
    return str(feature["properties"].get("seen_at") or "")


def _feature(number: int, area: Area) -> dict[str, Any]:
    found, at = area.best["properties"], _centre_m(area.best)
    size, views = found["area"], len(area.frames)
    return {
        "type": "Feature",
        "id": area.name,
        "geometry": area.best.get("geometry") if at is not None else None,
        "properties": {
            "crack_id": area.name,
            "number": number,
            "state": "single view" if views == 1 else "several views",
            "flight_id": found.get("flight_id"),
            "vehicle": found.get("vehicle"),
            "kind": found.get("kind"),
            "views": views,
            "first_seen": area.first or None,
            "last_seen": area.last or None,
            "score": found.get("score"),
            "place": {"frame": found["place"]["frame"], "path_m": [list(at)]} if at is not None else None,
            "area_cm2": _interval(size.get("area_cm2"), size.get("area_sigma_cm2")),
            "extent_mm": _interval(size.get("extent_mm"), size.get("extent_sigma_mm")),
            "cut_by_frame": bool(size.get("cut_by_frame")),
            "best": {
                "frame_seq": found.get("frame_seq"),
                "frame_name": found.get("frame_name"),
                "evidence_sha256": (found.get("evidence") or {}).get("sha256"),
                "gsd_mm_per_px": size.get("gsd_mm_per_px"),
            },
        },
    }


def _interval(value: Any, sigma: Any) -> dict[str, float | None] | None:
    if not isinstance(value, (int, float)):
        return None
    if not isinstance(sigma, (int, float)):
        return {"value": value, "sigma": None, "low": None, "high": None}
    low, high = max(0.0, value - _INTERVAL * sigma), value + _INTERVAL * sigma
    return {"value": value, "sigma": sigma, "low": round(low, 2), "high": round(high, 2)}
