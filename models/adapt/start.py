"""What an adaptation starts from: a bundle and the float weights that it was made from."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.masks.bundle import load_bundle
from models import DataError, sites
from models.gpu.transfer import Arrays, from_keras, to_keras
from models.unet import SIZES, FastSize, fast_size, fast_unet, open_saved, resized, size_of

if TYPE_CHECKING:
    import keras

    from edge.masks.card import Card

SIDE_PX = 256
"""Weights fit any size; networks here are only built to hold them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """A bundle of a fast U-Net for cracks, and its float weights."""

    bundle: Path
    card: Card
    size: FastSize
    arrays: Arrays
    weights: Path
    record: Mapping[str, Any]
    """What the training of the weights left: `NAME.json` or run.json; empty where it is not there."""

    @property
    def threshold(self) -> float:
        """The bundle's own."""
        return self.card.damage[0].threshold

    @property
    def setting(self) -> sites.Setting:
        """Threshold and rule of reporting, as they stand on the card."""
        return sites.Setting(threshold=self.threshold, rule=self.card.damage[0].rule)


def open_base(bundle: Path, given: Path | None) -> Base:
    """Open a bundle and its float weights: `given`, or where the card says they lie.

    Raises BundleError for a bundle that must not fly, DataError for one that cannot be adapted and for weights that are
    not there, or not those of the bundle.
    """
    card = load_bundle(bundle).card
    if card.output.kind != "logits" or tuple(card.classes) != ("crack",):
        raise DataError(
            f"{bundle} knows {', '.join(card.classes)}; only a fast U-Net that knows cracks alone can be adapted."
        )
    weights = _find(bundle, card, given)
    record = _record(weights)
    model = _open(bundle, weights, record)
    return Base(bundle=bundle, card=card, size=size_of(model), arrays=from_keras(model), weights=weights, record=record)


def to_model(base: Base, arrays: Arrays, dtype: str = "float32") -> keras.Model:
    """Return weights as a Keras network."""
    model = fast_unet(SIDE_PX, SIDE_PX, size=base.size, dtype="float32")
    to_keras(arrays, model)
    if dtype == "float32":
        return model
    other = fast_unet(SIDE_PX, SIDE_PX, size=base.size, dtype=dtype)
    other.set_weights(model.get_weights())
    return other


def model_settings(size: FastSize) -> dict[str, Any]:
    """`config.model` of a record, by which conversion builds the network again. Raises DataError for another size."""
    for name, known in SIZES.items():
        if known == size:
            return {"kind": "fast_unet", "size": name, "classes": ["crack"]}
    base = size.encoder[0]
    if fast_size(base, size.shuffle) == size:
        return {"kind": "fast_unet", "base": base, "shuffle": size.shuffle, "classes": ["crack"]}
    raise DataError("The network is a fast U-Net of a size that conversion does not know; train it again.")


def _find(bundle: Path, card: Card, given: Path | None) -> Path:
    told = card.made.get("float", {})
    path = given or (bundle / str(told["file"]) if "file" in told else None)
    if path is None or not path.is_file():
        where = f"not at {Path(os.path.normpath(path))}" if path is not None else "not named on its card"
        raise DataError(
            f"The float weights of {bundle} are {where}, and int8 ones cannot learn: name them with --weights "
            "(NAME.weights.h5 with NAME.json, or model.keras)."
        )
    path = Path(os.path.normpath(path))
    if "sha256" in told and hashlib.sha256(path.read_bytes()).hexdigest() != told["sha256"]:
        raise DataError(f"{path} is not the file that {bundle} was made from (its SHA-256 differs); name that one.")
    return path


def _record(weights: Path) -> Mapping[str, Any]:
    stem = weights.name.removesuffix(".weights.h5")
    path = weights.with_name(f"{stem}.json" if stem != weights.name else "run.json")
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not JSON; copy the training's record again.") from error
    return found if isinstance(found, dict) else {}


def _open(bundle: Path, weights: Path, record: Mapping[str, Any]) -> keras.Model:
    if weights.suffix == ".keras":
        saved = open_saved(weights)
        if saved.name != "fast_unet":
            raise DataError(f"{bundle} is a {saved.name}; only fast U-Nets can be adapted.")
        return resized(saved, SIDE_PX, SIDE_PX)
    settings = record.get("config", {}).get("model", {})
    named = settings.get("size")
    size = SIZES[named] if named in SIZES else fast_size(settings.get("base") or 16, settings.get("shuffle", 4))
    model = fast_unet(SIDE_PX, SIDE_PX, size=size, dtype="float32")
    try:
        with warnings.catch_warnings():  # Keras only warns about weights it does not find, and leaves them random
            warnings.simplefilter("error", UserWarning)
            model.load_weights(weights)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        raise DataError(
            f"{weights} cannot be read as the float weights of {bundle}: it is damaged, or no fast U-Net's."
        ) from error
    return model
