"""``spanhawk calibrate``: photos of a chessboard become a lens card."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.commands.common import Commands
from edge.support.errors import EXIT_DONE


def add(commands: Commands) -> None:
    """The parser of ``calibrate`` among those of the other commands."""
    verb = commands.add_parser(
        "calibrate",
        help="measure a lens with photos of a chessboard; writes lens.toml",
        description="Ten or more photos of a printed board, flat on a stiff plate, taken with the camera and the focus "
        "that will fly: from all sides, tilted by up to 45 degrees, and into every corner of the picture.",
        examples=[
            "spanhawk calibrate --board 9x6 --square-mm 25 board-photos/",
            "spanhawk calibrate --board 11x8 --square-mm 20 --charuco DICT_4X4_50 board-photos/ --out my-lens.toml",
        ],
    )
    verb.add_argument("photos", type=Path, nargs="+", metavar="PHOTOS", help="folders of photos, or photos")
    verb.add_argument(
        "--board",
        required=True,
        metavar="CxR",
        help="inner corners of the chessboard, as 9x6; of a ChArUco board, squares",
    )
    verb.add_argument("--square-mm", type=float, required=True, metavar="MM", help="length of a square's side")
    verb.add_argument(
        "--charuco",
        metavar="DICTIONARY",
        help="a ChArUco board with these markers, as DICT_4X4_50, 3/4 of a square wide",
    )
    verb.add_argument("--name", default="lens", metavar="NAME", help="what the card is called (%(default)s)")
    verb.add_argument("--out", type=Path, default=Path("lens.toml"), metavar="FILE", help="default: %(default)s")
    verb.add_argument("--overwrite", action="store_true", help="replace FILE and the cameras.json beside it")
    verb.set_defaults(verb=_calibrate)


def _calibrate(arguments: argparse.Namespace) -> int:
    from edge.tools import calibrate

    job = calibrate.Job(
        photos=arguments.photos,
        board=arguments.board,
        square_mm=arguments.square_mm,
        charuco=arguments.charuco,
        name=arguments.name,
        out=arguments.out,
        overwrite=arguments.overwrite,
    )
    print(calibrate.calibrate(job))
    return EXIT_DONE
