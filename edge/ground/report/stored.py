"""A flight as the ground's store has it, and what the store knows of the same cracks from earlier flights."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edge.detections.wire import rfc3339
from edge.ground import DetectionRow, FlightRow, Query, Reader, missing
from edge.ground.pictures import Pictures, default_folder
from edge.ground.report import earlier
from edge.ground.report.coverage import features_of
from edge.ground.report.flight import Flight, Json, Source, View
from edge.ground.report.gathered import Gathered
from edge.ground.report.review import Review, moment
from edge.ground.report.source import named_folder, pictures_in
from edge.ground.report.words import clean
from edge.ground.stores import open_reader, shown
from edge.support.clock import SystemClock
from edge.support.errors import UsageError

_PAGE = 500
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class FlightInStore:
    """A flight of a ground station, with the pictures that lie beside the store."""

    url: str
    flight_id: str
    vehicle: str | None = None
    """Needed only where two vehicles flew flights of the same name."""
    photos: Path | None = None
    """A further folder of pictures, named as the flight named them or by their SHA-256; None: there is no other."""

    @property
    def folder(self) -> None:
        """A store's flight has none."""

    def flight(self) -> Flight:
        """Read what has arrived, name what has not. Raises UsageError for a store or flight that is not there."""
        with open_reader(self.url, SystemClock()) as store:
            flown = _named(store, self.url, self.flight_id, self.vehicle)
            return _read(store, flown, self.photos, self.url)


@dataclass(frozen=True, slots=True)
class WithHistory:
    """Any other source, and beside it what a store knows of earlier flights."""

    source: Source
    url: str

    @property
    def folder(self) -> Path | None:
        """That of the source."""
        return self.source.folder

    def flight(self) -> Flight:
        """Read both. Raises UsageError for a store that is not there."""
        with open_reader(self.url, SystemClock()) as store:
            flight = self.source.flight()
            _add_history(store, flight)
            if flight.vehicle is not None and flight.flight_id is not None:
                flight.reviews = _later(flight.reviews, reviews_of(store, flight.vehicle, flight.flight_id))
            return flight


def reviews_of(store: Reader, flown_by: str, flight_id: str) -> dict[str, Review]:
    """By crack_id: what people said on the ground's page of a flight's findings."""
    rows = store.reviews(flown_by, flight_id)
    return {
        one.crack_id: Review(one.crack_id, one.verdict, one.grade, one.remark, one.by, rfc3339(one.at)) for one in rows
    }


def _later(one: Mapping[str, Review], other: Mapping[str, Review]) -> dict[str, Review]:
    """Of two reviews of a finding the later; one without a moment is the earlier."""

    def when(name: str, said: Mapping[str, Review]) -> str:
        at = moment(said[name].at) if name in said else None
        return "" if at is None else rfc3339(at)

    return {
        name: other[name] if name in other and (name not in one or when(name, other) >= when(name, one)) else one[name]
        for name in {**one, **other}
    }


def _named(store: Reader, url: str, flight_id: str, vehicle: str | None) -> FlightRow:
    flights = store.flights()
    found = [one for one in flights if one.flight_id == flight_id and vehicle in (None, one.vehicle)]
    if not found:
        newest = ", ".join(f"{clean(one.flight_id)} ({clean(one.vehicle)})" for one in flights[:_SHOWN]) or "no flight"
        raise UsageError(f"--flight {flight_id}: not in the store {shown(url)}; it has, newest first: {newest}")
    if len(found) > 1:
        names = ", ".join(sorted(one.vehicle for one in found))
        raise UsageError(f"--flight {flight_id}: {len(found)} vehicles flew one of that name; add --vehicle ({names})")
    return found[0]


def _read(store: Reader, flown: FlightRow, photos: Path | None, url: str) -> Flight:
    named = {} if photos is None else pictures_in(named_folder(photos))
    beside = default_folder(url)
    asked = Query(vehicle=flown.vehicle, flight_id=flown.flight_id)
    cracks: list[Json] = [json.loads(row.payload) for row in earlier.every_crack(store, asked)]
    gathered = Gathered(cracks)
    for row in _detections(store, asked):
        gathered.take(json.loads(row.payload))
    told = [
        f"read from the store {shown(url)}: how many pictures were examined, and the camera's track, only the flight's "
        "folder knows"
    ]
    cracks, views, more = gathered.findings()
    told += more
    if gaps := missing(store.ranges(flown.vehicle, flown.flight_id)):
        lost = sum(last - first + 1 for first, last in gaps)
        ends = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in gaps[:_SHOWN])
        told.append(
            f"{lost} detections of this flight have not arrived (numbers {ends}{' …' if gaps[_SHOWN:] else ''}): "
            "what they show is not in this report"
        )
    whole = _coverage(store, flown)
    flight = Flight(
        name=flown.flight_id,
        flight_id=flown.flight_id,
        vehicle=flown.vehicle,
        summary={},
        cracks=cracks,
        views=views,
        coverage=features_of(whole),
        coverage_summary={key: value for key, value in whole.items() if key not in ("type", "features")},
        frames=[],
        kept=_kept(cracks, views, beside, named),
        looked_in=" or in ".join(map(str, filter(None, (beside, photos)))) or "any folder that the store tells of",
        photos=named,
        detections=gathered.count,
        missing=told,
        reviews=reviews_of(store, flown.vehicle, flown.flight_id),
        place_sigma_m=gathered.place_sigma_m,
    )
    _add_history(store, flight)
    return flight


def _kept(
    cracks: Iterable[Json], views: Mapping[str, View], beside: Path | None, named: Mapping[str, Path]
) -> list[Path]:
    """The files named by the SHA-256 of a crack's best picture: in the ground's own folder, else among ``named``."""
    wanted = {view.sha256 for view in views.values()}
    best = (one["properties"].get("best") for one in cracks)
    wanted |= {one.get("evidence_sha256") for one in best if isinstance(one, dict)}
    pictures = None if beside is None else Pictures(beside)
    found = [
        (None if pictures is None else pictures.find(sha256)) or named.get(sha256)
        for sha256 in sorted(one for one in wanted if isinstance(one, str))
    ]
    return [path for path in found if path is not None]


def _detections(store: Reader, asked: Query) -> Iterator[DetectionRow]:
    """In the order of arrival, a page at a time; what arrives meanwhile comes behind the last page."""
    while rows := store.detections(replace(asked, limit=_PAGE)):
        yield from rows
        asked = replace(asked, after=rows[-1].row)


def _coverage(store: Reader, flown: FlightRow) -> Json:
    rows = store.coverage(flown.vehicle, flown.flight_id)
    found = json.loads(rows[0].payload) if rows else {}
    return found if isinstance(found, dict) else {}


def _add_history(store: Reader, flight: Flight) -> None:
    history, told = earlier.history(store, flight)
    flight.history = history
    flight.missing += told
