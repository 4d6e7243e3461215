"""Take a student of a GPU run into Keras: weights in half precision and the record that conversion and cards need."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models import DataError, Example
from models.arrays import Arrays, read_arrays
from models.checkpoint import replacing
from models.data import content_hash
from models.gpu.journal import learned, read_journal
from models.gpu.pack import select
from models.gpu.recipe import Recipe
from models.gpu.transfer import to_keras
from models.record import training_data, versions
from models.unet import SIZES, fast_unet, gmac

SIDE_PX = 256
"""Weights fit any size; this one is only built to hold them."""


def take(
    recipe: Recipe, recipe_name: str, root: Path, weights: Path, name: str, out: Path,
    mixed: tuple[Path, float] | None = None, after: Sequence[Path] = (),
) -> dict[str, Any]:  # fmt: skip
    """Write `out`.weights.h5 and `out`.json from `weights`, a `.npz` of the student `name`; returns the record.

    `root` is the folder of the data, which the record describes by counts and hashes. Where the weights are those of
    the first half (`seen-` before their name), the held-out pictures stand under `held`, else they count as trained on.
    `mixed`: other weights of the same network, those that it started from above all, and their share, 0 to 1, of a mean
    tensor by tensor; such a mean often keeps what the start knew beside what was learned (Wortsman et al. 2022).
    `after`: the records of the weights that it started from and of fast U-Nets that taught it; what they had learned
    from is in it too, and stands under `before`. Of a run that was cut short, the weights are those of the last time
    they were saved, and the record says so (`cut_short`).
    Raises DataError where the recipe has no such student, the weights are another's, or `after` is missing.
    """
    import keras

    chosen = [one for one in recipe.students if one.name == name]
    if not chosen:
        raise DataError(f"The recipe has no student {name!r}; it has {', '.join(one.name for one in recipe.students)}.")
    if chosen[0].start_from is not None and not after:
        raise DataError(
            f"Student {name} starts from {chosen[0].start_from}: give the record of that by --after "
            f"{chosen[0].start_from}.json, and those of weights that taught it, so that the card names all of it."
        )
    earlier = _learned_before(after)
    size = SIZES[chosen[0].kind]
    model = fast_unet(SIDE_PX, SIDE_PX, size=size, dtype="float32")
    arrays = read_arrays(weights, "weights of a student")
    if mixed is not None:
        arrays = _mean(arrays, *mixed)
    try:
        to_keras(arrays, model)
    except DataError as error:
        raise DataError(f"{weights} is no {chosen[0].kind}: {error}") from error
    small = fast_unet(SIDE_PX, SIDE_PX, size=size, dtype="float16")
    small.set_weights(model.get_weights())
    record = _record(recipe, recipe_name, root, weights, chosen[0].kind, model, keras.version())
    known = [
        name
        for name in record["held"]
        if earlier.get(name, {"images": 0})["images"] > record["train"].get(name, {"images": 0})["images"]
    ]
    if known:
        raise DataError(
            f"{weights.name} is judged on held-out pictures of {', '.join(known)}, and by their records the weights in "
            "--after learned from more than the rest of them: give the weights and records that did not (NAME-seen)."
        )
    record["before"] = {
        name: facts
        for name, facts in earlier.items()
        if facts["images"] > record["train"].get(name, {"images": -1})["images"]
    }
    if mixed is not None:
        record["mixed"] = {"with": mixed[0].stem, "share": mixed[1]}
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out.with_name(f"{out.name}.weights.h5")) as part:
        small.save_weights(part)
    with replacing(out.with_name(f"{out.name}.json")) as part:
        part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def _learned_before(records: Sequence[Path]) -> dict[str, Any]:
    """By name, what the weights of these records had learned from: pictures, split and licence."""
    learned: dict[str, Any] = {}
    for path in records:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            listed = [(one["name"], {key: one[key] for key in ("images", "split", "licence")})
                      for one in training_data(content)]  # fmt: skip
        except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
            raise DataError(f"{path} is no record of a training; give the .json beside the weights.") from error
        if not listed:
            raise DataError(f"{path} does not say what its weights learned from.")
        for name, facts in listed:
            if name not in learned or facts["images"] > learned[name]["images"]:
                learned[name] = facts
    return learned


def _mean(arrays: Arrays, path: Path, share: float) -> Arrays:
    """Mix the weights with those in `path`, which get the `share`."""
    if not 0 <= share <= 1:
        raise DataError(f"The share of the other weights is {share}; it is 0 to 1.")
    others = read_arrays(path, "weights to mix with")
    if {key: value.shape for key, value in arrays.items()} != {key: value.shape for key, value in others.items()}:
        raise DataError(f"{path} is another network's; give weights that the student started from.")
    return {
        key: (1 - share) * value.astype(np.float32) + share * others[key].astype(np.float32)
        for key, value in arrays.items()
    }


def _record(
    recipe: Recipe, recipe_name: str, root: Path, weights: Path, kind: str, model: Any, keras_version: str
) -> dict[str, Any]:
    from edge.support.clock import SystemClock

    half = "seen" if weights.name.startswith("seen-") else "all"
    log = weights.with_name("log.jsonl")
    journal, halves = read_journal(log), learned(log, half)
    began = next((line for line in journal if line.get("event") == "began"), {})
    made_with = began.get("versions") or {key: began[key] for key in ("torch",) if key in began}  # earlier logs
    train, held = {}, {}
    for source in recipe.sources:
        pairs = select(source, root)
        kept = [example for example, out in pairs if half == "all" or not out]
        left = [example for example, out in pairs if half == "seen" and out]
        if kept:
            train[source.name] = _describe(kept)
        if left:
            held[source.name] = {**_describe(left), "names": [example.image.name for example in left]}
    config = dataclasses.asdict(recipe)
    return {
        "created": SystemClock().utc().isoformat(),
        "command": f"python -m models.gpu {recipe_name}",
        "config": {**config, "train": {"seed": recipe.run.seed}, "model": {
            "kind": "fast_unet", "size": kind, "classes": ["crack"],
        }},
        "classes": ["crack"],
        "versions": {**made_with, "taken with": {**versions(), "keras": keras_version}},
        "backend": "torch",
        "parameters": model.count_params(),
        "gmac_512": round(gmac(model) * (512 / SIDE_PX) ** 2, 3),
        "train": train,
        "held": held,
        "steps": sum(line["step"] for line in halves),
        "crops": sum(line["crops"] for line in halves),
        "minutes": round(halves[-1]["seconds"] / 60, 1),
        **({"cut_short": True} if halves[-1]["event"] == "saved" else {}),
        "judged": [line for line in journal if line.get("event") == "judged" and line["half"] == half],
    }  # fmt: skip


def _describe(examples: Sequence[Example]) -> dict[str, Any]:
    return {"images": len(examples), "sha256": content_hash(examples)}
