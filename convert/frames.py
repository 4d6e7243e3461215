"""Pictures that set the ranges of a quantised network, through the very preprocessing of the drone."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.masks import preprocess, tiles
from edge.masks.segmenter import DEFAULT_OVERLAP_PX
from models import DataError
from models.data import SUFFIXES, read_named

log = logging.getLogger(__name__)

UInt8 = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]

ENOUGH = 100
"""Fewer pictures than this are warned about: ranges then hang on single pictures."""
WANTED_CLEAN = 0.1
"""At least this share should be without a crack: that is what a drone mostly sees."""

# Folders and files that say of themselves that they are drawn: masks, train_labels, 0012_mask.png, bridge-overlay-2.jpg
_WORDS = (
    r"(masks?|labels?|annotations?|annotated|gt|ground_?truths?|overlays?|seg(mentations?)?|predictions?|heat_?maps?|"
    r"scores?)"
)
_DRAWN_FOLDER = re.compile(rf"((train|val|valid|test|crack|img|image)_?)?{_WORDS}")
_DRAWN_FILE = re.compile(rf"[_\-. ]{_WORDS}([_\-. ]?\d{{1,2}})?$")
# What gives away those that do not say so; see `is_drawing`.
_LOOKED_AT = 50_000
"""Pixels."""
_FEW_COLOURS = 8
_NEAR = 16
"""Grey levels from black or white that JPEG leaves around an edge."""
_TWO_VALUED = 0.97
"""Share of pixels of a black and white label that are within that."""
_PURE_COLOUR = 0.002
"""Share of pixels of an overlay of which one channel is 0 and another 255."""


def representative_frames(
    folders: Sequence[Path], height: int, width: int, count: int = 160, seed: int = 1
) -> list[UInt8]:
    """Pick about `count` pictures evenly over the folders (searched below, labels left out) at the network's size.

    Each is cut into tiles and padded by reflection as on the drone, and one tile of it is taken. A third is darkened or
    brightened, a third shows a wet patch, as weather does. One rendered ramp from black to white comes first, which
    pins the input range. Damaged pictures are left out by name.
    Raises DataError where a folder is missing or holds none that can be read.
    """
    rng = np.random.default_rng(seed)
    frames = [ramp(height, width)]
    for folder in folders:
        found = find_pictures(folder)
        wanted = max(1, round(count / len(folders)))
        picked = _photos(folder, [found[i] for i in rng.permutation(len(found))], wanted)
        frames += [weather(one_tile(rgb, height, width, rng), rng) for rgb in picked]
    return frames


def _photos(folder: Path, paths: Sequence[Path], wanted: int) -> list[UInt8]:
    """The first `wanted` that are neither drawn nor damaged, in the order of their names. Raises DataError without."""
    photos: dict[Path, UInt8] = {}
    drawings: list[Path] = []
    for path, rgb in read_named(paths):
        if is_drawing(rgb):
            drawings.append(path)
        else:
            photos[path] = rgb
        if len(photos) == wanted:
            break
    if drawings:
        log.warning(
            "calibration: %d of %d pictures in %s are labels or overlays, not photos (as %s); they are left out",
            len(drawings), len(drawings) + len(photos), folder, min(drawings).name,
        )  # fmt: skip
    if not photos:
        raise DataError(f"The pictures in {folder} are all labels or overlays; name a folder of photos with --data.")
    return [photos[path] for path in sorted(photos)]


def is_drawing(rgb: UInt8) -> bool:
    """Whether a uint8 RGB picture (H, W, 3) is a label or an overlay: what no camera gives.

    A label has a handful of values, or is black and white but for what JPEG makes of the edges. An overlay has areas of
    one pure colour, which a sensor behind a lens does not give, pixel for pixel.
    """
    low, high = rgb.min(axis=2), rgb.max(axis=2)
    if len(np.unique(rgb.reshape(-1, 3)[:: max(1, low.size // _LOOKED_AT)], axis=0)) <= _FEW_COLOURS:
        return True
    two = (high < _NEAR) | (low > 255 - _NEAR)
    if two.mean() > _TWO_VALUED and (low > 255 - _NEAR).any() and (high < _NEAR).any():
        return True
    return bool(((low == 0) & (high == 255)).mean() > _PURE_COLOUR)


def find_pictures(folder: Path) -> list[Path]:
    """List the pictures in a folder and below, sorted, without those whose folder or name says that they are drawn.

    Raises DataError where the folder is missing or holds none.
    """
    if not folder.is_dir():
        raise DataError(f"The folder {folder} given with --data does not exist.")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not _named_a_drawing(path.relative_to(folder))
    )
    if not found:
        raise DataError(f"The folder {folder} given with --data holds no pictures.")
    return found


def _named_a_drawing(path: Path) -> bool:
    folders = (part.lower().replace("-", "_").replace(" ", "_") for part in path.parts[:-1])
    return (
        any(_DRAWN_FOLDER.fullmatch(folder) for folder in folders) or _DRAWN_FILE.search(path.stem.lower()) is not None
    )


def to_float(frame: UInt8) -> Float:
    """A uint8 RGB frame (H, W, 3) as the network's float input (1, H, W, 3): what its int8 input stands for."""
    codes = np.empty(frame.shape, np.int8)
    preprocess.to_input(frame, codes)
    return preprocess.dequantise(codes, preprocess.INPUT_SCALE, preprocess.INPUT_ZERO_POINT)[None]


