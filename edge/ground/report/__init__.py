"""The report of a flight: what an inspector holds in hand after the landing, and the files that other programs open.

``write`` is the whole of it. Where the flight comes from is a ``source.Source``.
"""

from __future__ import annotations

import errno
import importlib.util
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.flights.writer import keep_out
from edge.ground.report import bands, cameras, columns, excerpts, findings, photos, replaced, review, tables
from edge.ground.report.coverage import outlines
from edge.ground.report.findings import Finding
from edge.ground.report.flight import Flight, Source
from edge.ground.report.walls import Float64, Wall
from edge.ground.report.words import clean, count
from edge.support.disk import make_folder, write_whole
from edge.support.errors import TryAgainError, UsageError

FILES = ("index.html", "cracks.gpkg", "cracks.geojson", "cracks.csv", "cracks.kml", "cracks.dxf", "photos")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is asked of a report."""

    source: Source
    out: Path
    review: Path | None = None
    """A review.json that the page of this flight gave."""
    bands: str | None = None
    """Name of a shipped table of width bands, or a TOML file; None: the default."""
    dxf: bool = False
    overwrite: bool = False
    """Replace all that an earlier report left in ``out``; everything else there stays."""


def write(job: Job) -> str:
    """Write the report into ``job.out``; returns what was written and what was missing, for people.

    Raises UsageError for a flight, review, table or library that is not there and for an ``out`` that holds a report
    already, TryAgainError on a full disk or while another program holds cracks.gpkg (the other files are written then).
    """
    _libraries(job)
    _may_write(job)
    table = bands.load(job.bands)
    flight = job.source.flight()
    reviews = flight.reviews if job.review is None else review.read(job.review, flight.flight_id)
    shown, withdrawn, walls = findings.gather(flight, table, reviews)
    lost = sorted(set(reviews) - {one.crack_id for one in (*shown, *withdrawn)})
    if lost:
        flight.missing.append(
            f"{count(len(lost), 'review')} of findings that this flight does not have, as {clean(lost[0])[:60]}"
        )
    originals = photos.locate(shown, flight)
    if gone := sum(one.photo is None and one.photo_doubt is not None for one in shown):
        flight.missing.append(
            f"photos: of {count(gone, 'finding')} none is in {flight.looked_in}; --photos DIR names where they lie"
        )
    try:
        make_folder(job.out)
        _files(job, flight, table, shown, withdrawn, walls, originals)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise TryAgainError(f"{job.out}: the disk is full; make room and run the command again") from error
        why = error.strerror or error
        raise UsageError(f"--out {job.out}: cannot write there ({why}); name another folder") from error
    without = sum(one.photo is None for one in shown)
    said = [f"{job.out / 'index.html'}: {count(len(shown), 'finding')}, {len(shown) - without} with a photo"]
    return "\n".join([*said, *(f"  note: {one}" for one in flight.missing)])


def _libraries(job: Job) -> None:
    """Ask for every library before anything is written."""
    wanted = {"jinja2": "report", "pyogrio": "report", **({"ezdxf": "dxf"} if job.dxf else {})}
    for name, extra in wanted.items():
        if importlib.util.find_spec(name) is None:
            raise UsageError(f"this needs {name}, which is not installed; pip install 'spanhawk[{extra}]'")
        logging.getLogger(name).setLevel(logging.WARNING)  # they tell of every record that they write


def _may_write(job: Job) -> None:
    if job.source.folder is not None:
        keep_out(job.source.folder, job.out)
    there = [name for name in FILES if (job.out / name).exists()]
    if there and not job.overwrite:
        raise UsageError(
            f"--out {job.out}: {there[0]} is there already; name another folder, or replace it with --overwrite"
        )


def _files(
    job: Job,
    flight: Flight,
    table: bands.Bands,
    shown: Sequence[Finding],
    withdrawn: Sequence[Finding],
    walls: Sequence[Wall],
    originals: Mapping[Path, str],
) -> None:
    from edge.ground.report import geopackage, page

    out = job.out
    of_photos = cameras.from_photos(originals)
    geo = cameras.geo_txt(of_photos)
    # Before cracks.geojson is written: it is the earlier one that names the earlier photos.
    replaced.clear(out, () if job.dxf else ("cracks.dxf",), originals, geo=geo is not None)
    photos.copy(originals, out / "photos")
    pictures = excerpts.show(shown, originals)
    placed = cameras.from_frames(flight.frames) or of_photos
    if geo is not None:
        write_whole(out / "photos" / replaced.GEO, geo.encode("utf-8"), durable=False)
    rows = [_cleaned(columns.row(one, table)) for one in shown]
    courses = [one.lonlat for one in shown]
    flat = _by_wall(shown, rows, walls)
    write_whole(out / "cracks.geojson", tables.geojson(rows, courses))
    write_whole(out / "cracks.csv", tables.table(rows))
    title = f"Cracks of flight {flight.flight_id or flight.name}"
    write_whole(out / "cracks.kml", tables.kml(title, rows, courses, [one.band for one in shown]))
    if job.dxf:
        from edge.ground.report import dxf

        banded = {name: [(row, one.band, path) for row, one, path in cracks] for name, cracks in flat.items()}
        write_whole(out / "cracks.dxf", dxf.drawing(banded))
    html = page.render(flight, table, shown, withdrawn, walls, pictures, placed)
    write_whole(out / "index.html", html.encode("utf-8"))
    # Last, because it alone may be held by another program; all else is written then.
    plain = {name: [(row, path) for row, _, path in cracks] for name, cracks in flat.items()}
    looked_at = outlines(flight.coverage)
    seen_on = {
        wall.name: [(one.row_on(wall), one.rings_on(wall)) for one in looked_at if one.lies_on(wall)] for wall in walls
    }
    geopackage.write(out / "cracks.gpkg", rows, courses, plain, placed, table.names, flight.coverage, seen_on)


def _by_wall(
    shown: Sequence[Finding], rows: Sequence[Mapping[str, Any]], walls: Sequence[Wall]
) -> dict[str, list[tuple[Mapping[str, Any], Finding, Float64]]]:
    found: dict[str, list[tuple[Mapping[str, Any], Finding, Float64]]] = {wall.name: [] for wall in walls}
    for one, row in zip(shown, rows, strict=True):
        if one.wall is not None and one.flat_m is not None:
            found[walls[one.wall].name].append((row, one, one.flat_m))
    return found


def _cleaned(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: clean(value) if isinstance(value, str) else value for key, value in row.items()}
