"""``spanhawk report``: a flight becomes a page, and files for QGIS, spreadsheets and CAD."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge.commands.common import Commands
from edge.support.errors import EXIT_DONE


def add(commands: Commands) -> None:
    """The parser of ``report`` among those of the other commands."""
    verb = commands.add_parser(
        "report",
        help="after the landing: a page of what was found and what was not seen, and files for QGIS and others",
        description="Writes index.html (one file, no network), cracks.gpkg, .geojson, .csv, .kml and the photos.",
    )
    verb.add_argument("flight", type=Path, metavar="FLIGHT", help="the folder that a flight, replay or demo wrote")
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
    from edge.ground.report.source import FlightOnDisk

    job = report.Job(
        source=FlightOnDisk(arguments.flight, arguments.photos),
        out=arguments.out,
        review=arguments.review,
        bands=arguments.bands,
        dxf=arguments.dxf,
        overwrite=arguments.overwrite,
    )
    print(report.write(job), file=sys.stderr)
    return EXIT_DONE
