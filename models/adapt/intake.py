"""The photographs that `python -m models adapt` learns from: found in what people have, checked, shared out in three.

A folder is taken as it comes: `images` with `masks` (or `masks/crack`, and `negatives`, as `python -m models import`
writes them), or the labels of labelme, COCO or CVAT with their pictures, as the review exports them.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.frames.listing import natural
from models import DamagedError, DataError, Example
from models.data import find_examples, read_example
from models.index import read_groups
from models.labels import LINE_PX, take

log = logging.getLogger(__name__)

UInt8 = npt.NDArray[np.uint8]

LEAST, MOST = 5, 50
"""Photographs: with fewer nothing can be kept apart, with more a whole training is worth its time."""
LEAST_CRACKED = 3
"""One to learn from, one to choose on, one to report."""
HELD = 1 / 3
"""Share of the photographs kept apart."""


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
class Handed:
    """What one folder holds."""

    folder: Path
    photos: tuple[Photo, ...]
    damaged: tuple[str, ...] = ()
    """Names of those that cannot be read."""

    @property
    def damage(self) -> str:
        """The damaged ones, to go on a sentence with; empty where there are none."""
        return f", and {len(self.damaged)} damaged ({', '.join(self.damaged[:3])})" if self.damaged else ""


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

    An `index.csv` in the folder says which are of one photograph, whatever the form of the labels. Raises DataError
    where the folder holds none of the known forms.
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
    groups = read_groups(folder)
    log.info("%s", take(folder, work, ["crack"], LINE_PX, overwrite=True).partition("\n")[0])
    return [
        replace(example, group=groups.get(_origin(folder, example.image.name), example.group))
        for example in _pairs(work)
    ]


def _origin(folder: Path, name: str) -> Path:
    """Where `models.labels` took a picture from."""
    path = folder / name
    return (path if path.is_file() else folder / "images" / name).resolve()


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


def read(folder: Path, examples: Sequence[Example]) -> Handed:
    """Decode pictures and masks of a folder; each damaged one is told by a warning.

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
    return Handed(folder=folder, photos=tuple(photos), damaged=tuple(damaged))


def share_out(mine: Handed, held: Handed | None = None) -> Parts:
    """Share photographs out: those to learn from first by name, then those to choose on, then those to report.

    Neighbours by name mostly show the same place, so each part is a run of them, with its share of the cracked ones; a
    number in a name counts as one. A picture that lies in a folder twice is one photograph. With `held`, all of `mine`
    are learned from, and those of `held` are shared out to choose on and to report. Raises DataError for too few or too
    many photographs, for too few with a crack, and for a photograph in both folders.
    """
    mine, held = _joined(mine), None if held is None else _joined(held)
    count = len({photo.example.group for photo in mine.photos})
    if not LEAST <= count <= MOST:
        advice = "label more" if count < LEAST else "take out some, or train on them all with python -m models train"
        raise DataError(
            f"{mine.folder} holds {count} photo{'s' * (count != 1)} that can be read{mine.damage}; adapting takes "
            f"{LEAST} to {MOST} of one structure: {advice}."
        )
    if held is None:
        _check_cracked(mine, LEAST_CRACKED, "some are kept apart to choose and to report")
        learn, choose, report = _runs(_groups(mine.photos), HELD)
        return Parts(learn=learn, choose=choose, report=report, damaged=mine.damaged)
    if not held.photos:
        raise DataError(
            f"{held.folder} (--held) holds no photo that can be read{held.damage}; copy them again, or leave --held "
            f"out: then a third of {mine.folder} is kept apart."
        )
    _check_cracked(mine, 1, "there is nothing to learn from else")
    _check_cracked(held, 2, "one half chooses and the other is reported")
    _check_apart(mine, held)
    _, choose, report = _runs(_groups(held.photos), 1.0)
    return Parts(learn=mine.photos, choose=choose, report=report, damaged=(*mine.damaged, *held.damaged))


def _check_cracked(handed: Handed, least: int, since: str) -> None:
    cracked = len({photo.example.group for photo in handed.photos if photo.cracked})
    if cracked < least:
        what = "no crack is drawn in any of them" if not cracked else f"only {cracked} of them show a crack"
        raise DataError(
            f"{handed.folder}: {len(handed.photos)} photos, but {what}; at least {least} must, since {since}. Photos "
            "without cracks are welcome beside them."
        )


def _check_apart(mine: Handed, held: Handed) -> None:
    """Whoever is judged on what was learned is always better."""
    learned = {_content(photo): photo.example.image.name for photo in mine.photos}
    twice = [(photo.example.image.name, learned[key]) for photo in held.photos if (key := _content(photo)) in learned]
    if twice:
        name, other = twice[0]
        raise DataError(
            f"{held.folder} (--held) holds {len(twice)} photo{'s' * (len(twice) != 1)} that {mine.folder} holds too, "
            f"{name} is {other} there: the bundle would be judged on what it learned from. Take them out of one of the "
            "two folders."
        )


def _joined(handed: Handed) -> Handed:
    """Make one photograph of those that hold a picture of the same pixels, so that no split parts its copies."""
    first: dict[bytes, Photo] = {}
    groups = {photo.example.group: photo.example.group for photo in handed.photos}
    for photo in handed.photos:
        other = first.setdefault(_content(photo), photo).example
        if other is photo.example:
            continue
        log.warning("%s is the same picture as %s: they count as one photo", photo.example.image.name, other.image.name)
        gone, kept = groups[photo.example.group], groups[other.group]
        groups = {name: kept if now == gone else now for name, now in groups.items()}
    photos = [
        replace(photo, example=replace(photo.example, group=groups[photo.example.group])) for photo in handed.photos
    ]
    return replace(handed, photos=tuple(photos))


def _content(photo: Photo) -> bytes:
    """The same for the same pixels, whatever the file's name and form."""
    return hashlib.sha256(f"{photo.rgb.shape}".encode() + photo.rgb.tobytes()).digest()


def _groups(photos: Sequence[Photo]) -> list[list[Photo]]:
    """Photographs by name, each with all of its pictures."""
    found: dict[str, list[Photo]] = {}
    for photo in sorted(photos, key=lambda one: natural(one.example.group)):
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
