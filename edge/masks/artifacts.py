"""The artefacts of a bundle: one model file for each kind of accelerator, as the card lists them.

The rest of the card knows no accelerator: which artefact a backend runs, its module says (``edge.masks.traits``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edge.support import config
from edge.support.errors import BundleError, ConfigError

TFLITE = "tflite"
"""The artefact that every bundle has: int8 for the CPU. Its golden file holds the input of all golden answers."""
MODEL, GOLDEN = "model.tflite", "golden.npz"
"""The files of that artefact; their names are fixed."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenCard:
    """The answer an artefact must give, and how far it may stray: kernels of different machines round differently."""

    file: str
    """An .npz beside the card with the array ``output`` (and ``input`` in that of ``tflite``)."""
    tolerance_lsb: int
    """A value further off than this counts as different, steps of the int8 output."""
    max_fraction_above: float
    """Share of values that may differ, 0 to 1."""

    def __post_init__(self) -> None:
        if self.tolerance_lsb < 0 or not 0 <= self.max_fraction_above < 1:
            raise ValueError("tolerance_lsb is at least 0 and max_fraction_above is in 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One model file of the bundle."""

    file: str
    """Its plain name, beside the card."""
    sha256: str
    """Hex, lower case."""
    golden: GoldenCard
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the program that made it knows of it, as a compiler's report; empty where it said nothing."""


def parse_artifacts(table: Mapping[str, Any], path: Path) -> dict[str, Artifact]:
    """Read ``artifacts`` of the card at ``path``. Raises BundleError naming the field that is wrong."""
    found = {name: _parse(name, value, f"{path}: card.artifacts.{name}") for name, value in table.items()}
    if TFLITE not in found:
        raise BundleError(f"{path}: card.artifacts.{TFLITE} is not listed; a bundle without it does not fly")
    if (found[TFLITE].file, found[TFLITE].golden.file) != (MODEL, GOLDEN):
        raise BundleError(f"{path}: card.artifacts.{TFLITE} is {MODEL} with {GOLDEN}, whatever else a bundle holds")
    return found


def _parse(name: str, value: Any, where: str) -> Artifact:
    if not _NAME.fullmatch(name):
        raise BundleError(f"{where}: an artefact's name is of a-z, 0-9, - and _, at most 32 characters; got {name!r}")
    if not isinstance(value, dict):
        raise BundleError(f"{where}: got {value!r} ({type(value).__name__}), needs an object")
    facts = value.get("facts", {})
    if not isinstance(facts, dict):
        raise BundleError(f"{where}.facts: got {facts!r} ({type(facts).__name__}), needs an object")
    try:
        found = config.build(Artifact, {key: each for key, each in value.items() if key != "facts"}, where)
    except ConfigError as error:
        raise BundleError(str(error)) from error
    check_digest(found.sha256, f"{where}.sha256")
    return replace(found, facts=facts)


def check_digest(digest: object, where: str) -> None:
    """Raise BundleError, naming the field ``where``, unless ``digest`` is a SHA-256 in hex."""
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise BundleError(f"{where}: got {digest!r}, needs a SHA-256 as 64 lower-case hex digits")
