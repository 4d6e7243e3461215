"""``spanhawk export``: a flight's pictures and findings for programs that correct labels."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge.commands.common import Commands
from edge.support.errors import EXIT_DONE


def add(commands: Commands) -> None:
    """The parser of ``export`` among those of the other commands."""
    verb = commands.add_parser(
        "export",
        help="a flight's pictures and findings for programs that correct labels, or play it",
        description="What review.json rejects is not drawn; a picture of which all was rejected is a hard negative.",
        examples=[
            "spanhawk export FLIGHT --labelme --out labels      # correct them, then: python -m models import labels",
            "spanhawk export FLIGHT --mcap --out played         # for Foxglove and Lichtblick",
        ],
    )
    verb.add_argument("flight", type=Path, metavar="FLIGHT", help="the folder of a flight, a replay or the demo")
    kinds = verb.add_mutually_exclusive_group(required=True)
    for kind, what in (
        ("labelme", "one JSON beside each picture"),
        ("coco", "annotations.json with polygons"),
        ("cvat", "annotations.xml, CVAT for images 1.1, cracks as polylines"),
        ("masks", "PNG masks that models train reads"),
        ("mcap", "flight.mcap, which Foxglove and Lichtblick play"),
    ):
        kinds.add_argument(f"--{kind}", dest="format", action="store_const", const=kind, help=what)
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="an empty or new folder")
    verb.add_argument("--unreviewed", action="store_true", help="with --masks: unreviewed counts as confirmed")
    verb.add_argument(
        "--overwrite",
        action="store_true",
        help="write into a folder that is not empty; with --masks, pictures and masks of an earlier set there go",
    )
    verb.set_defaults(verb=_export)


def _export(arguments: argparse.Namespace) -> int:
    from edge.tools.export import Job, export

    job = Job(
        flight=arguments.flight,
        out=arguments.out,
        format=arguments.format,
        unreviewed=arguments.unreviewed,
        overwrite=arguments.overwrite,
    )
    print(export(job), file=sys.stderr)
    return EXIT_DONE