def doubts(count: int, cracked: int | None) -> list[str]:
    """What is wrong with `count` frames, of which `cracked` hold a crack (None: nobody can tell); empty if nothing."""
    found = []
    if count < ENOUGH:
        found.append(f"only {count} frames set the ranges, at least {ENOUGH} are wanted; name more folders with --data")
    if cracked is not None and count - cracked < WANTED_CLEAN * count:
        found.append(
            f"{cracked} of the {count} frames hold a crack; a drone mostly sees crack-free concrete, so add "
            "folders of that with --data"
        )
    if cracked == 0:
        found.append(f"the float network finds a crack in none of the {count} frames; add pictures of cracks")
    return found


def ramp(height: int, width: int) -> UInt8:
    """A picture from black to white, uint8 RGB (height, width, 3)."""
    row = np.linspace(0, 255, width).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (height, width, 3)))


def one_tile(rgb: UInt8, height: int, width: int, rng: np.random.Generator) -> UInt8:
    """One tile of a picture as the drone cuts and pads it, uint8 RGB (height, width, 3)."""
    overlap_px = min(DEFAULT_OVERLAP_PX, min(height, width) // tiles.MAX_OVERLAP_PART)
    plan = tiles.plan(rgb.shape[0], rgb.shape[1], height, width, overlap_px)
    tile = plan[int(rng.integers(len(plan)))]
    rows, columns = tile.rows, tile.columns
    window = np.zeros((height, width, 3), np.int8)
    seen = rgb[rows.start_px :, columns.start_px :][: rows.size_px, : columns.size_px]
    preprocess.to_input(np.ascontiguousarray(seen), window[: rows.size_px, : columns.size_px])
    tiles.fill_reflected(window, rows.size_px, columns.size_px)
    return np.asarray(window.view(np.uint8) ^ np.uint8(0x80), np.uint8)


def weather(frame: UInt8, rng: np.random.Generator) -> UInt8:
    """The frame as it is, darker or brighter, or with a wet patch: a third each."""
    kind = int(rng.integers(3))
    if kind == 0:
        return frame
    if kind == 1:
        gamma = float(rng.uniform(0.5, 2.2))
        table = np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
        return np.asarray(cv2.LUT(frame, table), np.uint8)
    height, width = frame.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle, middle = float(rng.uniform(0, np.pi)), float(rng.uniform(0.3, 0.7))
    along = np.cos(angle) * (x / width - middle) + np.sin(angle) * (y / height - middle)
    wet = 1 / (1 + np.exp(-along * float(rng.uniform(15, 60))))  # dry on one side, wet on the other
    darker = 1 - float(rng.uniform(0.3, 0.6)) * wet
    return np.asarray(np.rint(frame * darker[..., None]), np.uint8)
