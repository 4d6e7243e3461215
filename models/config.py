"""Training configuration: a TOML file read into frozen dataclasses. Unknown keys are refused by name."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from models import DataError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceConfig:
    """`[[sources]]`: one folder of training pictures, relative to the data root."""

    name: str
    images: str
    masks: str | None = None
    """None: every picture is crack-free."""
    split: str = "train"
    """Split named in the bundle's card."""
    licence: str = "unknown"
    weight: float = 1.0
    looseness_px: int = 1
    holdout: float = 0.0
    """Share of the photographs kept out of training, for validation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationConfig:
    """`[[validation]]`: one folder used for validation only."""

    name: str
    images: str
    masks: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """`[model]`: arguments of `models.unet.fast_unet`."""

    base: int = 16
    shuffle: int = 4
    start_from: str | None = None
    """Weights file (.weights.h5) to start from, relative to the configuration file; None starts at random."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MixConfig:
    """`[mix]`: see `models.batches.Mix`."""

    rendered_cracks: float = 0.0
    rendered_clean: float = 0.0
    lookalikes_on_cracked: float = 0.0
    lookalikes_on_clean: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """`[train]`: the schedule. The learning rate follows whichever of `steps` and `minutes` ends first."""

    steps: int
    minutes: float | None = None
    """Wall-clock limit; None means that only `steps` counts."""
    seed: int = 1
    batch: int = 16
    crop_px: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    warmup_steps: int = 200
    ema: float = 0.999
    bce_weight: float = 1.0
    validate_every: int = 500
    validate_pictures: int = 40
    """At most this many pictures per validation set while training."""
    threads: int = 1
    """Threads that make batches."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """The whole file."""

    train: TrainConfig
    model: ModelConfig = field(default_factory=ModelConfig)
    mix: MixConfig = field(default_factory=MixConfig)
    sources: tuple[SourceConfig, ...] = ()
    validation: tuple[ValidationConfig, ...] = ()


def load_config(path: Path) -> Config:
    """Read a configuration. Raises DataError naming the table and key that is missing, unknown or wrong."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"The configuration {path} does not exist; see models/configs/ for examples.") from None
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"The configuration {path} is not valid TOML: {error}.") from None
    unknown = set(raw) - {item.name for item in dataclasses.fields(Config)}
    if unknown:
        known = "train, model, mix, sources, validation"
        raise DataError(f"{path} has an unknown table [{min(unknown)}]; known are {known}.")
    return Config(
        train=_read(TrainConfig, raw.get("train", {}), path, "train"),
        model=_read(ModelConfig, raw.get("model", {}), path, "model"),
        mix=_read(MixConfig, raw.get("mix", {}), path, "mix"),
        sources=tuple(_read(SourceConfig, row, path, "sources") for row in raw.get("sources", [])),
        validation=tuple(_read(ValidationConfig, row, path, "validation") for row in raw.get("validation", [])),
    )


def _read(kind: type[T], table: dict[str, Any], path: Path, name: str) -> T:
    fields = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key, value in table.items():
        if key not in fields:
            raise DataError(f"{path}: [{name}] has an unknown key {key!r}; known are {', '.join(sorted(fields))}.")
        wanted = str(fields[key].type)
        if not _fits(value, wanted):
            raise DataError(f"{path}: [{name}] {key} must be {wanted}, not {value!r}.")
    missing = [
        key for key, item in fields.items()
        if key not in table and item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
    ]  # fmt: skip
    if missing:
        raise DataError(f"{path}: [{name}] lacks {missing[0]!r}.")
    return kind(**table)


def _fits(value: object, wanted: str) -> bool:
    if isinstance(value, bool):
        return False
    if "float" in wanted:
        return isinstance(value, (int, float))
    return isinstance(value, int if wanted == "int" else str)
