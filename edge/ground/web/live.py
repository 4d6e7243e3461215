"""What the live page shows, in few bytes: the fleet, the newest cracks, what was seen, and walls in metres.

500 cracks must reach a phone in a second, so they go out column by column in at most ``MOST_BYTES`` of JSON: places on
the earth as whole numbers of 1e-7 degrees (1 cm), each after the first as its difference from the one before; lines
with the few points that say most of their course. The whole of a crack is asked for when somebody opens it.
"""

from __future__ import annotations

import base64
import dataclasses
import itertools
import json
import math
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.detections.wire import rfc3339, to_bytes
from edge.ground import CrackRow, FlightRow, Query, Reader
from edge.ground.pictures import Pictures
from edge.ground.report import walls
from edge.ground.report.bands import NO_BAND, NO_BAND_MEANING, Bands
from edge.ground.report.coverage import features_of, outlines
from edge.ground.report.tables import COLOURS, UNKNOWN_COLOUR
from edge.ground.web import columns as columns_of
from edge.ground.web.asking import Pairs, single, whole
from edge.support.clock import Clock

NEWEST = 500
"""Cracks of the first look, and of one step afterwards."""
_FLIGHTS = 30
MOST_BYTES = 60_000
"""Of the first look, before it is packed for the way."""
_POINTS = (6, 5, 4, 3, 2)
# A bend that is smaller is not drawn at the first look: a crack's place is hardly ever known to 3 cm.
_BEND_1E7_DEG = 3
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
_PAGE = 1000


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
        self._looked: dict[tuple[str | None, str | None], tuple[int | None, dict[str, float]]] = {}
        """By vehicle and flight: the last detection that was read for ``_yaws``, and what they gave."""

    def legend(self) -> dict[str, Any]:
        """Width bands with their colours, narrowest first; the last one is for what has no band."""
        table = self._bands
        rows = [
            {"name": name, "meaning": meaning, "colour": COLOURS[min(number, len(COLOURS) - 1)]}
            for number, (name, meaning) in enumerate(zip(table.names, table.meanings, strict=True))
        ]
        unknown = {"name": NO_BAND, "meaning": NO_BAND_MEANING, "colour": UNKNOWN_COLOUR}
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
        told = {
            "gone": [row.crack_id for row in rows if row.state not in _SHOWN_STATES],
            "newest": max([row.row or 0 for row in rows], default=after or 0),
            "more": after is not None and len(rows) == NEWEST,
            **self._table(shown),
        }
        lines = [_whole_numbers(json.loads(row.payload).get("geometry")) for row in shown]
        corner = [min([int(line[:, axis].min()) for line in lines if line is not None], default=0) for axis in (0, 1)]
        told["corner"] = corner
        for most in _POINTS:
            told["columns"]["line"] = [None if one is None else _packed(_few(one, most), corner) for one in lines]
            if len(to_bytes(told)) <= MOST_BYTES:
                break
        return told

    def coverage(self) -> dict[str, Any]:
        """Patches of the newest flights, as many as fit into a megabyte; ``left_out`` counts the other flights."""
        patches, size_bytes, left_out = [], 0, 0
        for flight in self._reader.flights(_FLIGHTS):
            rows = self._reader.coverage(flight.vehicle, flight.flight_id)
            size_bytes += sum(len(row.payload) for row in rows)
            if size_bytes > _MOST_COVERAGE_BYTES:
                left_out += len(rows)
                continue
            for one in columns_of.coverage(rows):
                if one["geometry"] is not None:
                    rings = [ring for polygon in one["geometry"]["coordinates"] for ring in polygon]
                    properties = one["properties"]
                    patches.append([
                        properties["seen"], properties["narrowest_crack_mm"], properties["reason"],
                        [_packed(_scaled(ring)) for ring in rings],
                    ])  # fmt: skip
        return {"columns": ["seen", "narrowest_crack_mm", "reason", "rings"], "rows": patches, "left_out": left_out}

    def walls(self, pairs: Pairs) -> dict[str, Any]:
        """The walls of one flight: cracks as metres along and up. ``vehicle`` and ``flight_id`` name it.

        They are found in the same way as for the report, so that a wall has one name on both. Of a flight with more
        than ``NEWEST`` cracks only the newest are here, and a wall may be counted otherwise.
        """
        given = single(pairs, ("vehicle", "flight_id"))
        query = Query(vehicle=given.get("vehicle"), flight_id=given.get("flight_id"), limit=NEWEST, newest_first=True)
        rows = [row for row in self._reader.cracks(query) if row.state in _SHOWN_STATES]
        rows.sort(key=lambda row: row.number)
        outlined = [
            (one.frame, one.charts, one.ring_m)
            for row in self._reader.coverage(query.vehicle, query.flight_id)
            for one in outlines(features_of(json.loads(row.payload)))
        ]
        yaws = self._yaws(query.vehicle, query.flight_id)
        documents = [json.loads(row.payload)["properties"] for row in rows]
        paths = [_path(one) for one in documents]
        places = [one.get("place") if isinstance(one.get("place"), dict) else {} for one in documents]
        charts = [one.get("chart") if isinstance(one.get("chart"), dict) else {} for one in documents]
        found, of = walls.find(
            paths,
            [_named(one.get("frame")) for one in places],
            [one.get("number") if type(one.get("number")) is int else None for one in charts],
            [yaws.get(row.crack_id) for row in rows],
            outlined,
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
                if number in of
            ],
            "left_out": sum(at is None for at in of),
        }

    def _yaws(self, vehicle: str | None, flight_id: str | None) -> dict[str, float]:
        """By crack, a direction in which the camera looked at it, degrees.

        All detections are read, because a wall of the first minutes is named by them; but each of them once.
        """
        last, before = self._looked.pop((vehicle, flight_id), (None, {}))
        asked, yaws = Query(vehicle=vehicle, flight_id=flight_id, after=last, limit=_PAGE), dict(before)
        while rows := self._reader.detections(asked):
            asked = dataclasses.replace(asked, after=rows[-1].row)
            for row in rows:
                nav = json.loads(row.payload)["properties"].get("nav")
                attitude = nav.get("attitude") if isinstance(nav, dict) else None
                yaw = attitude.get("yaw_deg") if isinstance(attitude, dict) else None
                if row.crack_id is not None and isinstance(yaw, int | float):
                    yaws.setdefault(row.crack_id, float(yaw))
        self._looked[vehicle, flight_id] = asked.after, yaws
        for key in list(self._looked)[:-_FLIGHTS]:
            self._looked.pop(key, None)
        return yaws

    def _table(self, rows: Sequence[CrackRow]) -> dict[str, Any]:
        """The cracks by columns; a column with one value throughout is that value alone."""
        names = {
            "vehicles": sorted({row.vehicle for row in rows}),
            "flights": sorted({row.flight_id for row in rows}),
            "kinds": sorted({row.kind for row in rows}),
        }
        places = {key: {name: at for at, name in enumerate(found)} for key, found in names.items()}
        begun_s = min([round(row.last_seen.timestamp()) for row in rows], default=0)
        columns: dict[str, list[Any]] = {
            "vehicle": [places["vehicles"][row.vehicle] for row in rows],
            "flight": [places["flights"][row.flight_id] for row in rows],
            "kind": [places["kinds"][row.kind] for row in rows],
            "number": [row.number for row in rows],
            "confirmed": [int(row.state == "confirmed") for row in rows],
            "band": [columns_of.band_of(row.width_mm, row.width_at_most_mm, self._bands) for row in rows],
            "width": [_hundredths(row.width_mm) for row in rows],
            "width_at_most": [_hundredths(row.width_at_most_mm) for row in rows],
            "length_mm": [None if row.length_mm is None else round(row.length_mm) for row in rows],
            "views": [row.views for row in rows],
            "seen_s": [round(row.last_seen.timestamp()) - begun_s for row in rows],
            "picture": [self._picture(row) for row in rows],
        }
        ids = b"".join(uuid.UUID(row.crack_id).bytes for row in rows)
        return {
            **names, "begun_s": begun_s, "count": len(rows),
            # 16 bytes each: a third of them written out.
            "ids": base64.b64encode(ids).decode(),
            "columns": {key: found[0] if len(set(found)) == 1 else found for key, found in columns.items()},
        }  # fmt: skip

    def _picture(self, row: CrackRow) -> int:
        """0: none was kept; 1: it is not here (yet); 2: it is here; 3: the drone does not have it (any more)."""
        if row.best_sha256 is None:
            return 0
        if self._pictures is not None and self._pictures.find(row.best_sha256) is not None:
            return 2
        return 3 if self._lost(row.vehicle, row.best_sha256) else 1


