"""The float network a bundle is made from: a Keras file, or weights beside a record, rebuilt at the drone's size.

What is known by name (`FAMILIES`) is rebuilt by its own definition for any input size; other Keras models are taken as
they are, with a static batch of 1. The float model's record (`run.json` of a training, or `NAME.json` beside
`NAME.weights.h5`) gives threshold, classes and provenance.
"""

from __future__ import annotations

import hashlib
import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convert import ConversionError
from convert.families import FAMILIES, is_of_a_family, rebuilt_family
from convert.logits import to_logits
from convert.network import read, refuse_others, resized
from convert.pixels import RANGES, Pixels, from_fractions
from convert.record import WEIGHTS_SUFFIX, classes_of, read_record, record_path
from edge.masks.card import SOUND
from models import DataError

if TYPE_CHECKING:
    import keras


log = logging.getLogger(__name__)

DEFAULT_SIZE = (512, 512)
SEGMENTER, CLASSIFIER = "logits", "class_logits"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A float network ready to be converted: float32 RGB in 0..1 (1, H, W, 3) to logits."""

    path: Path
    sha256: str
    model: keras.Model
    kind: str
    """``logits`` (a map) or ``class_logits`` (one row), as on the card."""
    record: Mapping[str, Any]
    pixels: Pixels
    """What the file's network takes; the one here takes 0..1 in any case."""
    classes: tuple[str, ...]
    """In the order of the outputs; a classifier's first is ``sound``."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Score threshold of each kind of damage, 0 to 1; empty until they are asked for (`with_thresholds`)."""

    @property
    def damage(self) -> tuple[str, ...]:
        """The classes that are damage."""
        return tuple(name for name in self.classes if self.kind == SEGMENTER or name != SOUND)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input, pixels."""
        _, height, width, _ = self.model.input_shape
        return int(height), int(width)


def load_source(
    path: Path,
    size: tuple[int, int] | None = None,
    keep: Sequence[str] | None = None,
    *,
    pixels: Pixels | None = None,
) -> Source:
    """Load the float network in ``path`` for an input of ``size`` = (height, width) px.

    ``size`` None: 512 x 512 for a U-Net (training saves it at another size), else the file's own. ``keep`` names the
    classes whose outputs are kept, in this order; None keeps all. ``pixels``: what the network was trained on, where
    neither its layers nor the record say so (``"pixels": "0..255"``). One output without any record beside the file is
    taken for crack, and a warning says so. Raises DataError for a file that is absent or none, a record without
    classes, and a class that it does not name; ConversionError for a network that cannot fly.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder (a SavedModel?); give the file that model.save wrote as NAME.keras.")
    if not path.is_file():
        raise DataError(f"The model {path} does not exist; train one with python -m models train.")
    if not path.name.endswith(WEIGHTS_SUFFIX):
        refuse_others(path)
    record = read_record(path)
    listed = _listed(path, record, keep)
    kept = _kept(path, listed, keep)
    if path.name.endswith(WEIGHTS_SUFFIX):
        model = _from_weights(path, record, size or DEFAULT_SIZE, listed, kept)
    else:
        model = _from_keras(path, size, listed, kept)
    own = model
    model, pixels = from_fractions(path, own, pixels or record.get("pixels"))
    model = to_logits(model, path)
    if model is not own:
        _compare(path, own, model, pixels)
    outputs = _check(path, model, len(kept))
    classifier = len(model.output_shape) == 2
    if not record and classifier:
        raise DataError(
            f"{path} answers with {outputs} numbers for a picture, not with a map of it: of a segmenter leave out what "
            'flattens or averages at its end; of a patch classifier name the "classes" in run.json beside it.'
        )
    if not record and keep is None and (classifier or outputs > 1) and not is_of_a_family(own):
        classes_of(path, record)  # several outputs without a word on them: refused
    if classifier and outputs == len(listed) + 1:
        kept = (SOUND, *listed)  # a patch classifier's first output is that nothing is damaged
    if classifier and outputs != len(kept):
        raise DataError(f"The record of {path} names {len(listed)} classes, the network has {outputs} outputs.")
    kind = CLASSIFIER if classifier else SEGMENTER
    return Source(path=path, sha256=sha256(path), model=model, kind=kind, record=record, pixels=pixels, classes=kept)


