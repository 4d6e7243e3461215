"""Training configuration: a TOML file read into frozen dataclasses. Unknown keys are refused by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edge.support import config
from edge.support.errors import ConfigError
from models import MAX_CLASSES, DataError

Kind = Literal["fast_unet", "unet", "patch_classifier"]

CROP_PX: dict[Kind, int] = {"fast_unet": 256, "unet": 512, "patch_classifier": 128}
BASE: dict[Kind, int] = {"fast_unet": 16, "unet": 64, "patch_classifier": 16}


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelConfig:
    """`labels = [{ name = "crack", masks = "folder" }, ...]`: where one class is drawn.

    With `masks`, a folder of masks of this class alone (0 and 255); with `value`, a grey value in the label maps that
    the table's own `masks` names. A class that is not listed is unknown in these pictures and teaches nothing there.
    """

    name: str
    masks: str | None = None
    value: int | None = None

    def __post_init__(self) -> None:
        if (self.masks is None) == (self.value is None):
            raise ValueError(f"label {self.name!r} needs either masks (a folder) or value (a grey value), not both")
        if self.value is not None and not 1 <= self.value <= 255:
            raise ValueError(f"label {self.name!r} has value {self.value}; grey values of classes are 1 to 255")


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceConfig:
    """`[[sources]]`: one folder of training pictures, relative to the data root."""

    name: str
    images: str
    masks: str | None = None
    """Masks of the first class, or label maps where `labels` give values; None, without labels: free of damage."""
    labels: tuple[LabelConfig, ...] = ()
    """For several classes: see `LabelConfig`."""
    pseudo_confidence: float | None = None
    """For pictures without masks that may hold damage: the [teacher] draws them. Pixels that it scores at least this
    high are damage, at most 1 minus this are sound, and between the two nothing is learned."""
    split: str = "train"
    """Split named in the bundle's card."""
    licence: str = "unknown"
    weight: float = 1.0
    looseness_px: int = 1
    holdout: float = 0.0
    """Share of the photographs kept out of training, for validation."""

    def __post_init__(self) -> None:
        _check_labels(self.name, self.masks, self.labels)
        if self.pseudo_confidence is None:
            return
        if self.masks is not None or self.labels:
            raise ValueError(f"source {self.name!r} has masks; the teacher draws only where there are none")
        if self.holdout:
            raise ValueError(f"source {self.name!r} has a holdout; what a teacher guessed validates nothing")
        if not 0.5 < self.pseudo_confidence < 1:
            raise ValueError(f"source {self.name!r} has pseudo_confidence {self.pseudo_confidence}; it is in 0.5 to 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationConfig:
    """`[[validation]]`: one folder used for validation only."""

    name: str
    images: str
    masks: str | None = None
    labels: tuple[LabelConfig, ...] = ()

    def __post_init__(self) -> None:
        _check_labels(self.name, self.masks, self.labels)


@dataclass(frozen=True, kw_only=True, slots=True)
class TestConfig:
    """`[[test]]`: pictures that no training may know; near copies of them, and what index.csv tells to be of the same
    photographs, are kept out, nothing else is done."""

    name: str
    images: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """`[model]`: which network, for which kinds of damage."""

    kind: Kind = "fast_unet"
    """fast_unet: what flies; unet: the classic encoder-decoder; patch_classifier: one answer per window."""
    classes: tuple[str, ...] = ("crack",)
    """Kinds of damage. The first is what `masks` alone means, and what is drawn where cracks are rendered."""
    base: int | None = None
    """Channels of the first stage; None = 16, or 64 for unet."""
    shuffle: int = 4
    """fast_unet: depth-to-space factor of the output: 1, 2 or 4 logits along each side of a cell of 4 px."""
    depth: int = 4
    """unet: number of poolings."""
    start_from: str | None = None
    """Weights file (.weights.h5) to start from, relative to the configuration file; None starts at random. Weights of a
    U-Net that knows the first class alone serve too: the other classes then begin at random."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.classes) <= MAX_CLASSES or len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes are 1 to {MAX_CLASSES} different names, got {list(self.classes)}")

    @property
    def channels(self) -> int:
        """Channels of the first stage."""
        return self.base if self.base is not None else BASE[self.kind]


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """`[loss]`: weights of the terms in `models.losses`; 0 leaves a term out. The patch classifier has its own loss."""

    bce: float | None = None
    """None = [train] bce_weight."""
    dice: float = 1.0
    tversky: float = 0.0
    tversky_false_positives: float = 0.3
    tversky_false_negatives: float = 0.7
    cl_dice: float = 0.0
    cl_dice_iterations: int = 5
    """At least half the width of the widest crack, in pixels of the output."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherConfig:
    """`[teacher]`: a trained U-Net (.keras) whose scores are learned beside the labels."""

    model: str
    """Relative to the configuration file."""
    weight: float = 1.0
    """Weight of the distillation term; 0 for a teacher that only draws (see `pseudo_confidence`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MixConfig:
    """`[mix]`: see `models.batches.Mix`."""

    rendered_cracks: float = 0.0
    rendered_clean: float = 0.0
    pasted_cracks: float = 0.0
    gentle: float = 0.0
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
    crop_px: int | None = None
    """Side of what the network sees while it learns; None = 256, 512 for unet, 128 for patch_classifier."""
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    warmup_steps: int = 200
    ema: float = 0.999
    bce_weight: float = 1.0
    validate_every: int = 500
    validate_pictures: int = 40
    """At most this many pictures per validation set while training."""
    threshold_pictures: int = 400
    """At most this many per set when the threshold is chosen, once, at the end."""
    split_seed: int | None = None
    """Decides what is held out; None = `seed`. A training that goes on from another's weights keeps its split, or it
    would be judged by pictures those weights have seen."""
    threads: int = 1
    """Threads that make batches."""
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    """Weights stay float32; mixed precision pays on a GPU, not on a CPU."""
    data_parallel: bool = False
    """Share each batch among all devices of this machine; needs KERAS_BACKEND=jax."""
    near_copies: Literal["drop", "refuse", "keep"] = "drop"
    """What happens to training pictures that look like one that is held out: see `models.duplicates`."""

    @property
    def held_by(self) -> int:
        """The seed of the split."""
        return self.seed if self.split_seed is None else self.split_seed


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """The whole file."""

    train: TrainConfig
    model: ModelConfig = field(default_factory=ModelConfig)
    mix: MixConfig = field(default_factory=MixConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    teacher: TeacherConfig | None = None
    sources: tuple[SourceConfig, ...] = ()
    validation: tuple[ValidationConfig, ...] = ()
    test: tuple[TestConfig, ...] = ()

    def __post_init__(self) -> None:
        items: tuple[SourceConfig | ValidationConfig, ...] = (*self.sources, *self.validation)
        for item in items:
            unknown = [label.name for label in item.labels if label.name not in self.model.classes]
            if unknown:
                raise ValueError(f"{item.name!r} labels {unknown[0]!r}, which is not in classes of [model]")
        if self.teacher is None and any(source.pseudo_confidence is not None for source in self.sources):
            raise ValueError("pseudo_confidence needs a [teacher]")
        if self.teacher is not None and (len(self.model.classes) > 1 or self.model.kind == "patch_classifier"):
            raise ValueError("a [teacher] teaches U-Nets of one class only")
        if self.mix.rendered_cracks and self.model.classes[0] != "crack":
            raise ValueError("rendered_cracks needs classes of [model] to begin with 'crack'")

    @property
    def crop_px(self) -> int:
        """Side of the network's input while it learns."""
        return self.train.crop_px if self.train.crop_px is not None else CROP_PX[self.model.kind]


def load_config(path: Path) -> Config:
    """Read a configuration. Raises DataError naming the file and the key that is missing, unknown or wrong."""
    try:
        return config.build(Config, config.load(path, advice="name another one"), f"{path}: config")
    except ConfigError as error:
        raise DataError(f"{error}. See models/configs/ for examples.") from error


def _check_labels(name: str, masks: str | None, labels: tuple[LabelConfig, ...]) -> None:
    values = [label for label in labels if label.value is not None]
    if values and masks is None:
        raise ValueError(f"{name!r} gives label values but no masks: name the folder of its label maps")
    if labels and masks is not None and len(values) != len(labels):
        raise ValueError(f"{name!r} has masks and folders of labels; give label values, or leave masks out")
