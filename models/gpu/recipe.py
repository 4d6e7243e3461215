"""What a GPU run trains on and for how long: a TOML file read into frozen dataclasses. Unknown keys are refused."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge.support import config
from edge.support.errors import ConfigError
from models import DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceRecipe:
    """`[[sources]]`: one folder of pictures, relative to the data root."""

    name: str
    images: str
    masks: str | None = None
    """Masks 0 and 255; None: free of cracks, unless `unlabelled`."""
    wide: str | None = None
    """Masks of a band that is known to hold the crack: where it is set and `masks` is not, nothing is learned."""
    unlabelled: bool = False
    """Nobody drew what is there: only the teacher's answer is learned."""
    licence: str = "unknown"
    split: str = "train"
    weight: float = 1.0
    """Share of the crops, relative to the other sources."""
    looseness_px: int = 1
    """How far the edges of the labels may be off, px."""
    quality: int = 84
    """WebP quality in the pack."""
    per_photo: int | None = None
    """At most this many pictures of one photograph; None: all."""
    hold: float = 0.0
    """Share of the photographs, the last ones by name, that make up the unseen site; 1 keeps the whole source out."""
    hold_photos: tuple[str, ...] = ()
    """Photographs of the unseen site by name, instead of `hold`."""

    def __post_init__(self) -> None:
        if self.unlabelled and (self.masks is not None or self.wide is not None):
            raise ValueError(f"source {self.name!r} is unlabelled and has masks; leave one of them out")
        if self.wide is not None and self.masks is None:
            raise ValueError(f"source {self.name!r} has wide bands but no masks; the band alone teaches nothing")
        if not 0 <= self.hold <= 1:
            raise ValueError(f"source {self.name!r} has hold = {self.hold}; it is a share, 0 to 1")
        if self.hold and self.hold_photos:
            raise ValueError(f"source {self.name!r} names hold and hold_photos; give one of them")
        if self.weight < 0:
            raise ValueError(f"source {self.name!r} has weight = {self.weight}; it is at least 0")

    @property
    def clean(self) -> bool:
        """The whole source is known to be free of cracks."""
        return self.masks is None and not self.unlabelled


@dataclass(frozen=True, kw_only=True, slots=True)
class MixRecipe:
    """`[mix]`: weights of made pictures beside those of the sources, and chances of what is laid on top."""

    rendered_cracks: float = 0.10
    pasted_cracks: float = 0.14
    rendered_ground: float = 0.25
    """Chance that a made crack lies on rendered concrete, not on a photograph."""
    lookalikes_on_cracked: float = 0.4
    lookalikes_on_clean: float = 0.6
    mosaics: float = 0.2
    """Share of crops put together of four shrunken ones."""
    gentle: float = 0.4
    """Share of crops left near their own scale."""
    enlarged: float = 0.0
    """Share of crops enlarged 1.6 to 5 times at a crack of a source with `looseness_px` = 0, a quarter of them of sound
    ground: wide cracks are rare in the sets. In them the labels are believed before the teacher, who misses what is
    wider than what it learned from."""
    joined: float = 0.0
    """Share of crops that meet another crop at a straight or round edge, often with a joint along it."""

    def __post_init__(self) -> None:
        if not (self.mosaics >= 0 and self.enlarged >= 0 and self.mosaics + self.enlarged <= 1):
            raise ValueError("mosaics and enlarged are shares of the crops, 0 to 1 together")