def with_thresholds(source: Source, given: float | None = None) -> Source:
    """`source` with a score threshold per kind of damage: `given` where there is one kind, else the record's.

    Raises DataError where one is not known, or is none: above 0, at most 1.
    """
    source = _with_thresholds(source, given)
    for name, level in source.thresholds.items():
        if not 0 < level <= 1:
            raise DataError(
                f"The score threshold of {name!r} is {level:g}; it is above 0 and at most 1: correct "
                f"{record_path(source.path).name}, or give --threshold."
            )
    return source


def _with_thresholds(source: Source, given: float | None) -> Source:
    if given is not None:
        if len(source.damage) > 1:
            raise DataError(
                f"--threshold is for one class, and {source.path} has {', '.join(source.damage)}; change "
                "score_thresholds in its record, or keep one class with --class."
            )
        return _without_rule(replace(source, thresholds={source.damage[0]: given}), source.damage[0], given)
    known = _recorded(source)
    missing = [name for name in source.damage if name not in known]
    if missing:
        raise DataError(
            f"No record beside {source.path} gives a score_threshold for {missing[0]!r}: "
            f"{record_path(source.path).name} is missing or holds none; copy it from the training, or give --threshold."
        )
    return replace(source, thresholds={name: float(known[name]) for name in source.damage})


def _recorded(source: Source) -> dict[str, float]:
    """The score thresholds of the record, by class."""
    first = source.record.get("score_threshold")
    known = {classes_of(source.path, source.record)[0]: first} if first is not None else {}
    return {**known, **source.record.get("score_thresholds", {})}


def _without_rule(source: Source, name: str, given: float) -> Source:
    """Leave out the rule of reporting of a class that was fitted on masks of another threshold than `given`."""
    rules = dict(source.record.get("report_rules", {}))
    if name not in rules or _recorded(source).get(name) == given:
        return source
    del rules[name]
    log.warning(
        "the rule of reporting of %s was fitted at the threshold %s of its record, not at %g: it is left out; fit one "
        "with python -m models report-rule --thresholds %g --record", name, _recorded(source).get(name), given, given,
    )  # fmt: skip
    return replace(source, record={**source.record, "report_rules": rules})


def _listed(path: Path, record: Mapping[str, Any], keep: Sequence[str] | None) -> tuple[str, ...]:
    """The record's classes; of a Keras file without any record those that are asked for, or crack alone."""
    if record or path.name.endswith(WEIGHTS_SUFFIX):
        return classes_of(path, record)
    if keep is not None:
        return tuple(name for name in keep if name != SOUND)
    log.warning(
        "%s has no %s beside it: its one output is taken for crack; say with --class if it is something else",
        path, record_path(path).name,
    )  # fmt: skip
    return ("crack",)


def _kept(path: Path, listed: tuple[str, ...], keep: Sequence[str] | None) -> tuple[str, ...]:
    if keep is None:
        return listed
    unknown = [name for name in keep if name not in (*listed, SOUND)]
    if unknown:
        raise DataError(f"{path} knows the classes {', '.join(listed)}, not {unknown[0]!r}.")
    return tuple(name for name in keep if name != SOUND)


