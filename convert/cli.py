"""Command line of the conversion room. Heavy libraries are imported by the commands, not by `--help`."""

from __future__ import annotations

import argparse
import json
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convert import ConversionError
from edge.errors import EXIT_DONE, SpanhawkError
from models import DataError, Example

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Bad input is answered with one sentence on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    arguments = _parser().parse_args(argv)
    arguments.command = "python -m convert " + _as_recorded(sys.argv[1:] if argv is None else argv)
    try:
        return int(arguments.run(arguments))
    except SpanhawkError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _as_recorded(words: Sequence[str]) -> str:
    """The command for the card; of absolute paths only the name, since where a machine keeps its files is its own."""
    return shlex.join(Path(word).name if Path(word).is_absolute() else word for word in words)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m convert", description="Turn a trained model into a bundle.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    quantize = commands.add_parser("quantize", help="float Keras model to an int8 bundle")
    quantize.add_argument("model", type=Path, help="model.keras of a training, with run.json beside it")
    quantize.add_argument("--data", type=Path, nargs="+", required=True, metavar="DIR",
                          help="folders of real frames that set the ranges, crack-free ones among them")  # fmt: skip
    quantize.add_argument("-o", "--out", type=Path, required=True, metavar="BUNDLE")
    quantize.add_argument("--height", type=int, default=512)
    quantize.add_argument("--width", type=int, default=512)
    quantize.add_argument("--name", help="name on the card (default: the bundle folder's name)")
    quantize.add_argument("--licence", default="not stated", help="what the weights may be used for, for the card")
    quantize.add_argument("--test", nargs=3, action="append", default=[], metavar=("NAME", "IMAGES", "MASKS"),
                          help="set scored for the card, float and int8; MASKS is - where crack-free; "
                          "a NAME that the training held out is cut down to the held-out part")  # fmt: skip
    quantize.set_defaults(run=_quantize)
    verify = commands.add_parser("verify", help="compare a bundle with its float model, pixel by pixel")
    verify.add_argument("bundle", type=Path)
    verify.add_argument("model", type=Path, help="model.keras the bundle was made from")
    verify.add_argument("--data", type=Path, nargs="+", required=True, metavar="DIR", help="folders of real frames")
    verify.add_argument("--limit", type=float, default=0.001, help="share of pixels that may differ (default 0.001)")
    verify.set_defaults(run=_verify)
    check = commands.add_parser("check", help="list the operators of a .tflite file and refuse what will not map")
    check.add_argument("model", type=Path)
    check.set_defaults(run=_check)
    return parser


def _quantize(arguments: argparse.Namespace) -> int:
    record = _run_record(arguments.model)
    from convert.bundle import write_bundle, write_card
    from convert.quantize import quantize, representative_frames
    from models.unet import load_fast_unet

    height, width = arguments.height, arguments.width
    frames = representative_frames(arguments.data, height, width)
    model = load_fast_unet(arguments.model, height, width, batch_size=1)
    quantized = quantize(model, frames)
    for doubt in quantized.inventory.doubts:
        log.warning("%s; on a CPU it runs", doubt)
    name = arguments.name or arguments.out.resolve().name
    curve = arguments.model.parent / "curve.png"
    card = write_bundle(arguments.out, quantized, record, name, arguments.licence, arguments.command, curve)
    for title, images, masks in arguments.test:
        examples = _test_set(record, title, Path(images), None if masks == "-" else Path(masks))
        card["metrics"][title] = _compare(arguments, title, examples)
        write_card(arguments.out, card)
    print(json.dumps({"bundle": str(arguments.out), "bytes": len(quantized.content), **quantized.inventory.operators}))
    return EXIT_DONE


def _test_set(record: dict[str, Any], title: str, images: Path, masks: Path | None) -> list[Example]:
    """List a set; where the training held out part of it under this very name, only that part."""
    from models.data import find_examples

    examples = find_examples(images, masks)
    held = record["held"].get(title)
    if held is None:
        return examples
    kept = [example for example in examples if example.image.name in set(held["names"])]
    if len(kept) != held["images"]:
        raise DataError(
            f"{images} holds {len(kept)} of the {held['images']} pictures of {title}; give the same folder."
        )
    return kept


def _compare(arguments: argparse.Namespace, title: str, examples: list[Example]) -> dict[str, Any]:
    """Score one set with the float and the int8 model, through the same tiling."""
    from models.evaluate import evaluate
    from models.scoring import open_scorer

    clean = all(example.mask is None for example in examples)
    found: dict[str, Any] = {}
    for kind, path in (("float", arguments.model), ("int8", arguments.out)):
        scorer = open_scorer(path, (arguments.height, arguments.width))
        result = evaluate(scorer, [], examples) if clean else evaluate(scorer, examples)
        found[kind] = {key: value for key, value in result.items() if key not in ("model", "threshold", "definitions")}
        log.info("%s %s: %s", title, kind, found[kind].get("pooled") or found[kind]["crack_free"])
    return found


def _run_record(model: Path) -> dict[str, Any]:
    if not model.is_file():
        raise DataError(f"The model {model} does not exist; train one with python -m models train.")
    path = model.parent / "run.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if "score_threshold" not in record:
        raise DataError(f"{path} is missing or holds no score_threshold: a bundle needs a finished training's record.")
    return dict(record)


def _verify(arguments: argparse.Namespace) -> int:
    from convert.quantize import find_pictures
    from convert.verify import compare
    from edge.masks.bundle import load_bundle
    from models.scoring import open_scorer

    source = load_bundle(arguments.bundle).card.input
    pictures = [path for folder in arguments.data for path in find_pictures(folder)]
    bundle = open_scorer(arguments.bundle)
    model = open_scorer(arguments.model, (source.height, source.width), bundle.threshold)
    found = compare(model, bundle, pictures)
    print(json.dumps(found))
    if found["differing"] > arguments.limit:
        share = f"{found['differing']:.3%} of the pixels differ, more than {arguments.limit:.3%}"
        raise ConversionError(f"{share}: quantise again with more frames like these, or train again.")
    return EXIT_DONE


def _check(arguments: argparse.Namespace) -> int:
    if not arguments.model.is_file():
        raise DataError(f"The file {arguments.model} does not exist.")
    from convert.quantize import inspect

    found = inspect(arguments.model.read_bytes()).inventory
    verdict = "unlikely to map to an Edge TPU" if found.doubts else "expected to map to an Edge TPU"
    sizes = {"weight_bytes": found.weight_bytes, "largest_tensor_bytes": found.largest_tensor_bytes}
    print(json.dumps({"verdict": verdict, "doubts": found.doubts, "operators": found.operators, **sizes}))
    return EXIT_DONE
