"""card.json: what a model bundle says of itself (schema ``spanhawk/card/2``), parsed strictly."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from edge.masks import DamageClass, Measure, ReportRule, preprocess
from edge.masks.artifacts import Artifact, check_digest, parse_artifacts
from edge.masks.upgrade import upgraded
from edge.support import config
from edge.support.errors import BundleError, ConfigError

SCHEMA = "spanhawk/card/2"
CARD = "card.json"
SEAL = "card.json.sha256"
SIGNATURE = "card.json.minisig"
SOUND = "sound"
"""What a patch classifier calls a picture without damage."""
COPY_AGAIN = "copy the bundle again; it was altered or cut short"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputCard:
    """The network's input; the names are those of card.json, sizes in pixels."""

    height: int
    width: int
    channels: Literal["RGB"]
    dtype: Literal["int8"]
    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1:
            raise ValueError(f"height and width are at least 1, got {self.height} x {self.width}")
        preprocess.check_input(self.scale, self.zero_point)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputCard:
    """The network's output; ``height``, ``width`` and ``channels`` are those of the raw tensor."""

    height: int
    width: int
    channels: int
    dtype: Literal["int8"]
    scale: float
    zero_point: int
    kind: Literal["logits", "class_logits"]
    """``logits``: one logit per class and pixel or cell, what a segmenter needs; ``class_logits``: one per class for
    the whole picture, what a patch classifier gives."""
    pixel_shuffle: int
    """r: channel (class * r + dy) * r + dx is the logit of row y * r + dy, column x * r + dx; 1 = one logit each."""

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.channels, self.pixel_shuffle) < 1:
            raise ValueError("height, width, channels and pixel_shuffle are at least 1")
        if self.kind == "class_logits" and (self.height, self.width, self.pixel_shuffle) != (1, 1, 1):
            raise ValueError("class_logits have height, width and pixel_shuffle 1: one answer for the whole picture")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"scale is finite and above 0, got {self.scale}")
        if not -128 <= self.zero_point <= 127:
            raise ValueError(f"zero_point is an int8, got {self.zero_point}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """One data set the weights were trained on."""

    name: str
    split: str
    images: int
    licence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsCard:
    """What int8 may cost against float before ``python -m convert verify`` refuses the bundle, per data set."""

    f1_drop: float = 0.005
    """Strict pooled F1 of the crack class, float minus int8."""
    pixels_differing: float = 0.001
    """Share of pixels on which the two masks differ (of pictures, for a classifier: another class wins)."""

    def __post_init__(self) -> None:
        if not (0 <= self.f1_drop <= 1 and 0 <= self.pixels_differing <= 1):
            raise ValueError(f"f1_drop and pixels_differing are in 0 to 1, got {self.f1_drop}, {self.pixels_differing}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What card.json says of a model (schema ``spanhawk/card/2``), field by field."""

    name: str
    created: str
    """When the bundle was made, ISO 8601."""
    files: Mapping[str, str] = field(default_factory=dict)
    """File name to SHA-256 (hex, lower case) of every file of the bundle that is neither the card nor an artefact."""
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    """By name; ``tflite`` is always among them."""
    input: InputCard
    output: OutputCard
    classes: tuple[str, ...]
    """Kinds of damage in the order of the network's outputs; a patch classifier's first output is ``sound``."""
    score_threshold: float | None = None
    """A score at or above this is damage, above 0 to 1; chosen with the weights. None where ``score_thresholds`` says
    it class by class."""
    score_thresholds: Mapping[str, float] = field(default_factory=dict)
    """The same for a network of several classes: one for each of ``classes``, by name."""
    measure: Mapping[str, Measure] = field(default_factory=dict)
    """How damage of a class is measured, by name; a class that is not named: ``line`` for ``crack``, else ``area``."""
    report_rules: Mapping[str, ReportRule] = field(default_factory=dict)
    """Which traced pieces of a class that is measured as lines are reported, by name; without one a piece is reported
    by its length and score alone (edge/cracks/plausible.py)."""
    training_data: tuple[TrainingData, ...]
    licence: str
    metrics: Mapping[str, Any] = field(default_factory=dict)
    made: Mapping[str, Any] = field(default_factory=dict)
    limits: LimitsCard = field(default_factory=LimitsCard)

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name is empty")
        if not self.classes or len(set(self.classes)) != len(self.classes) or not all(self.classes):
            raise ValueError(f"classes are one or more different names, got {list(self.classes)}")
        self._check_named()
        result = self.output
        if result.kind == "class_logits":
            if len(self.classes) != result.channels:
                raise ValueError(f"classes names {len(self.classes)} classes, the output has {result.channels}")
            return
        if result.channels != len(self.classes) * result.pixel_shuffle**2:
            raise ValueError(
                f"channels is the number of classes times pixel_shuffle squared, got {result.channels} for "
                f"{len(self.classes)} classes and a pixel_shuffle of {result.pixel_shuffle}"
            )
        _check_strides(self.input, result)

    def _check_named(self) -> None:
        """Thresholds and measures are of the classes that there are, and no class lacks a threshold."""
        kinds = self._kinds()
        for field_name in ("score_thresholds", "measure", "report_rules"):
            strangers = [name for name in getattr(self, field_name) if name not in kinds]
            if strangers:
                raise ValueError(f"{field_name} names {strangers[0]!r}, which is none of the classes {list(kinds)}")
        if (self.score_threshold is None) is (not self.score_thresholds):
            raise ValueError("a card gives either score_threshold or score_thresholds, one per class")
        if self.score_threshold is not None and len(kinds) > 1 and self.output.kind == "logits":
            raise ValueError(f"{len(kinds)} classes need score_thresholds, one per class, not one score_threshold")
        for name in kinds:
            level = self.score_thresholds.get(name, self.score_threshold)
            if level is None:
                raise ValueError(f"score_thresholds has none for class {name!r}")
            if not 0 < level <= 1:
                raise ValueError(f"the score_threshold of {name!r} is above 0 and at most 1, got {level}")

    @property
    def damage(self) -> tuple[DamageClass, ...]:
        """The kinds of damage with threshold and measure, in the order of the network's outputs."""
        return tuple(
            DamageClass(
                name,
                self.score_thresholds[name] if self.score_threshold is None else self.score_threshold,
                self.measure.get(name, default_measure(name)),
                self.report_rules.get(name),
            )
            for name in self._kinds()
        )

    def _kinds(self) -> tuple[str, ...]:
        """The classes that are damage."""
        return tuple(name for name in self.classes if self.output.kind == "logits" or name != SOUND)


def default_measure(name: str) -> Measure:
    """How a class is measured where the card does not say."""
    return "line" if name == "crack" else "area"


def read_card(folder: Path) -> Card:
    """Read the card in ``folder``.

    A card of an earlier version is read as if it were of today's. Raises BundleError naming the field that is missing,
    unknown, mistyped or impossible; for an unknown schema; and for a file name that leads out of the folder.
    """
    path = folder / CARD
    table = upgraded(_read_table(folder, path))
    schema = table.pop("schema", None)
    if schema != SCHEMA:
        raise BundleError(f"{path}: schema {schema!r} is unknown, this version reads {SCHEMA}; {_way_out(schema)}")
    files, listed, metrics, made = (
        _take_object(table, name, path) for name in ("files", "artifacts", "metrics", "made")
    )
    try:
        card = config.build(Card, table, f"{path}: card")
    except ConfigError as error:
        raise BundleError(str(error)) from error
    artifacts = parse_artifacts(listed, path)
    _check_files(files, artifacts, path)
    return replace(card, files=files, artifacts=artifacts, metrics=metrics, made=made)


def _way_out(schema: object) -> str:
    """What to do about a card of another version."""
    found = re.fullmatch(r"spanhawk/card/(\d{1,9})", schema) if isinstance(schema, str) else None
    if found is None:
        return "this is no card of spanhawk's; name a bundle's folder"
    if int(found[1]) > int(SCHEMA.rpartition("/")[2]):
        return "the bundle is newer than this spanhawk: install a newer spanhawk"
    return "the bundle is older: make it again from its float model with `python -m convert quantize`"


def _read_table(folder: Path, path: Path) -> dict[str, Any]:
    if folder.is_file():
        raise BundleError(f"{folder}: is a file; name the bundle's folder, the one that holds {CARD}")
    try:
        card = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except OSError as error:
        raise BundleError(f"{path}: cannot read the card ({error.strerror}); name a bundle's folder") from error
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are both ValueErrors
        raise BundleError(f"{path}: not JSON ({error}); {COPY_AGAIN}") from error
    if not isinstance(card, dict):
        raise BundleError(f"{path}: the card is a JSON object, got {type(card).__name__}")
    return card


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is not a JSON number")


def _take_object(table: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    if name not in table:
        raise BundleError(f"{path}: card.{name}: missing; it has no default, so give it a value")
    value = table.pop(name)
    if not isinstance(value, dict):
        raise BundleError(f"{path}: card.{name}: got {value!r} ({type(value).__name__}), needs an object")
    return value


def _check_files(files: Mapping[str, Any], artifacts: Mapping[str, Artifact], path: Path) -> None:
    models = [artifact.file for artifact in artifacts.values()]
    for name in (*files, *models):
        if name in ("", ".", "..", CARD, SEAL, SIGNATURE) or "/" in name or "\\" in name or "\0" in name:
            raise BundleError(f"{path}: card.files: {name!r} is not the plain name of a file beside the card")
        if (*files, *models).count(name) > 1:
            raise BundleError(f"{path}: card.artifacts: {name!r} is listed twice; each file has one place on the card")
    for name, digest in files.items():
        check_digest(digest, f"{path}: card.files.{name}")
    for artifact in artifacts.values():
        if artifact.golden.file not in files:
            raise BundleError(
                f"{path}: card.files: {artifact.golden.file} is not listed; {artifact.file} does not fly without it"
            )


def _check_strides(source: InputCard, result: OutputCard) -> None:
    rows, columns = result.height * result.pixel_shuffle, result.width * result.pixel_shuffle
    stride = source.height // rows
    if stride < 1 or (rows * stride, columns * stride) != (source.height, source.width):
        raise ValueError(
            f"the logit map {rows} x {columns} and the input {source.height} x {source.width} differ by no whole stride"
        )
