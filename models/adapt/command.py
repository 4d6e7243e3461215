"""The command `python -m models adapt`: its parser, and the call of `models.adapt`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from edge.support.errors import EXIT_DONE, TryAgainError

EXAMPLES = (
    "python -m models adapt models/bundles/fast-unet --data photos -o bundles/mine      # photos/images, photos/masks",
    "python -m models adapt models/bundles/fast-unet --data review --minutes 30 -o bundles/mine --key ~/keys/ours.key",
)

ENDS = """The same command goes on after an interruption. The old bundle is only read.

exit codes: 0 the new bundle is better and stands at -o; 2 refused, or photos that cannot be used; 75 interrupted or the
disk is full; 78 the old bundle must not fly (damaged or altered)
"""


def add(commands: Any) -> None:
    """Add the command to the parser of `python -m models`."""
    adapt = commands.add_parser(
        "adapt", help="teach a bundle one structure from 5 to 50 labelled photos of it",
        description="Fine-tunes the float weights of a bundle on labelled photos of one structure, keeps a third of "
        "the photos apart to choose threshold and rule of reporting and to report, quantises, passes the gate, and "
        "writes a page of before and after. Where it is not better on the photos kept apart, it is refused.",
        examples=EXAMPLES, epilog=ENDS,
    )  # fmt: skip
    adapt.add_argument("bundle", type=Path, help="bundle to start from: a fast U-Net that knows cracks alone")
    adapt.add_argument("--data", type=Path, required=True, metavar="DIR",
                       help="photos with masks (images/, masks/, negatives/), or with labels of labelme, COCO or CVAT",
                       )  # fmt: skip
    adapt.add_argument("-o", "--out", type=Path, required=True, metavar="BUNDLE")
    adapt.add_argument("--minutes", type=float, default=15.0, help="of learning; a few more for the rest (default 15)")
    adapt.add_argument("--may-change", type=float, default=0.02, metavar="SHARE",
                       help="how much its masks of other things may change: less forgets less, more learns more "
                       "(default %(default)s; see docs/adapt.md)")  # fmt: skip
    adapt.add_argument("--steps", type=int, metavar="N",
                       help="end after N steps, 1 or more, to repeat a run exactly (default: by time)")  # fmt: skip
    adapt.add_argument("--held", type=Path, metavar="DIR",
                       help="photos to choose on and to report, like --data, all of which is then learned from",
                       )  # fmt: skip
    adapt.add_argument("--weights", type=Path, help="the bundle's float weights (default: where its card says)")
    adapt.add_argument("--key", type=Path, help="sign the new bundle with this secret key, in minisign's format")
    adapt.add_argument("--password-file", type=Path, help="where the key's password stands (default: asked for)")
    adapt.add_argument("--seed", type=int, default=1, help="0 or more (default %(default)s)")
    adapt.set_defaults(run=_adapt)


def _adapt(arguments: argparse.Namespace) -> int:
    try:
        from models.adapt.run import Request, adapt

        found = adapt(Request(
            bundle=arguments.bundle, data=arguments.data, out=arguments.out, minutes=arguments.minutes,
            may_change=arguments.may_change, steps=arguments.steps, held=arguments.held, weights=arguments.weights,
            key=arguments.key, password_file=arguments.password_file, seed=arguments.seed,
        ))  # fmt: skip
    except KeyboardInterrupt as error:
        raise TryAgainError("Interrupted; the old bundle is untouched, and the same command goes on.") from error
    print(json.dumps(found))
    return EXIT_DONE