@dataclass(frozen=True, kw_only=True, slots=True)
class StudentRecipe:
    """`[[students]]`: a fast U-Net."""

    name: str
    kind: str = "fast_unet"
    start_from: str | None = None
    """Weights that `python -m models gpu-pack` put into the pack under this name, of this or a like network: what has
    the same name and shape is taken, the rest is random. None: all random."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecipe:
    """`[run]`: sizes and rates; the time is given when the run is started."""

    seed: int = 1
    crop_px: int = 384
    batch: int = 96
    teacher_rate: float = 1e-3
    student_rate: float = 3e-3
    weight_decay: float = 1e-2
    ema: float = 0.995
    unseen_share: float = 0.5
    """Share of the time that sees no picture of the held-out sites; afterwards all pictures are learned from."""
    teach_share: float = 0.45
    """Share of each half in which the teacher learns; afterwards it only teaches."""
    teacher: str = "lite0"
    """The teacher's encoder, one of `models.gpu.nets.TEACHERS`."""
    sound_peaks: float = 0.0
    """Weight of the highest scores on sound crops (see `models.gpu.losses.peak_loss`)."""
    cl_dice: float = 0.0
    """Weight of soft clDice, which asks for unbroken lines (see `models.gpu.losses.cl_dice_loss`); 0: left out. On a
    CPU it takes twice as long as the step of a fast_unet."""
    cl_dice_iterations: int = 5
    """Erosions of its skeletons: half the width of the widest crack, px."""
    distill: float = 1.0
    """Weight of the teacher's answer once it is frozen."""
    teacher_scales: tuple[float, ...] = (1.0, 1.5)
    """Sizes at which the frozen teacher looks at a crop; its logits are averaged."""
    reuse: float = 1.0
    """How often a crop is learned from, each time turned and in another light, where a frozen teacher (`--frozen`)
    looks at each crop once; above 1 there must be one. For CPUs, where a crop costs more than learning from it."""
    pool: int = 3000
    """Crops that are kept to be learned from again, 6 bytes a pixel."""
    cracks: int = 2400
    """Cracks rendered beforehand."""
    lookalikes: int = 2800
    """Look-alikes rendered beforehand."""

    def __post_init__(self) -> None:
        if self.crop_px % 64:
            raise ValueError(f"crop_px = {self.crop_px}; it is a multiple of 64")
        if not (0 < self.unseen_share <= 1 and 0 < self.teach_share < 1):
            raise ValueError("unseen_share is in 0 to 1 and teach_share between 0 and 1")
        if not 0 <= self.cl_dice < math.inf or self.cl_dice_iterations < 1:
            raise ValueError("cl_dice is a weight of at least 0 and cl_dice_iterations at least 1")
        if self.reuse < 1 or self.pool < self.batch:
            raise ValueError("reuse is at least 1 and pool at least as large as a batch")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """The whole file."""

    students: tuple[StudentRecipe, ...]
    sources: tuple[SourceRecipe, ...]
    run: RunRecipe = field(default_factory=RunRecipe)
    mix: MixRecipe = field(default_factory=MixRecipe)

    def __post_init__(self) -> None:
        for kind, names in (("source", self.sources), ("student", self.students)):
            if not names:
                raise ValueError(f"no {kind} is named; at least one is needed")
            if len({one.name for one in names}) != len(names):
                raise ValueError(f"two of the {kind}s have one name; give each its own")


def load_recipe(path: Path) -> Recipe:
    """Read a recipe. Raises DataError for a file that cannot be read and for a value that cannot be."""
    try:
        return config.build(Recipe, config.load(path, "recipe", "name another one"), f"{path}: recipe")
    except ConfigError as error:
        raise DataError(str(error)) from error


def leave_out(recipe: Recipe, names: Sequence[str]) -> Recipe:
    """The recipe with these sources held out whole, as by `hold` = 1. Raises DataError for a name it does not have."""
    unknown = sorted({*names} - {source.name for source in recipe.sources})
    if unknown:
        listed = ", ".join(source.name for source in recipe.sources)
        raise DataError(f"The recipe has no source {', '.join(unknown)} to leave out; it has {listed}.")
    sources = [
        dataclasses.replace(source, hold=1.0, hold_photos=()) if source.name in names else source
        for source in recipe.sources
    ]
    return dataclasses.replace(recipe, sources=tuple(sources))


def without(recipe: Recipe, names: Sequence[str]) -> Recipe:
    """The recipe without these sources. Raises DataError for a name it does not have, and where none is left."""
    kept = tuple(source for source in leave_out(recipe, names).sources if source.name not in names)
    if not kept:
        raise DataError("Every source of the recipe is left out; nothing remains.")
    return dataclasses.replace(recipe, sources=kept)


def only(recipe: Recipe, names: Sequence[str]) -> Recipe:
    """The recipe with these sources alone, each held out whole. Raises DataError as `leave_out`."""
    sources = tuple(source for source in leave_out(recipe, names).sources if source.name in names)
    return dataclasses.replace(recipe, sources=sources)


def replace_numbers(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """Replace numbers of [run] by texts of the form KEY=NUMBER. Raises DataError for another key, or no number."""
    known = {item.name: getattr(recipe.run, item.name) for item in dataclasses.fields(recipe.run)}
    wanted: dict[str, float] = {}
    for change in changes:
        key, _, text = change.partition("=")
        if not isinstance(known.get(key), (int, float)):
            raise DataError(f"--set {change}: [run] has no number {key!r}.")
        try:
            wanted[key] = type(known[key])(text)
        except ValueError as error:
            raise DataError(f"--set {change}: {text!r} is not a number of the kind of {known[key]}.") from error
    try:
        return dataclasses.replace(recipe, run=dataclasses.replace(recipe.run, **wanted))  # type: ignore[arg-type]
    except ValueError as error:
        raise DataError(f"--set: {error}.") from error
