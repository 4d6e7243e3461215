"""The photographs that `python -m models adapt` learns from: found in what people have, checked, shared out in three.

A folder is taken as it comes: `images` with `masks` (or `masks/crack`, and `negatives`, as `python -m models import`
writes them), or the labels of labelme, COCO or CVAT with their pictures, as the review exports them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from models import DamagedError, DataError, Example
from models.data import find_examples, read_example
from models.labels import LINE_PX, take
from models.metrics import grow

log = logging.getLogger(__name__)

UInt8 = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]

LEAST, MOST = 5, 50
"""Photographs: with fewer nothing can be kept apart, with more a whole training is worth its time."""
LEAST_CRACKED = 3
"""One to learn from, one to choose on, one to report."""
HELD = 1 / 3
"""Share of the photographs kept apart."""
SHIFTS_PX = (24, 48)
"""Masks are moved this far, all eight ways, to see whether they lie where something is."""
LIES_ON = 1.15
"""What a mask lies on stands out more, or is scored higher, than what it would lie on when moved, by this factor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Photo:
    """One picture with its mask, decoded."""

    example: Example
    rgb: UInt8
    mask: UInt8
    """(H, W): bit 0 is crack, UNKNOWN where nobody knows."""

    @property
    def cracked(self) -> bool:
        """At least one pixel is drawn."""
        return bool((self.mask & 1).any())


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """Photographs of one structure, each in one part."""

    learn: tuple[Photo, ...]
    choose: tuple[Photo, ...]
    """Decide threshold and reporting limit."""
    report: tuple[Photo, ...]
    """Decide nothing but whether the new bundle is taken; the page shows them."""
    damaged: tuple[str, ...] = ()
    """Names of those that cannot be read."""


def find(folder: Path, work: Path) -> list[Example]:
    """List the pictures of a folder; labels of other programs are drawn as masks in `work` first.

    Raises DataError where the folder holds none of the known forms.
    """
    if not folder.is_dir():
        raise DataError(f"The folder {folder} does not exist; give the folder of your labelled photos.")
    if (folder / "images").is_dir() and (folder / "masks").is_dir():
        return _pairs(folder)
    listed = any(folder.glob("*.json")) or any((folder / name).is_file() for name in ("annotations.xml",))
    if not listed:
        raise DataError(
            f"{folder} holds no labelled photos: give a folder with images/ and masks/, or one with labelme's .json "
            "files, COCO's annotations.json or CVAT's annotations.xml beside the pictures."
        )
    log.info("%s", take(folder, work, ["crack"], LINE_PX, overwrite=True).partition("\n")[0])
    return _pairs(work)


def _pairs(folder: Path) -> list[Example]:
    masks = folder / "masks"
    if masks.is_dir() and any(path.is_dir() for path in masks.iterdir()):
        if not (masks / "crack").is_dir():
            raise DataError(f"{masks} has no folder crack; only cracks are adapted to.")
        masks = masks / "crack"
    found = find_examples(folder / "images", masks, folder) if (folder / "images").is_dir() else []
    negatives = folder / "negatives"
    if negatives.is_dir() and any(negatives.iterdir()):
        found += find_examples(negatives, None, folder)
    return found


def read(examples: Sequence[Example]) -> tuple[list[Photo], list[str]]:
    """Decode pictures and masks; returns them and the names of the damaged ones, each told by a warning.

    Raises DataError for a mask that does not fit its picture.
    """
    photos, damaged = [], []
    for example in examples:
        try:
            rgb, mask = read_example(example)
        except DamagedError as error:
            log.warning("left out: %s", error)
            damaged.append(example.image.name)
            continue
        photos.append(Photo(example=example, rgb=rgb, mask=mask))
    return photos, damaged


