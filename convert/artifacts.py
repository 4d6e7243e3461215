"""Put a model for one more accelerator into a bundle: the file, what it must answer, and what its maker knows of it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convert import MAX_FRACTION_ABOVE, TOLERANCE_LSB
from convert.folder import editing, write_card
from edge.masks.artifacts import GOLDEN, TFLITE
from edge.masks.bundle import load_bundle, load_golden
from edge.support.errors import BundleError
from models import DataError

Int8 = npt.NDArray[np.int8]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Addition:
    """An artefact to be."""

    file: str
    """Its plain name in the bundle."""
    content: bytes
    facts: Mapping[str, Any] = field(default_factory=dict)
    """JSON-ready."""
    answer: tuple[str, Int8] | None = None
    """Name of the golden file and int8 (1, h, w, c) at the card's output scale; None: it must answer as ``tflite``."""
    tolerance_lsb: int = TOLERANCE_LSB
    max_fraction_above: float = MAX_FRACTION_ABOVE


def add(bundle: Path, name: str, addition: Addition) -> None:
    """Put an artefact into the bundle, in one step with card and seal; one of the same name is replaced.

    Raises BundleError where the bundle is not sound to begin with, DataError where it would not be afterwards; nothing
    is changed then.
    """
    if name == TFLITE:
        raise DataError(
            f"The artefact {TFLITE} is what a bundle is made of; make that with python -m convert quantize."
        )
    with editing(bundle) as (folder, card):
        _remove(folder, card["artifacts"], name)
        golden = GOLDEN
        if addition.answer is not None:
            golden, answer = addition.answer
            _refuse_taken(folder, golden)
            np.savez_compressed(folder / golden, output=answer)
        _refuse_taken(folder, addition.file)
        (folder / addition.file).write_bytes(addition.content)
        card["artifacts"][name] = entry(
            addition.file, golden, addition.facts, addition.tolerance_lsb, addition.max_fraction_above
        )
        write_card(folder, card)
        try:
            load_golden(load_bundle(folder), name)
        except BundleError as error:
            raise DataError(str(error).replace(str(folder), str(bundle))) from error


def entry(
    file: str,
    golden: str,
    facts: Mapping[str, Any],
    tolerance_lsb: int = TOLERANCE_LSB,
    max_fraction_above: float = MAX_FRACTION_ABOVE,
) -> dict[str, Any]:
    """An artefact as card.json lists it; its hash is filled in when the card is written."""
    limits = {"tolerance_lsb": tolerance_lsb, "max_fraction_above": max_fraction_above}
    return {"file": file, "sha256": "", "golden": {"file": golden, **limits}, "facts": dict(facts)}


def read_addition(
    file: Path, golden: Path | None, facts: Path | None, tolerance_lsb: int, max_fraction_above: float
) -> Addition:
    """Read what another program made: the model, an .npz with ``output``, a JSON object. Raises DataError."""
    answer = None if golden is None else (golden.name, _read_answer(golden))
    told = {} if facts is None else _read_facts(facts)
    return Addition(
        file=file.name, content=_read(file), facts=told, answer=answer,
        tolerance_lsb=tolerance_lsb, max_fraction_above=max_fraction_above,
    )  # fmt: skip


def _remove(folder: Path, artifacts: dict[str, Any], name: str) -> None:
    """Take an artefact off the card and its files out of the folder, but for a golden answer that others share."""
    before = artifacts.pop(name, None)
    if before is not None:
        (folder / before["file"]).unlink()
        golden = before["golden"]["file"]
        if golden not in (other["golden"]["file"] for other in artifacts.values()):
            (folder / golden).unlink()


def _refuse_taken(folder: Path, name: str) -> None:
    if (folder / name).exists():
        raise DataError(f"The bundle has a file {name} already; give yours another name.")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); name an existing file.") from error


def _read_answer(path: Path) -> Int8:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found: Int8 = arrays["output"]
    except (OSError, EOFError, ValueError, KeyError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is not an .npz with the array output ({error}); write it with numpy.savez.") from error
    return found


def _read_facts(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(_read(path).decode("utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}).") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} holds {type(found).__name__}; the facts are a JSON object.")
    return found
