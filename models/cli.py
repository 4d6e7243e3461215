"""Command line of the workstation room. Heavy libraries are imported by the commands, not by `--help`."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.errors import EXIT_DONE, SpanhawkError
from models import DataError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Data errors are printed as one sentence on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except SpanhawkError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models", description="Train and evaluate crack segmenters.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    train = commands.add_parser("train", help="train from a configuration; resumes where it stopped")
    train.add_argument("config", type=Path, help="TOML file, see models/configs/")
    train.add_argument("--data", type=Path, help="folder that image folders are relative to (default: the file's own)")
    train.add_argument("--out", type=Path, required=True, help="folder for weights, record and curve")
    train.set_defaults(run=_train)
    evaluate = commands.add_parser("evaluate", help="score a bundle or a .keras file on pictures with masks")
    evaluate.add_argument("model", type=Path, help="bundle folder, or model.keras with run.json beside it")
    evaluate.add_argument("--images", type=Path)
    evaluate.add_argument("--masks", type=Path)
    evaluate.add_argument("--negatives", type=Path, help="folder of crack-free pictures")
    evaluate.add_argument("--threshold", type=float, help="for a .keras file without run.json")
    evaluate.add_argument("--json", action="store_true", help="one JSON object on stdout (always so; kept for scripts)")
    evaluate.set_defaults(run=_evaluate)
    render = commands.add_parser("render", help="write rendered pictures with masks, to try things without photos")
    render.add_argument("out", type=Path, help="folder; images/ and masks/ are made in it")
    render.add_argument("--count", type=int, default=40, help="every second one holds a crack")
    render.add_argument("--size", type=int, default=384, help="side in px")
    render.add_argument("--seed", type=int, default=1)
    render.set_defaults(run=_render)
    summary = commands.add_parser("summary", help="size and cost of the networks")
    summary.add_argument("--height", type=int, default=512)
    summary.add_argument("--width", type=int, default=512)
    summary.set_defaults(run=_summary)
    return parser


def _train(arguments: argparse.Namespace) -> int:
    from models.train import train

    scores = train(arguments.config, arguments.data or arguments.config.parent, arguments.out)
    print(json.dumps(scores))
    return EXIT_DONE


def _evaluate(arguments: argparse.Namespace) -> int:
    if (arguments.images is None) != (arguments.masks is None):
        raise DataError("--images and --masks belong together; give both, or --negatives alone.")
    if arguments.images is None and arguments.negatives is None:
        raise DataError("Nothing to score: give --images and --masks, or --negatives.")
    from models.data import find_examples
    from models.evaluate import evaluate
    from models.scoring import open_scorer

    labelled = find_examples(arguments.images, arguments.masks) if arguments.images is not None else []
    negatives = find_examples(arguments.negatives, None) if arguments.negatives is not None else []
    scorer = open_scorer(arguments.model, threshold=arguments.threshold)
    print(json.dumps(evaluate(scorer, labelled, negatives), indent=1))
    return EXIT_DONE


def _render(arguments: argparse.Namespace) -> int:
    from models.rendered import write_set

    write_set(arguments.out, arguments.count, arguments.size, arguments.seed)
    return EXIT_DONE


def _summary(arguments: argparse.Namespace) -> int:
    from models.unet import classic_unet, fast_unet, gmac

    height, width = arguments.height, arguments.width
    nets = {"fast_unet": fast_unet(height, width), "classic_unet": classic_unet(height, width)}
    found = {name: {"parameters": net.count_params(), "gmac": round(gmac(net), 2)} for name, net in nets.items()}
    print(json.dumps({"height": height, "width": width, **found}))
    return EXIT_DONE
