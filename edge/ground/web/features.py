"""OGC API Features over a store: items of a collection page by page, and one by its id.

Pages follow each other by the row of the last feature (``after``), not by an offset: what arrives in between neither
shifts them nor makes the store count up to where it was.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Literal
from urllib.parse import urlencode

from edge.detections.wire import rfc3339
from edge.ground import Box, CrackRow, Query, Reader, ReviewRow
from edge.ground.report.bands import Bands
from edge.ground.web import columns, documents
from edge.ground.web.asking import NotHereError, Pairs, form, query_of, single
from edge.ground.web.documents import COLLECTIONS, GEOJSON, Collection, link
from edge.support.clock import Clock

WORLD: Box = (-180.0, -90.0, 180.0, 90.0)
_MOST_ROWS = 200_000
_MOST_COVERAGE_BYTES = 16 << 20


class Features:
    """Answers of the service as documents. Each method may raise AskedWronglyError, NotHereError, TryAgainError."""

    def __init__(self, reader: Reader, bands: Bands, clock: Clock) -> None:
        self._reader = reader
        self._bands = bands
        self._clock = clock
        # By collection: up to which row its extent is known, and the extent.
        self._extents: dict[str, tuple[int, Box | None]] = {}

    def collections(self, base: str, pairs: Pairs) -> dict[str, Any]:
        """``/collections``"""
        form(single(pairs, ("f",)))
        return documents.collections(base, {name: self._extent(one) for name, one in COLLECTIONS.items()})

    def items(self, base: str, name: str, pairs: Pairs) -> dict[str, Any]:
        """``/collections/NAME/items``"""
        one = _collection(name)
        query = query_of(pairs, kinds="kind" in one.fields)
        # One more than is asked for tells whether there is a next page.
        found = self._found(one, dataclasses.replace(query, limit=query.limit + 1))
        kept, more = found[: query.limit], len(found) > query.limit
        address = f"{base}/collections/{one.id}/items"
        links = [link(_with(address, pairs, {}), "self", GEOJSON, "this page")]
        if more:
            links.append(link(_with(address, pairs, {"after": str(kept[-1][0])}), "next", GEOJSON, "the next page"))
        matched = None
        if query.after is None:
            matched = self._matched(one, query) if more else len(kept)
        return documents.items([feature for _, feature in kept], links, matched, rfc3339(self._clock.utc()))

    def item(self, base: str, name: str, id: str, pairs: Pairs) -> dict[str, Any]:
        """``/collections/NAME/items/ID``"""
        one = _collection(name)
        form(single(pairs, ("f",)))
        feature: columns.Feature | None = None
        if one.id == "coverage":
            everything = columns.coverage(self._reader.coverage())
            feature = next((each for each in everything if each["id"] == id), None)
        elif one.id == "cracks":
            crack = self._reader.crack(id)
            feature = None if crack is None else columns.crack(crack, self._bands, self._review(crack))
        else:
            detection = self._reader.detection(id)
            feature = None if detection is None else columns.detection(detection)
        if feature is None:
            raise NotHereError(f"the collection {one.id} has no feature {id[:60]!r}")
        return documents.item(base, one.id, feature)

    def message(self, id: str) -> bytes:
        """A detection, or the last revision of a crack, as the drone sent it."""
        row = self._reader.detection(id) or self._reader.crack(id)
        if row is None:
            raise NotHereError(f"no message {id[:60]!r} is stored here")
        return row.payload

    def collection(self, base: str, name: str, pairs: Pairs) -> dict[str, Any]:
        """``/collections/NAME``"""
        one = _collection(name)
        form(single(pairs, ("f",)))
        return documents.collection(base, one, self._extent(one))

    def _extent(self, one: Collection) -> Box:
        """Around all of its features; the whole world where looking at each would take long, or there is none.

        Programs leave out what lies outside, so it must never be too small.
        """
        heads = self._reader.heads()
        if one.id == "coverage":
            if heads.coverage[1] > _MOST_COVERAGE_BYTES:
                return WORLD
            return _around([_corners(each) for each in columns.coverage(self._reader.coverage())]) or WORLD
        what: Literal["cracks", "detections"] = "cracks" if one.id == "cracks" else "detections"
        newest = heads.cracks if one.id == "cracks" else heads.detections
        known, box = self._extents.get(one.id, (0, None))
        if newest - known > _MOST_ROWS:
            return WORLD
        if newest > known:
            box = _around([box, self._reader.extent(what, known)])
            self._extents[one.id] = newest, box
        return box or WORLD

    def _found(self, one: Collection, query: Query) -> list[tuple[int, columns.Feature]]:
        """Rows and features of a page."""
        if one.id == "cracks":
            said = {one.crack_id: one for one in self._reader.reviews(query.vehicle, query.flight_id)}
            rows = self._reader.cracks(query)
            return [(row.row or 0, columns.crack(row, self._bands, said.get(row.crack_id))) for row in rows]
        if one.id == "detections":
            return [(row.row or 0, columns.detection(row)) for row in self._reader.detections(query)]
        first = query.after or 0
        return list(itertools.islice(enumerate(self._patches(query), 1), first, first + query.limit))

    def _review(self, crack: CrackRow) -> ReviewRow | None:
        rows = self._reader.reviews(crack.vehicle, crack.flight_id)
        return next((one for one in rows if one.crack_id == crack.crack_id), None)

    def _matched(self, one: Collection, query: Query) -> int:
        if one.id == "coverage":
            return sum(1 for _ in self._patches(query))
        return self._reader.matched("cracks" if one.id == "cracks" else "detections", query)

    def _patches(self, query: Query) -> Iterator[columns.Feature]:
        """Coverage has no time of its own: it is there whatever time is asked for (17-069r4, 7.15.4)."""
        every = columns.coverage(self._reader.coverage(query.vehicle, query.flight_id))
        return (one for one in every if query.box is None or _touches(one, query.box))


def _collection(name: str) -> Collection:
    one = COLLECTIONS.get(name)
    if one is None:
        raise NotHereError(f"there is no collection {name[:60]!r}; known: {', '.join(COLLECTIONS)}")
    return one


def _corners(patch: columns.Feature) -> Box | None:
    polygons = patch["geometry"]["coordinates"] if patch["geometry"] is not None else []
    points = [point for polygon in polygons for ring in polygon for point in ring]
    if not points:
        return None
    longitudes, latitudes = [point[0] for point in points], [point[1] for point in points]
    return min(longitudes), min(latitudes), max(longitudes), max(latitudes)


def _around(boxes: Sequence[Box | None]) -> Box | None:
    known = [box for box in boxes if box is not None]
    if not known:
        return None
    wests, souths, easts, norths = zip(*known, strict=True)
    return min(wests), min(souths), max(easts), max(norths)


def _touches(patch: columns.Feature, box: Box) -> bool:
    corners = _corners(patch)
    if corners is None or corners[1] > box[3] or corners[3] < box[1]:
        return False
    before, after = corners[0] <= box[2], corners[2] >= box[0]
    return (before and after) if box[0] <= box[2] else (before or after)


def _with(address: str, pairs: Pairs, changed: dict[str, str]) -> str:
    kept = {**dict(pairs), **changed}
    return f"{address}?{urlencode(kept)}" if kept else address