def _flight(one: FlightRow) -> dict[str, Any]:
    return {
        "vehicle": one.vehicle, "flight_id": one.flight_id, "begun": rfc3339(one.first_received_at),
        "detections": one.detections, "missing": max(0, one.last_seq - one.detections), "cracks": one.cracks,
    }  # fmt: skip


def _whole_numbers(geometry: Any) -> npt.NDArray[np.int64] | None:
    """Longitude and latitude of each point of a crack's geometry, 1e-7 degrees; None where it has no place."""
    if geometry is None:
        return None
    points = [geometry["coordinates"]] if geometry["type"] == "Point" else geometry["coordinates"]
    return _scaled(points)


def _scaled(points: Sequence[Sequence[float]]) -> npt.NDArray[np.int64]:
    found: npt.NDArray[np.int64] = np.round(np.array([point[:2] for point in points], np.float64) * 1e7).astype(
        np.int64
    )
    return found


def _packed(points: npt.NDArray[np.int64], corner: Sequence[int] = (0, 0)) -> list[int]:
    """The first point as its difference from ``corner``, each other from the one before; 1e-7 degrees."""
    steps: list[int] = np.diff(points, axis=0, prepend=np.array([corner], np.int64)).ravel().tolist()
    return steps


def _few(points: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """Both ends and those that lie farthest from the line so far (Douglas and Peucker 1973), at most ``most``."""
    kept = [0, len(points) - 1] if len(points) > 1 else [0]
    # A degree of longitude is shorter; near enough for choosing points.
    flat = points * np.array([math.cos(math.radians(points[0, 1] / 1e7)), 1.0])
    while len(kept) < most:
        worst, at = float(_BEND_1E7_DEG), None
        for first, last in itertools.pairwise(kept):
            far = _distances(flat[first : last + 1])
            if far.size and far.max() > worst:
                worst, at = float(far.max()), first + int(far.argmax())
        if at is None:
            break
        kept = sorted([*kept, at])
    return points[kept]


def _distances(path: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of each point from the stretch between the first and the last."""
    along = path[-1] - path[0]
    squared = float(along @ along)
    off = path - path[0]
    if squared > 0:
        off = off - np.clip(off @ along / squared, 0, 1)[:, None] * along
    found: npt.NDArray[np.float64] = np.hypot(off[:, 0], off[:, 1])
    return found


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


def _hundredths(mm: float | None) -> int | None:
    """Of a millimetre; None where it is not known."""
    return None if mm is None or not math.isfinite(mm) else round(mm * 100)
