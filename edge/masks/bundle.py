"""A model bundle: the folder that flies, its card, and the proof that nothing in it was altered."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from edge.masks.artifacts import TFLITE, Artifact
from edge.masks.card import COPY_AGAIN, Card, read_card
from edge.masks.trust import check_seal
from edge.support import config
from edge.support.errors import BundleError, ConfigError

T = TypeVar("T")

DEFAULT_NAME = "fast-unet"

_SHOWN_DIGITS = 12
# What numpy raises for a file that is no .npz, an array that is not there, or bytes that do not unpack.
_UNREADABLE = (OSError, EOFError, ValueError, KeyError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error)


class MissingArtifactError(BundleError):
    """The bundle is sound, but holds no model for the accelerator that was asked for."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder whose files are what its card says."""

    folder: Path
    card: Card

    def artifact(self, name: str, made_by: str | None = None) -> Artifact:
        """The artefact ``name``; ``made_by`` is the command that makes one, for the message.

        Raises MissingArtifactError where the card lists none of that name.
        """
        found = self.card.artifacts.get(name)
        if found is None:
            held = ", ".join(sorted(self.card.artifacts))
            raise MissingArtifactError(
                f"{self.folder}: the bundle holds no artefact {name} (it has {held}); "
                f"add one with `{made_by or 'python -m convert add'}`, or choose another backend in [masks]"
            )
        return found

    def path(self, name: str, made_by: str | None = None) -> Path:
        """Where the artefact ``name`` lies; arguments and errors as ``artifact``."""
        return self.folder / self.artifact(name, made_by).file

    def facts(self, name: str, kind: type[T]) -> T | None:
        """What is known of the artefact ``name``, as the dataclass ``kind`` of its backend; None where nothing is told.

        Raises BundleError naming the fact that is missing, unknown or wrong.
        """
        told = self.artifact(name).facts
        if not told:
            return None
        try:
            return config.build(kind, told, f"{self.folder}: card.artifacts.{name}.facts")
        except ConfigError as error:
            raise BundleError(str(error)) from error

    @property
    def model_path(self) -> Path:
        """The int8 model for the CPU."""
        return self.path(TFLITE)

    @property
    def sha256(self) -> str:
        """SHA-256 of model.tflite, hex."""
        return self.card.artifacts[TFLITE].sha256

    @property
    def model(self) -> str:
        """Card name and the first 8 digits of ``sha256``, as ``fast-unet-1a2b3c4d``."""
        return f"{self.card.name}-{self.sha256[:8]}"


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """One input and the answer the network gave when the bundle was made."""

    input: npt.NDArray[np.int8]
    """int8 (1, H, W, 3)."""
    output: npt.NDArray[np.int8]
    """int8 (1, h, w, c)."""


def default_bundle_path() -> Path:
    """Where the bundle that ships with spanhawk is: in the wheel, or in a checkout under models/bundles."""
    here = Path(__file__).resolve()
    places = (here.parent / "bundles" / DEFAULT_NAME, here.parents[2] / "models" / "bundles" / DEFAULT_NAME)
    for place in places:
        if place.is_dir():
            return place
    raise BundleError(
        f"no bundle named {DEFAULT_NAME} in {places[0]} or {places[1]}; install spanhawk again, or name a bundle folder"
    )


def load_bundle(path: Path) -> Bundle:
    """Read the card in the folder ``path`` and verify it against its seal and every file against it.

    That proves that nothing was altered by accident; whose bundle it is, ``edge.masks.trust.trust_of`` says. Raises
    BundleError for a card that is absent, malformed, of an unknown schema or not as its seal says, and for a file that
    is absent or whose SHA-256 is not the card's.
    """
    check_seal(path)
    bundle = Bundle(path, read_card(path))
    models = {artifact.file: artifact.sha256 for artifact in bundle.card.artifacts.values()}
    for name, expected in {**models, **bundle.card.files}.items():
        _verify(path / name, expected)
    return bundle


def load_golden(bundle: Bundle, name: str = TFLITE) -> Golden:
    """The golden input, and what the artefact ``name`` must answer.

    Every artefact is given the same input, that of ``tflite``; its answer is int8 at the card's output scale, whatever
    it computes in. Raises BundleError where a file is not the int8 arrays of the card's sizes, MissingArtifactError
    where there is no such artefact.
    """
    source, result = bundle.card.input, bundle.card.output
    path = bundle.folder / bundle.artifact(TFLITE).golden.file
    (image,) = _read_arrays(path, "input")
    _check_array(path, "input", image, (1, source.height, source.width, 3))
    path = bundle.folder / bundle.artifact(name).golden.file
    (answer,) = _read_arrays(path, "output")
    _check_array(path, "output", answer, (1, result.height, result.width, result.channels))
    return Golden(image, answer)


def _read_arrays(path: Path, *names: str) -> list[npt.NDArray[Any]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return [arrays[name] for name in names]
    except _UNREADABLE as error:
        listed = " and ".join(names)
        raise BundleError(f"{path}: not an .npz with the arrays {listed} ({error}); {COPY_AGAIN}") from error


def _verify(path: Path, expected: str) -> None:
    try:
        actual = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BundleError(
            f"{path}: the card lists it but it cannot be read ({error.strerror}); {COPY_AGAIN}"
        ) from error
    if actual != expected:
        raise BundleError(
            f"{path}: SHA-256 is {actual[:_SHOWN_DIGITS]}, the card says {expected[:_SHOWN_DIGITS]}; {COPY_AGAIN}"
        )


def _check_array(path: Path, name: str, array: npt.NDArray[Any], shape: tuple[int, ...]) -> None:
    if array.dtype != np.int8 or array.shape != shape:
        raise BundleError(f"{path}: {name} is {array.dtype} {array.shape}, the card says int8 {shape}; {COPY_AGAIN}")
