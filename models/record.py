"""The run record: everything needed to know, later, how a set of weights came about."""

from __future__ import annotations

import csv
import dataclasses
import importlib.metadata
import json
import math
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from models import DataError, Example
from models.checkpoint import replacing
from models.config import Config
from models.data import content_hash
from models.task import DataSplit
from models.unet import gmac

if TYPE_CHECKING:
    import keras


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that shape a result; PyTorch's where this process uses it."""
    names = ["tensorflow", "jax", "keras", "numpy", "opencv-python-headless", "ai-edge-litert"]
    names += ["torch"] if "torch" in sys.modules else []
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def training_data(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What weights learned from, by their record: `name`, `split`, `images` and `licence` of each set.

    That of the weights they started from and were taught by (`before`) is part of it.
    """
    config = record.get("config", {})
    sources = {one["name"]: one for one in config.get("sources", ())}
    listed = [
        {
            "name": name, "split": sources.get(name, {}).get("split", "train"), "images": facts["images"],
            "licence": sources.get(name, {}).get("licence", "not stated"),
        }
        for name, facts in record.get("train", {}).items()
    ]  # fmt: skip
    before = record.get("before", {})  # of a set in both, the one with more pictures counts
    listed = [one for one in listed if one["images"] >= before.get(one["name"], {"images": 0})["images"]]
    named = {one["name"] for one in listed}
    listed += [{"name": name, **facts} for name, facts in before.items() if name not in named]
    mix = config.get("mix", {})
    if (mix.get("rendered_cracks") or mix.get("rendered_clean")) and "rendered" not in before:
        listed.append({"name": "rendered", "split": "train", "images": 0, "licence": "made while training"})
    return listed


def write_run(path: Path, config: Config, command: str, parts: DataSplit, model: keras.Model) -> None:
    """Write run.json: configuration, versions, size of the network, and per set the count, hash and held-out names."""
    import keras

    from edge.support.clock import SystemClock

    content: dict[str, Any] = {
        "created": SystemClock().utc().isoformat(),
        "command": command,
        "config": dataclasses.asdict(config),
        "classes": config.model.classes,
        "versions": versions(),
        "backend": keras.backend.backend(),
        "parameters": model.count_params(),
        "gmac": round(gmac(model), 4),
        "gmac_512": round(gmac(model) * (512 / config.crop_px) ** 2, 3),
        "train": {name: _describe(examples) for name, examples in parts.train.items()},
        "held": {
            name: {**_describe(examples), "names": [example.image.name for example in examples]}
            for name, examples in parts.held.items()
        },
        "near_copies_dropped": parts.dropped,
        "held_photos_dropped": parts.same_photo,
    }
    _write(path, json.dumps(content, indent=1) + "\n")


FREE = frozenset((
    *(f"train.{key}" for key in (
        "steps", "minutes", "validate_every", "threshold_pictures", "threads", "data_parallel"
    )),
    "sources.licence", "sources.split", "test",
))  # fmt: skip
"""Keys that may change while a training goes on: its length, what no weight depends on, and words for the card. Which
pictures [[test]] keeps out is seen by the hashes."""


def check_same(path: Path, config: Config, parts: DataSplit) -> None:
    """Raise DataError unless the training of the run.json at `path` had this configuration and these pictures.

    A training that goes on with others would be of neither, and its best weights would be of another score.
    """
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        settings = dict(before["config"])
        held = {name: one["names"] for name, one in before["held"].items()}
        hashes = {name: one["sha256"] for kind in ("train", "held") for name, one in before[kind].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} tells not of which configuration and pictures the checkpoint beside it is: choose another --out."
        ) from error
    differs = _difference(settings, config)
    if differs is None:
        now = {name: [one.image.name for one in examples] for name, examples in parts.held.items()}
        if now != held:
            differs = "what is held out differs"
        elif hashes != {name: content_hash(one) for kind in (parts.train, parts.held) for name, one in kind.items()}:
            differs = "the pictures or masks differ"
    if differs is not None:
        raise DataError(
            f"{path.parent} holds a training of another configuration ({differs}): give the same as before to go on "
            "with it, or another --out to begin anew; of [train] steps, minutes, validate_every, threshold_pictures, "
            "threads and data_parallel may change, and licence and split of sources and [[test]]."
        )


def _difference(before: Any, now: Any, key: str = "") -> str | None:
    """The first key that differs, with both values; `before` is as JSON has it, `now` a (part of a) configuration.

    A key that `before` does not know yet counts as its default: so that version trained.
    """
    if isinstance(before, dict) and dataclasses.is_dataclass(now):
        fields = {one.name: one for one in dataclasses.fields(now)}
        old = {**{name: _default(one) for name, one in fields.items() if name not in before}, **before}
        pairs = [(old[name], getattr(now, name, None), f"{key}.{name}" if key else name) for name in old]
    elif isinstance(before, list) and isinstance(now, tuple) and len(before) == len(now):
        pairs = [(*pair, f"{key}[{i}]") for i, pair in enumerate(zip(before, now, strict=True))]
    elif isinstance(before, dict | list) or isinstance(now, tuple) or dataclasses.is_dataclass(now):
        return f"{key} differs"
    else:
        return None if before == now else f"{key} was {before} and is {now}"
    compared = (pair for pair in pairs if re.sub(r"\[\d+\]", "", pair[2]) not in FREE)
    return next((found for pair in compared if (found := _difference(*pair)) is not None), None)


def _default(field: dataclasses.Field[Any]) -> Any:
    """Its default as JSON has it; None where it has none."""
    if field.default_factory is not dataclasses.MISSING:
        return json.loads(json.dumps(field.default_factory(), default=dataclasses.asdict))
    return None if field.default is dataclasses.MISSING else json.loads(json.dumps(field.default))


def add(path: Path, **facts: Any) -> None:
    """Add facts that are known only after training to run.json."""
    content = json.loads(path.read_text(encoding="utf-8"))
    _write(path, json.dumps({**content, **facts}, indent=1) + "\n")


def write_picture(path: Path, rgb: npt.NDArray[np.uint8]) -> None:
    """Write a picture, replacing the one before."""
    done, content = cv2.imencode(path.suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    if not done:
        raise ValueError(f"{path.suffix} is no kind of picture that can be written")
    with replacing(path) as part:
        part.write_bytes(content.tobytes())


def write_history(out: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write history.csv and its picture curve.png."""
    if not history:
        return
    with replacing(out / "history.csv") as part, part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=_columns(history))
        writer.writeheader()
        writer.writerows(history)
    _draw(out / "curve.png", history)


