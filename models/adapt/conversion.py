"""From adapted weights to a bundle: float weights with their record, int8, the gate, in the room `convert`.

That room lies above this one and runs on TensorFlow, so it is called as what it is, a program.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.masks import ReportRule
from edge.support import config
from edge.support.clock import SystemClock
from edge.support.errors import EXIT_TRY_AGAIN, TryAgainError
from models import DataError, checkpoint, sites
from models.adapt import judge, start
from models.adapt.intake import Parts, Photo, UInt8
from models.adapt.start import Base
from models.checkpoint import replacing
from models.data import content_hash
from models.record import versions
from models.unet import open_saved

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[2]
"""Where the rooms lie."""
CALIBRATION = 140
"""Pictures that set the ranges of int8, rendered crack-free ones among them."""
CALIBRATION_PX = 512
KIND = "crack"
"""The class that is adapted."""
OWN_LICENCE = "the user's own photographs"


@dataclass(frozen=True, kw_only=True, slots=True)
class Learned:
    """How the new weights came about."""

    steps: int
    share: float
    """How far they go from the old weights to the learned ones, 0 to 1."""
    changed: float
    """How much the masks of made pictures change: 1 less F1 at 2 px against the old ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What was learned and chosen for a new bundle."""

    setting: sites.Setting
    learned: Learned


def finished(bundle: Path) -> Made | None:
    """What stands in the work folder already: a bundle that passed the gate, and its record; None where it does not."""
    card, record = bundle / "card.json", bundle.with_name(f"{bundle.name}.json")
    if not (card.is_file() and record.is_file()):
        return None
    if not json.loads(card.read_text(encoding="utf-8"))["made"].get("verified", {}).get("passed"):
        return None
    told = json.loads(record.read_text(encoding="utf-8"))
    rule = told.get("report_rules", {}).get(KIND)
    setting = sites.Setting(
        threshold=told["score_threshold"], rule=None if rule is None else config.build(ReportRule, rule, str(record))
    )
    share, changed = told["adapted"]["share"], told["adapted"]["changed"]
    return Made(setting=setting, learned=Learned(steps=told["steps"], share=share, changed=changed))


def write_weights(
    base: Base, parts: Parts, stem: Path, made: Made, facts: dict[str, Any]
) -> None:  # fmt: skip
    """Write `stem`.weights.h5, the candidate in half precision, and `stem`.json, the record that the card needs.

    `facts` are those of the learning for the record: command, seed and minutes.
    """
    model = open_saved(stem.with_name("candidate.keras"))
    small = start.to_model(base, base.arrays, "float16")
    small.set_weights(model.get_weights())
    with replacing(stem.with_name(f"{stem.name}.weights.h5"), checkpoint.room_for(model.get_weights())) as part:
        small.save_weights(part)
    plan = {key: value for key, value in base.record.get("config", {}).items() if key in ("sources", "mix")}
    name = f"{stem.name} photos"
    learned = [photo.example for photo in parts.learn]
    record = {
        "created": SystemClock().utc().isoformat(),
        "command": facts["command"],
        "config": {
            **plan, "train": {"seed": facts["seed"]}, "model": start.model_settings(base.size),
            "sources": [*plan.get("sources", ()), {"name": name, "licence": OWN_LICENCE}],
        },
        "classes": ["crack"], "versions": versions(), "backend": "torch", "parameters": model.count_params(),
        "train": {
            **base.record.get("train", {}), name: {"images": len(learned), "sha256": content_hash(learned)}
        },
        "before": base.record.get("before", {}),
        "held": {
            part: {"images": len(photos), "names": [photo.example.image.name for photo in photos]}
            for part, photos in (("choose", parts.choose), ("report", parts.report))
        },
        "steps": made.learned.steps, "minutes": facts["minutes"], "score_threshold": made.setting.threshold,
        "adapted": {
            "from": base.card.name, "weights": hashlib.sha256(base.weights.read_bytes()).hexdigest(),
            "share": made.learned.share, "changed": made.learned.changed,
        },
        **({} if made.setting.rule is None else {"report_rules": {KIND: asdict(made.setting.rule)}}),
    }  # fmt: skip
    with replacing(stem.with_name(f"{stem.name}.json")) as part:
        part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def convert(base: Base, parts: Parts, bundle: Path, made: Made, seed: int) -> None:
    """Quantise `bundle`.weights.h5 into the folder `bundle`, and pass the gate on the photographs kept apart.

    Raises DataError with what the gate found where it does not pass, TryAgainError for a full disk.
    """
    work, name = bundle.parent, bundle.name
    frames, held = work / "calibration", work / "gate"
    for folder in (bundle, frames, held):
        shutil.rmtree(folder, ignore_errors=True)
    for i, rgb in enumerate(calibration(parts.learn, np.random.default_rng(seed))):
        _save(frames / f"{i:03d}.png", rgb)
    for i, photo in enumerate((*parts.choose, *parts.report)):
        stem = f"{i:03d}-{photo.example.image.stem}"  # images/ and negatives/ may hold the same names
        _save(held / "images" / f"{stem}.png", photo.rgb)
        _save(held / "masks" / f"{stem}.png", np.asarray((photo.mask & 1) * 255, np.uint8))
    size = base.card.input
    run(
        work, "quantize", f"{name}.weights.h5", "--data", frames.name, "-o", name, "--licence", base.card.licence,
        "--threshold", str(made.setting.threshold), "--height", str(size.height), "--width", str(size.width),
    )  # fmt: skip
    try:
        run(work, "verify", name, "--data", held.name)
    except DataError as error:
        failures = _failures(bundle)
        if not failures:
            raise
        raise DataError(
            f"The gate does not pass the int8 bundle: {'; '.join(failures)}. Label more photos, since they also set "
            "the ranges of int8, or adapt with a smaller --may-change, nearer to weights that do pass. The old bundle "
            "is untouched."
        ) from error


def calibration(learn: Sequence[Photo], rng: np.random.Generator) -> Iterator[UInt8]:
    """Make the `CALIBRATION` pictures that set the ranges of int8: every fourth rendered, the others own, in turn."""
    own = itertools.cycle(learn)
    for i in range(CALIBRATION):
        yield judge.crack_free(CALIBRATION_PX, rng) if i % 4 == 0 else _tile(next(own).rgb, rng)


def _failures(bundle: Path) -> list[str]:
    """What the gate found past the card's limits, a sentence each; empty where it ended before it could say."""
    report = bundle / "report.json"
    return list(map(str, json.loads(report.read_text(encoding="utf-8"))["failures"])) if report.is_file() else []


def _tile(rgb: UInt8, rng: np.random.Generator) -> UInt8:
    top, left = (int(rng.integers(max(1, side - CALIBRATION_PX + 1))) for side in rgb.shape[:2])
    return rgb[top : top + CALIBRATION_PX, left : left + CALIBRATION_PX]


def _save(path: Path, picture: UInt8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    with replacing(path) as part:
        part.write_bytes(cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes())


def run(folder: Path, *words: str) -> None:
    """Run `python -m convert` in `folder`; raises with its own sentence where it ends with an error.

    What it finds by a relative path it finds again when the bundle and its float weights move together.
    """
    log.info("python -m convert %s", words[0])
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "convert", *words], cwd=folder, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        return
    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    sentence = said[-1].removeprefix("error: ") if said else f"python -m convert {words[0]}: {done.stderr[-300:]}"
    if done.returncode == EXIT_TRY_AGAIN:
        raise TryAgainError(f"{sentence} The old bundle is untouched; the same command goes on.")
    raise DataError(f"{sentence} The old bundle is untouched.")
