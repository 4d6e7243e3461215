"""What each command of `python -m convert` does; heavy libraries are imported when one runs."""

from __future__ import annotations

import argparse
import getpass
import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from convert import ConversionError
from edge.support.errors import EXIT_DONE
from models import DataError
from models.arguments import held_out

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from convert.gate import DataSet
    from edge.masks import Measure

log = logging.getLogger(__name__)


def quantize(arguments: argparse.Namespace) -> int:
    """Float model to bundle."""
    from convert import frames, trial
    from convert.bundle import write_bundle
    from convert.source import load_source, with_thresholds
    from edge.masks.card import LimitsCard

    size, curve = _size(arguments), _curve(arguments)
    source = load_source(arguments.model, size, arguments.classes, pixels=arguments.pixels)
    source = with_thresholds(source, arguments.threshold)
    measure = _measures(arguments.measure, source.damage)
    height, width = source.size
    log.info("%s: %s, %d x %d px", arguments.model, source.model.name, height, width)
    pictures = frames.representative_frames(arguments.data, height, width, arguments.frames + trial.FRAMES)
    kept, others = trial.set_aside(pictures)
    trial.warn(source, pictures[1:])
    limits = LimitsCard(f1_drop=arguments.max_f1_drop, pixels_differing=arguments.max_differing)
    quantized = trial.round_weights(source, kept, others, limits.pixels_differing, arguments.finetune)
    for doubt in quantized.inventory.doubts:
        log.warning("Edge TPU: %s; a CPU runs it", doubt)
    name = arguments.name or arguments.out.resolve().name
    write_bundle(
        arguments.out, quantized, source, name=name, licence=arguments.licence, command=arguments.command,
        limits=limits, measure=measure, curve=curve,
    )  # fmt: skip
    log.info("wrote %s; next: python -m convert verify %s --data …", arguments.out, arguments.out)
    print(json.dumps({"bundle": str(arguments.out), "bytes": len(quantized.content), **quantized.inventory.operators}))
    return EXIT_DONE


def verify(arguments: argparse.Namespace) -> int:
    """The gate; ends with an error past the card's limits, after the report was written."""
    from convert import gate
    from convert.bundle import find_float
    from convert.record import read_record
    from convert.verify import PAGE
    from convert.verify import verify as run_gate
    from edge.masks.bundle import load_bundle

    bundle = load_bundle(arguments.bundle)
    made = {"made": bundle.card.made}
    model = find_float(arguments.bundle, made, arguments.model)
    record = read_record(model)
    sets = [gate.find_set(folder) for folder in arguments.data]
    sets += [_named(record, *words) for words in arguments.test]
    if not sets:
        raise DataError("Nothing to compare on: give --data or --test.")
    names = [one.name for one in sets]
    if len(set(names)) < len(names):
        raise DataError(f"Two data sets have one name ({', '.join(sorted(names))}); name them apart with --test.")
    found = run_gate(arguments.bundle, model, [gate.thinned(one, arguments.images) for one in sets])
    print(json.dumps(found if arguments.json else _short(found)))
    log.info("report: %s", arguments.bundle / PAGE)
    if not found["passed"]:
        listed = "; ".join(found["failures"])
        raise ConversionError(f"{listed}: quantise again with more frames like these, or with --finetune.")
    return EXIT_DONE


def check(arguments: argparse.Namespace) -> int:
    """Predict what an Edge TPU takes."""
    from convert.edgetpu import MAPS, predict
    from convert.graph import read_graph
    from edge.masks.artifacts import MODEL

    path = arguments.model / MODEL if arguments.model.is_dir() else arguments.model
    found = predict(read_graph(path))
    if arguments.json:
        print(json.dumps(asdict(found)))
    else:
        _print_table(found)
    if found.verdict != MAPS:
        reasons = [f"operator {one.index} {one.operator} {one.reason}" for one in found.findings if one.reason]
        raise ConversionError(f"{path}: {found.verdict}: {'; '.join([*reasons, *found.whole][:3])}")
    return EXIT_DONE