def share_out(folder: Path, photos: Sequence[Photo], damaged: Sequence[str], held: Sequence[Photo] = ()) -> Parts:
    """Share photographs out: those to learn from first by name, then those to choose on, then those to report.

    Neighbours by name mostly show the same place, so each part is a run of them, with its share of the cracked ones.
    `held`, where given, are all that is kept apart, and `photos` are all learned from. Raises DataError for too few or
    too many photographs, and for too few with a crack.
    """
    count, bad = len({photo.example.group for photo in photos}), f"{len(damaged)} damaged ({', '.join(damaged[:3])})"
    if not LEAST <= count <= MOST:
        told = f", and {bad}" if damaged else ""
        advice = "label more" if count < LEAST else "take out some, or train on them all with python -m models train"
        raise DataError(
            f"{folder} holds {count} photo{'s' * (count != 1)} that can be read{told}; adapting takes {LEAST} to "
            f"{MOST} of one structure: {advice}."
        )
    _check_cracked(folder, photos, 1 if held else LEAST_CRACKED)
    if held:
        _check_cracked(folder, held, 2)
        _, choose, report = _runs(_groups(held), 1.0)
        return Parts(learn=tuple(photos), choose=choose, report=report, damaged=tuple(damaged))
    learn, choose, report = _runs(_groups(photos), HELD)
    return Parts(learn=learn, choose=choose, report=report, damaged=tuple(damaged))


def _check_cracked(folder: Path, photos: Sequence[Photo], least: int) -> None:
    cracked = len({photo.example.group for photo in photos if photo.cracked})
    if cracked < least:
        what = "no crack is drawn in any of them" if not cracked else f"only {cracked} of them show a crack"
        raise DataError(
            f"{folder}: {len(photos)} photos, but {what}; at least {least} must, since some are kept apart to choose "
            "and to report. Photos without cracks are welcome beside them."
        )


def _groups(photos: Sequence[Photo]) -> list[list[Photo]]:
    """Photographs by name, each with all of its pictures."""
    found: dict[str, list[Photo]] = {}
    for photo in sorted(photos, key=lambda one: one.example.group):
        found.setdefault(photo.example.group, []).append(photo)
    return list(found.values())


def _runs(groups: list[list[Photo]], held: float) -> tuple[tuple[Photo, ...], ...]:
    """Three runs of photographs, the share `held` kept apart; cracked and sound ones are shared out each by themselves.

    To choose and to report stay one cracked photograph at least; an odd one is reported.
    """
    parts: tuple[list[Photo], list[Photo], list[Photo]] = ([], [], [])
    for cracked in (True, False):
        members = [group for group in groups if any(photo.cracked for photo in group) is cracked]
        apart = max(round(held * len(members)), 2 if cracked else 0)
        first, second = len(members) - apart, len(members) - apart + apart // 2
        for part, run in zip(parts, (members[:first], members[first:second], members[second:]), strict=True):
            part += [photo for group in run for photo in group]
    return tuple(tuple(part) for part in parts)


def check_masks(photos: Sequence[Photo], scores: Sequence[UInt8]) -> None:
    """Raise DataError where the masks seem to belong to other photographs.

    `scores` (H, W) are the old network's answers. Cracks differ in brightness from what is around them, or at least are
    suspected by the network: moved masks must lie on something that stands out less. One sign of the two is enough,
    over all photographs together.
    """
    signs = {"contrast": [0.0, 0.0], "score": [0.0, 0.0]}
    worst: tuple[float, str] = (np.inf, "")
    for photo, score in zip(photos, scores, strict=True):
        if not photo.cracked:
            continue
        grey = np.asarray(cv2.cvtColor(photo.rgb, cv2.COLOR_RGB2GRAY), np.float32)
        contrast = np.asarray(np.abs(cv2.GaussianBlur(grey, (0, 0), 8) - grey), np.float32)
        crack = (photo.mask & 1) > 0
        for name, plane in (("contrast", contrast), ("score", score.astype(np.float32))):
            here, elsewhere = _mean(plane, crack), float(np.mean([_mean(plane, moved) for moved in _moved(crack)]))
            signs[name][0] += here
            signs[name][1] += elsewhere
            if name == "contrast" and here / (elsewhere + 0.1) < worst[0]:
                worst = here / (elsewhere + 0.1), photo.example.image.name
    if all(on < LIES_ON * off + 0.1 for on, off in signs.values()):
        raise DataError(
            "The masks do not lie on anything in their photos: what they cover stands out no more than what is beside "
            f"it, and looks no more like a crack. Do they belong to other photos? Look at {worst[1]} first."
        )


def _moved(crack: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.bool_]]:
    near = grow(crack, 4)
    found = []
    for far in SHIFTS_PX:
        for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)):
            moved = np.roll(crack, (dy * far, dx * far), (0, 1)) & ~near
            if moved.any():
                found.append(moved)
    return found or [crack]


def _mean(plane: Float, where: npt.NDArray[np.bool_]) -> float:
    return float(plane[where].mean()) if where.any() else 0.0
