"""Command line of the workstation room. Heavy libraries are imported by the commands, not by `--help`."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.support.commandline import Parser
from edge.support.errors import EXIT_DONE, SpanhawkError, TryAgainError
from models import DataError, Example, quiet_tensorflow
from models.adapt import command as adapt_command
from models.arguments import EXIT_INTERRUPTED, THRESHOLD, held_out, not_installed, number, refused, whole
from models.gpu import commands as gpu_commands

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Bad input and what the system refuses are one sentence on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    quiet_tensorflow()
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except SpanhawkError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except ModuleNotFoundError as error:
        return not_installed(error)
    except OSError as error:
        return refused(error)


def _parser() -> Parser:
    parser = Parser(
        prog="python -m models",
        description="Train and evaluate crack segmenters.",
        examples=[
            "python -m models train models/configs/smoke.toml --out runs/smoke      # a minute, on rendered pictures",
            "python -m models evaluate bundles/mine --images test/images --masks test/masks",
            "python -m models adapt models/bundles/fast-unet --data photos -o bundles/mine",
        ],
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    train = commands.add_parser(
        "train",
        help="train from a configuration; resumes where it stopped",
        examples=["python -m models train models/configs/fast-unet.toml --data DATA --out runs/fast-unet"],
        epilog="The same command goes on after an interruption (exit code 75). Of [train], steps, minutes, "
        "validate_every, threshold_pictures, threads and data_parallel may change then, and licence and split of "
        "sources and [[test]].",
    )
    train.add_argument("config", type=Path, help="TOML file, see models/configs/")
    train.add_argument("--data", type=Path, help="folder that image folders are relative to (default: the file's own)")
    train.add_argument("--out", type=Path, required=True, help="folder for weights, record and curve")
    train.set_defaults(run=_train)
    evaluate = commands.add_parser(
        "evaluate",
        help="score a bundle or a .keras file on pictures with masks",
        examples=[
            "python -m models evaluate bundles/mine --images test/images --masks test/masks --json",
            "python -m models evaluate bundles/mine --report page --set walls=walls/images,walls/masks --set quay=quay",
        ],
    )
    _add_sets(evaluate)
    evaluate.add_argument("--report", type=Path, metavar="DIR", help="also write DIR/index.html and DIR/report.json")
    evaluate.add_argument("--threshold", type=THRESHOLD, help="for a .keras file without run.json")
    evaluate.add_argument("--class", dest="name", help="class that is scored (default: the model's first)")
    evaluate.add_argument("--stride", type=whole(1), default=16, help="patch classifier: step of its windows, px")
    evaluate.add_argument("--half-look", choices=("off", "blurred", "wide"), default="off",
                          help="let a bundle look again at half size, as [masks] half_look does")  # fmt: skip
    evaluate.add_argument("--windows", action="store_true",
                          help="patch classifier: score windows cut side by side instead of pixels")  # fmt: skip
    evaluate.add_argument("--json", action="store_true", help="one JSON object on stdout (always so; kept for scripts)")
    evaluate.set_defaults(run=_evaluate)
    limits = commands.add_parser(
        "limits",
        help="what the reporting filter would hold back at other limits",
        description="Trace the cracks of all sets once and count, for each [report] sure_length_px, what is reported. "
        "Choose a limit on cracked validation pictures; look at crack-free and test pictures afterwards.",
        examples=["python -m models limits bundles/mine --set walls=walls/images,walls/masks --px 0 200 400"],
    )
    _add_sets(limits)
    limits.add_argument("--px", type=number(0), nargs="+", default=[0, 220, 340, 500, 700, 1200, 2000], metavar="LIMIT",
                        help="limits to try (default: 0, everything, to 2000)")  # fmt: skip
    limits.add_argument("--class", dest="name", help="class that is traced (default: the first measured as lines)")
    limits.set_defaults(run=_limits)
    copies = commands.add_parser(
        "duplicates",
        help="list training pictures that look like a held-out one",
        examples=["python -m models duplicates models/configs/fast-unet.toml --data DATA"],
    )
    copies.add_argument("config", type=Path, help="TOML file: its sources against its holdouts, validation and test")
    copies.add_argument("--data", type=Path, help="folder that image folders are relative to (default: the file's own)")
    copies.set_defaults(run=_duplicates)
    render = commands.add_parser(
        "render",
        help="write rendered pictures with masks, to try things without photos",
        examples=["python -m models render rendered --count 12 --size 640"],
    )
    render.add_argument("out", type=Path, help="folder; images/ and masks/ are made in it")
    render.add_argument("--count", type=whole(1), default=40, help="every second one holds a crack (%(default)s)")
    render.add_argument("--size", type=whole(32), default=384, help="side in px (%(default)s)")
    render.add_argument("--seed", type=whole(0), default=1, help="another one makes other pictures (%(default)s)")
    render.add_argument("--spalling", action="store_true",
                        help="draw spalling too, and write a folder of masks per class")  # fmt: skip
    render.set_defaults(run=_render)
    back = commands.add_parser(
        "import",
        help="corrected labels of labelme, COCO, CVAT or painted masks, as folders for train",
        examples=["python -m models import labels --out corrected"],
    )
    back.add_argument("source", type=Path, help="folder (labelme, or images/ with masks/), or an annotations file")
    back.add_argument("--out", type=Path, required=True, help="images/, masks/CLASS/ and negatives/ are made in it")
    back.add_argument("--class", dest="classes", action="append", default=[], metavar="NAME",
                      help="take this class, and no other that is not named so (default: all)")  # fmt: skip
    back.add_argument(
        "--line-px", type=number(0, above=True), default=3.0, help="width of lines that come without one (%(default)s)"
    )
    back.add_argument(
        "--overwrite",
        action="store_true",
        help="write into a folder that is not empty; pictures and masks of an earlier set there go",
    )
    back.set_defaults(run=_import)
    adapt_command.add(commands)
    gpu_commands.add(commands)
    summary = commands.add_parser(
        "summary", help="size and cost of the networks", examples=["python -m models summary --height 720 --width 1280"]
    )
    summary.add_argument("--height", type=whole(32), default=512)
    summary.add_argument("--width", type=whole(32), default=512)
    summary.set_defaults(run=_summary)
    return parser


def _add_sets(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("model", type=Path, help="bundle folder, or model.keras with run.json beside it")
    verb.add_argument("--images", type=Path, help="folder of pictures")
    verb.add_argument("--masks", type=Path, help="folder of their masks, of the same names")
    verb.add_argument("--negatives", type=Path, help="folder of crack-free pictures")
    verb.add_argument("--set", action="append", default=[], metavar="NAME=IMAGES[,MASKS]",
                      help="one of several sets; without MASKS its pictures are crack-free; of a source NAME of which "
                      "the training held out a part, write NAME/held=... (or NAME=... where gpu-take made its "
                      "record): only that part is scored")  # fmt: skip
    verb.add_argument("--held", type=Path, metavar="RUN.json",
                      help="a training's record; default: run.json beside the model")  # fmt: skip


def _train(arguments: argparse.Namespace) -> int:
    from models.train import train

    try:
        scores = train(arguments.config, arguments.data or arguments.config.parent, arguments.out)
    except KeyboardInterrupt as error:
        raise TryAgainError(
            "Interrupted; the same command goes on from the last checkpoint, or begins anew where there is none."
        ) from error
    print(json.dumps(scores))
    return EXIT_DONE


def _evaluate(arguments: argparse.Namespace) -> int:
    if arguments.windows and arguments.report is not None:
        raise DataError("--report shows pictures, and --windows scores none: leave one of them out.")
    sets = _sets(arguments)
    from models.evaluate import DEFINITIONS, look, reporting_filter, summary
    from models.report import Scored, write_report
    from models.scoring import open_scorer

    scorer = open_scorer(
        arguments.model, threshold=arguments.threshold, name=arguments.name, stride_px=arguments.stride,
        half_look=arguments.half_look,
    )  # fmt: skip
    if arguments.windows:
        from models.scoring import report_windows

        found = {name: report_windows(scorer, [*labelled, *negatives]) for name, labelled, negatives in sets}
        print(json.dumps(found, indent=1))
        return EXIT_DONE
    kept = reporting_filter(scorer)
    scored = []
    for name, labelled, negatives in sets:
        looks, sound = look(scorer, labelled, kept), look(scorer, negatives, kept)
        damaged = _without([*labelled, *negatives], [one.example for one in (*looks, *sound)])
        scored.append(Scored(name=name, looks=looks, negatives=sound, damaged=damaged))
    found = {one.name: {**summary(one.looks, one.negatives), "damaged": list(one.damaged)} for one in scored}
    numbers = {"sets": found} if arguments.set else found[scored[0].name]
    print(json.dumps(
        {"model": scorer.name, "threshold": scorer.threshold, **numbers, "definitions": DEFINITIONS}, indent=1
    ))  # fmt: skip
    if arguments.report is not None:
        write_report(arguments.report, scorer, scored)
    return EXIT_DONE


def _without(examples: Sequence[Example], seen: Sequence[Example]) -> list[str]:
    """Names of the pictures that could not be scored."""
    paths = {example.image for example in seen}
    return [example.image.name for example in examples if example.image not in paths]


def _import(arguments: argparse.Namespace) -> int:
    from models.labels import take

    print(take(arguments.source, arguments.out, arguments.classes, arguments.line_px, overwrite=arguments.overwrite))
    return EXIT_DONE


def _limits(arguments: argparse.Namespace) -> int:
    sets = _sets(arguments)
    from models.limits import sweep
    from models.scoring import line_class, open_scorer

    scorer = open_scorer(arguments.model, name=arguments.name or line_class(arguments.model))
    examples = [example for _, labelled, negatives in sets for example in (*labelled, *negatives)]
    rows = sweep(scorer, examples, arguments.px)
    print(json.dumps({"model": scorer.name, "threshold": scorer.threshold, "limits": rows}, indent=1))
    return EXIT_DONE


def _sets(arguments: argparse.Namespace) -> list[tuple[str, list[Example], list[Example]]]:
    """List what to score as (name, pictures with masks, crack-free pictures)."""
    from models.data import find_examples

    single = arguments.images or arguments.masks or arguments.negatives
    if arguments.set and single:
        raise DataError("--set names sets by itself; leave --images, --masks and --negatives out.")
    if (arguments.images is None) != (arguments.masks is None):
        raise DataError("--images and --masks belong together; give both, or --negatives alone.")
    if not arguments.set and single is None:
        raise DataError("Nothing to score: give --images and --masks, or --negatives, or --set.")
    if single:
        labelled = find_examples(arguments.images, arguments.masks) if arguments.images is not None else []
        negatives = find_examples(arguments.negatives, None) if arguments.negatives is not None else []
        return [(str(arguments.images or arguments.negatives), labelled, negatives)]
    sets: list[tuple[str, list[Example], list[Example]]] = []
    held = _held_out(arguments.held, arguments.model)
    for text in arguments.set:
        name, is_there, folders = text.partition("=")
        images, _, masks = folders.partition(",")
        if not (name and is_there and images):
            raise DataError(f"--set {text} is not NAME=IMAGES,MASKS or NAME=IMAGES.")
        if name in [one[0] for one in sets]:
            raise DataError(f"--set {name} is given twice; give each set a name of its own.")
        kept = held_out(name, held)
        examples = find_examples(Path(images), Path(masks) if masks else None)
        if kept is not None:
            examples = [example for example in examples if example.image.name in kept]
            log.info("%s: only the %d pictures that the training held out", name, len(examples))
            if len(examples) != len(kept):
                raise DataError(f"{images} holds {len(examples)} of the {len(kept)} pictures of {name}.")
        sets.append((name, examples if masks else [], [] if masks else examples))
    return sets


def _held_out(given: Path | None, model: Path) -> dict[str, set[str]]:
    """Names of the pictures that a training held out, by set; none for a bundle that comes without a record."""
    record = given if given is not None else model.parent / "run.json"
    if not record.is_file():
        if given is not None:
            raise DataError(f"--held names {given}, which does not exist; give the run.json of a training.")
        return {}
    try:
        held = json.loads(record.read_text(encoding="utf-8"))["held"]
        return {name: set(one["names"]) for name, one in held.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{record} is no record of a training: run.json holds what was held out.") from error


def _duplicates(arguments: argparse.Namespace) -> int:
    from models.config import load_config
    from models.sources import copies_in

    config = load_config(arguments.config)
    found = copies_in(config, arguments.data or arguments.config.parent)
    for copy in found:
        print(f"{copy.picture}\t{copy.like}\t{copy.correlation:.3f}")
    print(f"{len(found)} training pictures look like a held-out one", file=sys.stderr)
    return EXIT_DONE


def _render(arguments: argparse.Namespace) -> int:
    from models.rendered import write_set

    size, seed = arguments.size, arguments.seed
    write_set(arguments.out, arguments.count, size, seed, spalling=arguments.spalling)
    return EXIT_DONE


def _summary(arguments: argparse.Namespace) -> int:
    from models.classifier import patch_classifier
    from models.unet import SIZES, classic_unet, fast_unet, gmac

    height, width = arguments.height, arguments.width
    nets = {
        **{name: fast_unet(height, width, size=size) for name, size in SIZES.items()},
        "classic_unet": classic_unet(height, width),
        "classic_unet_base_16": classic_unet(height, width, base=16),
        "patch_classifier": patch_classifier(),
    }
    found = {name: {"parameters": net.count_params(), "gmac": round(gmac(net), 3)} for name, net in nets.items()}
    found["patch_classifier"]["window_px"] = 128
    print(json.dumps({"height": height, "width": width, **found}))
    return EXIT_DONE
