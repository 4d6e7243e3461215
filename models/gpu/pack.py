"""Gather the pictures and masks that recipes name into a few files: small enough to send, fast to decode.

What a pack is and how it is read: `models/gpu/packed.py`.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.frames import stills
from models import UNKNOWN, DataError, Example
from models.checkpoint import replacing
from models.data import find_examples, read_mask, read_rgb
from models.gpu.packed import Entry
from models.gpu.recipe import Recipe, SourceRecipe

log = logging.getLogger(__name__)

UInt8 = npt.NDArray[np.uint8]


def select(source: SourceRecipe, root: Path) -> list[tuple[Example, bool]]:
    """List the pictures of a source, each with whether it belongs to the unseen site.

    Raises DataError for folders that do not fit, and for a photograph in `hold_photos` that the source has not.
    """
    examples = find_examples(root / source.images, root / source.masks if source.masks else None, root)
    held = held_photos(source, [example.group for example in examples])
    count: Counter[str] = Counter()
    chosen = []
    for example in examples:
        count[example.group] += 1
        if source.per_photo is None or count[example.group] <= source.per_photo:
            chosen.append((example, example.group in held))
    return chosen


def held_photos(source: SourceRecipe, photos: Iterable[str]) -> set[str]:
    """Choose the photographs of the unseen site: the last ones by name, as neighbouring numbers are often one place.

    Names sort as text, 10 before 9; weights that ship were trained by this order, and are judged by it.

    Of `hold` = 1 all, otherwise at least one and never all. Raises DataError for an unknown name in `hold_photos`, and
    for a share of a source that has a single photograph.
    """
    order = sorted(set(photos))
    if source.hold_photos:
        held = {photo for photo in order if photo.rpartition("/")[2] in source.hold_photos}
        if len(held) != len(source.hold_photos):
            listed = ", ".join(order[:5])
            raise DataError(f"source {source.name!r} has not all photographs of hold_photos; it has {listed} ...")
        return held
    if source.hold in (0, 1):
        return set(order) if source.hold else set()
    if len(order) < 2:
        raise DataError(f"source {source.name!r} is one photograph: hold all of it (1) or nothing (0).")
    return set(order[-min(len(order) - 1, max(1, round(source.hold * len(order)))) :])


def write_packs(recipes: Sequence[Recipe], root: Path, out: Path, parts: int = 1) -> list[Entry]:
    """Write the pictures of all `recipes`, each once, to `out`/pack-0.npz and so on; returns what they hold.

    A source that stands in several recipes must be the same in each of them but for its weight. Raises DataError where
    it is not, and for pictures that cannot be used.
    """
    from tqdm import tqdm

    sources: dict[str, SourceRecipe] = {}
    for source in (source for recipe in recipes for source in recipe.sources):
        known = sources.setdefault(source.name, source)
        if replace(source, weight=known.weight) != known:
            raise DataError(f"source {source.name!r} differs between the recipes; only its weight may.")
    out.mkdir(parents=True, exist_ok=True)
    jobs = [(source, *pair) for source in sources.values() for pair in select(source, root)]
    written: list[Entry] = []
    for part in range(parts):
        blob, entries = bytearray(), list[Entry]()
        for source, example, held in tqdm(jobs[part::parts], unit="image", mininterval=2):
            rgb = read_rgb(example.image)
            ok, image = cv2.imencode(
                ".webp", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, source.quality]
            )
            if not ok:
                raise DataError(f"Image {example.image} cannot be written as WebP; look at its size.")
            image_at = _append(blob, image.tobytes())
            mask_at = None
            if example.mask is not None:
                drawn = _mask(source, example, root, (rgb.shape[0], rgb.shape[1]))
                mask_at = _append(blob, cv2.imencode(".png", drawn, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())
            entries.append(
                Entry(
                    source=source.name,
                    name=example.image.name,
                    photo=example.group,
                    held=held,
                    image=image_at,
                    mask=mask_at,
                )
            )
        index = np.frombuffer(json.dumps([asdict(entry) for entry in entries]).encode(), np.uint8)
        with replacing(out / f"pack-{part}.npz") as path, path.open("wb") as stream:
            np.savez(stream, blob=np.frombuffer(blob, np.uint8), index=index)
        log.info("pack %d: %d pictures, %.1f MB", part, len(entries), len(blob) / 1e6)
        written += entries
    return written


def _append(blob: bytearray, data: bytes) -> tuple[int, int]:
    begin = len(blob)
    blob += data
    return begin, len(blob)


def _mask(source: SourceRecipe, example: Example, root: Path, shape: tuple[int, int]) -> UInt8:
    assert example.mask is not None
    turned = stills.inspect(example.image).exif.orientation
    mask = read_mask(example.mask, shape, turned=turned)
    if source.wide is None:
        return mask
    path = root / source.wide / example.mask.name
    band = read_mask(path, shape, turned=turned)
    return np.where((band > 0) & (mask == 0), np.uint8(UNKNOWN), mask)
