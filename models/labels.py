"""`python -m models import`: corrected labels of labelme, COCO, CVAT or painted masks, as folders for training."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.tools.export import check_free, copy, draw
from edge.tools.export.masks import clear
from models import DamagedError, DataError, label_files
from models.data import read_rgb
from models.labelled import Brushed, Complaints, Drawn, Labelled, Unread
from models.written import PART, put_back, whole_set, write_png

LINE_PX = 3.0
"""Width of a line that comes without one."""
_NAMED = 8
"""Classes that an error lists."""

UInt8 = npt.NDArray[np.uint8]


def take(source: Path, out: Path, classes: Sequence[str], line_px: float, *, overwrite: bool = False) -> str:
    """Write `out/images`, `out/masks/CLASS` and `out/negatives`; returns what came of it and the configuration for it.

    With `overwrite` what an earlier set left there goes, unless `out` holds `source`.

    `classes` empty: every class that the labels name. A picture of which a shape of these classes cannot be drawn is
    left out: it would teach that nothing is there. What cannot be used is told in one sentence each, and the rest is
    done. Raises DataError where nothing can be used, and where a class is asked for that the labels do not name while
    they name others; UsageError where `out` is not empty; TryAgainError for a full disk. Whatever is raised, `out`
    is as it was before.
    """
    complaints = Complaints()
    put_back(out)  # before labels are read that may be among it
    found = label_files.read(source, classes, complaints)
    _check_named(source, classes, found.named)
    check_free(out, overwrite=overwrite, but=PART)  # which a kill of the same command left
    kept: list[Path] = []
    kinds: dict[str, None] = dict.fromkeys(classes)
    negatives = 0
    taken: dict[str, Path] = {}
    with whole_set(out) as part:
        for one in found.pictures:
            masks = _masks(one, classes, line_px, complaints)
            if masks is None:
                continue
            other = taken.setdefault(one.image.stem, one.image)
            if other is not one.image:  # also where both name the same file: which of the two would be right?
                raise DataError(
                    f"{source}: two entries of the labels are of {other.name} and {one.image.name}; masks go by the "
                    "name without its ending: give each picture a name of its own, and one entry."
                )
            if not masks:
                copy(one.image, part / "negatives")
                negatives += 1
                continue
            copy(one.image, part / "images")
            kept.append(one.image)
            kinds |= dict.fromkeys(masks)
            for kind, mask in masks.items():
                write_png(_mask_path(part, kind, one.image), mask)
        for image in kept:  # training wants a mask of each class for each picture
            for kind in kinds:
                if not _mask_path(part, kind, image).exists():
                    write_png(_mask_path(part, kind, image), np.zeros(read_rgb(image).shape[:2], np.uint8))
        if not kept and not negatives:
            raise DataError(
                f"{source}: no picture with labels that can be used{complaints.summary()}; give a folder of labelme "
                "files, COCO's annotations.json, CVAT's annotations.xml, or images/ with masks/CLASS/."
            )
    told = f"{out}: {len(kept)} pictures with {', '.join(kinds)}, {negatives} without damage{complaints.summary()}"
    if overwrite and out.resolve() not in (source.resolve(), *source.resolve().parents):  # no label that was read goes
        _clear(out, kept, kinds, set(taken.values()).difference(kept))
    return f"{told}\n{_configuration(out, list(kinds), bool(kept), bool(negatives))}"


def _check_named(source: Path, classes: Sequence[str], named: frozenset[str]) -> None:
    """A class that is spelled otherwise than in the labels would make all of its pictures ones without damage."""
    missing, others = [kind for kind in classes if kind not in named], sorted(named.difference(classes))
    if missing and others:
        listed = ", ".join(repr(kind[:60]) for kind in others[:_NAMED]) + ", …" * (len(others) > _NAMED)
        raise DataError(
            f"{source}: nothing is of the class {missing[0]!r}, so every picture would count as one without it; the "
            f"labels name {listed}: ask for the name that they give, or give them this one."
        )


def _configuration(out: Path, kinds: list[str], kept: bool, negatives: bool) -> str:
    lines = []
    if kept:
        lines += ["[[sources]]", f'name = "{out.name}"', 'images = "images"']
        for kind in kinds:
            lines += ["[[sources.labels]]", f"name = {json.dumps(kind)}", f"masks = {json.dumps(f'masks/{kind}')}"]
    if negatives:
        lines += ["[[sources]]", f'name = "{out.name}-negatives"', 'images = "negatives"']
    return "\n".join(lines)


def _mask_path(out: Path, kind: str, image: Path) -> Path:
    return out / "masks" / kind / f"{image.stem}.png"


def _clear(out: Path, kept: Iterable[Path], kinds: Iterable[str], negatives: Iterable[Path]) -> None:
    """Remove what an earlier set left beside these. Raises DataError."""
    files = {out / "negatives" / image.name for image in negatives}
    for image in kept:
        files |= {out / "images" / image.name, *(_mask_path(out, kind, image) for kind in kinds)}
    try:
        clear(out, files)
    except OSError as error:
        raise DataError(
            f"{error.filename or out}: {error.strerror or error}; labels of an earlier set are left in {out}: remove "
            "it and run the same command again."
        ) from error


def _masks(one: Labelled, classes: Sequence[str], line_px: float, complaints: Complaints) -> dict[str, UInt8] | None:
    """Masks by class, 0 or 255; empty: without damage of these classes; None: the picture is left out."""
    name = one.image.name
    try:
        height, width = read_rgb(one.image).shape[:2]
    except DamagedError as error:
        complaints.leave_out(name, "it cannot be read", f" ({error})")
        return None
    if one.said_px is not None and one.said_px != (width, height):
        said = f": {one.said_px[0]} x {one.said_px[1]} pixels, the picture has {width} x {height}"
        complaints.leave_out(name, "its labels were drawn on another size", said)
        return None
    masks: dict[str, UInt8] = {}
    for shape in one.shapes:
        if classes and shape.kind is not None and shape.kind not in classes:
            complaints.say(f"{name}: the class {shape.kind[:60]!r} is none of {', '.join(classes)}; passed over.")
            continue
        unusable = _draw(masks, shape, (height, width), line_px)
        if unusable:
            complaints.leave_out(name, unusable)
            return None
    outside = [kind for kind, mask in masks.items() if not mask.any()]
    if outside:
        complaints.leave_out(name, "its shapes lie outside the picture", f" (class {outside[0]!r})")
        return None
    return {**masks, **{kind: mask for kind, mask in one.painted.items() if mask.any()}}


def _draw(masks: dict[str, UInt8], shape: Drawn | Brushed | Unread, size: tuple[int, int], line_px: float) -> str:
    """Draw a shape into the mask of its class; returns why it cannot be, or nothing."""
    if isinstance(shape, Unread):
        return shape.why
    if not _is_name(shape.kind):
        return f"the class {shape.kind[:60]!r} cannot be a folder's name"
    mask = masks.setdefault(shape.kind, np.zeros(size, np.uint8))
    if isinstance(shape, Drawn):
        draw(mask, shape.points_px, closed=shape.closed, width_px=shape.width_px or line_px)
        return ""
    top, left, (high, wide) = shape.top_px, shape.left_px, shape.mask.shape
    part = mask[top : top + high, left : left + wide]
    if min(top, left) < 0 or part.shape != shape.mask.shape or (shape.whole and part.shape != size):
        return "a brushed mask does not fit into it"
    part[shape.mask] = 255
    return ""


def _is_name(kind: str) -> bool:
    return 0 < len(kind) <= 80 and kind.strip(". ") == kind and not any(one in kind for one in '/\\\x00\n"')
