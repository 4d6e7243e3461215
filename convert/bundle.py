"""Write a model bundle: model.tflite, golden.npz, card.json (schema spanhawk/card/2), its seal, the curve."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from convert import MAX_FRACTION_ABOVE, TOLERANCE_LSB, ConversionError
from convert.artifacts import entry
from convert.folder import replacing, write_card
from convert.quantize import Quantized, open_interpreter, run
from convert.source import CLASSIFIER, Source
from edge.masks import Measure
from edge.masks.artifacts import GOLDEN, MODEL, TFLITE
from edge.masks.card import SCHEMA, LimitsCard, default_measure
from edge.masks.preprocess import INPUT_SCALE, INPUT_ZERO_POINT
from edge.support.clock import SystemClock
from models import DataError

log = logging.getLogger(__name__)

UInt8 = npt.NDArray[np.uint8]
Int8 = npt.NDArray[np.int8]

CURVE = "curve.png"
GOLDEN_LIMIT_BYTES = 400_000
"""At most this much for a 512 x 512 network, in proportion for larger ones: a bundle belongs in a repository."""


def write_bundle(
    out: Path,
    quantized: Quantized,
    source: Source,
    *,
    name: str,
    licence: str,
    command: str,
    limits: LimitsCard,
    measure: Mapping[str, Measure] | None = None,
    curve: Path | None = None,
) -> dict[str, Any]:
    """Write all files of a bundle and return the card (metrics still empty); `curve` is the training's picture.

    `measure` says how damage of a class is measured where that is not the default (`edge.masks.card`).

    Raises ConversionError where the golden answer differs between the fast and the reference kernels by more than the
    card allows; DataError where `out` exists and is no bundle.
    """
    picture, answer = golden(quantized)
    how = {one: (measure or {}).get(one, default_measure(one)) for one in source.damage}
    card = _card(out, quantized, source, name, licence, command, limits, how)
    with replacing(out) as folder:
        (folder / MODEL).write_bytes(quantized.content)
        np.savez_compressed(folder / GOLDEN, input=picture, output=answer.reshape(_card_shape(quantized)))
        size = (folder / GOLDEN).stat().st_size
        limit = GOLDEN_LIMIT_BYTES * max(1.0, picture.size / (512 * 512 * 3))
        if size > limit:
            raise ConversionError(f"{GOLDEN} takes {size} bytes; at most {limit:.0f} belong in a bundle.")
        if curve is not None:
            shutil.copyfile(curve, folder / CURVE)
        write_card(folder, card)
    return card


def golden(quantized: Quantized) -> tuple[Int8, Int8]:
    """Return a rendered int8 input and the network's int8 output for it.

    The picture has few grey levels and no noise, so that it compresses; it shows two cracks, a joint, a hole, a stain.
    Raises ConversionError where fast and reference kernels do not agree on it.
    """
    image = golden_picture(*quantized.input_shape[1:3])
    source = (image ^ 0x80).view(np.int8)[None]
    fast = run(open_interpreter(quantized.content), source)
    slow = run(open_interpreter(quantized.content, reference=True), source)
    apart = np.abs(fast.astype(np.int16) - slow) > TOLERANCE_LSB
    if apart.mean() > MAX_FRACTION_ABOVE:
        raise ConversionError(
            f"{apart.mean():.2%} of the golden answer differ by more than {TOLERANCE_LSB} steps between the "
            "fast and the reference kernels; the quantisation is not trustworthy."
        )
    return source, fast


def golden_picture(height: int, width: int) -> UInt8:
    """Render the golden input: uint8 RGB (height, width, 3) in steps of 4 grey levels, the same on every machine."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    grey = 150 + 14 * np.sin(x / 61) * np.cos(y / 47) + 9 * np.sin((x + 2 * y) / 23) + 5 * np.cos((2 * x - y) / 9)
    grey -= 40 / (1 + np.exp(-(x - 0.75 * width + 20 * np.sin(y / 30)) / 6))  # a wet stain
    for centre, slope, wave, half in ((0.3, 0.25, 17.0, 1.6), (0.62, -0.4, 11.0, 0.8)):
        path = centre * height + slope * (x - width / 2) + 9 * np.sin(x / wave) + 5 * np.sin(x / 5.3 + 1)
        grey *= 1 - 0.65 * np.clip(half + 0.5 - np.abs(y - path) * 0.8, 0, 1)
    grey *= 1 - 0.5 * np.clip(2.5 - np.abs(x - 0.4 * width), 0, 1)  # a joint
    grey *= 1 - 0.7 * np.clip(9.5 - np.hypot(x - 0.15 * width, y - 0.85 * height), 0, 1)  # a tie hole
    steps = (np.rint(np.clip(grey, 0, 255) / 4) * 4).clip(0, 252).astype(np.uint8)
    return np.asarray(cv2.cvtColor(steps, cv2.COLOR_GRAY2RGB), np.uint8)


