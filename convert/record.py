"""The record that a training leaves beside its float model: `run.json`, or `NAME.json` beside `NAME.weights.h5`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models import DataError

WEIGHTS_SUFFIX = ".weights.h5"


def read_record(path: Path) -> dict[str, Any]:
    """The record beside a float model; empty where there is none. Raises DataError where it is not JSON."""
    record = record_path(path)
    if not record.is_file():
        return {}
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{record} is not JSON ({error}); copy the training's run.json again.") from error
    if not isinstance(found, dict):
        raise DataError(f"{record} holds a {type(found).__name__}, not an object; copy the training's run.json again.")
    return found


def record_path(path: Path) -> Path:
    """Where the record of a float model lies: `NAME.json` beside `NAME.weights.h5`, else `run.json`."""
    name = f"{path.name.removesuffix(WEIGHTS_SUFFIX)}.json" if path.name.endswith(WEIGHTS_SUFFIX) else "run.json"
    return path.with_name(name)


def classes_of(path: Path, record: Mapping[str, Any]) -> tuple[str, ...]:
    """The kinds of damage that the training's record names, in the order of the network's outputs.

    Raises DataError where it names none: what an output means cannot be guessed.
    """
    listed = record.get("classes") or record.get("config", {}).get("model", {}).get("classes")
    if not isinstance(listed, list) or not all(isinstance(one, str) and one for one in listed):
        raise DataError(
            f"The record of {path} ({record_path(path).name}) names no classes; copy it from the training, or add "
            '"classes": [...] to it, in the order of the outputs.'
        )
    if len(set(listed)) < len(listed):
        raise DataError(f"The record of {path} names a class twice: {', '.join(listed)}.")
    return tuple(listed)
