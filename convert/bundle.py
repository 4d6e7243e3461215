"""Write a model bundle: model.tflite, golden.npz, card.json (schema spanhawk/card/1), report picture."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from convert import ConversionError
from convert.quantize import INPUT_SCALE, INPUT_ZERO_POINT, Quantized, open_interpreter, run
from edge.clock import SystemClock

UInt8 = npt.NDArray[np.uint8]
Int8 = npt.NDArray[np.int8]

SCHEMA = "spanhawk/card/1"
GOLDEN_TOLERANCE_LSB = 4
"""Kernels of different processors differ by up to this many steps after three chained resizes."""
GOLDEN_MAX_FRACTION_ABOVE = 0.01
GOLDEN_LIMIT_BYTES = 400_000
"""At most this much for a 512 x 512 network, in proportion for larger ones: a bundle belongs in a repository."""


def write_bundle(
    out: Path,
    quantized: Quantized,
    run_record: Mapping[str, Any],
    name: str,
    licence: str,
    command: str,
    curve: Path | None,
) -> dict[str, Any]:
    """Write all files of a bundle, the card last, and return the card (metrics still empty).

    `run_record` is the training's run.json with score_threshold. Raises ConversionError where the golden answer differs
    between the fast and the reference kernels by more than the card allows.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "model.tflite").write_bytes(quantized.content)
    source, answer = golden(quantized)
    np.savez_compressed(out / "golden.npz", input=source, output=answer)
    size = (out / "golden.npz").stat().st_size
    limit = GOLDEN_LIMIT_BYTES * max(1.0, source.size / (512 * 512 * 3))
    if size > limit:
        raise ConversionError(f"golden.npz takes {size} bytes; at most {limit:.0f} belong in a bundle.")
    if curve is not None and curve.is_file():
        shutil.copyfile(curve, out / "curve.png")
    card = _card(quantized, run_record, name, licence, command)
    write_card(out, card)
    return card


def write_card(out: Path, card: dict[str, Any]) -> None:
    """Write card.json with the hashes of all other files of the bundle."""
    files = sorted(path for path in out.iterdir() if path.name != "card.json" and path.is_file())
    card["files"] = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    (out / "card.json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def golden(quantized: Quantized) -> tuple[Int8, Int8]:
    """Return a rendered int8 input and the network's int8 output for it.

    The picture has few grey levels and no noise, so that it compresses; it shows two cracks, a joint, a hole, a stain.
    """
    image = golden_picture(*quantized.input_shape[1:3])
    source = (image ^ 0x80).view(np.int8)[None]
    fast = run(open_interpreter(quantized.content), source)
    slow = run(open_interpreter(quantized.content, reference=True), source)
    apart = np.abs(fast.astype(np.int16) - slow) > GOLDEN_TOLERANCE_LSB
    if apart.mean() > GOLDEN_MAX_FRACTION_ABOVE:
        raise ConversionError(
            f"{apart.mean():.2%} of the golden answer differ by more than {GOLDEN_TOLERANCE_LSB} steps between the "
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


def _card(quantized: Quantized, run_record: Mapping[str, Any], name: str, licence: str, command: str) -> dict[str, Any]:
    _, height, width, _ = quantized.input_shape
    _, rows, columns, channels = quantized.output_shape
    return {
        "schema": SCHEMA,
        "name": name,
        "created": SystemClock().utc().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "files": {},
        "input": {
            "height": height, "width": width, "channels": "RGB", "dtype": "int8",
            "scale": INPUT_SCALE, "zero_point": INPUT_ZERO_POINT,
        },
        "output": {
            "height": rows, "width": columns, "channels": channels, "dtype": "int8", "kind": "logits",
            "scale": quantized.output_scale, "zero_point": quantized.output_zero_point,
            "pixel_shuffle": round(channels**0.5),
        },
        "score_threshold": run_record["score_threshold"],
        "classes": ["crack"],
        "training_data": _training_data(run_record),
        "licence": licence,
        "metrics": {},
        "made": {
            "command": f"{run_record['command']}; {command}",
            "steps": run_record["steps"], "minutes": run_record["minutes"],
            "seed": run_record["config"]["train"]["seed"], "versions": run_record["versions"],
            "parameters": run_record["parameters"],
            "gmac": round(run_record["gmac_512"] * height * width / 512**2, 3),
        },
        "golden": {"tolerance_lsb": GOLDEN_TOLERANCE_LSB, "max_fraction_above": GOLDEN_MAX_FRACTION_ABOVE},
    }  # fmt: skip


def _training_data(run_record: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    sources = {source["name"]: source for source in run_record["config"]["sources"]}
    listed = [
        {"name": name, "split": sources[name]["split"], "images": facts["images"], "licence": sources[name]["licence"]}
        for name, facts in run_record["train"].items()
    ]
    mix = run_record["config"]["mix"]
    if mix["rendered_cracks"] or mix["rendered_clean"]:
        listed.append({"name": "rendered", "split": "train", "images": 0, "licence": "made while training"})
    return listed
