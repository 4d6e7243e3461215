"""Read pictures and masks from folders, and split them by photograph.

Pairs are matched by file stem. Where a file `index.csv` stands at the data root, it groups pictures cut from the same
photograph (`models.index`); without it every picture is its own group.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.frames import stills
from edge.frames.decode import UnreadableImageError
from models import UNKNOWN, DamagedError, DataError, Example, Label
from models.drawn import read_mask as read_mask  # for the callers of this module
from models.drawn import read_numbers
from models.index import read_groups

log = logging.getLogger(__name__)

SUFFIXES = frozenset(stills.SUFFIXES)
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
    groups = read_groups(root) if root is not None else {}
    folders = [masks] if masks is not None else list(dict.fromkeys(label.path for label in labels))
    drawn = {folder: _pairs(images, pictures, folder) for folder in folders}
    examples = []
    for path in pictures:
        found = tuple(
            Label(index=label.index, path=drawn[label.path][path.stem], value=label.value) for label in labels
        )
        mask = drawn[masks][path.stem] if masks is not None else None
        group = groups.get(path.resolve())
        own = f"{images.name}/{path.stem}"
        examples.append(Example(image=path, mask=mask, group=group or own, listed=group is not None, labels=found))
    return examples


def read_rgb(path: Path) -> UInt8:
    """Read a picture as uint8 RGB (H, W, 3), upright, as a replay reads it. Raises DamagedError where it cannot."""
    try:
        return stills.read_rgb(path)
    except UnreadableImageError as error:
        raise DamagedError(f"Image {path} cannot be read: {error}; replace it or take it out.") from error


def read_example(example: Example) -> tuple[UInt8, UInt8]:
    """Read picture and mask of one example: bit k of the mask (H, W) is class k, so that one class alone reads 0/1.

    An example that is free of damage gets an empty mask. In a label map, a pixel of a value that no label names is
    sound. Raises DamagedError for a file that cannot be read, DataError for a mask that could be read in two ways.
    """
    rgb = read_rgb(example.image)
    shape = (rgb.shape[0], rgb.shape[1])
    bits = np.zeros(shape, np.uint8)
    if example.clean:
        return rgb, bits
    turned = stills.inspect(example.image).exif.orientation
    if example.mask is not None:
        return rgb, read_mask(example.mask, shape, turned=turned)
    for label in example.labels:
        if label.value is None:
            drawn = read_mask(label.path, shape, turned=turned, areas=True)
        else:
            drawn = (read_numbers(label.path, shape, turned=turned) == label.value).astype(np.uint8)
        bits |= drawn << label.index
    return rgb, bits


def read_examples(examples: Iterable[Example], *, must_show: bool = True) -> Iterator[tuple[Example, UInt8, UInt8]]:
    """Read examples one after the other: (example, picture, mask); damaged ones are left out by name and counted.

    Raises DataError where none is left, and, with `must_show`, where there are masks without one pixel of damage.
    """
    total = kept = 0
    damaged = list[str]()
    drawn = masks = False
    for example in examples:
        total += 1
        try:
            rgb, mask = read_example(example)
        except DamagedError as error:
            log.warning("left out: %s", error)
            damaged.append(example.image.name)
            continue
        kept += 1
        masks |= not example.clean
        drawn |= bool((mask & ~np.uint8(UNKNOWN)).any())
        last = example
        yield example, rgb, mask
    if damaged:
        log.warning("%d of %d pictures are damaged and were left out", len(damaged), total)
    if total and not kept:
        raise DataError(f"All {total} pictures are damaged, first {damaged[0]}; copy them again.")
    if must_show and masks and not drawn:
        raise DataError(
            f"Not one pixel of damage is drawn in the {kept} masks in {last.files[-1].parent}: look at one of them; "
            "for pictures without damage leave the masks out."
        )


def read_pictures(paths: Iterable[Path]) -> Iterator[UInt8]:
    """Read pictures alone, as `read_examples` reads them."""
    return (rgb for _, rgb in read_named(paths))


def read_named(paths: Iterable[Path]) -> Iterator[tuple[Path, UInt8]]:
    """Read pictures alone, each with its path, as `read_examples` reads them."""
    bare = (Example(image=path, mask=None, group=path.stem) for path in paths)
    return ((example.image, rgb) for example, rgb, _ in read_examples(bare))


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
    found = sorted(
        path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )
    if not found:
        raise DataError(f"The {kind} folder {folder} holds no pictures ({', '.join(sorted(SUFFIXES))}).")
    return found


def _by_stem(folder: Path, pictures: Sequence[Path], kind: str) -> dict[str, Path]:
    """Pictures by their names without the ending, by which a mask belongs to a picture."""
    by_stem: dict[str, Path] = {}
    for path in pictures:
        other = by_stem.setdefault(path.stem, path)
        if other != path:
            raise DataError(
                f"{folder} holds {other.name} and {path.name}: two {kind}s of one name, so one mask would stand for "
                "both; rename or move one of them."
            )
    return by_stem


def _pairs(images: Path, pictures: Sequence[Path], folder: Path) -> dict[str, Path]:
    """Match masks to pictures by stem; both must be complete, or a typing error would pass as a sound picture."""
    by_stem = _by_stem(folder, _pictures(folder, "mask"), "mask")
    stems = _by_stem(images, pictures, "image")
    for path in pictures:
        if path.stem not in by_stem:
            near = _near(path.stem, [stem for stem in by_stem if stem not in stems])
            remedy = f"a file {path.stem}.png is missing in {folder}"
            if near is not None:
                raise DataError(
                    f"Image {path.name} in {images} has no mask: {remedy}, but {by_stem[near].name} is there; masks "
                    f"carry the names of their images, so rename it to {path.stem}{by_stem[near].suffix}."
                )
            raise DataError(
                f"Image {path.name} in {images} has no mask: {remedy}; add it "
                "(all black where there is no crack) or move the image out."
            )
    lost = [path.name for stem, path in by_stem.items() if stem not in stems]
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise DataError(f"Mask {lost[0]}{more} in {folder} has no image in {images}; add it or move the mask out.")
    return by_stem


def _near(stem: str, spare: Sequence[str]) -> str | None:
    """The mask without a picture whose name holds the picture's, as x_mask for x; None where there is none."""
    bare = re.sub(r"[^0-9a-z]+", "", stem.casefold())
    return next((other for other in spare if bare in re.sub(r"[^0-9a-z]+", "", other.casefold())), None)