def sha256(path: Path) -> str:
    """SHA-256 of a file, hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _from_keras(
    path: Path, size: tuple[int, int] | None, listed: tuple[str, ...], kept: tuple[str, ...]
) -> keras.Model:
    saved = read(path)
    own = tuple(saved.input_shape[1:3])
    if is_of_a_family(saved):
        height, width = size or (own if saved.name == "patch_classifier" and None not in own else DEFAULT_SIZE)
        return rebuilt_family(path, saved, height, width, listed, kept)
    if kept != listed:
        raise ConversionError(f"{path} is no {', '.join(FAMILIES)}; only of those can single classes be kept.")
    if None in own:
        if size is None:
            raise ConversionError(
                f"{path} has an open input size {own}; say with --height and --width what it is to be."
            )
        return _sized(path, saved, size)
    if size is not None and size != own:
        raise ConversionError(
            f"{path} takes {own[0]} x {own[1]} px and is no {', '.join(FAMILIES)}, which are rebuilt for any size; "
            f"leave out --height and --width, or save it for {size[0]} x {size[1]}."
        )
    return saved


def _from_weights(
    path: Path, record: Mapping[str, Any], size: tuple[int, int], listed: tuple[str, ...], kept: tuple[str, ...]
) -> keras.Model:
    """Weights of a fast U-Net, whose base width and shuffle the record or the weights themselves give."""
    from models.unet import SIZES, fast_size, fast_unet

    settings = record.get("config", {}).get("model", {})
    kind = settings.get("kind", "fast_unet")
    if kind != "fast_unet":
        raise DataError(f"{path} holds weights of a {kind}; give the .keras file, which says how it is built.")
    base, shuffle = settings.get("base") or 16, settings.get("shuffle", 4)
    try:
        named = settings.get("size")
        size_of_net = SIZES[named] if named else fast_size(base, shuffle)
        model = fast_unet(*size, size=size_of_net, batch_size=1, classes=len(listed))
        with warnings.catch_warnings():  # Keras only warns about weights it does not find, and leaves them random
            warnings.simplefilter("error", UserWarning)
            model.load_weights(path)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        words = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path} does not fit a fast_unet of {len(listed)} classes with base {base} and shuffle {shuffle} at "
            f"{size[0]} x {size[1]} px ({words}); give the .keras file, or the training's run.json as "
            f"{path.name.removesuffix(WEIGHTS_SUFFIX)}.json beside it."
        ) from error
    return model if kept == listed else rebuilt_family(path, model, size[0], size[1], listed, kept)


def _sized(path: Path, saved: keras.Model, size: tuple[int, int]) -> keras.Model:
    try:
        return resized(saved, size)
    except ValueError as error:
        words = " ".join(str(error).split())[:200]
        raise ConversionError(f"{path} cannot take {size[0]} x {size[1]} px ({words}); choose another size.") from error


def _compare(path: Path, own: keras.Model, made: keras.Model, pixels: Pixels) -> None:
    """Raise ConversionError unless `made`, given 0..1, has the scores of `own`, given the pixels that it takes."""
    fractions = np.random.default_rng(0).random((1, *own.input_shape[1:]))
    matrix, offset = RANGES[pixels]
    wanted = np.asarray(own((fractions @ matrix.T + offset).astype(np.float32), training=False), np.float64)
    logits = np.asarray(made(fractions.astype(np.float32), training=False), np.float64)
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    found = (logits, 1 / (1 + np.exp(-logits)), raised / raised.sum(axis=-1, keepdims=True))
    wanted = wanted[..., -logits.shape[-1] :]  # of background and crack the second is kept
    if not any(one.shape == wanted.shape and np.allclose(one, wanted, rtol=1e-3, atol=1e-3) for one in found):
        raise ConversionError(
            f"{path}: what was made of the network answers otherwise than it; report this with the file."
        )


def _check(path: Path, model: keras.Model, classes: int) -> int:
    """The number of the network's outputs (channels). Raises ConversionError for shapes that cannot fly."""
    shape = model.output_shape
    if not isinstance(shape, tuple) or None in shape or None in model.input_shape:
        raise ConversionError(f"{path}: shapes {model.input_shape} to {shape} are not all fixed; save it with a size.")
    if len(shape) == 2:
        return int(shape[1])
    if len(shape) != 4 or shape[3] % classes or math.isqrt(shape[3] // classes) ** 2 * classes != shape[3]:
        raise ConversionError(
            f"{path} answers {shape} for {classes} classes; a segmenter answers (1, h, w, classes * r * r) logits, a "
            "classifier (1, classes)."
        )
    return int(shape[3])
