"""Read pictures and masks from folders, and split them by photograph.

Pairs are matched by file stem. Where a file `index.csv` stands at the data root (columns image, photo), its photo
column groups pictures cut from the same photograph; without it every picture is its own group.
"""

from __future__ import annotations

import csv
import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from models import UNKNOWN, DataError, Example, Label

log = logging.getLogger(__name__)

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
"""File names with these endings are pictures; everything else in a folder is passed over."""

UInt8 = npt.NDArray[np.uint8]


def find_examples(
    images: Path, masks: Path | None, root: Path | None = None, labels: Sequence[Label] = ()
) -> list[Example]:
    """List the pictures of a folder with their masks, sorted by name.

    `masks` None means that every picture is free of damage, unless `labels` say where each class is drawn (the path of
    each is a folder). `root` is where an `index.csv` may give the photograph of each picture. Raises DataError for a
    missing or empty folder, for a picture without a mask and for a mask without a picture.
    """
    pictures = _pictures(images, "image")
    groups = _groups(root) if root is not None else {}
    folders = [masks] if masks is not None else list(dict.fromkeys(label.path for label in labels))
    drawn = {folder: _pairs(images, pictures, folder) for folder in folders}
    examples = []
    for path in pictures:
        found = tuple(
            Label(index=label.index, path=drawn[label.path][path.stem], value=label.value) for label in labels
        )
        mask = drawn[masks][path.stem] if masks is not None else None
        group = groups.get(path.resolve(), f"{images.name}/{path.stem}")
        examples.append(Example(image=path, mask=mask, group=group, labels=found))
    return examples


def read_rgb(path: Path) -> UInt8:
    """Read a picture as uint8 RGB (H, W, 3). Raises DataError where it cannot be decoded."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise DataError(f"Image {path} cannot be read: it is damaged or not a picture; replace it or take it out.")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def read_mask(path: Path, shape: tuple[int, int]) -> UInt8:
    """Read a mask as uint8 0/1 (H, W) of the given (height, width).

    Accepts 0/255, 0/1 and grey masks (read as crack above 127, with a warning). Raises DataError for another size,
    for an unreadable file, and for label maps (several small values), whose crack value must be chosen by a person.
    """
    return _binary(_grey(path, shape), path)


def read_example(example: Example) -> tuple[UInt8, UInt8]:
    """Read picture and mask of one example: bit k of the mask (H, W) is class k, so that one class alone reads 0/1.

    An example that is free of damage gets an empty mask. In a label map, a pixel of a value that no label names is
    sound.
    """
    rgb = read_rgb(example.image)
    shape = (rgb.shape[0], rgb.shape[1])
    if example.mask is not None:
        return rgb, read_mask(example.mask, shape)
    bits = np.zeros(shape, np.uint8)
    for label in example.labels:
        if label.value is None:
            drawn = read_mask(label.path, shape)
        else:
            drawn = (_grey(label.path, shape) == label.value).astype(np.uint8)
        bits |= drawn << label.index
    return rgb, bits


def plane(mask: UInt8, index: int) -> UInt8:
    """Return one class of a mask, 0/1."""
    return np.asarray(mask >> index & 1, np.uint8)


def classes_in(mask: UInt8) -> set[int]:
    """Return the classes that a mask holds at least one pixel of."""
    present = int(np.bitwise_or.reduce(mask, axis=None)) & ~UNKNOWN
    return {index for index in range(UNKNOWN.bit_length() - 1) if present >> index & 1}


def split(examples: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Split into (kept, held out) by group, about `share` of the examples held out, the same for the same seed."""
    if share <= 0:
        return list(examples), []
    members: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        members[example.group].append(example)
    order = sorted(members, key=lambda group: hashlib.sha256(f"{seed}/{group}".encode()).hexdigest())
    goal, held = share * len(examples), list[Example]()
    for group in order:
        if not held or abs(len(held) + len(members[group]) - goal) < abs(len(held) - goal):
            held += members[group]
    names = {example.group for example in held}
    return [example for example in examples if example.group not in names], held


def content_hash(examples: Iterable[Example]) -> str:
    """Return one SHA-256 over the names and bytes of all pictures and masks, in order."""
    digest = hashlib.sha256()
    for example in examples:
        for path in example.files:
            digest.update(path.name.encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _pictures(folder: Path, kind: str) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"The {kind} folder {folder} does not exist; give the folder that holds the {kind}s.")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise DataError(f"The {kind} folder {folder} holds no pictures ({', '.join(sorted(SUFFIXES))}).")
    return found


def _pairs(images: Path, pictures: Sequence[Path], folder: Path) -> dict[str, Path]:
    """Match masks to pictures by stem; both must be complete, or a typing error would pass as a sound picture."""
    by_stem = {path.stem: path for path in _pictures(folder, "mask")}
    stems = {path.stem for path in pictures}
    for path in pictures:
        if path.stem not in by_stem:
            raise DataError(
                f"Image {path.name} in {images} has no mask: a file {path.stem}.png is missing in {folder}; add it "
                "(all black where there is no crack) or move the image out."
            )
    lost = [path.name for stem, path in by_stem.items() if stem not in stems]
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise DataError(f"Mask {lost[0]}{more} in {folder} has no image in {images}; add it or move the mask out.")
    return by_stem


def _groups(root: Path) -> dict[Path, str]:
    index = root / "index.csv"
    if not index.is_file():
        return {}
    with index.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return {(root / row["image"]).resolve(): f"{row['dataset']}/{row['photo']}" for row in rows if row.get("photo")}


def _grey(path: Path, shape: tuple[int, int]) -> UInt8:
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise DataError(f"Mask {path} cannot be read: it is damaged or not a picture; replace it or take it out.")
    if mask.shape != shape:
        raise DataError(
            f"Mask {path} is {mask.shape[1]} x {mask.shape[0]} px but its image is {shape[1]} x {shape[0]} px; "
            "export the mask again at the size of the image."
        )
    return np.asarray(mask, np.uint8)


def _binary(mask: UInt8, path: Path) -> UInt8:
    values = np.unique(mask)
    if values.size <= 2 and set(values.tolist()) <= {0, 1, 255}:
        return (mask > 0).astype(np.uint8)
    if values.max() <= 16:
        listed = ", ".join(str(value) for value in values)
        raise DataError(
            f"Mask {path} holds the values {listed}, which look like class numbers, not 0 and 255; convert it so that "
            "only crack pixels are 255, or name the values in the configuration (labels)."
        )
    log.warning("mask %s holds %d grey values; read as crack above 127", path, values.size)
    return (mask > 127).astype(np.uint8)
