"""What the live page shows, in few bytes: the fleet, the newest cracks, what was seen, and walls in metres.

Places on the earth are whole numbers of 1e-7 degrees (1 cm), each after the first as its difference from the one
before: 500 cracks must reach a phone in a second.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edge.detections.wire import rfc3339
from edge.ground import CrackRow, FlightRow, Query, Reader
from edge.ground.pictures import Pictures
from edge.ground.report import walls
from edge.ground.report.bands import Bands
from edge.ground.report.tables import COLOURS, UNKNOWN_COLOUR
from edge.ground.web import columns
from edge.ground.web.asking import Pairs, single, whole
from edge.support.clock import Clock

NEWEST = 500
"""Cracks of the first look, and of one step afterwards."""
_FLIGHTS = 30
_MOST_POINTS = 12
_SHOWN_STATES = ("tentative", "confirmed")
_TELEMETRY = (
    "at",
    "fps",
    "frames",
    "dropped",
    "detections",
    "hint",
    "fix",
    "temperature_deg_c",
    "disk_free_mb",
    "outbox",
)
_MOST_COVERAGE_BYTES = 1 << 20
_YAWS_FROM = 500


class Live:
    """Each method reads the store and may raise TryAgainError, and AskedWronglyError for what it is asked."""

    def __init__(
        self,
        reader: Reader,
        pictures: Pictures | None,
        bands: Bands,
        clock: Clock,
        lost: Callable[[str, str], bool] = lambda vehicle, sha256: False,
    ) -> None:
        """``lost``: whether a vehicle has said that it does not have a picture (any more)."""
        self._reader = reader
        self._pictures = pictures
        self._bands = bands
        self._clock = clock
        self._lost = lost

    def legend(self) -> dict[str, Any]:
        """Width bands with their colours, narrowest first; the last one is for a width that is not known."""
        table = self._bands
        rows = [
            {"name": name, "meaning": meaning, "colour": COLOURS[min(number, len(COLOURS) - 1)]}
            for number, (name, meaning) in enumerate(zip(table.names, table.meanings, strict=True))
        ]
        unknown = {"name": "width not known", "meaning": "", "colour": UNKNOWN_COLOUR}
        return {"source": table.source, "bands": [*rows, unknown]}

    def fleet(self, troubles: Sequence[str]) -> dict[str, Any]:
        """Vehicles with their status and telemetry, the newest flights, and what is wrong with the ground itself."""
        vehicles: dict[str, dict[str, Any]] = {}
        for row in self._reader.states():
            one = vehicles.setdefault(row.vehicle, {"vehicle": row.vehicle, "status": None, "telemetry": None})
            document = json.loads(row.payload)
            if row.what == "status":
                reasons = document.get("reasons")
                one["status"] = {
                    "state": document.get("state"), "flight_id": row.flight_id, "heard": rfc3339(row.received_at),
                    "reasons": [str(each)[:500] for each in reasons[:20]] if isinstance(reasons, list) else [],
                }  # fmt: skip
            else:
                one["telemetry"] = {key: document.get(key) for key in _TELEMETRY} | {"heard": rfc3339(row.received_at)}
        return {
            "now": rfc3339(self._clock.utc()),
            "troubles": list(troubles),
            "vehicles": list(vehicles.values()),
            "flights": [_flight(one) for one in self._reader.flights(_FLIGHTS)],
        }

    def cracks(self, pairs: Pairs) -> dict[str, Any]:
        """The newest cracks, or with ``after`` those that came after that row, oldest first.

        ``more``: there are others after ``newest``; ``gone``: ids of those that are withdrawn or merged by now.
        """
        given = single(pairs, ("after",))
        after = whole(given, "after", 0)
        query = Query(limit=NEWEST, after=after, newest_first=after is None)
        rows = self._reader.cracks(query)
        if after is None:
            rows = rows[::-1]
        shown = [row for row in rows if row.state in _SHOWN_STATES]
        vehicles = sorted({row.vehicle for row in shown})
        flights = sorted({row.flight_id for row in shown})
        return {
            "vehicles": vehicles, "flights": flights, "columns": _COLUMNS,
            "rows": [self._row(row, vehicles, flights) for row in shown],
            "gone": [row.crack_id for row in rows if row.state not in _SHOWN_STATES],
            "newest": max([row.row or 0 for row in rows], default=after or 0),
            "more": after is not None and len(rows) == NEWEST,
        }  # fmt: skip

    def coverage(self) -> dict[str, Any]:
        """Patches of the newest flights, as many as fit into a megabyte; ``left_out`` counts the other flights."""
        patches, size_bytes, left_out = [], 0, 0
        for flight in self._reader.flights(_FLIGHTS):
            rows = self._reader.coverage(flight.vehicle, flight.flight_id)
            size_bytes += sum(len(row.payload) for row in rows)
            if size_bytes > _MOST_COVERAGE_BYTES:
                left_out += len(rows)
                continue
            for one in columns.coverage(rows):
                if one["geometry"] is not None:
                    rings = [ring for polygon in one["geometry"]["coordinates"] for ring in polygon]
                    properties = one["properties"]
                    patches.append([
                        properties["seen"], properties["narrowest_crack_mm"], properties["reason"],
                        [_packed(ring) for ring in rings],
                    ])  # fmt: skip
        return {"columns": ["seen", "narrowest_crack_mm", "reason", "rings"], "rows": patches, "left_out": left_out}

    def walls(self, pairs: Pairs) -> dict[str, Any]:
        """The walls of one flight: cracks as metres along and up. ``vehicle`` and ``flight_id`` name it."""
        given = single(pairs, ("vehicle", "flight_id"))
        query = Query(vehicle=given.get("vehicle"), flight_id=given.get("flight_id"), limit=NEWEST, newest_first=True)
        rows = [row for row in self._reader.cracks(query) if row.state in _SHOWN_STATES]
        yaws = self._yaws(dataclasses.replace(query, limit=_YAWS_FROM))
        documents = [json.loads(row.payload)["properties"] for row in rows]
        paths = [_path(one) for one in documents]
        places = [one.get("place") if isinstance(one.get("place"), dict) else {} for one in documents]
        charts = [one.get("chart") if isinstance(one.get("chart"), dict) else {} for one in documents]
        found, of = walls.find(
            paths,
            [_named(one.get("frame")) for one in places],
            [one.get("number") if type(one.get("number")) is int else None for one in charts],
            [yaws.get(row.crack_id) for row in rows],
        )
        return {
            "walls": [
                {
                    "name": wall.name,
                    "level": wall.level,
                    "cracks": [
                        [row.crack_id, np.round(wall.flat(path), 3).tolist()]
                        for row, path, at in zip(rows, paths, of, strict=True)
                        if at == number and path is not None
                    ],
                }
                for number, wall in enumerate(found)
            ],
            "left_out": sum(at is None for at in of),
        }

    def _yaws(self, query: Query) -> dict[str, float]:
        """By crack, a direction in which the camera looked at it, degrees."""
        yaws: dict[str, float] = {}
        for row in self._reader.detections(query):
            nav = json.loads(row.payload)["properties"].get("nav")
            attitude = nav.get("attitude") if isinstance(nav, dict) else None
            yaw = attitude.get("yaw_deg") if isinstance(attitude, dict) else None
            if row.crack_id is not None and isinstance(yaw, int | float):
                yaws.setdefault(row.crack_id, float(yaw))
        return yaws

    def _row(self, row: CrackRow, vehicles: Sequence[str], flights: Sequence[str]) -> list[Any]:
        band = columns.band_of(row.width_mm, row.width_at_most_mm, self._bands)
        geometry = json.loads(row.payload).get("geometry")
        line = None
        if geometry is not None:
            points = geometry["coordinates"]
            line = _packed([points] if geometry["type"] == "Point" else _few(points))
        return [
            row.crack_id, vehicles.index(row.vehicle), flights.index(row.flight_id), row.number, row.kind,
            int(row.state == "confirmed"), band, _rounded(row.width_mm, 2), _rounded(row.width_at_most_mm, 2),
            None if row.length_mm is None else round(row.length_mm), row.views, round(row.last_seen.timestamp()),
            self._picture(row), line,
        ]  # fmt: skip

    def _picture(self, row: CrackRow) -> int:
        """0: none was kept; 1: it is not here (yet); 2: it is here; 3: the drone does not have it (any more)."""
        if row.best_sha256 is None:
            return 0
        if self._pictures is not None and self._pictures.find(row.best_sha256) is not None:
            return 2
        return 3 if self._lost(row.vehicle, row.best_sha256) else 1


_COLUMNS = (
    "crack_id", "vehicle", "flight", "number", "kind", "confirmed", "band", "width_mm", "width_at_most_mm", "length_mm",
    "views", "last_seen_s", "picture", "line",
)  # fmt: skip


def _flight(one: FlightRow) -> dict[str, Any]:
    return {
        "vehicle": one.vehicle, "flight_id": one.flight_id, "begun": rfc3339(one.first_received_at),
        "detections": one.detections, "missing": max(0, one.last_seq - one.detections), "cracks": one.cracks,
    }  # fmt: skip


def _packed(points: Sequence[Sequence[float]]) -> list[int]:
    """Longitude and latitude of the first point, then of each its difference from the one before; 1e-7 degrees."""
    whole_numbers = np.round(np.array([point[:2] for point in points], np.float64) * 1e7).astype(np.int64)
    steps: list[int] = np.diff(whole_numbers, axis=0, prepend=np.zeros((1, 2), np.int64)).ravel().tolist()
    return steps


def _few(points: Sequence[Sequence[float]]) -> Sequence[Sequence[float]]:
    """At most a dozen of them, both ends among them."""
    if len(points) <= _MOST_POINTS:
        return points
    return [points[round(at)] for at in np.linspace(0, len(points) - 1, _MOST_POINTS)]


def _path(properties: dict[str, Any]) -> walls.Float64 | None:
    place = properties.get("place")
    points = place.get("path_m") if isinstance(place, dict) else None
    try:
        path = np.array(points, np.float64)
    except (TypeError, ValueError):
        return None
    return path if path.ndim == 2 and path.shape[1] == 3 and bool(np.isfinite(path).all()) else None


def _named(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, digits)
