"""A model bundle: the folder that flies, its card, and the proof that nothing in it was altered."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import BundleError
from edge.masks.card import COPY_AGAIN, GOLDEN, MODEL, MODEL_EDGETPU, Card, read_card

DEFAULT_NAME = "fast-unet"

_SHOWN_DIGITS = 12
# What numpy raises for a file that is no .npz, an array that is not there, or bytes that do not unpack.
_UNREADABLE = (OSError, EOFError, ValueError, KeyError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder whose files are what its card says."""

    folder: Path
    card: Card

    @property
    def model_path(self) -> Path:
        """The int8 model for the CPU."""
        return self.folder / MODEL

    @property
    def edgetpu_path(self) -> Path | None:
        """The model compiled for the Edge TPU; None when the bundle has none."""
        return self.folder / MODEL_EDGETPU if MODEL_EDGETPU in self.card.files else None

    @property
    def sha256(self) -> str:
        """SHA-256 of model.tflite, hex."""
        return self.card.files[MODEL]

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
    """Read the card in the folder ``path`` and verify every file against it.

    Raises BundleError for a card that is absent, malformed or of an unknown schema, and for a file
    that is absent or whose SHA-256 is not the card's.
    """
    bundle = Bundle(path, read_card(path))
    for name, expected in bundle.card.files.items():
        _verify(path / name, expected)
    return bundle


def load_golden(bundle: Bundle) -> Golden:
    """Read golden.npz; raises BundleError where it is not the two int8 arrays of the card's sizes."""
    path, source, result = bundle.folder / GOLDEN, bundle.card.input, bundle.card.output
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            golden = Golden(arrays["input"], arrays["output"])
    except _UNREADABLE as error:
        raise BundleError(f"{path}: not an .npz with the arrays input and output ({error}); {COPY_AGAIN}") from error
    _check_array(path, "input", golden.input, (1, source.height, source.width, 3))
    _check_array(path, "output", golden.output, (1, result.height, result.width, result.channels))
    return golden


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
