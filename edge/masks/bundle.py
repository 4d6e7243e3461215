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

from edge.masks.card import (
    COPY_AGAIN,
    GOLDEN,
    GOLDEN_ONNX,
    MODEL,
    MODEL_EDGETPU,
    MODEL_ONNX,
    Card,
    read_card,
)
from edge.masks.trust import check_seal
from edge.support.errors import BundleError

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
    def onnx_path(self) -> Path | None:
        """The float model for ONNX Runtime; None when the bundle has none."""
        return self.folder / MODEL_ONNX if MODEL_ONNX in self.card.files else None

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
    """Read the card in the folder ``path`` and verify it against its seal and every file against it.

    That proves that nothing was altered by accident; whose bundle it is, ``edge.masks.trust.vouch`` says. Raises
    BundleError for a card that is absent, malformed, of an unknown schema or not as its seal says, and for a file that
    is absent or whose SHA-256 is not the card's.
    """
    check_seal(path)
    bundle = Bundle(path, read_card(path))
    for name, expected in bundle.card.files.items():
        _verify(path / name, expected)
    return bundle


def load_golden(bundle: Bundle) -> Golden:
    """Read golden.npz; raises BundleError where it is not the two int8 arrays of the card's sizes."""
    path, source = bundle.folder / GOLDEN, bundle.card.input
    image, answer = _read_arrays(path, "input", "output")
    _check_array(path, "input", image, (1, source.height, source.width, 3))
    _check_array(path, "output", answer, _answer_shape(bundle))
    return Golden(image, answer)


def load_golden_onnx(bundle: Bundle) -> Golden:
    """The golden input with the answer of the float network, as int8 of the card's output scale; raises BundleError."""
    path = bundle.folder / GOLDEN_ONNX
    if GOLDEN_ONNX not in bundle.card.files:
        raise BundleError(f"{path}: the card does not list it; make it again with `python -m convert onnx`")
    (answer,) = _read_arrays(path, "output")
    _check_array(path, "output", answer, _answer_shape(bundle))
    return Golden(load_golden(bundle).input, answer)


def _read_arrays(path: Path, *names: str) -> list[npt.NDArray[Any]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return [arrays[name] for name in names]
    except _UNREADABLE as error:
        listed = " and ".join(names)
        raise BundleError(f"{path}: not an .npz with the arrays {listed} ({error}); {COPY_AGAIN}") from error


def _answer_shape(bundle: Bundle) -> tuple[int, ...]:
    result = bundle.card.output
    return (1, result.height, result.width, result.channels)


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
