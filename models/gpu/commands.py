"""Commands of `python -m models` around a GPU run: what goes there, what comes back, and judging it by sites."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from edge.support.errors import EXIT_DONE
from models import DataError
from models.arguments import THRESHOLD, number, whole

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.88)
LIMITS_PX = (0.0, 340.0, 700.0, 1200.0, 2000.0)


def add(commands: Any) -> None:
    """Add the commands to the parser of `python -m models`."""
    pack = commands.add_parser(
        "gpu-pack",
        help="gather what recipes name into a few files for a machine with a GPU",
        examples=["python -m models gpu-pack models/configs/gpu-research.toml --data DATA --out packs"],
    )
    pack.add_argument("recipes", type=Path, nargs="+", help="TOML files, see models/configs/gpu-*.toml")
    pack.add_argument("--data", type=Path, required=True, help="folder that image folders are relative to")
    pack.add_argument("--parts", type=whole(1), default=1, help="how many files")
    pack.add_argument("--start", type=Path, nargs="*", default=[], metavar="NAME.weights.h5",
                      help="weights of fast U-Nets that students start from, written beside as NAME.npz")  # fmt: skip
    pack.add_argument("--out", type=Path, required=True)
    pack.set_defaults(run=_pack)
    take = commands.add_parser(
        "gpu-take",
        help="weights of a GPU run as NAME.weights.h5 and NAME.json, to be quantised",
        examples=[
            "python -m models gpu-take models/configs/gpu-research.toml run/mine.npz --data DATA --out weights/mine"
        ],
    )
    take.add_argument("recipe", type=Path)
    take.add_argument("weights", type=Path, help="NAME.npz or seen-NAME.npz, with log.jsonl beside it")
    take.add_argument("--data", type=Path, required=True, help="folder that image folders are relative to")
    take.add_argument("--out", type=Path, required=True, help="path without suffix")
    take.add_argument(
        "--mix",
        metavar="FILE.npz=SHARE",
        help="take the mean with other weights of this network, best those it started from",
    )
    take.add_argument(
        "--after",
        type=Path,
        nargs="+",
        default=[],
        metavar="NAME.json",
        help="records of the weights that it started from and that taught it: the card names what those learned from",
    )
    take.add_argument("--leave-out", nargs="+", default=[], metavar="SOURCE", help="as the run was given it")
    take.set_defaults(run=_take)
    sites = commands.add_parser(
        "sites",
        help="judge a bundle on the sites that a recipe holds out, as the drone reports, and choose its limits",
        description="Scores every held-out picture at pairs of threshold and [report] sure_length_px. One half of the "
        "photographs chooses by one score (see models/sites.py), the other half is reported.",
        examples=[
            "python -m models sites bundles/mine --recipe models/configs/gpu-research.toml --data DATA --own --table"
        ],
    )
    sites.add_argument("model", type=Path, help="bundle folder, or model.keras with run.json beside it")
    sites.add_argument("--recipe", type=Path, required=True)
    sites.add_argument("--data", type=Path, required=True, help="folder that image folders are relative to")
    sites.add_argument("--own", action="store_true",
                       help="only what the card says: the model's threshold and its rule of reporting (without one, "
                       "the default limit)")  # fmt: skip
    sites.add_argument("--thresholds", type=THRESHOLD, nargs="+", default=list(THRESHOLDS))
    sites.add_argument("--px", type=number(0), nargs="+", default=list(LIMITS_PX), metavar="LIMIT")
    sites.add_argument("--most", type=whole(1), help="at most about this many pictures of each source")
    sites.add_argument("--second-look", type=whole(0), default=0, metavar="RUNS",
                       help="let a bundle look again at what it doubts, as [masks] second_look does")  # fmt: skip
    sites.add_argument("--half-look", choices=("off", "blurred", "wide"), default="off",
                       help="let a bundle look again at half size, as [masks] half_look does")  # fmt: skip
    sites.add_argument("--blur", type=number(0), default=0.0, metavar="PX",
                       help="lay motion of so many pixels, and a camera's noise, on every picture")  # fmt: skip
    sites.add_argument("--defocus", type=number(0), default=0.0, metavar="PX",
                       help="the same with a Gaussian of this sigma")  # fmt: skip
    sites.add_argument("--stricter", type=number(), nargs="+", default=[0.0], metavar="LN",
                       help="ask for so much more evidence, as [report] stricter does; compares several")  # fmt: skip
    sites.add_argument("--table", action="store_true",
                       help="print a table of every setting on either half and on both, instead of JSON")  # fmt: skip
    sites.add_argument("--leave-out", nargs="+", default=[], metavar="SOURCE",
                       help="judge on these sources alone, whole: give those that the training left out")  # fmt: skip
    sites.add_argument("--counts", type=Path, metavar="FILE.json", help="also write the counts of every picture")
    sites.set_defaults(run=_sites)

    rule = commands.add_parser(
        "report-rule",
        help="fit which traced pieces a bundle reports, on the sites that a recipe holds out",
        description="Traces every held-out picture at each threshold, fits the rule of reporting on one half of the "
        "photographs, scores it on the other (see models/report_rule.py), and prints the best first. Give a bundle of "
        "weights that never saw these pictures (NAME-seen).",
        examples=[
            "python -m models report-rule bundles/mine-seen --recipe models/configs/gpu-research.toml --data DATA"
        ],
    )
    rule.add_argument("model", type=Path, help="bundle folder, or model.keras with run.json beside it")
    rule.add_argument("--recipe", type=Path, required=True)
    rule.add_argument("--data", type=Path, required=True, help="folder that image folders are relative to")
    rule.add_argument("--thresholds", type=THRESHOLD, nargs="+", default=[0.5, 0.6, 0.75], metavar="T",
                      help="thresholds of the mask to try (%(default)s)")  # fmt: skip
    rule.add_argument("--stricter", type=number(), nargs="+", default=[0.0], metavar="LN",
                      help="ask for so much more evidence than is chosen, ln of odds; of several the strictest "
                      "is taken that finds as many hairlines as the rule of length (%(default)s)")  # fmt: skip
    rule.add_argument("--most", type=whole(1), help="at most about this many pictures of each source")
    rule.add_argument("--leave-out", nargs="+", default=[], metavar="SOURCE",
                      help="fit on the held-out pictures of the other sources")  # fmt: skip
    rule.add_argument("--class", dest="kind", default="crack", help="whose rule it is (%(default)s)")
    rule.add_argument("--record", type=Path, metavar="FILE.json",
                      help="write rule and threshold into this record of weights, for quantize")  # fmt: skip
    rule.set_defaults(run=_report_rule)


def _report_rule(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from models import report_rule, sites
    from models.gpu.recipe import load_recipe, without
    from models.scoring import open_scorer

    scorer = open_scorer(arguments.model, name=arguments.kind)
    recipe = load_recipe(arguments.recipe)
    if arguments.leave_out:
        recipe = without(recipe, arguments.leave_out)
    tiles = list(sites.held_tiles(recipe, arguments.data, arguments.most))
    if not tiles:
        raise DataError(f"{arguments.recipe} holds no picture out: give some source hold or hold_photos.")
    fitted = report_rule.fit(scorer, tiles, arguments.thresholds, arguments.stricter)
    if arguments.record is not None:
        report_rule.record(arguments.record, arguments.kind, fitted[0])
    print(json.dumps({"model": scorer.name, "rules": [asdict(one) for one in fitted]}, indent=1))
    return EXIT_DONE


def _pack(arguments: argparse.Namespace) -> int:
    from models.gpu.pack import write_packs
    from models.gpu.recipe import load_recipe

    recipes = [load_recipe(path) for path in arguments.recipes]
    entries = write_packs(recipes, arguments.data, arguments.out, arguments.parts)
    for path in arguments.start:
        _write_start(path, arguments.out / f"{path.name.removesuffix('.weights.h5')}.npz")
    held = sum(entry.held for entry in entries)
    print(json.dumps({"pictures": len(entries), "held": held, "parts": arguments.parts}))
    return EXIT_DONE


def _write_start(path: Path, out: Path) -> None:
    import numpy as np

    from models.checkpoint import replacing
    from models.gpu.transfer import from_keras
    from models.unet import SIZES, fast_unet

    for size in SIZES.values():
        model = fast_unet(256, 256, size=size)
        try:
            model.load_weights(path)
        except (OSError, ValueError, KeyError) as error:
            reason = error
            continue
        break
    else:
        raise DataError(f"{path} holds no weights of a fast U-Net of these sizes: {', '.join(SIZES)}.") from reason
    arrays: dict[str, Any] = {name: value.astype(np.float16) for name, value in from_keras(model).items()}
    with replacing(out) as part, part.open("wb") as stream:
        np.savez(stream, **arrays)


def _take(arguments: argparse.Namespace) -> int:
    from models.gpu.recipe import leave_out, load_recipe
    from models.gpu.take import take

    name = arguments.weights.stem.removeprefix("seen-")
    recipe = leave_out(load_recipe(arguments.recipe), arguments.leave_out)
    mixed = None
    if arguments.mix is not None:
        path, _, share = arguments.mix.rpartition("=")
        try:
            mixed = Path(path), float(share)
        except ValueError as error:
            raise DataError(f"--mix {arguments.mix}: give FILE.npz=SHARE, such as start.npz=0.4.") from error
    record = take(
        recipe, arguments.recipe.name, arguments.data, arguments.weights, name, arguments.out, mixed, arguments.after
    )
    print(json.dumps({key: record[key] for key in ("parameters", "gmac_512", "steps", "minutes")}))
    return EXIT_DONE


def _sites(arguments: argparse.Namespace) -> int:
    from models import site_table, sites
    from models.blur import Blur, blurred_tiles
    from models.gpu.recipe import load_recipe, only
    from models.scoring import open_scorer, second_looks_of

    scorer = open_scorer(arguments.model, second_look=arguments.second_look, half_look=arguments.half_look)
    recipe = load_recipe(arguments.recipe)
    if arguments.leave_out:
        recipe = only(recipe, arguments.leave_out)
    tiles = list(sites.held_tiles(recipe, arguments.data, arguments.most))
    if not tiles:
        raise DataError(f"{arguments.recipe} holds no picture out: give some source hold or hold_photos.")
    tiles = blurred_tiles(tiles, Blur(motion_px=arguments.blur, defocus_px=arguments.defocus))
    levels, limits = ([], []) if arguments.own else (arguments.thresholds, arguments.px)
    table = sites.measure(scorer, tiles, levels, limits, stricter=arguments.stricter)
    rows = sites.sweep(table, "choose")
    best = sites.choose(rows)
    facts = {"model": scorer.name, "pictures": len(tiles), "second_looks": second_looks_of(scorer),
             "settings": rows, "chosen": rows[best],
             "report": sites.report(table, best, "report"), "both_halves": sites.report(table, best, None)}  # fmt: skip
    if arguments.counts is not None:
        sites.write(arguments.counts, table, facts)
    print(site_table.markdown(table, second_looks_of(scorer)) if arguments.table else json.dumps(facts, indent=1))
    return EXIT_DONE
