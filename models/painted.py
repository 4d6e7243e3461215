"""A folder of painted masks, as `spanhawk export --masks` writes and any drawing program corrects.

`images/` and `masks/CLASS/NAME.png`, or of one class `masks/NAME.png`; `negatives/` holds pictures without damage. In a
mask 255 (or 1, where nothing is brighter) is damage and 0 is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.support.errors import UsageError
from models import DamagedError
from models.data import read_rgb
from models.labelled import Complaints, Labelled, LabelSet

MASKS = "masks"
_IMAGES, _NEGATIVES = "images", "negatives"
_PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")
_SURE = 8
"""Lossy compression and soft brushes leave greys; nearer than this to black or white they are taken for that."""
_MOST_GREY = 0.02
"""A mask with a larger share of other greys is none: an index mask, a photo, a soft brush."""


def read(source: Path, classes: Sequence[str], complaints: Complaints) -> LabelSet:
    """Each picture that has a mask, with the masks of all its classes, and each negative.

    Raises UsageError where masks lie in no class's folder and `classes` does not name the one that they are of.
    """
    folders = _folders(source / MASKS, classes)
    wanted = {kind: path for kind, path in folders.items() if not classes or kind in classes}
    for kind in folders.keys() - wanted.keys():
        complaints.say(f"{MASKS}/{kind}: the class is none of {', '.join(classes)}; its masks are passed over.")
    return LabelSet(frozenset(folders), _pictures_of(source, wanted, complaints))


def _pictures_of(source: Path, folders: Mapping[str, Path], complaints: Complaints) -> Iterator[Labelled]:
    images = {path.stem: path for path in _pictures(source / _IMAGES)}
    stems = {kind: {path.stem: path for path in _pictures(folder)} for kind, folder in folders.items()}
    for kind, found in stems.items():
        for stem in sorted(found.keys() - images.keys()):
            complaints.say(f"{MASKS}/{kind}: {found[stem].name} has no picture of its name in {_IMAGES}/; passed over.")
    for stem, image in sorted(images.items()):
        painted = {kind: found[stem] for kind, found in stems.items() if stem in found}
        if not painted:
            complaints.leave_out(image.name, "it has no mask of its name", ", so nobody said what it shows")
            continue
        masks = _masks(image, painted, complaints)
        if masks is not None:
            yield Labelled(image, None, (), masks)
    for image in _pictures(source / _NEGATIVES):
        yield Labelled(image, None, ())


def _folders(masks: Path, classes: Sequence[str]) -> Mapping[str, Path]:
    folders = {path.name: path for path in sorted(masks.iterdir()) if path.is_dir()}
    if not folders:
        if len(classes) != 1:
            raise UsageError(f"{masks}: its masks are in no folder of a class; say which they show with --class NAME")
        return {classes[0]: masks}
    return folders


def _masks(image: Path, painted: Mapping[str, Path], complaints: Complaints) -> dict[str, npt.NDArray[np.uint8]] | None:
    """Masks by class; None where one cannot be used: a picture with a part of its labels teaches a falsehood."""
    try:
        size = read_rgb(image).shape[:2]
    except DamagedError as error:
        complaints.leave_out(image.name, "it cannot be read", f" ({error})")
        return None
    found = {}
    for kind, path in painted.items():
        try:
            mask = _mask(path)
        except (DamagedError, ValueError) as error:
            complaints.leave_out(image.name, "its mask cannot be used", f" ({MASKS}/{kind}/{path.name}: {error})")
            return None
        if mask.shape != size:
            said = f" ({MASKS}/{kind}: {mask.shape[1]} x {mask.shape[0]} pixels, the picture has {size[1]} x {size[0]})"
            complaints.leave_out(image.name, "its mask has another size", said)
            return None
        found[kind] = mask
    return found


def _mask(path: Path) -> npt.NDArray[np.uint8]:
    """0 or 255. Raises ValueError for what is no mask of one class."""
    grey = np.asarray(read_rgb(path).max(axis=2), np.uint8)
    if int(grey.max(initial=0)) <= 1:
        return np.asarray(grey * np.uint8(255), np.uint8)
    between = float(((grey > _SURE) & (grey < 255 - _SURE)).mean())
    if int(grey.max()) < 255 - _SURE or between > _MOST_GREY:
        values = np.unique(grey)[:6].tolist()
        raise ValueError(f"holds more than black and white (values {', '.join(map(str, values))} …): one class a file")
    return np.where(grey > 127, np.uint8(255), np.uint8(0))


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _PICTURES and path.is_file())
