"""Training configuration: a TOML file read into frozen dataclasses. Unknown keys are refused by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from edge import config
from edge.errors import ConfigError
from models import DataError


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
    """Read a configuration. Raises DataError naming the file and the key that is missing, unknown or wrong."""
    try:
        return config.build(Config, config.load(path), "config")
    except ConfigError as error:
        raise DataError(f"{path}: {error}. See models/configs/ for examples.") from error