def compile_bundle(arguments: argparse.Namespace) -> int:
    """Compile for the Edge TPU and put what the compiler said onto the card."""
    from convert.artifacts import Addition, add
    from convert.compiler import compile_model, unmapped
    from convert.edgetpu import predict
    from convert.graph import read_graph
    from edge.masks import edgetpu
    from edge.masks.bundle import load_bundle

    model = load_bundle(arguments.bundle).model_path
    made = compile_model(model, arguments.compiler, arguments.timeout)
    report = made.report
    print(json.dumps({"mapped": report.operators_mapped, "operators": report.operators, "subgraphs": report.subgraphs}))
    missed = unmapped(report, predict(read_graph(model)))
    if missed:
        raise ConversionError(f"The compiler left to the CPU what it should take: {'; '.join(missed)}; nothing kept.")
    facts = edgetpu.Facts(
        compiler=report.version, operators=report.operators, operators_mapped=report.operators_mapped,
        subgraphs=report.subgraphs, on_chip_bytes=report.on_chip_bytes, off_chip_bytes=report.off_chip_bytes,
    )  # fmt: skip
    add(arguments.bundle, edgetpu.ARTIFACT, Addition(file=edgetpu.MODEL, content=made.content, facts=asdict(facts)))
    return EXIT_DONE


def onnx(arguments: argparse.Namespace) -> int:
    """Put an ONNX model for Jetsons into the bundle."""
    import numpy as np

    from convert import onnx as exporter
    from convert import trial
    from convert.artifacts import Addition, add
    from convert.bundle import find_float
    from convert.frames import representative_frames, to_float
    from convert.quantize import to_float_tflite
    from convert.source import SEGMENTER, load_source
    from edge.masks import onnx as backend
    from edge.masks.bundle import load_bundle, load_golden

    bundle = load_bundle(arguments.bundle)
    card = bundle.card
    if card.output.kind != SEGMENTER:
        raise ConversionError(f"{arguments.bundle} holds a patch classifier; only segmenters fly on ONNX Runtime.")
    model = find_float(arguments.bundle, {"made": card.made}, arguments.model)
    size = (card.input.height, card.input.width)
    source = load_source(model, size, card.classes, pixels=card.made.get("pixels"))
    golden: npt.NDArray[np.uint8] = load_golden(bundle).input[0].view(np.uint8) ^ np.uint8(0x80)
    made = exporter.export(to_float_tflite(source.model), to_float(golden))
    content, answer, share = made.content, made.answer, None
    if arguments.int8:
        pictures = representative_frames(arguments.int8, *size, arguments.frames + trial.FRAMES)
        kept, others = trial.set_aside(pictures)
        content = exporter.quantize_symmetric(made.content, kept)
        share = exporter.differing(content, bundle, others)
        if not share <= card.limits.pixels_differing:
            raise ConversionError(
                f"{share:.3%} of the pixels differ between {backend.MODEL} in int8 and {bundle.model_path.name}, more "
                f"than the card's {card.limits.pixels_differing:.3%}; give more and more varied pictures, or fly float."
            )
        answer = exporter.run_onnx(content, to_float(golden))
    steps = np.rint(answer / card.output.scale) + card.output.zero_point
    facts = asdict(backend.Facts(opset=made.opset, largest_difference=made.largest_difference, int8_differing=share))
    facts = {name: fact for name, fact in facts.items() if fact is not None}
    addition = Addition(
        file=backend.MODEL, content=content, facts=facts,
        answer=(backend.GOLDEN, np.clip(steps, -128, 127).astype(np.int8)),
    )  # fmt: skip
    add(arguments.bundle, backend.ARTIFACT, addition)
    print(json.dumps({"bytes": len(content), **facts}))
    return EXIT_DONE


