"""``spanhawk report``: a flight becomes a page, and files for QGIS, spreadsheets and CAD."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands.common import Commands
from edge.support.errors import EXIT_DONE

if TYPE_CHECKING:
    from edge.ground.report.flight import Source


def add(commands: Commands) -> None:
    """The parser of ``report`` among those of the other commands."""
    verb = commands.add_parser(
        "report",
        help="after the landing: a page of what was found and what was not seen, and files for QGIS and others",
        description="Writes index.html (one file, no network), cracks.gpkg, .geojson, .csv, .kml and the photos.",
        examples=[
            "spanhawk report FLIGHT --out report",
            "spanhawk report FLIGHT --out report --overwrite --review review.json",
            "spanhawk report FLIGHT --store ground.db --out report      # with what earlier flights found there",
            "spanhawk report --store ground.db --flight 20260601T120000Z-ab12cd --out report",
        ],
    )
    verb.add_argument(
        "flight", type=Path, nargs="?", metavar="FLIGHT", help="the folder that a flight, replay or demo wrote"
    )
    verb.add_argument(
        "--store",
        metavar="FILE|URL",
        help="the ground's store (ground.db, or postgresql://…): what earlier flights found at the same places, and "
        "with --flight the flight itself",
    )
    verb.add_argument("--flight", dest="flight_id", metavar="ID", help="a flight of the store instead of a folder")
    verb.add_argument("--vehicle", metavar="NAME", help="with --flight: whose, where two flew one of that name")
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write")
    verb.add_argument("--review", type=Path, metavar="FILE", help="a review.json that this flight's page gave")
    verb.add_argument(
        "--photos", type=Path, metavar="DIR", help="where else the pictures lie, as the source of a replay"
    )
    verb.add_argument("--bands", metavar="NAME|FILE", help="width bands: EN 1992-1-1 (default), ACI 224R-01, or a file")
    verb.add_argument("--dxf", action="store_true", help="also cracks.dxf, for CAD")
    verb.add_argument("--overwrite", action="store_true", help="replace the report that lies in DIR")
    verb.set_defaults(verb=_report)


def _report(arguments: argparse.Namespace) -> int:
    from edge.ground import report

    job = report.Job(
        source=_source(arguments),
        out=arguments.out,
        review=arguments.review,
        bands=arguments.bands,
        dxf=arguments.dxf,
        overwrite=arguments.overwrite,
    )
    print(report.write(job), file=sys.stderr)
    return EXIT_DONE


def _source(arguments: argparse.Namespace) -> Source:
    from edge.ground.report.source import FlightOnDisk
    from edge.ground.report.stored import FlightInStore, WithHistory
    from edge.support.errors import UsageError

    folder, flight_id, store = arguments.flight, arguments.flight_id, arguments.store
    if (folder is None) == (flight_id is None):
        raise UsageError("name one flight: the FLIGHT folder, or --store STORE --flight ID")
    if flight_id is not None:
        if store is None:
            raise UsageError(
                f"--flight {flight_id}: name the store that has it with --store (ground.db, postgresql://…)"
            )
        return FlightInStore(store, flight_id, arguments.vehicle, arguments.photos)
    if arguments.vehicle is not None:
        raise UsageError("--vehicle belongs to --flight; a folder says itself who flew")
    on_disk = FlightOnDisk(folder, arguments.photos)
    return on_disk if store is None else WithHistory(on_disk, store)