def read_history(path: Path) -> list[dict[str, float]]:
    """Read a history.csv; none where there is no file. Raises DataError where it is something else."""
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(stream)]
        return [{**row, "step": int(row["step"]), "score": row["score"]} for row in rows]
    except (ValueError, TypeError, KeyError, csv.Error) as error:
        raise DataError(
            f"{path} is damaged or no record of a training's scores; move it away, and the training goes on from its "
            "checkpoint."
        ) from error


def _columns(history: Sequence[Mapping[str, float]]) -> list[str]:
    """Names of all scores, step and minutes first; rows of an earlier version may lack some."""
    return list(dict.fromkeys(key for row in history for key in row))


def _draw(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    steps = [row["step"] for row in history]
    for key in _columns(history)[2:]:
        style = ":" if key.startswith("fires/") else "--" if key == "loss" else "-"
        axes.plot(
            steps,
            [row.get(key, math.nan) for row in history],
            style,
            label=key,
            linewidth=2.5 if key == "score" else 1.2,
        )
    axes.set(xlabel="step", ylim=(0, 1), title="validation scores at 0.5; dotted: share of sound pictures that fire")
    axes.legend(fontsize=7, ncols=2)
    axes.grid(alpha=0.3)
    with replacing(path) as part:
        figure.savefig(part, dpi=80)


def _write(path: Path, text: str) -> None:
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def _describe(examples: Sequence[Example]) -> dict[str, Any]:
    return {"images": len(examples), "sha256": content_hash(examples)}
