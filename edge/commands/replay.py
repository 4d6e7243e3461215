"""``spanhawk replay``: recorded pictures through the pipeline that flies."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge.commands.common import Commands
from edge.support.errors import EXIT_DONE


def add(commands: Commands) -> None:
    """The parser of ``replay`` among those of the other commands."""
    verb = commands.add_parser(
        "replay",
        help="recorded pictures through the pipeline that flies",
        description="Find the cracks in a folder of images, one image, or a video, exactly as the drone does.",
        examples=[
            "spanhawk replay photos/ --overlays --masks --out found",
            "spanhawk replay photos/ --nav flight.tlog --config spanhawk.toml --out found",
            "spanhawk replay flight.mp4 --nav flight.SRT --mosaic --out found",
            "spanhawk replay photos/ --mqtt mqtt://localhost:1883 --vehicle drone1",
        ],
    )
    verb.add_argument("source", type=Path, metavar="SOURCE", help="a folder of images, one image, or a video")
    verb.add_argument("--nav", type=Path, metavar="FILE", help="a MAVLink tlog, NMEA, DJI .SRT, AirData or other CSV")
    verb.add_argument(
        "--nav-offset", type=float, default=0.0, metavar="S", help="the first frame stands S seconds into the log (0)"
    )
    verb.add_argument(
        "--fps", type=float, metavar="F",
        help="frames per second (a video's own times; of images their EXIF times, or 1)",
    )  # fmt: skip
    verb.add_argument(
        "--reduce", type=int, choices=(1, 2, 4, 8), default=1,
        help="read pictures at half, a quarter, an eighth of their height and width: faster, and blind to hairlines",
    )  # fmt: skip
    verb.add_argument("--bundle", type=Path, metavar="DIR", help="a model bundle; default: the one that ships")
    verb.add_argument("--backend", metavar="NAME", help="what runs the network: litert (default), edgetpu, dark, …")
    verb.add_argument("--threads", type=int, metavar="N", help="threads of the network on the CPU")
    verb.add_argument("--mqtt", metavar="URL", help="also deliver to this broker, as mqtt://localhost:1883")
    verb.add_argument("--vehicle", default="replay", metavar="NAME", help="name in the topics (%(default)s)")
    verb.add_argument("--masks", action="store_true", help="write a 0/255 PNG of the reported cracks per frame")
    verb.add_argument("--overlays", action="store_true", help="write each frame with its cracks drawn on")
    verb.add_argument("--no-photos", action="store_true", help="keep no picture of each crack's best view")
    verb.add_argument("--mosaic", action="store_true", help="write one picture of the surface: coverage, cracks, names")
    verb.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="take [masks], [cracks], [areas], [report], [scale], [place], [structure], [mqtt], the camera mount and "
        "the vehicle's ids from here",
    )
    verb.add_argument(
        "--out", type=Path, default=Path("spanhawk-replay"), metavar="DIR", help="where to write (%(default)s)"
    )
    verb.set_defaults(verb=_replay)


def _replay(arguments: argparse.Namespace) -> int:
    from edge.tools.replay.run import Job, replay

    job = Job(
        source=arguments.source,
        out=arguments.out,
        nav=arguments.nav,
        nav_offset_s=arguments.nav_offset,
        fps=arguments.fps,
        reduce=arguments.reduce,
        bundle=arguments.bundle,
        backend=arguments.backend,
        threads=arguments.threads,
        mqtt_url=arguments.mqtt,
        vehicle=arguments.vehicle,
        masks=arguments.masks,
        overlays=arguments.overlays,
        photos=not arguments.no_photos,
        mosaic=arguments.mosaic,
        config=arguments.config,
    )
    print(replay(job), file=sys.stderr)
    return EXIT_DONE