def float_reference(model: Path, out: Path) -> str:
    """Where the float model lies, for the card: relative to the bundle, or its name alone for an absolute path.

    Where a machine keeps its files is its own; inside one checkout the way from bundle to weights is the same for all.
    """
    return model.name if model.is_absolute() else os.path.relpath(model.resolve(), out.resolve())


def find_float(bundle: Path, card: Mapping[str, Any], given: Path | None) -> Path:
    """The float model a bundle was made from: `given`, or where the card says it lies.

    Raises DataError where it is not there, or is another one than the card names.
    """
    told = card["made"].get("float", {})
    path = given or (bundle / told["file"] if "file" in told else None)
    if path is None or not path.is_file():
        where = f"not at {path}" if path is not None else "not named on the card"
        raise DataError(f"The float model of {bundle} is {where}; name it after the bundle.")
    path = Path(os.path.normpath(path))
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if "sha256" in told and found != told["sha256"]:
        raise DataError(
            f"{path} (SHA-256 {found[:12]}) is not the float model {bundle} was made from ({told['sha256'][:12]}); "
            "name that one, or quantise again."
        )
    if "sha256" not in told:
        log.warning("%s does not say which float model it was made from; %s is used as given", bundle, path)
    return path


def _card_shape(quantized: Quantized) -> tuple[int, int, int, int]:
    rows, columns, channels = quantized.output_shape[1:] if len(quantized.output_shape) == 4 else (
        1, 1, quantized.output_shape[-1]
    )  # fmt: skip
    return 1, rows, columns, channels


def _card(
    out: Path,
    quantized: Quantized,
    source: Source,
    name: str,
    licence: str,
    command: str,
    limits: LimitsCard,
    measure: Mapping[str, Measure],
) -> dict[str, Any]:
    from models.record import training_data

    _, height, width, _ = quantized.input_shape
    _, rows, columns, channels = _card_shape(quantized)
    record, classifier = source.record, source.kind == CLASSIFIER
    return {
        "schema": SCHEMA,
        "name": name,
        "created": SystemClock().utc().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "files": {},
        "artifacts": {TFLITE: entry(MODEL, GOLDEN, {})},
        "input": {
            "height": height, "width": width, "channels": "RGB", "dtype": "int8",
            "scale": INPUT_SCALE, "zero_point": INPUT_ZERO_POINT,
        },
        "output": {
            "height": rows, "width": columns, "channels": channels, "dtype": "int8", "kind": source.kind,
            "scale": quantized.output_scale, "zero_point": quantized.output_zero_point,
            "pixel_shuffle": 1 if classifier else round((channels / len(source.classes)) ** 0.5),
        },
        "classes": list(source.classes),
        **_thresholds(source),
        **({} if classifier else {"measure": dict(measure)}),
        **_rules(source),
        "training_data": training_data(record),
        "licence": licence,
        "metrics": {},
        "made": _made(out, source, command),
        "limits": asdict(limits),
    }  # fmt: skip


def _thresholds(source: Source) -> dict[str, Any]:
    """One number for one kind of damage, as every version of the drone reads it; else one per class."""
    levels = dict(source.thresholds)
    return {"score_threshold": next(iter(levels.values()))} if len(levels) == 1 else {"score_thresholds": levels}


def _rules(source: Source) -> dict[str, Any]:
    """What the record says of reporting (`python -m models report-rule --record`), for the classes that are kept."""
    rules = {name: rule for name, rule in source.record.get("report_rules", {}).items() if name in source.damage}
    return {"report_rules": rules} if rules else {}


def _made(out: Path, source: Source, command: str) -> dict[str, Any]:
    from models.record import versions
    from models.unet import gmac

    record = source.record
    return {
        "command": "; ".join(filter(None, [record.get("command"), command])),
        "float": {"file": float_reference(source.path, out), "sha256": source.sha256},
        "steps": record.get("steps"), "minutes": record.get("minutes"),
        "pixels": source.pixels,
        "seed": record.get("config", {}).get("train", {}).get("seed"),
        "versions": record.get("versions", {}) | {"converted with": versions()},
        "parameters": source.model.count_params(), "gmac": round(gmac(source.model), 3),
        **({"adapted": record["adapted"]} if "adapted" in record else {}),
    }  # fmt: skip