def add(arguments: argparse.Namespace) -> int:
    """Put a model that another program made into the bundle."""
    from convert.artifacts import add as add_artifact
    from convert.artifacts import read_addition

    limits = (arguments.tolerance_lsb, arguments.max_fraction_above)
    add_artifact(
        arguments.bundle, arguments.name, read_addition(arguments.file, arguments.golden, arguments.facts, *limits)
    )
    log.info("%s holds the artefact %s; next: sign it", arguments.bundle, arguments.name)
    return EXIT_DONE


def keys(arguments: argparse.Namespace) -> int:
    """Make a pair of keys."""
    from convert.sign import make_keys

    password = None
    if arguments.password_file is not None:
        password = arguments.password_file.read_text(encoding="utf-8").rstrip("\n")
    elif not arguments.no_password:
        password = getpass.getpass("Password for the secret key: ")
        if password != getpass.getpass("Again: "):
            raise DataError("The two passwords differ; nothing was written.")
    number = make_keys(arguments.name, password)
    print(json.dumps({"key": number, "secret": f"{arguments.name}.key", "public": f"{arguments.name}.pub"}))
    return EXIT_DONE


def sign(arguments: argparse.Namespace) -> int:
    """Sign a bundle, or list it among the shipped ones."""
    from convert.sign import read_key, ship
    from convert.sign import sign as sign_bundle

    if arguments.shipped:
        log.info("listed in %s", ship(arguments.bundle, unverified=arguments.unverified))
    else:
        key = read_key(arguments.key, arguments.password_file)
        sign_bundle(arguments.bundle, key, unverified=arguments.unverified)
        log.info("signed %s", arguments.bundle)
    return EXIT_DONE


def _size(arguments: argparse.Namespace) -> tuple[int, int] | None:
    if (arguments.height is None) != (arguments.width is None):
        raise DataError("--height and --width belong together; give both or none.")
    return None if arguments.height is None else (arguments.height, arguments.width)


def _curve(arguments: argparse.Namespace) -> Path | None:
    """The training's curve: as given, or beside the model where there is one. Raises DataError."""
    if arguments.curve is not None and not arguments.curve.is_file():
        raise DataError(f"The curve {arguments.curve} does not exist.")
    beside: Path = arguments.model.with_name("curve.png")
    return arguments.curve or (beside if beside.is_file() else None)


def _measures(words: list[str], kinds: tuple[str, ...]) -> dict[str, Measure]:
    """`NAME=line` and `NAME=area` by name. Raises DataError for other words and for a class that is not kept."""
    from edge.masks import Measure

    found: dict[str, Measure] = {}
    for word in words:
        name, _, how = word.partition("=")
        if name not in kinds or how not in get_args(Measure):
            raise DataError(f"--measure {word}: give one of {', '.join(kinds)}, then =line or =area, as rust=area.")
        found[name] = cast("Measure", how)
    return found


def _named(record: dict[str, Any], name: str, images: str, masks: str) -> DataSet:
    from convert.gate import named_set

    held = held_out(name, record.get("held", {}))
    return named_set(name, Path(images), None if masks == "-" else Path(masks), held)


def _short(found: dict[str, Any]) -> dict[str, Any]:
    """The report without the scores' details."""
    sets = {name: {key: value for key, value in one.items() if key != "scores"} for name, one in found["sets"].items()}
    return {**found, "sets": sets}


def _print_table(found: Any) -> None:
    for one in found.findings:
        size = f"{one.bytes / 1024:.0f} KiB"
        print(f"{one.index:3d}  {one.operator:24s} v{one.version:<2d} {one.shape!s:22s} {size:>9s}  {one.verdict}"
              f"{': ' if one.reason else ''}{one.reason}")  # fmt: skip
    for doubt in found.whole:
        print(doubt)
    sizes = ((found.largest_tensor_bytes, "largest tensor"), (found.peak_live_bytes, "alive at once"),
             (found.weight_bytes, "weights"))  # fmt: skip
    print("; ".join(f"{name} {count / 2**20:.2f} MiB" for count, name in sizes))
    print(f"{found.verdict}; Edge TPU subgraphs expected: {found.subgraphs}", file=sys.stdout)
